import { expect, test } from 'vitest'
import { drawRun, showRunLines, sparkline } from '../../src/cli/run-lines.ts'
import type { LiveLine } from '../../src/cli/live-lines.ts'
import { widthOf } from '../../src/cli/text-width.ts'
import { createMonitor } from '../../src/status/monitor.ts'
import type { PageFacts } from '../../src/status/page/facts.ts'
import { createRunFacts } from '../../src/status/page/run-facts.ts'
import { createRequestMeter } from '../../src/status/requests.ts'
import { manualClock } from '../status/manual-clock.ts'
import { measurement } from '../status/measurement.ts'

const settled = () => new Promise(resolve => setImmediate(resolve))
const textOf = (line: LiveLine) => line.map(piece => (typeof piece === 'string' ? piece : piece.text)).join('')
const drawn = (facts: PageFacts, columns: number) => drawRun(facts, columns).map(textOf)

/** Facts of a run that holds the measurement and has just committed an epoch of 600 rows. */
async function facts(changed: Partial<typeof measurement> = {}): Promise<PageFacts> {
  const clock = manualClock()
  const monitor = createMonitor(clock, () => {})
  const run = createRunFacts({
    clock,
    pipeline: 'trips',
    version: '1.2.3',
    monitor,
    requests: createRequestMeter(clock),
    prices: {},
    showsValues: false,
    invocation: 'npx millrace',
  })
  const started = { is: 'started', term: 3, epoch: 6, checkpoint: 'file:///ck' } as const
  monitor.onEvent(started)
  run.onEvent(started)
  const found = { ...measurement, ...changed }
  monitor.onRunning({
    plan: { nodes: [], flows: {} } as never,
    stalledMs: () => 0,
    measure: async () => found,
  })
  const { totals } = found
  run.onEvent({
    is: 'epoch',
    result: { epoch: 7, objects: 2, rows: 600, late: 0, outputFiles: [], totals },
    tookMs: 10,
    bytes: 900,
    sources: [{ source: 'trips', objects: 2, rows: 600, bytes: 900 }],
    quarantined: 0,
    skipped: 0,
    gone: 0,
    suspect: 0,
    quarantinedRows: 0,
    setAside: [],
    badRows: [],
    lateRows: [],
  })
  return run.gather()
}

test('two lines say what waits and what was set aside', async () => {
  expect(drawn(await facts(), 200)).toEqual([
    'lag 2.5 s  backlog 5 objects, 11 messages  600 rows/s  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█',
    'late 2  bad 4  1 object set aside  2 open windows  next closes at 2022-01-01 01:00:00, 1 h 0 min away  flow-1 2 epochs behind  flow-2 3 epochs behind',
  ])
})

test('what waits nowhere, and windows that are not there, are told as well', async () => {
  const [source] = measurement.sources
  const idle = await facts({
    sources: [
      { ...(source as (typeof measurement.sources)[number]), inHand: { objects: 0, oldestMs: null }, backlog: {} },
    ],
    states: [],
    sinks: [],
    undelivered: [],
    totals: { ...measurement.totals, late: 0, quarantinedRows: 0, quarantined: 0 },
  })
  expect(drawn(idle, 200)).toEqual(['lag 0.0 s  backlog 0 objects  600 rows/s  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█', 'late 0  bad 0'])
})

test('of several sources the one that lags is named', async () => {
  const [source] = measurement.sources as [(typeof measurement.sources)[number]]
  const two = await facts({
    sources: [source, { ...source, source: '注文', inHand: { objects: 1, oldestMs: 9_000 }, backlog: {} }],
  })
  expect(drawn(two, 200)[0]).toMatch(/^lag 9\.0 s at 注文 {2}backlog 6 objects, 11 messages/)
})

test('where it is narrow, what matters less is left out as a whole', async () => {
  const given = await facts()
  expect(drawn(given, 80)).toEqual([
    'lag 2.5 s  backlog 5 objects, 11 messages  600 rows/s  ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█',
    'late 2  bad 4  1 object set aside  2 open windows',
  ])
  expect(drawn(given, 20)).toEqual(['lag 2.5 s', 'late 2  bad 4'])
  for (let columns = 10; columns < 160; columns++)
    for (const line of drawn(given, columns)) expect(widthOf(line)).toBeLessThan(columns)
})

test('a run that does not follow says what it does instead', async () => {
  const { process, ...given } = await facts()
  const standby = {
    ...given,
    mood: 'waits',
    sentence: 'stands by: another process owns the checkpoint and is alive',
    process: process && { ...process, state: 'standby' },
  } as const
  expect(drawn(standby, 200)[0]).toBe('stands by: another process owns the checkpoint and is alive')
})

test('counts of what went wrong have a colour', async () => {
  const [, second] = drawRun(await facts(), 200)
  expect(second?.filter(piece => typeof piece !== 'string')).toContainEqual({ text: 'late 2', as: 'warning' })
})

test('a sparkline has the rows of the last minute, in slots of three seconds', () => {
  expect(sparkline([], 0)).toBe('▁'.repeat(20))
  const epochs = [
    { atMs: 38_999, rows: 1_000_000 },
    { atMs: 39_000, rows: 700 },
    { atMs: 54_000, rows: 100 },
    { atMs: 87_000, rows: 1 },
    { atMs: 89_999, rows: 699 },
    { atMs: 98_999, rows: 350 },
  ]
  for (const nowMs of [96_000, 98_999]) expect(sparkline(epochs, nowMs)).toBe('█▁▁▁▁▂▁▁▁▁▁▁▁▁▁▁█▁▁▅')
  expect(sparkline(epochs, 99_000)).toBe('▁▁▁▁▂▁▁▁▁▁▁▁▁▁▁█▁▁▅▁')
})

test('they are drawn each second, and removed at the end', async () => {
  const clock = manualClock()
  const shown: (readonly string[])[] = []
  const live = {
    show: (draw: (columns: number) => readonly LiveLine[]) => shown.push(draw(60).map(textOf)),
    hide: () => shown.push([]),
  }
  const given = await facts()
  const end = showRunLines({ live, clock, gather: async () => given, onError: expect.unreachable })
  for (let drawn = 1; drawn <= 3; drawn++) {
    await settled()
    expect(shown).toHaveLength(drawn)
    clock.advance(999)
    await settled()
    expect(shown).toHaveLength(drawn)
    clock.advance(1)
  }
  await settled()
  await end()
  clock.advance(5_000)
  await settled()
  expect(shown.map(lines => lines.length)).toEqual([2, 2, 2, 2, 0])
})

test('facts that cannot be gathered end them, and not the run', async () => {
  const told: unknown[] = []
  const shown: string[] = []
  const end = showRunLines({
    live: { show: () => {}, hide: () => shown.push('hidden') },
    clock: manualClock(),
    gather: () => Promise.reject(new Error('no facts')),
    onError: error => told.push(error),
  })
  await end()
  expect([told, shown[0]]).toEqual([[new Error('no facts')], 'hidden'])
})
