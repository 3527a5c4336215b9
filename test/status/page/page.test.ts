import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import type { BrowserContextOptions } from 'playwright-core'
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { components } from '../../../src/engine/components.ts'
import { followWith } from '../../../src/engine/follow.ts'
import type { Measurement, Running } from '../../../src/engine/report/running.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  pipeline,
  source,
  sum,
  to,
  tumbling,
  where,
} from '../../../src/index.ts'
import { createRedact } from '../../../src/status/redact.ts'
import { createRequestMeter, type RequestMeter } from '../../../src/status/requests.ts'
import { type HttpOptions, openStatus } from '../../../src/status/status.ts'
import { type Lab, openLab } from '../../engine/harness.ts'
import { cells, chromiumForTests, definitions, expectShown, hostile, openPage } from './chromium.ts'

const browser = await chromiumForTests()
afterAll(() => browser?.close())

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
/** Ends the test's runs, before their folder goes. */
const stops: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
  await lab[Symbol.asyncDispose]()
})

const row = (at: string, zone: string, fare: unknown) => JSON.stringify({ at: `2024-03-01 ${at}`, zone, fare })

/** Of the page and what it measures, which nobody waits for here: a second of it is 50 ms. */
const quickClock: Clock = {
  startedAtMs: systemClock.startedAtMs,
  nowMs: () => systemClock.nowMs() * 20,
  sleep: (ms, signal) => systemClock.sleep(ms / 20, signal),
}

/** A run that follows the lab's folder, with its status port. */
async function follow(http: Partial<HttpOptions> = {}, requests: RequestMeter = createRequestMeter(quickClock)) {
  const drain = new AbortController()
  let running: Running | undefined
  let address = ''
  const status = await openStatus({
    clock: quickClock,
    pipeline: 'revenue <b>',
    version: '1.2.3',
    log: ({ fields }) => {
      if (typeof fields?.address === 'string') address = fields.address
    },
    redact: createRedact([]),
    requests,
    http: { host: '127.0.0.1', port: 0, invocation: 'npx millrace', ...http },
  })
  const trips = source('trips', {
    objects: lab.input,
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', fare: 'DOUBLE' },
    time: 'at',
    watermark: { delay: '1 hour' },
    onBadRow: 'quarantine',
    reconcile: '20ms',
    miniBatch: { every: '10ms', objectsMax: 1 },
  })
  const ended = followWith(
    components,
    pipeline(
      'revenue',
      { checkpoint: lab.checkpoint },
      trips.pipe(
        where('fare > 0'),
        tumbling('1 hour'),
        groupBy('zone'),
        aggregate({ trips: count(), revenue: sum('fare') }),
        to(files(lab.output, { format: 'json' })),
      ),
    ),
    {
      threads: 2,
      memory: '500MB',
      drain: drain.signal,
      onEvent: status.onEvent,
      onRunning: given => {
        running = given
        status.onRunning(given)
      },
    },
  )
  stops.push(async () => {
    drain.abort()
    await ended
    await status.close()
  })
  return { address, measure: (): Promise<Measurement> | undefined => running?.measure() }
}

const open = (address: string, options?: BrowserContextOptions) => openPage(browser, address, options)

describe.skipIf(!browser)('the page in Chromium', () => {
  test('shows what the run holds, follows it, and asks for nothing else', async () => {
    await lab.lines('a.jsonl', [row('08:10', 'north', 5), row('09:20', 'south', 7), row('10:30', 'north', 2)])
    await lab.lines('b.jsonl', [row('08:05', 'north', 1), row('10:40', 'south', 'free'), row('11:05', 'south', 4)])
    const counts = { put: 7, list: 0, get: 30, delete: 0, queue: 0 }
    const perDay = () => ({ ...counts, put: 2_000_000, get: 400 })
    const { address, measure } = await follow({ prices: { put: 0.005 } }, { count: () => {}, totals: counts, perDay })
    const { page, faults, asked, answer } = await open(`${address}/`)
    expect((await answer?.body())?.length).toBeLessThan(150_000)
    await expectShown(page, '#aside', '1 bad row')
    await expectShown(page, '#sources', '2024-03-01 11:05')
    await expectShown(page, '#sources', 'in hand0 objects')
    await expectShown(page, '#sentence', 'nothing waits')

    const held = await measure()
    // The watermark at 9:30, an hour below 10:30, had closed 8 to 9 when b came.
    expect(held?.totals).toMatchObject({ rows: 6, late: 1, quarantinedRows: 1, epochs: 2 })
    expect(await definitions(page, '#figures')).toMatchObject({ rows: '6', objects: '2', epoch: '2' })
    expect(await definitions(page, '#sources')).toMatchObject({
      watermark: '2024-03-01 10:05',
      'highest event time': '2024-03-01 11:05',
      'since the start': '6 rows',
      'in hand': '0 objects',
      place: lab.input,
    })
    expect(await page.locator('#aside article').allInnerTexts()).toEqual([
      expect.stringMatching(/^1 late row\n+the window had closed: .*\n+npx millrace sql .* 'SELECT step/),
      expect.stringMatching(/^1 bad row\n+column 'fare': expected DOUBLE\n+the first: b\.jsonl\n+npx millrace sql /),
    ])
    const windows = page.locator('#windows')
    await windows.locator('summary').click()
    expect(await windows.locator('tbody tr').allInnerTexts()).toEqual([
      '2024-03-01 10:00\t2024-03-01 11:00\t1',
      '2024-03-01 11:00\t2024-03-01 12:00\t1',
    ])
    expect(held?.states[0]?.windows?.map(({ groups }) => groups)).toEqual([1, 1])
    expect(await windows.locator('line.watermark').count()).toBe(1)
    expect(await page.locator('#epochs rect.phase.commit').count()).toBe(2)
    await expect
      .poll(() => page.locator('#sinks tbody tr').allInnerTexts(), { timeout: 250_000 })
      .toEqual([`flow-1\tfiles\tnothing\tnothing\tnothing\t0 times\tfile://${lab.output}`])
    expect(await cells(page, '#requests')).toEqual([
      ['put: PUT, COPY and POST of objects', '7', '2,000,000', '0.005', '10.00'],
      ['get: GET and HEAD of objects', '30', '400', '', ''],
    ])
    expect(await page.locator('#requests p').innerText()).toMatch(/^10\.00 a day, .* Without get, which have none\.$/)
    expect(await page.locator('#plan .box .name').allTextContents()).toEqual([
      'source trips',
      'where',
      'tumbling',
      'groupBy',
      'aggregate',
      'to files',
    ])
    expect(await definitions(page, '#checkpoint')).toMatchObject({
      owner: 'this process',
      epoch: '2',
      term: String(held?.term),
    })

    // What was open stays open when it is drawn anew.
    await lab.lines('c.jsonl', [row('14:00', 'west', 3)])
    await expectShown(page, '#figures', 'epoch3')
    await expect
      .poll(() => windows.locator('tbody tr').allInnerTexts(), { timeout: 250_000 })
      .toEqual(['2024-03-01 14:00\t2024-03-01 15:00\t1'])
    expect([faults, new Set(asked)]).toEqual([[], new Set([`${address}/`, `${address}/events`])])
  })

  test('names and values from outside are text, and commands with them are one word of a shell', async () => {
    await lab.lines(`${hostile}.jsonl`, [row('08:10', '<script>document.title = "taken"</script>', '</script><b>')])
    const { address } = await follow()
    const { page, faults } = await open(`${address}/`)
    await expectShown(page, '#aside', '1 bad row')
    expect(await page.locator('#aside').innerText()).toContain('<img src=x onerror=')
    expect(await page.title()).toMatch(/^revenue <b>: /)
    expect(await page.locator('img, b, section script').count()).toBe(0)
    // The value of a row is for those who have a token.
    expect(await page.content()).not.toContain('</b>')
    expect(await page.locator('#aside').innerText()).not.toContain('</script>')
    expect(faults).toEqual([])
  })

  test('with a token, only who shows it sees the page, and values of rows', async () => {
    await lab.lines('a.jsonl', [row('08:10', 'north', 'a value')])
    const token = '0123456789abcdef'
    const { address } = await follow({ token })
    for (const path of ['/', '/events']) {
      const headers = { accept: 'text/html' }
      expect((await fetch(address + path, { headers })).status).toBe(401)
      const wrong = { ...headers, authorization: 'Bearer 0123456789abcdeg' }
      expect((await fetch(address + path, { headers: wrong })).status).toBe(401)
    }
    const { page, faults } = await open(`${address}/`, { httpCredentials: { username: 'any', password: token } })
    await expectShown(page, '#aside', "such as 'a value'")
    await expectShown(page, '.link', 'live')
    expect(faults.filter(fault => !fault.includes('401'))).toEqual([])
  })

  test.each([
    ['the old document is given once', 1],
    ['the old document is given for ever', Infinity],
  ])('when another version takes the address, its document is loaded, once: %s', async (_, times) => {
    await lab.lines('a.jsonl', [row('08:10', 'north', 5)])
    const { address } = await follow()
    const { page, asked } = await openPage(browser, 'about:blank')
    let left = times
    await page.route(`${address}/`, async route => {
      const answer = await route.fetch()
      const body = await answer.text()
      if (left-- <= 0) return route.fulfill({ response: answer, body })
      await route.fulfill({ response: answer, body: body.replace(/data-live="\w+"/, 'data-live="another"') })
    })
    await page.goto(`${address}/`, { timeout: 0 })
    await expectShown(page, '.link', 'live')
    await expectShown(page, '#figures', 'epoch1')
    expect(await page.locator('html').getAttribute('data-live')).toMatch(times === 1 ? /^[0-9a-f]{16}$/ : /^another$/)
    await lab.lines('b.jsonl', [row('08:20', 'north', 5)])
    await expectShown(page, '#figures', 'epoch2')
    expect(asked.filter(url => url === `${address}/`)).toHaveLength(2)
  })

  test('is the same behind the prefix of a proxy', async () => {
    await lab.lines('a.jsonl', [row('08:10', 'north', 5)])
    const { address } = await follow()
    const proxy = createServer((asked, answer) => {
      const path = (asked.url ?? '').replace(/^\/team\/revenue/, '') || '/'
      request(address + path, { headers: { ...asked.headers, host: new URL(address).host } }, found => {
        answer.writeHead(found.statusCode ?? 500, found.headers)
        found.pipe(answer)
      })
        .on('error', () => answer.destroy())
        .end()
    }).listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    onTestFinished(() => proxy.closeAllConnections())
    onTestFinished(() => void proxy.close())
    for (const end of ['/', '']) {
      const { page } = await open(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}/team/revenue${end}`)
      await expectShown(page, '.link', 'live')
      await expectShown(page, '#figures', 'epoch1')
    }
  })

  test.each([360, 1440])('fits a screen of %i pixels, and pictures are read by keys', async width => {
    await lab.lines('a.jsonl', [row('08:10', 'north', 5), row('10:20', 'south', 7)])
    const { address } = await follow()
    const { page } = await open(`${address}/`, { viewport: { width, height: 800 } })
    await expectShown(page, '#windows', 'open window')
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width)
    const picture = page.locator('#windows .picture')
    await picture.focus()
    await page.keyboard.press('Home')
    expect(await page.locator('#windows output').innerText()).toBe('2024-03-01 10:00 to 2024-03-01 11:00: 1 group')
    for (const svg of await page.locator('svg').all()) expect(await svg.getAttribute('aria-label')).toMatch(/[.]$/)
  })
})
