import { randomUUID } from 'node:crypto'
import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { lastValueFrom, take, tap, toArray } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import { systemClock } from '../../src/core/clock.ts'
import { type Components, components } from '../../src/engine/components.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { followWith } from '../../src/engine/follow.ts'
import {
  aggregate,
  count,
  type EpochResult,
  files,
  type FollowOptions,
  groupBy,
  type Pipeline,
  parquet,
  pipeline,
  run as observe,
  source,
  sum,
  to,
  tumbling,
} from '../../src/index.ts'
import { failure, followUntil, type Lab, openLab, type Place, run, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

/** Two rows, of keys a and b, a quarter past this hour. */
const hour = (key: string, hours: number) =>
  lab.parquet(
    key,
    `SELECT TIMESTAMP '2022-01-01 00:15:00' + INTERVAL (${hours}) HOUR AS t, k, v::DOUBLE AS v FROM (VALUES ('a', 0.1), ('b', ${hours})) AS x(k, v)`,
  )

interface Live {
  readonly idle?: '1s'
  readonly miniBatch?: { readonly objectsMax?: number; readonly rowsMax?: number }
}

const hourly = (at: Place, { idle, miniBatch }: Live = {}) =>
  pipeline(
    'hourly',
    { checkpoint: at.checkpoint },
    source('in', {
      objects: lab.input,
      format: parquet(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', v: 'DOUBLE' },
      time: 't',
      watermark: { delay: '1 hour', ...(idle ? { idle } : {}) },
      reconcile: '20ms',
      miniBatch: { every: '10ms', ...miniBatch },
    }).pipe(
      tumbling('1 hour'),
      groupBy('k'),
      aggregate({ n: count(), total: sum('v') }),
      to(files(at.output, { format: 'parquet' })),
    ),
  )

/** Follows until the work is done; the work is told of every event. */
async function following(
  at: Place,
  work: (seen: {
    readonly epochs: readonly EpochResult[]
    readonly events: readonly RunEvent[]
    until(condition: () => boolean): Promise<void>
  }) => Promise<void>,
  {
    live,
    parts = components,
    ...options
  }: Omit<FollowOptions, 'drain'> & {
    readonly live?: Live
    readonly parts?: Components
  } = {},
) {
  const epochs: EpochResult[] = []
  const events: RunEvent[] = []
  let told = () => {}
  const drain = new AbortController()
  const ended = followWith(
    parts,
    hourly(at, live),
    {
      threads: 2,
      memory: '500MB',
      ...options,
      drain: drain.signal,
      onEvent: event => {
        events.push(event)
        told()
      },
    },
    epoch => epochs.push(epoch),
  )
  const until = async (condition: () => boolean) => {
    while (!condition()) await Promise.race([new Promise<void>(resolve => (told = resolve)), ended])
  }
  await Promise.race([work({ epochs, events, until }), ended])
  drain.abort()
  return { summary: await ended, epochs, events }
}

const objectsIn = (epochs: readonly EpochResult[]) => epochs.at(-1)?.totals.objects ?? 0

/** The ledger's keys in order, and its other entries by kind. */
async function ledger(at: Place): Promise<(string | null)[]> {
  const rows = await lab.channel('ledger', at)
  return rows
    .toSorted((a, b) => Number(a.seq) - Number(b.seq))
    .map(row => (row.is === 'object' ? (row.key ?? null) : (row.is ?? null)))
}

/** What a backfill of this ledger makes: the same rows, whatever the cut (I11). */
async function expectReplays(at: Place): Promise<void> {
  const replay = lab.place('replay')
  await run(hourly(replay), { ledger: at.checkpoint })
  const sorted = (rows: readonly object[]) => rows.map(row => JSON.stringify(row)).toSorted()
  expect(sorted(await lab.rows(replay))).toEqual(sorted(await lab.rows(at)))
  expect(sorted(await lab.channels('late-', replay))).toEqual(sorted(await lab.channels('late-', at)))
}

test.each([
  // The claim is written, then comes the first commit, then the release.
  { silentFrom: 1, what: 'commit', message: /epoch in flight did not end within 100 ms/ },
  { silentFrom: 2, what: 'release', message: /was not released within 100 ms/ },
])(
  'a drain that meets a store which does not answer the $what ends after its time',
  async ({ silentFrom, message }) => {
    const at = lab.place('live')
    await hour('a.parquet', 1)
    const drain = new AbortController()
    let heads = 0
    let hang = () => {}
    const hanging = new Promise<void>(resolve => (hang = resolve))
    const silent: Components = {
      ...components,
      // The time of the drain is over once the store has been asked what it does not answer, however slow the machine is.
      clock: {
        ...components.clock,
        sleep: (ms, signal) => (ms === 100 ? hanging : components.clock.sleep(ms, signal)),
      },
      async openWritable(address, field) {
        const store = await components.openWritable(address, field)
        return {
          ...store,
          put(key, body, ifMatch, signal) {
            if (key !== 'HEAD' || heads++ < silentFrom) return store.put(key, body, ifMatch, signal)
            drain.abort()
            return new Promise((_, reject) => {
              signal?.addEventListener('abort', () => reject(signal.reason as Error))
              hang()
            })
          },
        }
      },
    }
    const ended = followWith(silent, hourly(at), { threads: 1, drain: drain.signal, drainMs: 100 }, () => drain.abort())
    await expect(ended).rejects.toMatchObject({
      code: 'drain-timeout',
      message: expect.stringMatching(message) as string,
    })
  },
)

describe('the claim (P5)', () => {
  test('an owner beats while it loads, however long that takes: nobody takes it for gone', async () => {
    const at = lab.place('live')
    await hour('a.parquet', 1)
    const checkpoint = await components.openWritable(at.checkpoint, 'checkpoint')
    const eTag = async () => {
      const head = await checkpoint.get('HEAD')
      return typeof head === 'string' ? head : head.eTag
    }
    // Beats come quickly while it loads; after that every time is as long as it says, a drain's too.
    let mostMs = 20
    const loading: Components = {
      ...components,
      clock: { ...components.clock, sleep: (ms, signal) => components.clock.sleep(Math.min(ms, mostMs), signal) },
      async openInput(address, field) {
        for (const first = await eTag(); (await eTag()) === first; ) await components.clock.sleep(20)
        mostMs = Number.POSITIVE_INFINITY
        return components.openInput(address, field)
      },
    }
    await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 1), { parts: loading })
    expect(await ledger(at)).toEqual(['a.parquet'])
  })

  test('a checkpoint that its owner sealed while a start stood by is refused', async () => {
    const at = lab.place('live')
    await hour('a.parquet', 1)
    await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 1))
    const store = await components.openWritable(at.checkpoint, 'checkpoint')
    const never = () => Promise.reject(new Error('nothing to merge'))
    const other = createCheckpointStore({
      store,
      owner: 'elsewhere/1/1',
      newId: randomUUID,
      scratch: at.output,
      merge: never,
    })
    const { manifest } = await other.claim({} as never)
    const sealing = async () => {
      const { engine } = manifest
      const settings = { ...(engine.settings as object), sealed: true }
      await other.release({ ...manifest, engine: { ...engine, settings } })
    }
    const refused = followWith(components, hourly(at), {
      threads: 1,
      onEvent: ({ is }) => is === 'waiting' && void sealing(),
    })
    await expect(refused).rejects.toMatchObject({ code: 'sealed' })
  })
})

describe('following a directory', () => {
  test('what lies there comes first, in order of keys; then what lands; the ledger replays to the same rows', async () => {
    const at = lab.place('live')
    await hour('b.parquet', 1)
    await hour('a.parquet', 2)
    const { summary } = await following(at, async ({ epochs, until }) => {
      await until(() => objectsIn(epochs) === 2)
      await hour('late.parquet', 0)
      await until(() => objectsIn(epochs) === 3)
      await hour('c.parquet', 9)
      await until(() => objectsIn(epochs) === 4)
    })
    expect(await ledger(at)).toEqual(['a.parquet', 'b.parquet', 'late.parquet', 'c.parquet'])
    expect(summary).toMatchObject({ totals: { objects: 4, rows: 8, late: 2 }, run: { drained: true } })
    // The window of 09:00 stays open: nothing flushes a live run.
    expect((await lab.rows(at)).map(({ window_start: at, k }) => `${at} ${k}`).toSorted()).toEqual([
      '2022-01-01 01:00:00 a',
      '2022-01-01 01:00:00 b',
      '2022-01-01 02:00:00 a',
      '2022-01-01 02:00:00 b',
    ])
    expect(summary.openWindows).toBe(1)
    await expectReplays(at)
  })

  test('a later run goes on where the earlier one ended, and counts nothing twice (I5)', async () => {
    const at = lab.place('live')
    await hour('a.parquet', 1)
    await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 1))
    await hour('b.parquet', 5)
    const { events } = await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 2))
    expect(events.find(({ is }) => is === 'started')).toMatchObject({ term: 2, epoch: 1 })
    expect(await ledger(at)).toEqual(['a.parquet', 'b.parquet'])
    await expectReplays(at)
  })

  test('an idle source ticks: the delay is dropped, by event times alone, and the tick replays (S5, I9)', async () => {
    const at = lab.place('live')
    await hour('a.parquet', 1)
    await hour('b.parquet', 2)
    await following(at, ({ epochs, until }) => until(() => epochs.some(({ objects }) => objects === 0)), {
      live: { idle: '1s' },
    })
    expect(await ledger(at)).toEqual(['a.parquet', 'b.parquet', 'tick'])
    const tick = (await lab.channel('ledger', at)).find(row => row.is === 'tick')
    expect(tick?.watermark_us).toBe(`${Date.parse('2022-01-01T02:15:00Z') * 1000}`)
    expect((await lab.rows(at)).map(row => row.window_start)).toEqual(['2022-01-01 01:00:00', '2022-01-01 01:00:00'])
    await expectReplays(at)
  })

  test('a source whose first listing takes longer than its idle time is not idle: no tick comes before what it finds', async () => {
    const at = lab.place('live')
    await hour('a.parquet', 1)
    await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 1))
    await hour('b.parquet', 1)
    const slow: Components = {
      ...components,
      async openInput(address, field) {
        const store = await components.openInput(address, field)
        return {
          ...store,
          async *list(prefix, after) {
            await components.clock.sleep(1_500)
            yield* store.list(prefix, after)
          },
        }
      },
    }
    await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 2), {
      parts: slow,
      live: { idle: '1s' },
    })
    expect((await ledger(at)).slice(0, 2)).toEqual(['a.parquet', 'b.parquet'])
  })

  test('told to leave history alone, the first start records it as skipped, and later ones read what comes', async () => {
    const at = lab.place('live')
    await hour('old.parquet', 1)
    const work = (objects: number) =>
      following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === objects), { catchUp: false })
    await work(1)
    await hour('new.parquet', 2)
    const { summary } = await work(2)
    expect(summary.totals).toMatchObject({ objects: 2, rows: 2, skipped: 1 })
    const [old] = await lab.channel('ledger', at)
    expect(old).toMatchObject({ key: 'old.parquet', outcome: 'skipped', reason: expect.stringMatching(/no-catch-up/) })
  })

  test('history that one start began to record as skipped is so in the next start, and what came between is read', async () => {
    const at = lab.place('live')
    for (let n = 0; n < 6; n++) await hour(`old-${n}.parquet`, 1)
    const one = { live: { miniBatch: { objectsMax: 1 } } }
    const first = await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) >= 1), {
      ...one,
      catchUp: false,
    })
    expect(first.summary.totals.objects).toBeLessThan(6)
    await hour('new.parquet', 2)
    const { summary } = await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 7), one)
    expect(summary.totals).toMatchObject({ objects: 7, rows: 2, skipped: 6 })
    // From now on what looks old is new.
    await hour('late.parquet', 2)
    await utimes(join(lab.input, 'late.parquet'), 0, 0)
    const last = await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 8), one)
    expect(last.summary.totals).toMatchObject({ objects: 8, skipped: 6 })
  })

  test('an epoch holds no more rows than rowsMax, unless one object has more', async () => {
    const at = lab.place('live')
    for (const key of ['a', 'b', 'c', 'd', 'e']) await hour(`${key}.parquet`, 1)
    const { epochs } = await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 5), {
      live: { miniBatch: { rowsMax: 4 } },
    })
    for (const { rows } of epochs) expect(rows).toBeLessThanOrEqual(4)
    expect(epochs.some(({ objects }) => objects === 2)).toBe(true)
    const single = lab.place('single')
    const { epochs: cut } = await following(single, ({ epochs, until }) => until(() => objectsIn(epochs) === 5), {
      live: { miniBatch: { rowsMax: 1 } },
    })
    expect(cut.map(({ objects }) => objects)).toEqual([1, 1, 1, 1, 1])
  })

  test('a run that fails while a listing waits for room ends in its error', async () => {
    const at = lab.place('live')
    for (let n = 0; n < 8; n++) await hour(`${n}.parquet`, n)
    const failed = followWith(
      components,
      hourly(at, { miniBatch: { objectsMax: 1 } }),
      { threads: 2, memory: '500MB' },
      () => {
        throw new Error('no more')
      },
    )
    await expect(failed).rejects.toThrow('no more')
  })

  test('a bad object is recorded and does not end the run', async () => {
    const at = lab.place('live')
    await hour('a.parquet', 1)
    const { summary } = await following(at, async ({ epochs, until }) => {
      await until(() => objectsIn(epochs) === 1)
      await lab.lines('b.parquet', ['no Parquet at all'])
      await until(() => objectsIn(epochs) === 2)
      await hour('c.parquet', 3)
      await until(() => objectsIn(epochs) === 3)
    })
    expect(summary.totals).toMatchObject({ objects: 3, quarantined: 1, rows: 4 })
  })

  test('a clock that jumps by a day, back and forth, changes no row (I9)', async () => {
    const [steady, jumping] = [lab.place('steady'), lab.place('jumping')]
    for (const [index, at] of [3, 1, 9, 2, 12].entries()) await hour(`${index}.parquet`, at)
    let reads = 0
    const clock = { ...systemClock, nowMs: () => systemClock.nowMs() + (reads++ % 3) * 86_400_000 }
    for (const [at, parts] of [
      [steady, components],
      [jumping, { ...components, clock }],
    ] as const)
      await following(at, ({ epochs, until }) => until(() => objectsIn(epochs) === 5), { parts })
    expect(reads).toBeGreaterThan(10)
    const sorted = (rows: readonly object[]) => rows.map(row => JSON.stringify(row)).toSorted()
    expect(await ledger(jumping)).toEqual(await ledger(steady))
    expect(sorted(await lab.rows(jumping))).toEqual(sorted(await lab.rows(steady)))
    expect((await lab.rows(steady)).length).toBeGreaterThan(0)
    await expectReplays(jumping)
  })

  test('unknown options are refused, naming the nearest', async () => {
    const work = followWith(components, hourly(lab.place('live')), { catchup: false } as never)
    expect((await failure(work)).message).toContain("run: unknown option 'catchup'; did you mean 'catchUp'?")
  })
})

describe('run()', () => {
  test('emits each committed epoch; unsubscribing stops it, and a later one continues', async () => {
    const at = lab.place('live')
    for (const [index, key] of ['a', 'b', 'c'].entries()) await hour(`${key}.parquet`, index)
    const each = hourly(at, { miniBatch: { objectsMax: 1 } })
    const first = await lastValueFrom(observe(each, { threads: 2 }).pipe(take(1), toArray()))
    expect(first.map(({ epoch, objects, rows }) => [epoch, objects, rows])).toEqual([[1, 1, 2]])
    // The abort is under way: whoever starts now claims the checkpoint, and the first one cannot commit any more.
    const rest: EpochResult[] = []
    await new Promise<void>((resolve, reject) => {
      const subscription = observe(each, { threads: 2 }).subscribe({
        next: result => {
          rest.push(result)
          if (result.totals.objects < 3) return
          subscription.unsubscribe()
          resolve()
        },
        error: reject,
      })
    })
    expect(rest.at(-1)?.totals).toMatchObject({ objects: 3, rows: 6 })
  })

  test('a drain completes it, and an error of the data is final', async () => {
    const drain = new AbortController()
    await hour('a.parquet', 1)
    const drained = observe(hourly(lab.place('live')), { threads: 2, drain: drain.signal })
    const results = await lastValueFrom(
      drained.pipe(
        tap(() => drain.abort()),
        toArray(),
      ),
    )
    expect(results.map(({ objects }) => objects)).toEqual([1])
    await lab.parquet('b.parquet', `SELECT TIMESTAMP '2022-01-09' AS t, 'a' AS k, 'x' AS v`)
    const error = await failure(lastValueFrom(observe(hourly(lab.place('bad')), { threads: 2 })))
    expect(error.code).toBe('bad-row')
  })
})

describe('a final flush', () => {
  test('closes windows far ahead too, and seals the checkpoint (S6)', async () => {
    await hour('a.parquet', 1)
    await hour('z.parquet', 24 * 365 * 70)
    const bounded = (at: Place) =>
      pipeline(
        'bounded',
        { checkpoint: at.checkpoint },
        source('in', {
          objects: lab.input,
          format: parquet(),
          columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', v: 'DOUBLE' },
          time: 't',
          watermark: { delay: '0s', bounds: { lastModifiedSkew: '1 day' } },
        }).pipe(
          tumbling('1 hour'),
          groupBy('k'),
          aggregate({ n: count() }),
          to(files(at.output, { format: 'parquet' })),
        ),
      )
    const at = lab.place('final')
    const open = await run(bounded(at))
    expect(open.openWindows).toBe(1)
    expect(await lab.rows(at)).toHaveLength(2)
    const sealed = await run(bounded(at), { final: true })
    expect(sealed.openWindows).toBe(0)
    expect(await lab.rows(at)).toHaveLength(4)
    await hour('later.parquet', 2)
    const error = await failure(run(bounded(at)))
    expect(error.code).toBe('sealed')
    expect(error.message).toMatch(/--final/)
    // Its ledger still replays, the final flush with it.
    const replay = lab.place('replay')
    await run(bounded(replay), { ledger: at.checkpoint })
    const sorted = (rows: readonly object[]) => rows.map(row => JSON.stringify(row)).toSorted()
    expect(sorted(await lab.rows(replay))).toEqual(sorted(await lab.rows(at)))
  })

  test('is refused beside what contradicts it', async () => {
    const at = { checkpoint: join(lab.root, 'ck'), output: join(lab.root, 'out') }
    const error = await failure(run(hourly(at), { final: true, flush: false }))
    expect(error.message).toContain('final')
  })
})

test('a source without a watermark is named at the start, unless nothing is windowed', async () => {
  const told = async (followed: Pipeline) =>
    (await followUntil(followed, 'started')).filter(({ is }) => is === 'no-watermark')
  const columns = { t: 'TIMESTAMP', k: 'VARCHAR' } as const
  expect(await told(windowed(lab, lab.place('none'), { columns }))).toEqual([{ is: 'no-watermark', source: 'in' }])
  expect(await told(windowed(lab, lab.place('delayed'), { columns, delay: '1 hour' }))).toEqual([])
  const at = lab.place('rows')
  const plain = source('in', { objects: lab.input, format: parquet(), columns, time: 't' })
  const sink = to(files(at.output, { format: 'parquet' }))
  expect(await told(pipeline('plain', { checkpoint: at.checkpoint }, plain.pipe(sink)))).toEqual([])
})
