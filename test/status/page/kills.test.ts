import type { Page } from 'playwright-core'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { type Child, startScript } from '../../cli/child.ts'
import { wholeFromEnvironment } from '../../golden/drawn.ts'
import { type Lab, openLab } from '../../engine/harness.ts'
import { chromiumForTests, definitions, expectShown, openPage } from './chromium.ts'

const browser = await chromiumForTests()
afterAll(() => browser?.close())

/** MILLRACE_KILLS=25 kills more often. */
const kills = wholeFromEnvironment('MILLRACE_KILLS', 1)

/**
 * One port for one process after another. Nothing else takes it in between: it is none of those that are given to who
 * asks for any, and the address of loopback is this test's own.
 */
const host = '127.93.11.21'
const port = 9464
const address = `http://${host}:${port}`

const row = (minute: number, zone: string, fare: unknown) =>
  JSON.stringify({ at: new Date(Date.UTC(2024, 2, 1, 8, minute)).toISOString(), zone, fare })

/** A process that follows the lab's folder until it is killed, as `millrace run` does. */
async function start(lab: Lab): Promise<Child> {
  const child = startScript(`
import { components } from 'src:engine/components.ts'
import { followWith } from 'src:engine/follow.ts'
import { aggregate, count, files, groupBy, json, pipeline, source, sum, to, tumbling } from 'src:index.ts'
import { createRedact } from 'src:status/redact.ts'
import { openStatus } from 'src:status/status.ts'
const status = await openStatus({
  clock: components.clock, pipeline: 'revenue', version: '1.2.3', redact: createRedact([]),
  log: ({ event }) => console.log(event),
  http: { host: '${host}', port: ${port}, invocation: 'npx millrace' },
})
const revenue = pipeline('revenue', { checkpoint: ${JSON.stringify(lab.checkpoint)} },
  source('trips', {
    objects: ${JSON.stringify(lab.input)}, format: json(), time: 'at', watermark: { delay: '1 hour' },
    columns: { at: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', fare: 'DOUBLE' },
    onBadRow: 'quarantine', reconcile: '50ms', miniBatch: { every: '10ms', objectsMax: 1 },
  }).pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ trips: count(), revenue: sum('fare') }),
    to(files(${JSON.stringify(lab.output)}, { format: 'json' }))))
await followWith(components, revenue, { threads: 1, memory: '500MB', onEvent: status.onEvent, onRunning: status.onRunning })
`)
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await child.ended
  })
  await child.says('listening')
  return child
}

/** What the process says of itself to a program. */
interface Figures {
  readonly epoch: number
  readonly term: number
  readonly totals: { readonly rows: number; readonly objects: number; readonly late: number }
  readonly states: readonly { readonly openWindows?: number; readonly rows: number }[]
  readonly sources: readonly { readonly watermark: string; readonly highestEventTime: string }[]
}

/** '2024-03-01T10:10:00.000Z' as the page writes it. */
const spaced = (time = '') => time.replace('T', ' ').replace(/(:00)?(\.000)?Z$/, '')

/** Waits until the process holds the epoch, and the page shows what it holds. */
async function expectHeld(page: Page, epoch: number): Promise<Figures> {
  const ask = async () => (await (await fetch(address)).json()) as Figures
  await expect.poll(async () => (await ask()).epoch, { timeout: 250_000 }).toBe(epoch)
  const held = await ask()
  const shown = async () => ({
    ...(await definitions(page, '#figures')),
    ...(await definitions(page, '#sources')),
    ...(await definitions(page, '#checkpoint')),
    windows: await page.locator('#windows tbody tr').count(),
  })
  await expect.poll(shown, { timeout: 250_000 }).toMatchObject({
    rows: String(held.totals.rows),
    objects: String(held.totals.objects),
    epoch: String(epoch),
    term: String(held.term),
    owner: 'this process',
    watermark: spaced(held.sources[0]?.watermark),
    'highest event time': spaced(held.sources[0]?.highestEventTime),
    windows: held.states.reduce((sum, { openWindows = 0 }) => sum + openWindows, 0),
  })
  return held
}

describe.skipIf(!browser)('the page of processes that are killed', () => {
  test('says that its process is away, and then shows what the next one holds', async () => {
    await using lab = await openLab()
    await lab.lines('0.jsonl', [row(0, 'north', 5), row(130, 'south', 7), row(135, 'west', 'free')])
    let child = await start(lab)
    const { page, asked } = await openPage(browser, `${address}/`)
    const terms = [(await expectHeld(page, 1)).term]
    for (let kill = 1; kill <= kills; kill++) {
      child.kill('SIGKILL')
      await child.ended
      await page
        .locator('[data-away] .link')
        .filter({ hasText: /^away since \d/ })
        .waitFor({ timeout: 0 })
      // What was last known stays, and is marked as old.
      expect(await definitions(page, '#figures')).toMatchObject({ epoch: String(kill), objects: String(kill) })
      expect(await page.evaluate(`getComputedStyle(document.querySelector('main')).opacity`)).toBe('0.55')
      await lab.lines(`${kill}.jsonl`, [row(0, 'north', 5), row(130 + 60 * kill, 'south', 7)])
      child = await start(lab)
      await expectShown(page, '.link', 'live')
      expect(await page.locator('[data-away]').count()).toBe(0)
      const { term, totals } = await expectHeld(page, kill + 1)
      terms.push(term)
      expect(totals).toMatchObject({ rows: 3 + 2 * kill, late: kill, quarantinedRows: 1 })
      // What was set aside before this process began is told as one sum: nothing is lost from sight.
      const before = kill === 1 ? [] : [`${kill - 1} late row${kill === 2 ? '' : 's'}`]
      expect(await page.locator('#aside h3').allInnerTexts()).toEqual(['1 late row', ...before, '1 bad row'])
      expect(await page.locator('#epochs rect.phase.commit').count()).toBe(1)
    }
    expect(terms).toEqual(Array.from({ length: kills + 1 }, (_, n) => n + 1))
    // The document was asked for once: all else came by events.
    expect(asked.filter(one => one !== `${address}/events`)).toEqual([`${address}/`])
  })
})
