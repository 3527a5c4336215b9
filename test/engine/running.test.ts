import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { components } from '../../src/engine/components.ts'
import { phases, type RunEvent, timed } from '../../src/engine/report/events.ts'
import { followWith } from '../../src/engine/follow.ts'
import type { Run } from '../../src/engine/open-run.ts'
import { createRunning, type RunningContext } from '../../src/engine/measure.ts'
import type { Measurement, Running } from '../../src/engine/report/running.ts'
import { aggregate, count, files, groupBy, parquet, pipeline, source, to, tumbling } from '../../src/index.ts'
import { type Lab, openLab } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

test('what a run holds can be measured while it follows, and each epoch tells how long its parts took', async () => {
  await lab.parquet(
    'a.parquet',
    `SELECT TIMESTAMP '2022-01-01 00:15:00' + INTERVAL (i) HOUR AS t, 'a' AS k FROM range(3) AS r(i)`,
  )
  await lab.lines('b.parquet', ['no Parquet'])
  const drain = new AbortController()
  const events: RunEvent[] = []
  let running: Running | undefined
  let measured: Measurement | undefined
  const followed = pipeline(
    'measured',
    { checkpoint: lab.checkpoint },
    source('in', {
      objects: lab.input,
      format: parquet(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' },
      time: 't',
      watermark: { delay: '1 hour' },
      reconcile: '20ms',
      miniBatch: { every: '10ms' },
    }).pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count() }), to(files(lab.output, { format: 'parquet' }))),
  )
  await followWith(components, followed, {
    threads: 2,
    memory: '500MB',
    drain: drain.signal,
    onRunning: given => {
      running = given
    },
    onEvent: event => {
      events.push(event)
      if (event.is !== 'epoch') return
      void running?.measure().then(found => {
        measured = found
        drain.abort()
      })
    },
  })
  const { manifest, term } = await lab.head()
  const [[, segments] = []] = Object.entries(manifest.channels).filter(([name]) => name.startsWith('segment-'))
  expect(measured).toMatchObject({
    term,
    epoch: 1,
    totals: { objects: 2, rows: 3, quarantined: 1 },
    inHand: 0,
    admitted: { objects: 2 },
    // Rows lie at 0:15, 1:15 and 2:15; the watermark at 1:15 has closed the first window.
    sources: [
      {
        watermarkUs: BigInt(Date.UTC(2022, 0, 1, 1, 15)) * 1000n,
        highMarkUs: BigInt(Date.UTC(2022, 0, 1, 2, 15)) * 1000n,
      },
    ],
    states: [{ rows: 2, openWindows: 2, bytes: segments?.[0]?.bytes }],
    backlog: {},
    notifications: {},
  })
  expect(measured?.duckdb).toMatchObject({ spillBytes: 0, limitBytes: expect.closeTo(500e6, -6) })
  expect(measured?.duckdb.memoryBytes).toBeGreaterThan(0)
  expect(measured?.checkpoint.headBytes).toBeGreaterThan(measured?.checkpoint.bytes ?? 0)
  const [epoch] = events.filter(event => event.is === 'epoch')
  expect(epoch).toMatchObject({ quarantined: 1, skipped: 0, setAside: [{ key: 'b.parquet' }] })
  expect(epoch?.bytes).toBe(measured?.admitted.bytes)
  const seen = new Set(events.flatMap(event => (event.is === 'phase' ? [event.phase] : [])))
  expect([...seen].toSorted()).toEqual([...phases].toSorted())
})

describe('stalled', () => {
  /** A run that is only a clock and settings. */
  const stalled = (
    nowMs: number,
    now: Partial<Record<'sinceMs' | 'lastCommitMs' | 'committingSinceMs' | 'lastHeldMs', number>>,
  ) =>
    createRunning({
      run: {
        clock: { nowMs: () => nowMs },
        sources: new Map([['in', { miniBatch: { every: '2s' } }]]),
      } as unknown as Run,
      committer: { publisher: { lastHeldMs: now.lastHeldMs ?? 0 } } as RunningContext['committer'],
      live: [],
      intake: { inHand: { objects: 1, sinceMs: now.sinceMs }, admitted: { objects: 1, bytes: 1 } },
      lastCommitMs: () => now.lastCommitMs ?? 0,
      committingSinceMs: () => now.committingSinceMs,
    }).stalledMs()

  test.each([
    ['nothing in hand', {}, 0],
    ['an object that its mini-batch still waits for', { sinceMs: 9_000 }, 0],
    ['an object in hand for 7 s, of which 2 s is the wait on purpose', { sinceMs: 3_000 }, 5_000],
    ['an old object while others are committed', { sinceMs: 1_000, lastCommitMs: 9_500 }, 500],
    [
      'an object that a flow behind with its rows held back until a second ago',
      { sinceMs: 1_000, lastHeldMs: 9_000 },
      1_000,
    ],
    ['a tick whose commit hangs', { lastCommitMs: 1_000, committingSinceMs: 4_000 }, 6_000],
  ])('%s', (_, now, expected) => {
    expect(stalled(10_000, now)).toBe(expected)
  })
})

test('what fails tells no time', async () => {
  const events: RunEvent[] = []
  const clock = { nowMs: () => 0 } as Clock
  const context = { clock, onEvent: (event: RunEvent) => events.push(event) }
  await expect(timed(context, 'apply', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
  await timed(context, 'apply', () => Promise.resolve())
  expect(events).toEqual([{ is: 'phase', phase: 'apply', ms: 0 }])
})
