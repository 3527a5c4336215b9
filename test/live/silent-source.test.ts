/** Two queues, one of which is silent for an hour of a clock that only the test moves (S4, S5). */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type Components, components } from '../../src/engine/components.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { followWith } from '../../src/engine/follow.ts'
import { query } from '../../src/engine/inspect/query.ts'
import {
  aggregate,
  count,
  type EpochResult,
  files,
  groupBy,
  json,
  type Pipeline,
  pipeline,
  source,
  to,
  tumbling,
  union,
} from '../../src/index.ts'
import { createBucket, createMessages, queue } from '../engine/bucket.ts'
import { type Lab, openLab, type Place } from '../engine/harness.ts'
import { toldBy } from '../engine/told-by.ts'
import { manualClock } from '../status/manual-clock.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const names = ['green', 'yellow'] as const
const addressOf = (name: string) => `s3://bucket/${name}/`
const tenMinutesMs = 600_000
const small = { threads: 2, memory: '500MB' } as const

/** A bucket and a queue for each source. */
function createPlaces() {
  const places = names.map(name => ({ name, bucket: createBucket(), messages: createMessages() }))
  const placeOf = (name: string) => {
    const place = places.find(one => one.name === name)
    if (!place) throw new Error(`no place ${name}`)
    return place
  }
  const clock = manualClock()
  const parts: Components = {
    ...components,
    clock,
    findInput: async root => ({ root, matches: () => true }),
    async openInput(root, field) {
      const place = places.find(({ name }) => addressOf(name) === root)
      return place ? { ...place.bucket.store, address: root } : components.openInput(root, field)
    },
    connectors: toldBy(async (_, { place, positions }) =>
      placeOf(place.prefix.replace('/', '')).messages.open(positions),
    ),
  }
  return {
    clock,
    parts,
    /** Lands rows of these times, and announces them; resolves when the message is acknowledged. */
    async land(name: (typeof names)[number], key: string, ...times: readonly string[]): Promise<void> {
      const { bucket, messages } = placeOf(name)
      const lines = times.map(time => `{"t":"2024-05-01T${time}:00Z","taxi":"${name}"}\n`)
      await messages.tell(bucket.put(key, lines.join('')))
    },
  }
}

const taxis = (name: (typeof names)[number]) =>
  source(name, {
    objects: addressOf(name),
    format: json(),
    columns: { t: 'TIMESTAMP NOT NULL', taxi: 'VARCHAR' },
    time: 't',
    watermark: { delay: '0 seconds', idle: '1 hour' },
    notifications: queue,
    reconcile: false,
    miniBatch: { objectsMax: 1 },
  })

const hourly = (at: Place): Pipeline =>
  pipeline(
    'hourly',
    { checkpoint: at.checkpoint },
    union(taxis('green'), taxis('yellow')).pipe(
      tumbling('1 hour'),
      groupBy('taxi'),
      aggregate({ n: count() }),
      to(files(at.output, { format: 'json' })),
    ),
  )

const given = async (at: Place) =>
  (await lab.rows(at)).map(row => `${row.window_start?.slice(11, 16)} ${row.taxi} ${row.n}`).toSorted()
const thrice = (hour: number) => ['00', '20', '40'].map(minute => `0${hour}:${minute}`)

test('a queue that is silent for an hour lets the other go on, and what it brings then is judged by the tick', async () => {
  const { clock, parts, land } = createPlaces()
  const at = lab.place('live')
  const epochs: EpochResult[] = []
  const drain = new AbortController()
  let told = () => {}
  const onEvent = () => told()
  const ended = followWith(parts, hourly(at), { ...small, drain: drain.signal, onEvent }, epoch => epochs.push(epoch))
  /** Waits for an epoch of this number, and until these are all results that are published. */
  const until = async (epoch: number, results: readonly string[]) => {
    for (;;) {
      const next = new Promise<void>(resolve => (told = resolve))
      const found = await given(at)
      // What should not be there never goes away.
      if (epochs.length >= epoch && found.length >= results.length) return expect(found).toEqual(results)
      await Promise.race([next, ended])
    }
  }
  const during = async () => {
    await land('green', '0.jsonl', ...thrice(0))
    await land('yellow', '0.jsonl', ...thrice(0))
    for (const hour of [1, 2, 3, 4, 5]) {
      clock.advance(tenMinutesMs)
      await land('green', `${hour}.jsonl`, ...thrice(hour))
    }
    // Fifty minutes of silence: green has gone on for five hours, and no window is closed.
    expect(epochs).toHaveLength(7)
    await until(7, [])
    // The hour is over: a tick takes yellow to green's watermark, 05:40.
    clock.advance(tenMinutesMs)
    const closed = ['00:00 green 3', '00:00 yellow 3', ...[1, 2, 3, 4].map(hour => `0${hour}:00 green 3`)]
    await until(8, closed)
    // While it stays silent it follows, with no further hour.
    await land('green', '6.jsonl', ...thrice(6))
    clock.advance(tenMinutesMs)
    closed.push('05:00 green 3')
    await until(10, closed)
    // It speaks again, of windows that its tick has closed, and of one that is open.
    await land('yellow', '1.jsonl', '02:10', '05:59', '06:10', '07:10')
    await land('green', '8.jsonl', ...thrice(8))
    await until(12, [...closed, '06:00 green 3', '06:00 yellow 1'])
  }
  await Promise.race([during(), ended])
  drain.abort()
  const summary = await ended
  expect(summary.totals).toMatchObject({ objects: 10, rows: 31, late: 2, epochs: 12 })
  const { rows } = await query(at.checkpoint, `SELECT source FROM ledger WHERE "is" = 'tick' ORDER BY seq`)
  expect(rows.map(row => row.source)).toEqual(['yellow', 'yellow'])
  const late = await query(at.checkpoint, `SELECT strftime(t, '%H:%M') AS t, taxi FROM late ORDER BY ALL`)
  expect(late.rows.map(row => `${String(row.t)} ${String(row.taxi)}`)).toEqual(['02:10 yellow', '05:59 yellow'])

  const replayed = lab.place('replay')
  // Whose clock nobody would move.
  const timely = { ...parts, clock: components.clock }
  const { totals } = await backfillWith(timely, hourly(replayed), { ...small, ledger: at.checkpoint })
  expect(await given(replayed)).toEqual(await given(at))
  expect(totals).toMatchObject({ objects: 10, rows: 31, late: 2 })
})
