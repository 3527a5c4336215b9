import { utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  aggregate,
  argMax,
  avg,
  collect,
  collectSet,
  count,
  countDistinct,
  dedupe,
  derive,
  files,
  global,
  groupBy,
  hopping,
  max,
  min,
  parquet,
  type Pipeline,
  pipeline,
  rename,
  select,
  session,
  source,
  sum,
  to,
  topN,
  tumbling,
  unnest,
  where,
} from '../../src/index.ts'
import { type Lab, openLab, type Place, quoted, run } from '../engine/harness.ts'
import { nexmarkColumns, type NexmarkOptions, nexmarkRows, type NexmarkStream } from '../nexmark/events.ts'

// Nexmark's queries over generated auctions (docs/conformance.md), each beside one batch query that DuckDB runs over the same
// files. The long form: MILLRACE_NEXMARK_EVENTS=1000000.

const asked = process.env.MILLRACE_NEXMARK_EVENTS
const events = Number(asked ?? 20_000)
const hookTimeoutMs = asked === undefined ? 300_000 : 0
const objects = 8
/** Windows of ten seconds have a thousand events each; a tenth of them come up to twenty seconds late, and two are allowed. */
const auction: NexmarkOptions = {
  events,
  perSecond: 100,
  // Over midnight.
  from: '2024-02-28 23:58:30',
  outOfOrder: 50,
  delayedSeconds: 20,
}
const delaySeconds = 2

/** One object for each part of the events, in order: `bid/000.parquet` and so on. */
async function writeEvents(lab: Lab, stream: NexmarkStream, options: NexmarkOptions): Promise<void> {
  const each = Math.ceil(options.events / objects)
  for (let part = 0; part < objects; part++) {
    const [first, end] = [part * each, Math.min((part + 1) * each, options.events)]
    await lab.parquet(`${stream}/${String(part).padStart(3, '0')}.parquet`, nexmarkRows(stream, options, first, end))
  }
}

const bidsOf = (lab: Lab) =>
  source('bid', {
    objects: join(lab.input, 'bid'),
    format: parquet(),
    columns: nexmarkColumns.bid,
    time: 'date_time',
    watermark: { delay: `${delaySeconds} seconds` },
  })

type Bids = ReturnType<typeof bidsOf>
type Flow = ReturnType<typeof q0>
/** Where a flow's rows go. */
const into = (lab: Lab, cut: string, name: string) =>
  to(
    files(lab.place(`${cut}-${name}`).output, { format: 'parquet' }),
    name.endsWith('Updates') ? { emit: 'update' } : {},
  )

// ---- The queries, as users write them. ----------------------------------------------------------------------------

const q0 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(select('auction', 'bidder', 'price', 'date_time', 'extra'), end)

const q1 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(
    derive({ price: ['DECIMAL(23,3)', '0.908 * price'] }),
    select('auction', 'bidder', 'price', 'date_time', 'extra'),
    end,
  )

const q2 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(where('auction % 123 = 0'), select('auction', 'price'), end)

/** The bids of each auction in ten seconds, every two. */
const counted = (bids: Bids) =>
  bids.pipe(hopping('10 seconds', '2 seconds'), groupBy('auction'), aggregate({ num: count() }))

/** All auctions that have the most: rows of one window have one time, so a window of two seconds holds them, and them alone. */
const q5 = (bids: Bids, end: ReturnType<typeof into>) =>
  counted(bids).pipe(
    tumbling('2 seconds'),
    groupBy('num'),
    aggregate({ auctions: collectSet('auction', 1000) }),
    tumbling('2 seconds'),
    groupBy(),
    aggregate({ num: max('num'), auctions: argMax('auctions', 'num') }),
    unnest('auctions', { as: 'auction' }),
    end,
  )

/** One auction that has the most, which needs no list. */
const q5One = (bids: Bids, end: ReturnType<typeof into>) =>
  counted(bids).pipe(
    tumbling('2 seconds'),
    groupBy(),
    aggregate({ num: max('num'), auction: argMax('auction', 'num') }),
    end,
  )

/** The same by rank: of equal counts the auction that came first. */
const q5Top = (bids: Bids, end: ReturnType<typeof into>) =>
  counted(bids).pipe(topN(1, { by: [['num', 'desc'], 'auction'] }), end)

/** All bids of the highest price, as lists of their columns would lose which belong together: as one text each. */
const q7 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(
    derive({
      bid: ['VARCHAR NOT NULL', "concat_ws(' ', auction, bidder, strftime(date_time, '%Y-%m-%d %H:%M:%S.%g'), extra)"],
    }),
    tumbling('10 seconds'),
    groupBy('price'),
    aggregate({ bids: collect('bid', { max: 1000 }) }),
    tumbling('10 seconds'),
    groupBy(),
    aggregate({ price: max('price'), bids: argMax('bids', 'price') }),
    unnest('bids', { as: 'bid' }),
    end,
  )

/** One bid of the highest price: of equal ones the earliest in the ledger. */
const q7One = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(
    tumbling('10 seconds'),
    groupBy(),
    aggregate({
      auction: argMax('auction', 'price'),
      bidder: argMax('bidder', 'price'),
      price: max('price'),
      date_time: argMax('date_time', 'price'),
      extra: argMax('extra', 'price'),
    }),
    end,
  )

const q11 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(
    session('10 seconds'),
    groupBy('bidder'),
    aggregate({ bid_count: count() }),
    rename({ window_start: 'starttime', window_end: 'endtime' }),
    end,
  )

/** The last bid of each bidder for each auction: within a month of event time, which is all there is. */
const q18 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(dedupe(['bidder', 'auction'], '30 days', { keep: 'last' }), end)

/** The same, where a bid is the last one after half a minute. */
const q18Soon = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(dedupe(['bidder', 'auction'], '30 seconds', { keep: 'last' }), end)

const ranks = ['price < 10000', 'price >= 10000 and price < 1000000', 'price >= 1000000'] as const
/** Bids, and those who made them and what for, of low, middle and high prices. */
const statistics = {
  total_bids: count(),
  rank1_bids: count({ filter: ranks[0] }),
  rank2_bids: count({ filter: ranks[1] }),
  rank3_bids: count({ filter: ranks[2] }),
  total_bidders: countDistinct('bidder'),
  rank1_bidders: countDistinct('bidder', { filter: ranks[0] }),
  rank2_bidders: countDistinct('bidder', { filter: ranks[1] }),
  rank3_bidders: countDistinct('bidder', { filter: ranks[2] }),
  total_auctions: countDistinct('auction'),
  rank1_auctions: countDistinct('auction', { filter: ranks[0] }),
  rank2_auctions: countDistinct('auction', { filter: ranks[1] }),
  rank3_auctions: countDistinct('auction', { filter: ranks[2] }),
} as const

const q15 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(tumbling('1 day'), groupBy(), aggregate(statistics), end)

const q16 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(
    derive({ minute_of_day: ['VARCHAR', "strftime(date_time, '%H:%M')"] }),
    tumbling('1 day'),
    groupBy('channel'),
    aggregate({ ...statistics, minute: max('minute_of_day') }),
    end,
  )

const q17 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(
    tumbling('1 day'),
    groupBy('auction'),
    aggregate({
      total_bids: count(),
      rank1_bids: count({ filter: ranks[0] }),
      rank2_bids: count({ filter: ranks[1] }),
      rank3_bids: count({ filter: ranks[2] }),
      min_price: min('price'),
      max_price: max('price'),
      avg_price: avg('price'),
      sum_price: sum('price'),
    }),
    end,
  )

/** The ten highest bids for each auction of each day. */
const q19 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(
    tumbling('1 day'),
    groupBy('auction', 'bidder', 'price', 'channel', 'url', 'date_time', 'extra'),
    aggregate({ same: count() }),
    topN(10, { by: [['price', 'desc'], 'date_time', 'bidder'], per: ['auction'] }),
    end,
  )

const q21 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(
    derive({
      channel_id: [
        'VARCHAR',
        `case lower(channel) when 'apple' then '0' when 'google' then '1' when 'facebook' then '2' when 'baidu' then '3'
         else nullif(regexp_extract(url, '(&|^)channel_id=([^&]*)', 2), '') end`,
      ],
    }),
    where('channel_id is not null'),
    select('auction', 'bidder', 'price', 'channel', 'channel_id'),
    end,
  )

const q22 = (bids: Bids, end: ReturnType<typeof into>) =>
  bids.pipe(
    derive({
      dir1: ['VARCHAR', "split_part(url, '/', 4)"],
      dir2: ['VARCHAR', "split_part(url, '/', 5)"],
      dir3: ['VARCHAR', "split_part(url, '/', 6)"],
    }),
    select('auction', 'bidder', 'price', 'channel', 'dir1', 'dir2', 'dir3'),
    end,
  )

const flows = {
  q0,
  q1,
  q2,
  q5,
  q5One,
  q5Top,
  q7,
  q7One,
  q11,
  q15,
  q15Updates: q15,
  q16,
  q17,
  q17Updates: q17,
  q18,
  q18Soon,
  q19,
  q19Updates: q19,
  q21,
  q22,
} satisfies Readonly<Record<string, (bids: Bids, end: ReturnType<typeof into>) => Flow>>

/** Every query a flow of one pipeline. */
function nexmark(lab: Lab, cut: string): Pipeline {
  const bids = bidsOf(lab)
  const [first, ...rest] = Object.entries(flows).map(([name, flow]) => flow(bids, into(lab, cut, name)))
  return pipeline('nexmark', { checkpoint: lab.place(cut).checkpoint }, first as Flow, ...rest)
}

// ---- The same in DuckDB alone. ------------------------------------------------------------------------------------

/** A query's answer as SQL over `bid`, whose rows have the number of their object and their own in it. */
interface Answer {
  readonly columns: string
  /** Common table expressions that `from` needs. */
  readonly with?: string
  readonly from: string
}

/** With the watermark before their object: the highest time in those before it, less the delay. */
const judged = `
  object AS (SELECT object, max(max(date_time)) OVER (ORDER BY object ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    - INTERVAL ${delaySeconds} SECOND AS mark FROM bid GROUP BY object),
  judged AS (SELECT bid.*, coalesce(mark, TIMESTAMP '1970-01-01') AS mark FROM bid JOIN object USING (object))`
/** With each of their windows that holds them; of those still open for them. */
const inWindows = (sizeS: number, everyS: number) => `${judged},
  begun AS (SELECT *, to_timestamp(floor(epoch(date_time) / ${everyS}) * ${everyS})::TIMESTAMP AS begin FROM judged),
  every_window AS (SELECT *, unnest(range(begin + INTERVAL ${everyS} SECOND,
    begin + INTERVAL ${sizeS} SECOND + INTERVAL 1 MICROSECOND, INTERVAL ${everyS} SECOND)) AS window_end FROM begun),
  windowed AS (SELECT * FROM every_window WHERE window_end > mark)`

/** Auctions with their bids in ten seconds, those with the most first. */
const hot = `${inWindows(10, 2)},
  num_of AS (SELECT window_end, auction, count(*) AS num FROM windowed GROUP BY ALL),
  hot AS (SELECT *, rank() OVER (PARTITION BY window_end ORDER BY num DESC) AS place FROM num_of)`
const highest = `${inWindows(10, 10)},
  highest AS (SELECT *, rank() OVER (PARTITION BY window_end ORDER BY price DESC) AS place,
    row_number() OVER (PARTITION BY window_end ORDER BY price DESC, object, file_row_number) AS number FROM windowed)`
const sessions = `${judged},
  accepted AS (SELECT bidder, date_time FROM judged WHERE date_time + INTERVAL 10 SECOND > mark),
  begun AS (SELECT *, CASE WHEN date_time - lag(date_time) OVER (PARTITION BY bidder ORDER BY date_time) < INTERVAL 10 SECOND
    THEN 0 ELSE 1 END AS begins FROM accepted),
  numbered AS (SELECT *, sum(begins) OVER (PARTITION BY bidder ORDER BY date_time ROWS UNBOUNDED PRECEDING) AS session FROM begun),
  session AS (SELECT bidder, count(*) AS bid_count, min(date_time) AS starttime,
    max(date_time) + INTERVAL 10 SECOND AS endtime FROM numbered GROUP BY bidder, session)`

/** With the time of the next bid of the same bidder for the same auction. */
const followed = `${judged},
  followed AS (SELECT *, lead(date_time) OVER (PARTITION BY bidder, auction ORDER BY date_time, object, file_row_number) AS next
    FROM judged WHERE date_time >= mark)`
const days = (columns: string, keys: string) => `${inWindows(86_400, 86_400)},
  day AS (SELECT window_end${keys}, ${columns} FROM windowed GROUP BY window_end${keys})`
const times = (what: string) =>
  ['price < 10000', 'price BETWEEN 10000 AND 999999', 'price > 999999'].map(
    (rank, index) => `${what.replace('#', `CASE WHEN ${rank} THEN`)} AS rank${index + 1}`,
  )
const counts = `count(*) AS total_bids, ${times('count(# 1 END)').map(rank => `${rank}_bids`)}`
const all = `${counts},
  count(DISTINCT bidder) AS total_bidders, ${times('count(DISTINCT # bidder END)').map(rank => `${rank}_bidders`)},
  count(DISTINCT auction) AS total_auctions, ${times('count(DISTINCT # auction END)').map(rank => `${rank}_auctions`)}`
const ranked = (what: string) => ['total', 'rank1', 'rank2', 'rank3'].map(rank => `${rank}_${what}`)
const statisticNames = [...ranked('bids'), ...ranked('bidders'), ...ranked('auctions')].join(', ')
const bidding: Answer = { columns: `window_end, ${statisticNames}`, with: days(all, ''), from: 'day' }
const ofAuction: Answer = {
  columns: `window_end, auction, ${ranked('bids').join(', ')}, min_price, max_price, avg_price, sum_price`,
  // An average of integers is the quotient of two of them.
  with: days(
    `${counts}, min(price) AS min_price, max(price) AS max_price, sum(price) / count(*) AS avg_price, sum(price) AS sum_price`,
    ', auction',
  ),
  from: 'day',
}
const wholeBid = Object.keys(nexmarkColumns.bid).join(', ')
const topTen: Answer = {
  columns: `window_end, ${wholeBid}, rank`,
  with: `${inWindows(86_400, 86_400)},
    ranked AS (SELECT *, row_number() OVER (PARTITION BY window_end, auction ORDER BY price DESC, date_time, bidder) AS rank FROM windowed)`,
  from: 'ranked WHERE rank <= 10',
}

const answers: Readonly<Record<keyof typeof flows, Answer>> = {
  q0: { columns: 'auction, bidder, price, date_time, extra', from: 'bid' },
  q1: {
    columns: 'auction, bidder, price, date_time, extra',
    from: "(SELECT * REPLACE (format('{}.{:03d}', price * 908 // 1000, price * 908 % 1000) AS price) FROM bid)",
  },
  q2: { columns: 'auction, price', from: 'bid WHERE mod(auction, 123) = 0' },
  q5: { columns: 'window_end, auction, num', with: hot, from: 'hot WHERE place = 1' },
  // Of several with the most any may be given.
  q5One: { columns: 'window_end, num', with: hot, from: '(SELECT DISTINCT window_end, num FROM hot WHERE place = 1)' },
  q5Top: {
    columns: 'window_end, auction, num',
    with: hot,
    from: 'hot WHERE place = 1 QUALIFY auction = min(auction) OVER (PARTITION BY window_end)',
  },
  q7: {
    columns: 'window_end, price, bid',
    with: highest,
    from: `(SELECT *, concat_ws(' ', auction, bidder, strftime(date_time, '%Y-%m-%d %H:%M:%S.%g'), extra) AS bid
      FROM highest WHERE place = 1)`,
  },
  q7One: {
    columns: 'window_end, auction, bidder, price, date_time, extra',
    with: highest,
    from: 'highest WHERE number = 1',
  },
  q11: { columns: 'bidder, bid_count, starttime, endtime', with: sessions, from: 'session' },
  q15: bidding,
  q15Updates: bidding,
  q16: {
    columns: `window_end, channel, ${statisticNames}, minute`,
    with: days(`${all}, max(left(date_time::TIME::VARCHAR, 5)) AS minute`, ', channel'),
    from: 'day',
  },
  q17: ofAuction,
  q17Updates: ofAuction,
  q18: { columns: wholeBid, with: followed, from: 'followed WHERE next IS NULL' },
  q18Soon: {
    columns: wholeBid,
    with: followed,
    from: 'followed WHERE next IS NULL OR next > date_time + INTERVAL 30 SECOND',
  },
  q19: topTen,
  q19Updates: topTen,
  q21: {
    columns: 'auction, bidder, price, channel, channel_id',
    from: `(SELECT *, coalesce(list_position(['Apple', 'Google', 'Facebook', 'Baidu'], channel) - 1,
        string_split(url, 'channel_id=')[2]::BIGINT) AS channel_id FROM bid) WHERE channel_id IS NOT NULL`,
  },
  q22: {
    columns: 'auction, bidder, price, channel, dir1, dir2, dir3',
    from: "(SELECT *, string_split(url, '/') AS part, part[4] AS dir1, part[5] AS dir2, part[6] AS dir3 FROM bid)",
  },
}

/** `answer` as a table expression. */
function expectedOf(lab: Lab, { columns, with: parts, from }: Answer): string {
  const bid = `bid AS (SELECT *, parse_filename(filename) AS object
    FROM read_parquet(${quoted(join(lab.input, 'bid/*.parquet'))}, filename = true, file_row_number = true))`
  return `(WITH ${[bid, ...(parts === undefined ? [] : [parts])].join(', ')} SELECT ${columns} FROM ${from})`
}

/** Both sides have the same rows as often. Those of one side alone are shown, up to five. */
async function expectSame(lab: Lab, found: string, expected: Answer): Promise<void> {
  const text = (rows: string) => `(SELECT COLUMNS(*)::VARCHAR FROM (SELECT ${expected.columns} FROM ${rows}))`
  const [all, wanted] = [text(found), text(expectedOf(lab, expected))]
  const only = (side: string, rows: string, others: string) =>
    `(SELECT '${side}' AS side, * FROM (FROM ${rows} EXCEPT ALL FROM ${others}) LIMIT 5)`
  const [number] = await lab.sql(`SELECT count(*) AS n FROM ${wanted}`)
  expect(Number(number?.n)).toBeGreaterThan(0)
  expect(await lab.sql(`${only('found', all, wanted)} UNION ALL ${only('expected', wanted, all)}`)).toEqual([])
}

/** What the files hold; of changes what they come to. */
const outputOf = ({ output }: Place, changesOf?: string) => {
  const rows = `read_parquet(${quoted(join(output, 'part-*.parquet'))})`
  if (changesOf === undefined) return rows
  return `(SELECT * FROM ${rows} QUALIFY row_number() OVER (PARTITION BY ${changesOf} ORDER BY _epoch DESC) = 1 AND _op = 'upsert')`
}

const cuts = [
  { cut: 'an object an epoch', name: 'each', objectsPerEpoch: 1 },
  { cut: 'three objects an epoch', name: 'three', objectsPerEpoch: 3 },
  { cut: 'all in one epoch', name: 'all', objectsPerEpoch: objects },
  { cut: 'two runs one after the other', name: 'resumed', objectsPerEpoch: 2 },
]

describe('Nexmark, beside a batch query over the same bids', () => {
  let lab: Lab
  beforeAll(async () => {
    lab = await openLab()
    await writeEvents(lab, 'bid', auction)
    for (const { name, objectsPerEpoch } of cuts) {
      const input = join(lab.input, 'bid/00[0-2].parquet')
      if (name === 'resumed') await run(nexmark(lab, name), { objectsPerEpoch, input, flush: false })
      await run(nexmark(lab, name), { objectsPerEpoch })
    }
  }, hookTimeoutMs)
  afterAll(() => lab[Symbol.asyncDispose]())

  test('the bids have what queries must tell apart: late rows, several hottest auctions, many sessions', async () => {
    const many = async (parts: string, from: string) =>
      Number((await lab.sql(`SELECT n FROM ${expectedOf(lab, { columns: 'count(*) AS n', with: parts, from })}`))[0]?.n)
    expect(await many(judged, 'judged WHERE date_time + INTERVAL 10 SECOND <= mark')).toBeGreaterThan(50)
    expect(await many(hot, 'hot WHERE place = 1')).toBeGreaterThan(
      await many(hot, '(SELECT DISTINCT window_end FROM hot)'),
    )
    expect(await many(sessions, 'session')).toBeGreaterThan(1000)
  })

  describe.each(cuts)('$cut', ({ name }) => {
    test.each(Object.entries(answers))('%s', async (query, expected) => {
      const keys: Readonly<Record<string, string>> = {
        q15Updates: 'window_end',
        q17Updates: 'window_end, auction',
        q19Updates: `window_end, ${wholeBid}`,
      }
      await expectSame(lab, outputOf(lab.place(`${name}-${query}`), keys[query]), expected)
    })

    test('q5 with one auction a window gives one of the hottest', async () => {
      const hottest = { ...answers.q5, columns: 'window_end, auction, num' } as Answer
      const found = `(SELECT window_end, auction, num FROM ${outputOf(lab.place(`${name}-q5One`))})`
      expect(await lab.sql(`FROM ${found} EXCEPT FROM ${expectedOf(lab, hottest)}`)).toEqual([])
    })

    test('the late ledger has the rows that the batch queries leave out, with their windows', async () => {
      // Several steps tell of the same row and window.
      const told = new Set(
        (await lab.channels('late-', lab.place(name))).map(({ _object, _row, _window_end }) =>
          [_object, _row, _window_end].join(' '),
        ),
      )
      const columns = 'DISTINCT object, file_row_number AS row, epoch_us(window_end) AS window_end'
      const late = await lab.sql(
        `FROM ${expectedOf(lab, { columns, with: inWindows(10, 2), from: 'every_window WHERE window_end <= mark' })} UNION
         FROM ${expectedOf(lab, { columns, with: inWindows(86_400, 86_400), from: 'every_window WHERE window_end <= mark' })} UNION
         FROM ${expectedOf(lab, {
           columns,
           with: judged,
           from: '(SELECT *, date_time + INTERVAL 10 SECOND AS window_end FROM judged) WHERE window_end <= mark',
         })} UNION
         FROM ${expectedOf(lab, { columns, with: judged, from: '(SELECT *, NULL::TIMESTAMP AS window_end FROM judged) WHERE date_time < mark' })}`,
      )
      expect(late.map(({ object, row, window_end }) => [object, row, window_end].join(' ')).toSorted()).toEqual(
        [...told].toSorted(),
      )
    })
  })
})

describe('Nexmark 12, 14 and 19', () => {
  let lab: Lab
  beforeAll(async () => {
    lab = await openLab()
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  test('q12: the time at which an object came takes the place of the processing time', async () => {
    await writeEvents(lab, 'bid', { events: 4000, perSecond: 100 })
    // Four seconds between one object and the next: two or three of them in each window of ten.
    const cameAt = (object: number) => new Date(Date.UTC(2024, 0, 2, 3, 0, object * 4))
    for (let object = 0; object < objects; object++)
      await utimes(join(lab.input, `bid/00${object}.parquet`), cameAt(object), cameAt(object))
    const expected: Answer = {
      columns: 'bidder, bid_count, starttime, endtime',
      with: `came AS (SELECT bidder, (${cameAt(0).getTime() / 1000} + 4 * left(object, 3)::BIGINT) // 10 * 10 AS start FROM bid)`,
      from: `(SELECT bidder, count(*) AS bid_count, to_timestamp(start)::TIMESTAMP AS starttime,
        to_timestamp(start + 10)::TIMESTAMP AS endtime FROM came GROUP BY bidder, start)`,
    }
    for (const { name, objectsPerEpoch } of cuts) {
      const at = lab.place(`arrived-${name}`)
      const flow = source('bid', {
        objects: join(lab.input, 'bid'),
        format: parquet(),
        columns: { bidder: 'BIGINT NOT NULL', object_last_modified: 'TIMESTAMP NOT NULL FROM META' },
        time: 'object_last_modified',
        watermark: { delay: '0s' },
      }).pipe(
        tumbling('10 seconds'),
        groupBy('bidder'),
        aggregate({ bid_count: count() }),
        rename({ window_start: 'starttime', window_end: 'endtime' }),
        to(files(at.output, { format: 'parquet' })),
      )
      const { totals } = await run(pipeline('q12', { checkpoint: at.checkpoint }, flow), { objectsPerEpoch })
      expect(totals.late).toBe(0)
      await expectSame(lab, outputOf(at), expected)
    }
  })

  test('q14: expressions, over the bids of a day', async () => {
    await writeEvents(lab, 'bid', { events: 4000, perSecond: 0.04 })
    const expected: Answer = {
      columns: 'auction, bidder, price, bid_time_type, date_time, extra, c_counts',
      from: `(SELECT * REPLACE (format('{}.{:03d}', price * 908 // 1000, price * 908 % 1000) AS price),
          CASE WHEN date_part('hour', date_time) BETWEEN 8 AND 18 THEN 'dayTime'
            WHEN date_part('hour', date_time) IN (7, 19) THEN 'otherTime' ELSE 'nightTime' END AS bid_time_type,
          len(list_filter(string_split(extra, ''), lambda letter: letter = 'c')) AS c_counts
        FROM bid WHERE price * 908 > 1000000000 AND price * 908 < 50000000000)`,
    }
    expect(await lab.sql(`SELECT DISTINCT bid_time_type FROM ${expectedOf(lab, expected)}`)).toHaveLength(3)
    for (const { name, objectsPerEpoch } of cuts) {
      const at = lab.place(`calculated-${name}`)
      const flow = bidsOf(lab).pipe(
        derive({ price: ['DECIMAL(23,3)', '0.908 * price'] }),
        where('price > 1000000 and price < 50000000'),
        derive({
          bid_time_type: [
            'VARCHAR',
            `case when hour(date_time) >= 8 and hour(date_time) <= 18 then 'dayTime'
             when hour(date_time) <= 6 or hour(date_time) >= 20 then 'nightTime' else 'otherTime' end`,
          ],
          c_counts: ['BIGINT', "length(extra) - length(replace(extra, 'c', ''))"],
        }),
        select('auction', 'bidder', 'price', 'bid_time_type', 'date_time', 'extra', 'c_counts'),
        to(files(at.output, { format: 'parquet' })),
      )
      await run(pipeline('q14', { checkpoint: at.checkpoint }, flow), { objectsPerEpoch })
      await expectSame(lab, outputOf(at), expected)
    }
  })

  test('q19: the ten highest bids of all for each auction, once nothing more can come', async () => {
    await writeEvents(lab, 'bid', { events: 4000, perSecond: 100, outOfOrder: 50 })
    const expected: Answer = {
      columns: 'auction, bidder, price, date_time, extra, rank',
      with: `ranked AS (SELECT *, row_number() OVER (PARTITION BY auction ORDER BY price DESC, date_time, bidder) AS rank FROM bid)`,
      from: 'ranked WHERE rank <= 10',
    }
    for (const { name, objectsPerEpoch } of cuts) {
      const at = lab.place(`ranked-${name}`)
      const flow = bidsOf(lab).pipe(
        global({ unbounded: true }),
        groupBy('auction', 'bidder', 'price', 'date_time', 'extra'),
        aggregate({ same: count() }),
        topN(10, { by: [['price', 'desc'], 'date_time', 'bidder'], per: ['auction'] }),
        to(files(at.output, { format: 'parquet' })),
      )
      await run(pipeline('q19', { checkpoint: at.checkpoint }, flow), { objectsPerEpoch, final: true })
      await expectSame(lab, outputOf(at), expected)
    }
  })
})
