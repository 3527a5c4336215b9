import { join as path } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  aggregate,
  avg,
  count,
  files,
  groupBy,
  join,
  max,
  parquet,
  type Pipeline,
  pipeline,
  rename,
  select,
  source,
  to,
  topN,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { type Lab, openLab, quoted, run } from '../engine/harness.ts'
import { nexmarkColumns, type NexmarkOptions, nexmarkRows, type NexmarkStream } from '../nexmark/events.ts'

// Nexmark's queries of two streams over generated people, auctions and bids (docs/conformance.md), each beside one batch query
// that DuckDB runs over the same files. The long form: MILLRACE_NEXMARK_EVENTS=1000000.

const asked = process.env.MILLRACE_NEXMARK_EVENTS
const events = Number(asked ?? 10_000)
const hookTimeoutMs = asked === undefined ? 300_000 : 0
const objects = 6
const auctions: NexmarkOptions = {
  events,
  perSecond: 100,
  from: '2024-02-28 23:58:30',
  outOfOrder: 50,
  delayedSeconds: 20,
}
const delaySeconds = 5
const streams = ['auction', 'bid', 'person'] as const

// ---- The queries, as users write them. ----------------------------------------------------------------------------

/** So far apart may two rows lie: farther than any do here. Published queries keep both streams for ever. */
const anyTime = ['-1 day', '1 day'] as const

function nexmark(lab: Lab, cut: string): Pipeline {
  const [people, items, bids] = [personsOf(lab), itemsOf(lab), bidsOf(lab)]
  const into = (name: string) => to(files(lab.place(`${cut}-${name}`).output, { format: 'parquet' }))
  const local = people.pipe(
    where("state in ('OR', 'ID', 'CA')"),
    select('id', 'name', 'city', 'state'),
    rename({ id: 'person' }),
  )
  const q3 = items.pipe(
    where('category = 10'),
    select('id', 'seller'),
    join(local, { on: { seller: 'person' }, within: anyTime }),
    select('name', 'city', 'state', 'id'),
    into('q3'),
  )
  /** Bids while their auction is open: no auction is so for more than 40 seconds. */
  const open = items.pipe(
    rename({ date_time: 'begun' }),
    select('id', 'item_name', 'seller', 'category', 'begun', 'expires'),
    join(bids.pipe(rename({ date_time: 'bid_time' }), select('auction', 'bidder', 'price', 'bid_time')), {
      on: { id: 'auction' },
      within: ['0 seconds', '40 seconds'],
    }),
    where('bid_time <= expires'),
  )
  const q4 = open.pipe(
    tumbling('30 days'),
    groupBy('id', 'category'),
    aggregate({ final: max('price') }),
    tumbling('30 days'),
    groupBy('category'),
    aggregate({ average: avg('final') }),
    into('q4'),
  )
  const q9 = open.pipe(
    tumbling('30 days'),
    groupBy('id', 'item_name', 'seller', 'category', 'begun', 'expires', 'bidder', 'price', 'bid_time'),
    aggregate({ same: count() }),
    topN(1, { by: [['price', 'desc'], 'bid_time', 'bidder'], per: ['id'] }),
    into('q9'),
  )
  const q8 = people.pipe(
    select('id', 'name'),
    tumbling('10 seconds'),
    join(items.pipe(select('seller'), tumbling('10 seconds')), { on: { id: 'seller' }, window: true, kind: 'semi' }),
    into('q8'),
  )
  const q20 = bids.pipe(
    select('auction', 'bidder', 'price', 'channel', 'url', 'date_time'),
    join(
      items.pipe(
        where('category = 10'),
        rename({ date_time: 'begun' }),
        select('id', 'item_name', 'initial_bid', 'reserve', 'begun', 'expires', 'seller', 'category'),
      ),
      { on: { auction: 'id' }, within: anyTime },
    ),
    into('q20'),
  )
  return pipeline('nexmark', { checkpoint: lab.place(cut).checkpoint }, q3, q4, q8, q9, q20)
}

const personsOf = (lab: Lab) =>
  source('person', { ...placeOf(lab, 'person'), columns: nexmarkColumns.person, time: 'date_time' })
const itemsOf = (lab: Lab) =>
  source('auction', { ...placeOf(lab, 'auction'), columns: nexmarkColumns.auction, time: 'date_time' })
const bidsOf = (lab: Lab) => source('bid', { ...placeOf(lab, 'bid'), columns: nexmarkColumns.bid, time: 'date_time' })
const placeOf = (lab: Lab, name: NexmarkStream) =>
  ({ objects: path(lab.input, name), format: parquet(), watermark: { delay: `${delaySeconds} seconds` } }) as const

// ---- The same in DuckDB alone. ------------------------------------------------------------------------------------

/** Objects of one name come in the order of their sources' names. */
const placeIn = (stream: NexmarkStream, part: number) => part * streams.length + streams.indexOf(stream)
const fileOf = (lab: Lab, stream: NexmarkStream, part: number) => path(lab.input, `${stream}/00${part}.parquet`)

/** By stream, part after part: the highest time in it, in microseconds. */
type Highs = Readonly<Record<NexmarkStream, readonly number[]>>

async function highsOf(lab: Lab): Promise<Highs> {
  const found: Record<NexmarkStream, number[]> = { auction: [], bid: [], person: [] }
  for (const stream of streams)
    for (let part = 0; part < objects; part++) {
      const rows = await lab.sql(
        `SELECT max(epoch_us(date_time)) AS us FROM read_parquet(${quoted(fileOf(lab, stream, part))})`,
      )
      found[stream].push(Number(rows[0]?.us))
    }
  return found
}

/** The lower of both streams' watermarks before an object; null where one has none yet (S4). */
function clockBefore(highs: Highs, pair: readonly NexmarkStream[], at: number): number | null {
  const marks = pair.map(stream => highs[stream].filter((_, part) => placeIn(stream, part) < at))
  if (marks.some(own => own.length === 0)) return null
  return Math.min(...marks.map(own => Math.max(...own))) - delaySeconds * 1_000_000
}

/** The rows of a stream that are on time where it meets another. @param sizeS of windows; absent: by the time of the row */
function accepted(lab: Lab, highs: Highs, stream: NexmarkStream, other: NexmarkStream, sizeS = 0): string {
  const parts = Array.from({ length: objects }, (_, part) => {
    const clock = clockBefore(highs, [stream, other], placeIn(stream, part))
    const us = 'epoch_us(date_time)'
    const isLate = sizeS === 0 ? `${us} < ${clock}` : `(${us} // ${sizeS * 1e6} + 1) * ${sizeS * 1e6} <= ${clock}`
    return `SELECT * FROM read_parquet(${quoted(fileOf(lab, stream, part))})${clock === null ? '' : ` WHERE NOT (${isLate})`}`
  })
  return `(${parts.join(' UNION ALL ')})`
}

function answersOf(lab: Lab, highs: Highs): Readonly<Record<string, string>> {
  const rows = (stream: NexmarkStream, other: NexmarkStream, sizeS?: number) =>
    accepted(lab, highs, stream, other, sizeS)
  const winning = `
    FROM ${rows('auction', 'bid')} AS a JOIN ${rows('bid', 'auction')} AS b
    ON a.id = b.auction AND b.date_time BETWEEN a.date_time AND a.expires`
  return {
    q3: `SELECT p.name, p.city, p.state, a.id FROM ${rows('auction', 'person')} AS a JOIN ${rows('person', 'auction')} AS p
      ON a.seller = p.id WHERE a.category = 10 AND p.state IN ('OR', 'ID', 'CA')`,
    q4: `SELECT category, sum(final) / count(*) AS average FROM (SELECT a.id, a.category, max(b.price) AS final ${winning} GROUP BY ALL) GROUP BY ALL`,
    q8: `SELECT DISTINCT p.id, p.name, time_bucket(INTERVAL 10 SECOND, p.date_time, TIMESTAMP '1970-01-01') AS window_start
      FROM ${rows('person', 'auction', 10)} AS p JOIN ${rows('auction', 'person', 10)} AS a
      ON p.id = a.seller AND epoch_us(p.date_time) // 10000000 = epoch_us(a.date_time) // 10000000`,
    q9: `SELECT a.id, a.item_name, a.seller, a.category, a.date_time AS begun, a.expires, b.bidder, b.price, b.date_time AS bid_time ${winning}
      QUALIFY row_number() OVER (PARTITION BY a.id ORDER BY b.price DESC, b.date_time, b.bidder) = 1`,
    q20: `SELECT b.auction, b.bidder, b.price, b.channel, b.url, b.date_time, a.item_name, a.initial_bid, a.reserve,
      a.date_time AS begun, a.expires, a.seller, a.category
      FROM ${rows('bid', 'auction')} AS b JOIN ${rows('auction', 'bid')} AS a ON b.auction = a.id WHERE a.category = 10`,
  }
}

/** Both sides have the same rows as often. Those of one side alone are shown, up to five. */
async function expectSame(lab: Lab, found: string, wanted: string): Promise<void> {
  const columns = (await lab.sql(`DESCRIBE ${wanted}`)).map(({ column_name: name }) => String(name)).join(', ')
  const text = (rows: string) => `(SELECT COLUMNS(*)::VARCHAR FROM (SELECT ${columns} FROM ${rows}))`
  const only = (side: string, rows: string, others: string) =>
    `(SELECT '${side}' AS side, * FROM (FROM ${rows} EXCEPT ALL FROM ${others}) LIMIT 5)`
  const [all, expected] = [text(found), text(`(${wanted})`)]
  const [number] = await lab.sql(`SELECT count(*) AS n FROM ${expected}`)
  expect(Number(number?.n)).toBeGreaterThan(2)
  expect(await lab.sql(`${only('found', all, expected)} UNION ALL ${only('expected', expected, all)}`)).toEqual([])
}

const cuts = [
  { cut: 'an object an epoch', name: 'each', objectsPerEpoch: 1 },
  { cut: 'all in one epoch', name: 'all', objectsPerEpoch: objects * streams.length },
]

describe('Nexmark of two streams, beside a batch query over the rows that are on time', () => {
  let lab: Lab
  let answers: Readonly<Record<string, string>>
  beforeAll(async () => {
    lab = await openLab()
    const each = Math.ceil(events / objects)
    for (const stream of streams)
      for (let part = 0; part < objects; part++)
        await lab.parquet(
          `${stream}/00${part}.parquet`,
          nexmarkRows(stream, auctions, part * each, Math.min((part + 1) * each, events)),
        )
    answers = answersOf(lab, await highsOf(lab))
    for (const { name, objectsPerEpoch } of cuts) await run(nexmark(lab, name), { objectsPerEpoch })
  }, hookTimeoutMs)
  afterAll(() => lab[Symbol.asyncDispose]())

  test.each(cuts.flatMap(({ cut, name }) => ['q3', 'q4', 'q8', 'q9', 'q20'].map(query => ({ cut, name, query }))))(
    '$query, $cut',
    async ({ name, query }) => {
      const output = `read_parquet(${quoted(path(lab.place(`${name}-${query}`).output, '*.parquet'))})`
      await expectSame(lab, output, answers[query] ?? '')
    },
  )

  test('rows are late on each side, and a replay gives the same', async () => {
    const all = (stream: NexmarkStream) => `read_parquet(${quoted(path(lab.input, stream, '*.parquet'))})`
    const late = async (stream: NexmarkStream, other: NexmarkStream) => {
      const onTime = accepted(lab, await highsOf(lab), stream, other)
      const [row] = await lab.sql(
        `SELECT (SELECT count(*) FROM ${all(stream)}) - (SELECT count(*) FROM ${onTime}) AS n`,
      )
      return Number(row?.n)
    }
    for (const [stream, other] of [
      ['auction', 'bid'],
      ['bid', 'auction'],
      ['auction', 'person'],
    ] as const)
      expect(await late(stream, other)).toBeGreaterThan(5)
    expect((await verify(nexmark(lab, 'each'))).differences).toEqual([])
  })
})
