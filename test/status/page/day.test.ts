import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { CDPSession, Page } from 'playwright-core'
import { afterAll, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../../src/core/clock.ts'
import { type Components, components } from '../../../src/engine/components.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import { followWith } from '../../../src/engine/follow.ts'
import type { Running } from '../../../src/engine/report/running.ts'
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
import { version } from '../../../src/cli/version.ts'
import { createRedact } from '../../../src/status/redact.ts'
import { openStatus } from '../../../src/status/status.ts'
import { seededRandom } from '../../../src/testing/random.ts'
import { root } from '../../cli/child.ts'
import { type Lab, openLab } from '../../engine/harness.ts'
import { wholeFromEnvironment } from '../../golden/drawn.ts'
import { cells, chromiumForTests, definitions, expectShown, openPage } from './chromium.ts'
import { faintTexts } from './contrast.ts'

const browser = await chromiumForTests()
afterAll(() => browser?.close())

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs
/** Of the day, one for each object that lands. MILLRACE_RUNS=8640 is one every ten seconds. */
const epochs = wholeFromEnvironment('MILLRACE_RUNS', 40)
const everyMs = Math.floor(dayMs / epochs)
const rowsEach = 600
const startMs = Date.UTC(2026, 2, 1)
const windowMs = 15 * minuteMs
const delayMs = 60 * minuteMs

const random = seededRandom(24)
const drawn = (most: number) => Math.floor(random() * most)

interface Trip {
  readonly atMs: number
  readonly zone: string
  readonly fare: number | 'free'
}

/** What lands at a time: trips of the minutes before, more zones by day than by night. Now and then a bad row, and three late ones. */
function landing(n: number): readonly Trip[] {
  const atMs = startMs + n * everyMs
  const zones = 14 + Math.round(12 * Math.sin((2 * Math.PI * n) / epochs) + drawn(6))
  const trip = (ageMs: number, fare: Trip['fare']) => ({ atMs: atMs - ageMs, zone: `zone-${drawn(zones)}`, fare })
  const lateOnes = n > 0 && n % 10 === 0 ? 3 : 0
  const bad = n % 15 === 0 ? 1 : 0
  return Array.from({ length: rowsEach }, (_, row) => {
    if (row < lateOnes) return trip(3 * 60 * minuteMs, 9)
    return row === lateOnes && bad ? trip(0, 'free') : trip(drawn(Math.max(everyMs, 20 * minuteMs)), 5 + drawn(40))
  })
}

const lineOf = ({ atMs, zone, fare }: Trip) => JSON.stringify({ at: new Date(atMs).toISOString(), zone, fare })

/** The open windows with their groups, counted from what has landed. */
function openWindows(trips: readonly Trip[], watermarkMs: number): readonly (readonly string[])[] {
  const zones = new Map<number, Set<string>>()
  for (const { atMs, zone, fare } of trips) {
    const fromMs = Math.floor(atMs / windowMs) * windowMs
    if (fromMs + windowMs <= watermarkMs || fare === 'free') continue
    zones.set(fromMs, (zones.get(fromMs) ?? new Set()).add(zone))
  }
  return [...zones]
    .sort(([a], [b]) => a - b)
    .map(([fromMs, { size }]) => [showTime(fromMs), showTime(fromMs + windowMs), counted(size)])
}

const showTime = (ms: number) =>
  new Date(ms)
    .toISOString()
    .replace('T', ' ')
    .replace(/(:00)?(\.000)?Z$/, '')
const counted = (n: number) => n.toLocaleString('en-US')

/** The clock of the machine, but that it leaps, and stands while it is held. Who sleeps sleeps by the machine's, and no longer than to the leap. */
function leapingClock() {
  const sleepers = new Set<{ readonly untilMs: number; wake(): void }>()
  let aheadMs = startMs - systemClock.startedAtMs - systemClock.nowMs()
  let heldMs: number | undefined
  const nowMs = () => heldMs ?? systemClock.nowMs() + aheadMs
  const clock: Clock = {
    startedAtMs: systemClock.startedAtMs,
    nowMs,
    async sleep(ms, signal) {
      const woken = new AbortController()
      const sleeper = { untilMs: nowMs() + ms, wake: () => woken.abort() }
      sleepers.add(sleeper)
      await systemClock.sleep(ms, signal ? AbortSignal.any([signal, woken.signal]) : woken.signal)
      sleepers.delete(sleeper)
    },
  }
  return {
    clock,
    /** The page and what it measures, which nobody waits for here: a second of theirs is 50 ms. */
    quick: { ...clock, sleep: (ms, signal) => systemClock.sleep(ms / 20, signal) } satisfies Clock,
    leap(ms: number) {
      if (heldMs === undefined) aheadMs += ms
      else heldMs += ms
      for (const sleeper of sleepers) if (sleeper.untilMs <= nowMs()) sleeper.wake()
    },
    hold() {
      heldMs = nowMs()
    },
  }
}

/** Folders of the lab, by addresses that a reader of the documentation expects. */
function placesOf(lab: Lab, clock: Clock): Components {
  const folders: Readonly<Record<string, string>> = {
    's3://trips/2026/': lab.input,
    's3://revenue/by-zone/': lab.output,
    's3://revenue/checkpoint/': lab.checkpoint,
  }
  const folderOf = (address: string): string => folders[address] ?? expect.unreachable(address)
  const named = async (store: Promise<ObjectStore>, address: string) => ({ ...(await store), address })
  return {
    ...components,
    clock,
    openInput: (address, field, links) => named(components.openInput(folderOf(address), field, links), address),
    findInput: async (address, field) => ({ ...(await components.findInput(folderOf(address), field)), root: address }),
    openWritable: (address, field) => named(components.openWritable(folderOf(address), field), address),
  }
}

const dayPipeline = () =>
  pipeline(
    'revenue',
    { checkpoint: 's3://revenue/checkpoint/' },
    source('trips', {
      objects: 's3://trips/2026/',
      format: json(),
      columns: { at: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', fare: 'DOUBLE' },
      time: 'at',
      watermark: { delay: '1 hour' },
      onBadRow: 'quarantine',
      reconcile: '20ms',
      miniBatch: { every: '10ms', objectsMax: 1 },
    }).pipe(
      where('fare > 0'),
      tumbling('15 minutes'),
      groupBy('zone'),
      aggregate({ trips: count(), revenue: sum('fare') }),
      to(files('s3://revenue/by-zone/', { format: 'json' })),
    ),
  )

/** A run on a clock that leaps, with its page. */
async function startDay(lab: Lab) {
  const { clock, quick, leap, hold } = leapingClock()
  const drain = new AbortController()
  let address = ''
  let running: Running | undefined
  let onEpoch = () => {}
  const status = await openStatus({
    clock: quick,
    pipeline: 'revenue by zone',
    version: version(),
    log: ({ fields }) => {
      if (typeof fields?.address === 'string') address = fields.address
    },
    redact: createRedact([]),
    http: { host: '127.0.0.1', port: 0, invocation: 'npx millrace' },
  })
  const ended = followWith(placesOf(lab, clock), dayPipeline(), {
    threads: 1,
    memory: '500MB',
    drain: drain.signal,
    onRunning(given) {
      running = given
      status.onRunning(given)
    },
    onEvent(event) {
      status.onEvent(event)
      if (event.is === 'epoch') onEpoch()
    },
  })
  const trips: Trip[] = []
  return {
    address,
    trips,
    gather: status.gather,
    /** Nothing is under way: what was would have taken as long. */
    leap,
    /** Lets time pass again and again, so that it is measured anew, until something is shown. */
    async leapUntil(shown: Promise<void>): Promise<void> {
      const seen = new AbortController()
      void shown.finally(() => seen.abort())
      while (!seen.signal.aborted) {
        leap(20_000)
        await systemClock.sleep(200, seen.signal)
      }
      await shown
    },
    /** An object lands, and is committed and published. Where the clock is held then, that is at once: nothing has happened since. */
    async land(n: number, { isHeld }: { readonly isHeld: boolean }): Promise<void> {
      const landed = landing(n)
      trips.push(...landed)
      const committed = new Promise<void>(resolve => {
        onEpoch = () => {
          if (isHeld) hold()
          resolve()
        }
      })
      const name = `${String(n).padStart(6, '0')}.jsonl`
      await rename(await lab.lines(`../${name}`, landed.map(lineOf)), join(lab.input, name))
      await Promise.race([committed, ended.then(() => expect.unreachable('it ended'))])
      await expect
        .poll(async () => (await running?.measure())?.sinks.map(sink => sink.epochs), { timeout: 250_000 })
        .toEqual([0])
    },
    async [Symbol.asyncDispose]() {
      drain.abort()
      await ended
      await status.close()
    },
  }
}

/** What the browser keeps beside the document, when it has thrown away what it need not keep, and the memory that all takes. */
async function kept(devtools: CDPSession, page: Page) {
  await devtools.send('HeapProfiler.collectGarbage')
  const { metrics } = await devtools.send('Performance.getMetrics')
  const { Nodes = 0, JSHeapUsedSize = 0 } = Object.fromEntries(metrics.map(({ name, value }) => [name, value]))
  const shown: number = await page.evaluate(
    `document.evaluate('count(//node() | //@*)', document, null, XPathResult.NUMBER_TYPE).numberValue`,
  )
  return { shown, lost: Nodes - shown, heapBytes: JSHeapUsedSize }
}

describe.skipIf(!browser)('the page over 24 hours', () => {
  test('shows what the run holds and keeps nothing beside that; it is read by day and by night, on a phone and on a desk', async () => {
    await using lab = await openLab()
    await using day = await startDay(lab)
    const { page, faults } = await openPage(browser, `${day.address}/`, { locale: 'en-GB', timezoneId: 'UTC' })
    const devtools = await page.context().newCDPSession(page)
    await devtools.send('Performance.enable')
    for (let n = 0; n < epochs; n++) {
      await day.land(n, { isHeld: false })
      await expectShown(page, '#figures', `epoch${counted(n + 1)}`)
      day.leap(everyMs)
    }

    const late = Math.floor((epochs - 1) / 10) * 3
    const bad = Math.ceil(epochs / 15)
    expect(await definitions(page, '#figures')).toMatchObject({
      rows: counted(epochs * rowsEach),
      objects: counted(epochs),
      'up for': expect.stringMatching(/^2[34] h \d+ min$/),
    })
    expect(await page.locator('#aside h3').allInnerTexts()).toEqual([`${late} late rows`, `${bad} bad rows`])
    const last = Math.min(200, epochs)
    const named = (await cells(page, '#epochs')).map(([epoch]) => epoch)
    expect(named).toEqual(Array.from({ length: last }, (_, n) => counted(epochs - n)))
    expect(await page.locator('#epochs rect.phase.commit').count()).toBe(last)

    // Nothing of the day is in the rate of a minute; then one object is all of it, as the clock is held since its commit.
    day.leap(61_000)
    await expectShown(page, '#sources', 'rate0 rows/s')
    await day.land(epochs, { isHeld: true })
    await expectShown(page, '#sources', `rate${rowsEach / 60} rows/s`)
    const watermarkMs = Math.max(...day.trips.flatMap(({ atMs, fare }) => (fare === 'free' ? [] : [atMs]))) - delayMs
    await day.leapUntil(expectShown(page, '#sources', `watermark${showTime(watermarkMs)}`))
    const windows = openWindows(day.trips, watermarkMs)
    expect(windows.length).toBeGreaterThan(3)
    await expect.poll(() => cells(page, '#windows'), { timeout: 250_000 }).toEqual(windows)
    expect((await definitions(page, '#sources'))['since the start']).toBe(`${counted(day.trips.length)} rows`)

    // Each epoch has drawn the page anew: what it drew before is gone, however many there were.
    const { shown, lost, heapBytes } = await kept(devtools, page)
    expect(shown).toBeGreaterThan(1_000)
    expect(lost).toBeLessThan(shown / 2)
    expect(heapBytes).toBeLessThan(32_000_000)
    expect(JSON.stringify(await day.gather()).length).toBeLessThan(200_000)

    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await expectHeld(page, `matchMedia('(prefers-color-scheme: ${colorScheme})').matches`, true)
      for (const width of [360, 1180, 1440]) {
        await page.setViewportSize({ width, height: 900 })
        await expectHeld(page, 'innerWidth', width)
        expect(await page.evaluate('document.documentElement.scrollWidth'), colorScheme).toBe(width)
        expect(await page.evaluate(headLines), `${width}`).toEqual([1])
        expect(await faintTexts(page), `${colorScheme}, ${width}`).toEqual([])
      }
      if (process.env.MILLRACE_PICTURES !== undefined) await takePicture(page, colorScheme)
    }
    // A browser that is behind by ten seconds of the page loses its stream, and opens another.
    expect(faults.filter(fault => !fault.includes('ERR_INCOMPLETE_CHUNKED_ENCODING'))).toEqual([])
  })
})

/** In the browser: how many lines the figures of the head take, each number once. */
const headLines = `[...new Set([...document.querySelectorAll('#figures dd')].map(figure => {
  const lines = document.createRange()
  lines.selectNodeContents(figure)
  return lines.getClientRects().length
}))]`

/** Waits until the page has taken on what was asked of it. */
async function expectHeld(page: Page, script: string, value: unknown): Promise<void> {
  await expect.poll(() => page.evaluate(script), { timeout: 250_000 }).toBe(value)
}

/** Writes the picture of the documentation. */
async function takePicture(page: Page, name: string): Promise<void> {
  await page.setViewportSize({ width: 1180, height: 900 })
  await page.screenshot({
    path: join(root, `docs/guides/pictures/status-page-${name}.png`),
    animations: 'disabled',
    fullPage: true,
  })
}
