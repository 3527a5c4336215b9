import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { from, mergeMap, Subject } from 'rxjs'
import { type Components, components } from '../../src/engine/components.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { followWith } from '../../src/engine/follow.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { Notification } from '../../src/core/ports.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  json,
  type NotificationSpec,
  pipeline,
  rows,
  source,
  sqs,
  to,
  tumbling,
} from '../../src/index.ts'
import { createMemoryStore } from '../../src/testing/index.ts'
import { type Lab, openLab, run } from './harness.ts'
import { toldBy } from './told-by.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const line = (hour: number, k = 'a') => `{"t":"2024-01-01 0${hour}:10:00","k":"${k}"}`

interface Flow {
  readonly objects?: string
  readonly notifications?: NotificationSpec
}

const head = ({ objects = lab.input, ...more }: Flow = {}) =>
  source('in', {
    objects,
    format: json(),
    columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' },
    time: 't',
    watermark: { delay: '0s' },
    // Longer than the test: nobody waits for that.
    miniBatch: { every: '1h' },
    ...more,
  })
const hourly = (flow?: Flow) =>
  pipeline(
    'hourly',
    { checkpoint: lab.checkpoint },
    head(flow).pipe(
      tumbling('1 hour'),
      groupBy('k'),
      aggregate({ n: count() }),
      to(files(lab.output, { format: 'json' })),
    ),
  )

async function untilIdle(
  flow: ReturnType<typeof hourly>,
  {
    parts = components,
    onEvent = () => {},
    catchUp = true,
  }: { parts?: Components; onEvent?: (event: RunEvent) => void; catchUp?: boolean } = {},
) {
  const events: RunEvent[] = []
  const summary = await followWith(parts, flow, {
    threads: 2,
    memory: '500MB',
    untilIdle: true,
    catchUp,
    onEvent(event) {
      events.push(event)
      onEvent(event)
    },
  })
  return { summary, events: events.map(({ is }) => is) }
}

const ledger = async () => (await lab.channel('ledger', lab)).map(({ key }) => key)

describe('a run until it is idle, over a directory', () => {
  test('takes what is there, commits, publishes, releases the checkpoint and ends; the next one goes on', async () => {
    await lab.lines('a.jsonl', [line(1)])
    await lab.lines('b.jsonl', [line(2)])
    const first = await untilIdle(hourly())
    expect(first.summary).toMatchObject({
      totals: { objects: 2, rows: 2 },
      run: { drained: false, epochs: 1 },
      nothingToDo: false,
      openWindows: 1,
    })
    expect(first.events.filter(is => ['epoch', 'idle', 'draining', 'stopped'].includes(is))).toEqual([
      'epoch',
      'idle',
      'stopped',
    ])
    expect((await lab.rows()).map(row => row.window_start)).toEqual(['2024-01-01 01:00:00'])
    await lab.lines('c.jsonl', [line(4)])
    const second = await untilIdle(hourly())
    expect(second.events).not.toContain('waiting')
    expect(second.summary.totals).toMatchObject({ objects: 3, epochs: 2 })
    expect(await ledger()).toEqual(['a.jsonl', 'b.jsonl', 'c.jsonl'])
    // A backfill of the same ledger makes the same rows (I11).
    const again = lab.place('again')
    await run(hourly(), { ledger: lab.checkpoint, checkpoint: again.checkpoint, output: again.output, flush: false })
    expect(await lab.rows(again)).toEqual(await lab.rows())
  })

  test('told to take no history, it takes what has come since the first start', async () => {
    await lab.lines('a.jsonl', [line(1)])
    const first = await untilIdle(hourly(), { catchUp: false })
    expect(first.summary.totals).toMatchObject({ objects: 1, skipped: 1, rows: 0 })
    await lab.lines('b.jsonl', [line(2)])
    const second = await untilIdle(hourly(), { catchUp: false })
    expect(second.summary.totals).toMatchObject({ objects: 2, skipped: 1, rows: 1 })
    expect(await ledger()).toEqual(['a.jsonl', 'b.jsonl'])
  })

  test('ends where nothing is there', async () => {
    const { summary, events } = await untilIdle(hourly())
    expect(summary).toMatchObject({ totals: { objects: 0 }, nothingToDo: true, run: { drained: false } })
    expect(events).toEqual(['started', 'reconciled', 'reconciled', 'idle', 'stopped'])
  })

  test('ends when rows are taken, and not before (P15)', async () => {
    await lab.lines('a.jsonl', [line(1), line(2)])
    const taking = new Subject<void>()
    const taken: string[] = []
    const flow = pipeline(
      'handed',
      { checkpoint: lab.checkpoint },
      head().pipe(
        rows(),
        mergeMap(row =>
          from(
            (async () => {
              await new Promise<void>(resolve => taking.subscribe(() => resolve()))
              taken.push(row.k ?? '')
            })(),
          ),
        ),
      ),
    )
    const { summary, events } = await untilIdle(flow, {
      // It has nothing left to read when the rows are still being taken.
      onEvent: ({ is }) => is === 'idle' && void systemClock.sleep(50).then(() => taking.next()),
    })
    expect(taken).toEqual(['a', 'a'])
    expect(events.slice(-3)).toEqual(['idle', 'delivered', 'stopped'])
    expect(summary).toMatchObject({ undelivered: [], run: { delivered: 1 } })
  })

  test('a drain ends it as any run', async () => {
    await lab.lines('a.jsonl', [line(1)])
    const drain = new AbortController()
    const summary = await followWith(components, hourly(), {
      threads: 2,
      untilIdle: true,
      drain: drain.signal,
      onEvent: ({ is }) => is === 'started' && drain.abort(),
    })
    expect(summary.run.drained).toBe(true)
  })
})

describe('a run until it is idle, told by messages', () => {
  const spec = sqs({ queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed' })
  const announced = { objects: 's3://bucket/in/', notifications: spec } as const

  /** Pulls of messages that name these keys, whose objects land as they are pulled; what has been acknowledged. */
  function announcing(pulls: readonly (readonly string[])[]) {
    const store = createMemoryStore('s3://bucket/in/')
    const settled: string[] = []
    const opened: unknown[] = []
    const rest = [...pulls]
    let asked = 0
    const parts: Components = {
      ...components,
      findInput: async () => ({ root: 's3://bucket/in/', matches: () => true }),
      openInput: async () => ({
        ...store,
        async head(key) {
          for await (const version of store.list(key)) return version
          return 'missing' as const
        },
      }),
      connectors: toldBy(async (_, { untilIdle: isAsked }) => {
        opened.push(isAsked)
        return {
          async pull(): Promise<readonly Notification[]> {
            asked++
            const named = rest.shift() ?? []
            for (const key of named) await store.put(key, Buffer.from(line(1, key)), 'absent')
            return named.map(key => ({
              id: key,
              objects: [{ bucket: '', key }],
              acknowledge: async () => void settled.push(key),
              release: async () => void settled.push(`${key} released`),
            }))
          },
          positionsAfter: () => null,
          backlog: async () => ({}),
          counts: {},
          close: async () => {},
        }
      }),
    }
    return { parts, settled, opened, store, asked: () => asked }
  }

  test('ends when all that was announced is committed and acknowledged, with what the listing found before (I4, P9)', async () => {
    const one = announcing([['m1.jsonl', 'm2.jsonl'], ['m3.jsonl']])
    await one.store.put('listed.jsonl', Buffer.from(line(1)), 'absent')
    const { summary, events } = await untilIdle(hourly(announced), { parts: one.parts })
    expect(one.opened).toEqual([true])
    expect(one.settled.toSorted()).toEqual(['m1.jsonl', 'm2.jsonl', 'm3.jsonl'])
    expect(one.asked()).toBe(3)
    expect(summary.totals).toMatchObject({ objects: 4, rows: 4 })
    expect((await ledger())[0]).toBe('listed.jsonl')
    expect(events.indexOf('idle')).toBeGreaterThan(events.lastIndexOf('epoch'))
  })

  test('what is announced of nothing is acknowledged all the same', async () => {
    const one = announcing([['notes.txt']])
    await untilIdle(hourly(announced), { parts: one.parts })
    expect(one.settled).toEqual(['notes.txt'])
  })

  test('commits what lies there without a wait, and gathers messages no longer than a second', async () => {
    const sleeps: number[] = []
    const clock: Clock = {
      ...systemClock,
      sleep(ms, signal) {
        sleeps.push(ms)
        return systemClock.sleep(ms, signal)
      },
    }
    const one = announcing([['m1.jsonl']])
    const { summary } = await untilIdle(hourly(announced), { parts: { ...one.parts, clock } })
    expect(summary.totals.objects).toBe(1)
    expect(sleeps).not.toContain(3_600_000)
    expect(sleeps).toContain(1_000)
  })
})
