import { cp, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { bufferCount, concatMap, finalize, map, type Observable, retry, scan, take, tap, timer, toArray } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { currentFormat, currentMinReader } from '../../checkpoints/codec.ts'
import { systemClock } from '../../src/core/clock.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { behindDefault } from '../../src/engine/publish/output.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { explain } from '../../src/engine/explain.ts'
import { followWith } from '../../src/engine/follow.ts'
import {
  aggregate,
  batches,
  count,
  derive,
  files,
  groupBy,
  inspect,
  json,
  parquet,
  pipeline,
  rows,
  source,
  sum,
  to,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { failure, type Lab, openLab, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const each = { objectsPerEpoch: 1 }

/** One object an hour with rows of keys a and b; `v` is the hour. */
async function hours(to: number, from = 0): Promise<void> {
  for (let hour = from; hour < to; hour++)
    await lab.parquet(
      `${String(hour).padStart(2, '0')}.parquet`,
      `SELECT TIMESTAMP '2022-01-01 00:15:00.000001' + INTERVAL (${hour}) HOUR AS t, k, ${hour}::BIGINT AS v FROM (VALUES ('a'), ('b')) AS x(k)`,
    )
}

const events = (live: object = {}) =>
  source('in', {
    objects: lab.input,
    format: parquet(),
    columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', v: 'BIGINT' },
    time: 't',
    watermark: { delay: '0s' },
    ...live,
  })
const named = (...flows: Observable<unknown>[]) => pipeline('rows', { checkpoint: lab.checkpoint }, ...flows)
const waiting = async () => (await lab.head()).manifest.unpublished

/** A flow of the rows of key a that notes what it takes, and may fail or wait before it does. */
function taker(before: (v: bigint) => unknown = () => {}, live: object = {}) {
  const taken: bigint[] = []
  const flow = events(live).pipe(
    where("k = 'a'"),
    rows(),
    concatMap(async ({ v }) => {
      await before(v as bigint)
      taken.push(v as bigint)
    }),
  )
  return { taken, pipeline: named(flow) }
}

/** Holds a tail until the test opens it. */
function gate() {
  let open = () => {}
  const opened = new Promise<void>(resolve => (open = resolve))
  return { opened, open: () => open() }
}

const upTo = (end: number, from = 0) => Array.from({ length: end - from }, (_, index) => BigInt(from + index))

describe('a run ends when all rows are taken', () => {
  test.each([{ objectsPerEpoch: 1 }, { objectsPerEpoch: 7 }, {}])(
    'an asynchronous tail gets every window, in order, cut by %j',
    async cut => {
      await hours(48)
      const starts: string[] = []
      const flow = events().pipe(
        tumbling('1 hour'),
        groupBy(),
        aggregate({ n: count(), total: sum('v') }),
        rows(),
        concatMap(async row => {
          // Longer than an epoch takes, so that a run that did not wait would end far before its tail.
          await systemClock.sleep(20)
          starts.push(`${row.window_start.toISOString().slice(0, 13)} ${row.n} ${row.total}`)
        }),
      )
      const summary = await run(named(flow), cut)
      expect(starts).toEqual(
        Array.from({ length: 48 }, (_, hour) => {
          const at = new Date(Date.UTC(2022, 0, 1, hour)).toISOString().slice(0, 13)
          return `${at} 2 ${2 * hour}`
        }),
      )
      expect(summary.undelivered).toEqual([])
      expect(await waiting()).toEqual([])
      expect(await run(named(flow), cut)).toMatchObject({ nothingToDo: true, run: { delivered: 0 } })
      expect(starts).toHaveLength(48)
    },
  )

  test('values are those of JavaScript, through Parquet as well', async () => {
    await lab.parquet(
      '0.parquet',
      `SELECT TIMESTAMP '2022-01-01 02:15:00.000001' AS t, 'a' AS k, 2::BIGINT AS v FROM range(1)`,
    )
    const seen: unknown[] = []
    const flow = events().pipe(
      derive({
        d: ['DECIMAL(38,2)', '0.10'],
        day: ['DATE', 't'],
        b: ['BLOB', "'ab'::BLOB"],
        u: ['UUID', "'01234567-89ab-cdef-0123-456789abcdef'"],
        l: ['BIGINT[]', '[1, NULL]'],
        f: ['DOUBLE', "'nan'::DOUBLE"],
        j: ['JSON', `'{"x": 1}'`],
        n: ['VARCHAR', 'NULL'],
      }),
      rows(),
      tap(row => seen.push(row)),
    )
    await run(named(flow))
    expect(seen).toEqual([
      {
        t: new Date('2022-01-01T02:15:00.000Z'),
        k: 'a',
        v: 2n,
        d: '0.10',
        day: '2022-01-01',
        b: new Uint8Array([97, 98]),
        u: '01234567-89ab-cdef-0123-456789abcdef',
        l: [1n, null],
        f: Number.NaN,
        j: '{"x": 1}',
        n: null,
      },
    ])
  })

  test('of a column named rowid, as of many rows, come all and in order', async () => {
    await lab.parquet('0.parquet', `SELECT TIMESTAMP '2022-01-02' AS t, 'c' AS k, i AS v FROM range(25000) AS r(i)`)
    const seen: unknown[] = []
    const flow = events().pipe(
      derive({ rowid: ['BIGINT', '-v'] }),
      rows(),
      tap(row => seen.push(row.rowid)),
    )
    await run(named(flow))
    expect(seen).toEqual(Array.from({ length: 25_000 }, (_, index) => -BigInt(index)))
  })

  test('a drained backfill too: what it committed is taken before it ends, and nothing else', async () => {
    await hours(30)
    const drain = new AbortController()
    const { taken, pipeline } = taker(v => {
      if (v === 3n) drain.abort()
    })
    const summary = await run(pipeline, { ...each, drain: drain.signal })
    expect(summary.run.drained).toBe(true)
    const { manifest, released } = await lab.head()
    expect(released).toBe(true)
    expect(manifest.unpublished).toEqual([])
    expect(taken).toEqual(upTo(manifest.epoch))
    expect(manifest.epoch).toBeLessThan(30)
    await run(pipeline, each)
    expect(taken).toEqual(upTo(30))
  })
})

describe('the flow is subscribed anew for each epoch', () => {
  test('operators with something to remember begin anew; what ends early has taken the epoch', async () => {
    await hours(3)
    const out: unknown[] = []
    const base = events().pipe(rows())
    await run(
      named(
        base.pipe(
          scan(n => n + 1, 0),
          toArray(),
          tap(all => out.push(['scan', ...all])),
        ),
        base.pipe(
          bufferCount(5),
          tap(some => out.push(['buffer', some.length])),
        ),
        base.pipe(
          take(1),
          tap(({ v }) => out.push(['take', v])),
        ),
      ),
      each,
    )
    const of = (name: string) => out.filter(entry => (entry as unknown[])[0] === name)
    expect(of('scan')).toEqual([
      ['scan', 1, 2],
      ['scan', 1, 2],
      ['scan', 1, 2],
    ])
    expect(of('buffer')).toEqual([
      ['buffer', 2],
      ['buffer', 2],
      ['buffer', 2],
    ])
    expect(of('take')).toEqual([
      ['take', 0n],
      ['take', 1n],
      ['take', 2n],
    ])
    expect(await waiting()).toEqual([])
  })

  test('retry subscribes again to the same rows', async () => {
    await hours(2)
    const seen: bigint[] = []
    let failures = 2
    const flow = events().pipe(
      rows(),
      concatMap(async ({ v }) => {
        seen.push(v as bigint)
        if (v === 1n && failures-- > 0) throw new Error('database away')
      }),
      retry({ count: 2, delay: () => timer(1) }),
    )
    await run(named(flow), each)
    expect(seen).toEqual([0n, 0n, 1n, 1n, 1n, 1n])
  })

  test('an epoch without rows for the flow is none for it', async () => {
    await hours(4)
    const epochs: number[] = []
    const flow = events().pipe(
      where('v % 2 = 1'),
      batches(),
      tap(({ epoch, rows: all }) => epochs.push(epoch, all.length)),
    )
    const summary = await run(named(flow), each)
    expect(epochs).toEqual([2, 2, 4, 2])
    expect(summary.run.delivered).toBe(2)
  })

  test('nothing but a delivery subscribes to what follows rows()', async () => {
    await hours(2)
    const subscribed: string[] = []
    const flow = events().pipe(
      where("k = 'a'"),
      rows(),
      tap({ subscribe: () => subscribed.push('again') }),
      finalize(() => subscribed.push('end')),
    )
    await run(named(flow), each)
    expect(subscribed).toEqual(['again', 'end', 'again', 'end'])
    await explain(named(flow))
    expect(await verify(named(flow), { threads: 1 })).toMatchObject({ epochs: 2, differences: [] })
    await inspect(lab.checkpoint)
    // Another run's ledger: that run handed its rows over.
    await run(pipeline('rows', { checkpoint: lab.place('replay').checkpoint }, flow), { ledger: lab.checkpoint })
    expect(subscribed).toHaveLength(4)
    expect((await lab.head(lab.place('replay'))).manifest.unpublished).toEqual([])
  })

  test('an operator before rows() that drops a mini-batch, or changes the plan, is refused there; repaired, it goes on', async () => {
    await hours(3)
    const seen: unknown[] = []
    const flow = (isRepaired: boolean) => {
      const head = events().pipe(
        concatMap(batch => (batch.epoch === 2 && !isRepaired ? [] : [batch])),
        rows(),
      )
      return named(head.pipe(tap(({ v }) => seen.push(v))))
    }
    expect((await failure(run(flow(false), each))).message).toContain('reached 0 ends in epoch 2; expected exactly one')
    await run(flow(true), each)
    expect(seen).toEqual([0n, 0n, 1n, 1n, 2n, 2n])
    const changing = named(
      events().pipe(
        concatMap(batch => [batch].map(one => one)),
        source$ => source$.pipe(where('v >= 0')),
        rows(),
      ),
    )
    expect((await failure(run(changing, each))).code).toBe('plan-changed')
  })
})

describe('what a flow did not take', () => {
  test('fails a backfill and stays in the checkpoint; the next start hands it over again, and nothing before it', async () => {
    await hours(6)
    let isAway = true
    const { taken, pipeline } = taker(v => {
      if (isAway && v === 3n) throw new Error('database away')
    })
    const error = await failure(run(pipeline, each))
    expect(error).toMatchObject({ kind: 'fatal', code: 'rows-not-taken' })
    expect(error.message).toBe(
      'flow-1: the rows of epoch 4 were not taken: database away. They stay in the checkpoint; the next start hands them over again.',
    )
    expect(error.cause).toMatchObject({ message: 'database away' })
    expect(taken).toEqual(upTo(3))
    const left = await waiting()
    expect(left[0]).toMatchObject({ output: 'flow-1', epoch: 4, files: [{ rows: 1 }] })
    expect((await inspect(lab.checkpoint)).undelivered).toMatchObject([
      { flow: 'flow-1', epochs: left.length, rows: left.length },
    ])
    isAway = false
    const summary = await run(pipeline, each)
    expect(taken).toEqual(upTo(6))
    expect(summary.run.delivered).toBe(3)
  })

  test('is no "nothing to do", though nothing else is left to do', async () => {
    await hours(2)
    let isAway = true
    const { taken, pipeline } = taker(v => {
      if (isAway && v === 1n) throw new Error('database away')
    })
    await failure(run(pipeline, { objectsPerEpoch: 1 }))
    isAway = false
    const summary = await run(pipeline, { objectsPerEpoch: 1 })
    expect(summary).toMatchObject({ nothingToDo: false, run: { delivered: 1, epochs: 0 } })
    expect(taken).toEqual(upTo(2))
  })

  test('has the same number with the same rows when it comes again', async () => {
    await hours(5)
    const seen: string[] = []
    let attempts = 0
    const flow = events().pipe(
      batches(),
      tap(batch => {
        seen.push(`${batch.epoch}: ${batch.rows.map(({ k, v }) => `${k}${v}`).join(' ')}`)
        if (batch.epoch === 2 && ++attempts < 3) throw new Error('database away')
      }),
    )
    for (let start = 1; start < 3; start++) await failure(run(named(flow), { objectsPerEpoch: 2 }))
    await run(named(flow), { objectsPerEpoch: 3 })
    expect(seen.filter(line => !line.startsWith('2'))).toEqual(['1: a0 b0 a1 b1', '3: a4 b4'])
    expect(seen.filter(line => line.startsWith('2'))).toEqual(Array.from({ length: 3 }, () => '2: a2 b2 a3 b3'))
  })

  test('lets other flows finish the epochs that they are taking, at every start', async () => {
    await hours(3)
    const taken: bigint[] = []
    const committed = gate()
    const head = events()
    const flows = [
      head.pipe(
        rows(),
        concatMap(async () => {
          await committed.opened
          throw new Error('broken')
        }),
      ),
      head.pipe(
        where("k = 'a'"),
        rows(),
        concatMap(async ({ v }) => {
          await committed.opened
          await systemClock.sleep(30)
          taken.push(v as bigint)
        }),
      ),
    ]
    for (let start = 1; start <= 3; start++) {
      const ended = run(named(...flows), { ...each, onProgress: ({ epoch }) => epoch === 3 && committed.open() })
      await expect(ended).rejects.toThrow('flow-1: the rows of epoch 1 were not taken: broken')
      expect(taken).toEqual(upTo(start))
    }
    expect((await waiting()).map(({ output }) => output)).toEqual(['flow-1', 'flow-1', 'flow-1'])
  })

  test('is refused to a pipeline that hands it over no more, or to another flow', async () => {
    await hours(2)
    const refusing = events().pipe(
      rows(),
      map(() => {
        throw new Error('database away')
      }),
    )
    await failure(run(named(refusing), each))
    const head = events()
    const elsewhere = head.pipe(to(files(lab.output, { format: 'parquet' })))
    const other = head.pipe(where('v > 7'), rows())
    for (const flows of [[elsewhere], [other], [other, head.pipe(rows())]])
      expect(await failure(run(named(...flows), each))).toMatchObject({ kind: 'user', code: 'plan-changed' })
    // rows() and batches() are one end in two forms.
    const taken: unknown[] = []
    await run(
      named(
        events().pipe(
          batches(),
          tap(({ rows: all }) => taken.push(...all)),
        ),
      ),
      each,
    )
    expect(taken).toHaveLength(4)
  })

  test('is handed over by a checkpoint that a final flush has sealed; then it is refused', async () => {
    await hours(2)
    const seen: unknown[] = []
    let isAway = true
    const sealed = gate()
    const flow = events().pipe(
      tumbling('1 hour'),
      groupBy(),
      aggregate({ n: count() }),
      rows(),
      concatMap(async row => {
        await sealed.opened
        if (isAway) throw new Error('database away')
        seen.push(row.window_start.toISOString().slice(11, 13))
      }),
    )
    await failure(run(named(flow), { final: true, onProgress: ({ epoch }) => epoch === 2 && sealed.open() }))
    expect(await waiting()).toHaveLength(2)
    isAway = false
    await hours(3, 2)
    expect(await run(named(flow), {})).toMatchObject({ run: { objects: 0, delivered: 2 } })
    expect(seen).toEqual(['00', '01'])
    expect(await failure(run(named(flow), {}))).toMatchObject({ code: 'sealed' })
  })

  test('a stop unsubscribes the tail and leaves the rows for the next start', async () => {
    await hours(2)
    const stop = new AbortController()
    const ended: string[] = []
    let isHanging = true
    const { taken, pipeline } = taker(v => {
      if (!isHanging || v === 0n) return
      stop.abort()
      return new Promise(() => {})
    })
    const flow = (pipeline.flows[0] as Observable<unknown>).pipe(finalize(() => ended.push('unsubscribed')))
    await expect(run(named(flow), { ...each, signal: stop.signal })).rejects.toMatchObject({ code: 'aborted' })
    expect(ended).toEqual(['unsubscribed', 'unsubscribed'])
    isHanging = false
    await run(named(flow), each)
    // At least once: what was taken just before the stop may come again.
    expect(taken.at(-1)).toBe(1n)
    expect(taken.slice(0, -1).every(v => v === 0n)).toBe(true)
    expect(taken.length).toBeLessThanOrEqual(3)
  })
})

test('a slow flow holds back the commits after so many epochs', async () => {
  await hours(behindDefault.epochsMax + 8)
  let mostBehind = 0
  const released = gate()
  const { taken, pipeline } = taker(v => (v === 0n ? released.opened : undefined))
  const ended = run(pipeline, {
    ...each,
    onProgress({ epoch, undelivered }) {
      mostBehind = Math.max(mostBehind, undelivered)
      // Nothing is taken so far; the run could go on only if it did not wait.
      if (epoch === behindDefault.epochsMax && taken.length === 0) setTimeout(released.open, 500)
    },
  })
  await ended
  expect(mostBehind).toBe(behindDefault.epochsMax)
  expect(taken).toEqual(upTo(behindDefault.epochsMax + 8))
})

describe('a run that follows its source', () => {
  const live = { reconcile: '20ms', miniBatch: { every: '10ms', objectsMax: 1 } }
  /** The pauses before rows are handed over again end at once; what they were is told. */
  function hasty(pauses: number[]): Components {
    const before = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000]
    const sleep: typeof systemClock.sleep = (ms, signal) => {
      if (!before.includes(ms)) return systemClock.sleep(ms, signal)
      pauses.push(ms)
      return Promise.resolve()
    }
    return { ...components, clock: { ...systemClock, sleep } }
  }

  async function follow(parts: Components, pipelineOf: ReturnType<typeof named>, until: (event: RunEvent) => boolean) {
    const events: RunEvent[] = []
    const drain = new AbortController()
    const summary = await followWith(parts, pipelineOf, {
      threads: 2,
      memory: '500MB',
      drain: drain.signal,
      onEvent(event) {
        events.push(event)
        if (until(event)) drain.abort()
      },
    })
    return { summary, events }
  }

  test('hands rows over again after a pause, and goes on', async () => {
    await hours(3)
    const pauses: number[] = []
    let failures = 3
    const { taken, pipeline } = taker(v => {
      if (v === 1n && failures-- > 0) throw new Error('database away')
    }, live)
    const { events, summary } = await follow(hasty(pauses), pipeline, e => e.is === 'delivered' && e.epoch === 3)
    expect(taken).toEqual(upTo(3))
    expect(pauses).toEqual([1_000, 2_000, 4_000])
    expect(events.filter(({ is }) => is === 'trouble')).toEqual(
      Array.from({ length: 3 }, () => ({
        is: 'trouble',
        what: 'handing the rows of epoch 2 to flow-1',
        error: 'database away',
      })),
    )
    expect(summary.run.delivered).toBe(3)
    expect(events.some(({ is }) => is === 'restarting')).toBe(false)
  })

  test('fails after so many tries, though it has nothing else to do, and a backfill hands over what is left', async () => {
    await hours(2)
    let isAway = true
    const { taken, pipeline } = taker(v => {
      if (isAway && v === 1n) throw new Error('database away')
    }, live)
    await expect(follow(hasty([]), pipeline, () => false)).rejects.toMatchObject({
      kind: 'fatal',
      code: 'rows-not-taken',
      message: expect.stringContaining('the rows of epoch 2 were not taken in 10 tries: database away') as string,
    })
    expect(taken).toEqual(upTo(1))
    isAway = false
    await run(pipeline, each)
    expect(taken).toEqual(upTo(2))
  })

  test('a beat records what was taken: a kill in a quiet hour hands nothing over again', async () => {
    await hours(1)
    const { taken, pipeline } = taker(() => {}, live)
    const stop = new AbortController()
    const quick: Components = {
      ...components,
      clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(ms === 10_000 ? 20 : ms, signal) },
    }
    const ended = followWith(quick, pipeline, { threads: 2, memory: '500MB', signal: stop.signal })
    const failed = ended.catch((error: unknown) => error)
    while (taken.length === 0 || (await waiting()).length > 0) await systemClock.sleep(5)
    stop.abort()
    expect(await failed).toBeInstanceOf(Error)
    const { manifest } = await lab.head()
    expect(manifest).toMatchObject({ epoch: 1, unpublished: [] })
    await run(pipeline, each)
    expect(taken).toEqual(upTo(1))
  })

  test('a drain waits until all is taken, and says what it waited for when its time is over', async () => {
    await hours(2)
    const released = gate()
    const { taken, pipeline } = taker(v => (v === 1n ? released.opened : undefined), live)
    const { summary } = await follow(components, pipeline, event => {
      if (event.is === 'draining') setTimeout(released.open, 50)
      return event.is === 'epoch' && event.result.epoch === 2
    })
    expect(summary.run.delivered).toBe(2)
    expect(taken).toEqual(upTo(2))

    await hours(3, 2)
    const hanging = taker(() => new Promise(() => {}), live)
    const drain = new AbortController()
    await expect(
      followWith(components, hanging.pipeline, {
        threads: 2,
        memory: '500MB',
        drain: drain.signal,
        // For a busy machine to come from the commit to the wait.
        drainMs: 3_000,
        onEvent: ({ is }) => is === 'epoch' && drain.abort(),
      }),
    ).rejects.toMatchObject({
      code: 'drain-timeout',
      message:
        'flow-1 did not take all of its rows within 3000 ms of the drain: 1 epoch waits. They stay in the checkpoint; the next start hands them over.',
    })
    expect(await waiting()).toHaveLength(1)
  })
})

test('a checkpoint of format 1, which knew no rows that wait, goes on (P14)', async () => {
  // What e3e4b2e left of two objects, cut into an epoch each, without a flush.
  const corpus = join(import.meta.dirname, '../corpus/rows-format-1')
  await cp(join(corpus, 'checkpoint'), lab.checkpoint, { recursive: true })
  await cp(join(corpus, 'in'), lab.input, { recursive: true })
  for (const name of ['1.jsonl', '2.jsonl'])
    await utimes(join(lab.input, name), Date.UTC(2024, 4, 2) / 1000, Date.UTC(2024, 4, 2) / 1000)
  await lab.lines('3.jsonl', ['{"at":"2024-05-01T02:50:00Z","sensor":"a","value":-16}'])
  const readings = source('readings', {
    objects: lab.input,
    format: json(),
    columns: { at: 'TIMESTAMP NOT NULL', sensor: 'VARCHAR', value: 'BIGINT' },
    time: 'at',
    watermark: { delay: '30 minutes' },
  })
  const out: string[] = []
  const goesOn = pipeline(
    'readings',
    { checkpoint: lab.checkpoint },
    readings.pipe(
      tumbling('1 hour'),
      groupBy('sensor'),
      aggregate({ n: count(), total: sum('value') }),
      rows(),
      tap(row => out.push(`${row.window_start.toISOString().slice(11, 13)} ${row.sensor} ${row.n} ${row.total}`)),
    ),
    readings.pipe(
      where('value < 0'),
      batches(),
      tap(({ epoch, rows: all }) => out.push(`${epoch}: ${all.map(({ value }) => value).join(' ')}`)),
    ),
  )
  expect((await lab.head()).format).toBe(1)
  await run(goesOn)
  expect(out.toSorted()).toEqual(['01 a 1 4', '02 a 2 -8', '3: -16'])
  expect(await lab.head()).toMatchObject({
    format: currentFormat,
    minReader: currentMinReader,
    manifest: { unpublished: [] },
  })
})
