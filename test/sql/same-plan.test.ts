import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sinks } from '../../connectors/registry.ts'
import * as m from '../../src/index.ts'
import type { Pipeline } from '../../src/plan/pipeline.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { canonicalPlan, compiled, statements } from './plans.ts'

let duckdb: TestDuckdb
beforeAll(async () => {
  duckdb = await openTestDuckdb()
})
afterAll(() => duckdb[Symbol.asyncDispose]())

const trips = m.source('trips', {
  objects: 'in/trips',
  format: m.parquet(),
  columns: {
    at: 'TIMESTAMP NOT NULL FROM lpep_pickup_datetime',
    zone: 'BIGINT',
    fare: 'DOUBLE',
    tip: 'DOUBLE DEFAULT 0',
    trip_id: 'VARCHAR',
  },
  time: 'at',
  watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
})
const payments = m.source('payments', {
  objects: 'in/payments',
  format: m.json(),
  columns: { paid_at: 'TIMESTAMP NOT NULL', id: 'VARCHAR NOT NULL', amount: 'DECIMAL(18,2)' },
  time: 'paid_at',
  watermark: { delay: '2 hours' },
})
const raw = m.source('raw', {
  objects: 'in/raw',
  format: m.csv({ delimiter: ';' }),
  columns: { id: 'BIGINT', body: 'JSON' },
})
const zones = m.lookup('zones', {
  objects: 'ref/zones.csv',
  format: m.csv(),
  columns: { LocationID: 'BIGINT NOT NULL', Name: 'VARCHAR', Borough: 'VARCHAR' },
  key: ['LocationID'],
})
const out = () => m.to(m.files('out', { format: 'parquet' }))
const hourly = trips.pipe(m.tumbling('1 hour'), m.groupBy('zone'), m.aggregate({ trips: m.count() }))

/** What each query is in TypeScript. */
const queries: readonly (readonly [what: string, sql: string, flow: Pipeline['flows'][number]])[] = [
  [
    'TUMBLE with WHERE, FILTER and HAVING',
    `SELECT window_start, window_end, zone, count(*) AS trips, sum(fare) FILTER (WHERE fare < 1e5) AS revenue
     FROM TUMBLE(trips, INTERVAL '60 minutes') WHERE fare > 0 -- none that are free
     GROUP BY window_start, window_end, zone HAVING count(*) > 3`,
    trips.pipe(
      m.where('fare > 0'),
      m.tumbling('1 hour'),
      m.groupBy('zone'),
      m.aggregate({ trips: m.count(), revenue: m.sum('fare', { filter: 'fare < 1e5' }) }),
      m.where('trips > 3'),
      out(),
    ),
  ],
  [
    'TUMBLE with an offset, columns in another order, and GROUP BY by place',
    `SELECT zone, count(*) AS trips, window_start FROM TUMBLE(trips, INTERVAL 1 DAY, INTERVAL '5 hours')
     GROUP BY 1, window_start, window_end`,
    trips.pipe(
      m.tumbling('1 day', { offset: '5 hours' }),
      m.groupBy('zone'),
      m.aggregate({ trips: m.count() }),
      m.select('zone', 'trips', 'window_start'),
      out(),
    ),
  ],
  [
    'HOP, whose distance comes first, and no keys',
    `SELECT window_start, window_end, max(fare) AS most
     FROM HOP(trips, INTERVAL '5 minutes', INTERVAL '1 hour') GROUP BY window_start, window_end`,
    trips.pipe(m.hopping('1 hour', '5 minutes'), m.aggregate({ most: m.max('fare') }), out()),
  ],
  [
    'CUMULATE and GROUP BY ALL',
    `SELECT window_start, window_end, zone, avg(fare) AS mean
     FROM CUMULATE(trips, INTERVAL '1 hour', INTERVAL '1 day') GROUP BY ALL`,
    trips.pipe(m.cumulative('1 day', '1 hour'), m.groupBy('zone'), m.aggregate({ mean: m.avg('fare') }), out()),
  ],
  [
    'SESSION with a quantile',
    `SELECT window_start, window_end, zone, count(*) AS rides, quantile(fare, 0.95, relative_error := 0.05) AS p95
     FROM SESSION(trips, INTERVAL '30 minutes') GROUP BY window_start, window_end, zone`,
    trips.pipe(
      m.session('30 minutes'),
      m.groupBy('zone'),
      m.aggregate({ rides: m.count(), p95: m.quantile('fare', 0.95, { relativeError: 0.05 }) }),
      out(),
    ),
  ],
  [
    'CALENDAR in a time zone, and the ten busiest zones with their rank',
    `SELECT window_start, window_end, zone, count(*) AS trips, row_number() OVER (PARTITION BY window_start
     ORDER BY count(*) DESC, zone) AS rank
     FROM CALENDAR(trips, 'day', 'America/New_York') GROUP BY window_start, window_end, zone QUALIFY rank <= 10`,
    trips.pipe(
      m.calendar('day', { timeZone: 'America/New_York' }),
      m.groupBy('zone'),
      m.aggregate({ trips: m.count() }),
      m.topN(10, { by: [['trips', 'desc'], 'zone'] }),
      out(),
    ),
  ],
  [
    'QUALIFY without the rank, for each zone',
    `SELECT * FROM (SELECT window_start, window_end, zone, count(*) AS trips
     FROM TUMBLE(trips, INTERVAL '1 hour') GROUP BY ALL) AS h
     QUALIFY row_number() OVER (PARTITION BY h.window_start, h.zone ORDER BY trips DESC NULLS LAST) < 4`,
    hourly.pipe(
      m.topN(3, { by: [['trips', 'desc']], per: ['zone'] }),
      m.select('window_start', 'window_end', 'zone', 'trips'),
      out(),
    ),
  ],
  [
    'GLOBAL',
    `SELECT zone, count(*) AS trips FROM GLOBAL(trips) GROUP BY zone`,
    trips.pipe(m.global({ unbounded: true }), m.groupBy('zone'), m.aggregate({ trips: m.count() }), out()),
  ],
  [
    'derived columns, of which casts have the type of the cast',
    `SELECT *, CAST(tip / fare AS DECIMAL(9,4)) AS share, lower(trip_id) AS key, (fare + tip)::BIGINT AS total
     FROM trips`,
    trips.pipe(
      m.derive({
        share: ['DECIMAL(9,4)', 'tip / fare'],
        key: ['VARCHAR', 'lower(trip_id)'],
        total: ['BIGINT', 'fare + tip'],
      }),
      out(),
    ),
  ],
  [
    'columns by other names, left out and replaced',
    `SELECT "at", zone AS place, fare * 2 AS fare FROM trips WHERE trips.zone IS DISTINCT FROM 7`,
    trips.pipe(
      m.where('zone IS DISTINCT FROM 7'),
      m.derive({ fare: ['DOUBLE', 'fare * 2'] }),
      m.select('at', 'zone', 'fare'),
      m.rename({ zone: 'place' }),
      out(),
    ),
  ],
  [
    'all columns but some',
    `SELECT * EXCLUDE (tip, "trip_id") REPLACE (fare / 100 AS fare) FROM trips`,
    trips.pipe(m.derive({ fare: ['DOUBLE', 'fare / 100'] }), m.select('at', 'zone', 'fare'), out()),
  ],
  [
    'a conversion without event time',
    `SELECT id, body->>'city' AS city FROM raw`,
    raw.pipe(m.derive({ city: ['VARCHAR', "body->>'city'"] }), m.select('id', 'city'), out()),
  ],
  [
    'a lookup before the window, and groups by its column',
    `SELECT window_start, window_end, "Borough", count(*) AS trips, sum(fare) AS revenue
     FROM TUMBLE(trips, INTERVAL '1 hour') LEFT JOIN zones ON zone = zones."LocationID"
     GROUP BY window_start, window_end, "Borough"`,
    trips.pipe(
      m.join(zones, { on: { zone: 'LocationID' }, kind: 'left' }),
      m.tumbling('1 hour'),
      m.groupBy('Borough'),
      m.aggregate({ trips: m.count(), revenue: m.sum('fare') }),
      out(),
    ),
  ],
  [
    'two streams within an interval',
    `SELECT t.trip_id, fare, p.amount FROM trips AS t LEFT JOIN payments p
     ON (p.id = t.trip_id AND p.paid_at BETWEEN t.at - INTERVAL '10 minutes' AND t.at + INTERVAL '2 hours')`,
    trips.pipe(
      m.join(payments, { on: { trip_id: 'id' }, within: ['-10 minutes', '2 hours'], kind: 'left' }),
      m.select('trip_id', 'fare', 'amount'),
      out(),
    ),
  ],
  [
    'the same by comparisons, seen from the other side',
    `SELECT trip_id, fare, amount FROM trips JOIN payments ON trip_id = id
     AND "at" >= paid_at - INTERVAL '2 hours' AND trips.at - INTERVAL '10 minutes' <= paid_at`,
    trips.pipe(
      m.join(payments, { on: { trip_id: 'id' }, within: ['-10 minutes', '2 hours'] }),
      m.select('trip_id', 'fare', 'amount'),
      out(),
    ),
  ],
  [
    'rows that have no partner',
    `SELECT * FROM trips ANTI JOIN payments ON trip_id = payments.id AND paid_at BETWEEN "at"
     AND trips.at + INTERVAL '2 hours'`,
    trips.pipe(m.join(payments, { on: { trip_id: 'id' }, within: ['0s', '2 hours'], kind: 'anti' }), out()),
  ],
  [
    'rows of the same window',
    `SELECT l.window_start, l.window_end, l.at, zone, fare, tip, trip_id, paid_at, amount
     FROM TUMBLE(trips, INTERVAL '1 hour') l JOIN TUMBLE(payments, INTERVAL '1 hour') r
     ON l.trip_id = r.id AND l.window_start = r.window_start AND l.window_end = r.window_end`,
    trips.pipe(
      m.tumbling('1 hour'),
      m.join(payments.pipe(m.tumbling('1 hour')), { on: { trip_id: 'id' }, window: true }),
      out(),
    ),
  ],
  [
    'DEDUPE, then hours into days, the hours by WITH',
    `WITH hours AS (SELECT window_start, window_end, zone, count(*) AS trips
     FROM TUMBLE(DEDUPE(trips, trip_id, INTERVAL '1 day'), INTERVAL '1 hour') GROUP BY ALL)
     SELECT window_start, window_end, zone, arg_max(window_start, trips) AS busiest_hour, sum(trips) AS trips
     FROM TUMBLE(hours, INTERVAL '1 day') GROUP BY window_start, window_end, zone`,
    trips.pipe(
      m.dedupe('trip_id', '1 day'),
      m.tumbling('1 hour'),
      m.groupBy('zone'),
      m.aggregate({ trips: m.count() }),
      m.tumbling('1 day'),
      m.groupBy('zone'),
      m.aggregate({ busiest_hour: m.argMax('window_start', 'trips'), trips: m.sum('trips') }),
      out(),
    ),
  ],
  [
    'the last row of a key',
    `SELECT * FROM DEDUPE(trips, zone, trip_id, INTERVAL '1 hour', keep := 'last')`,
    trips.pipe(m.dedupe(['zone', 'trip_id'], '1 hour', { keep: 'last' }), out()),
  ],
  [
    'a join behind DEDUPE, whose rows keep their time',
    `SELECT t.trip_id, t.fare, p.amount FROM DEDUPE(trips, trip_id, INTERVAL '1 day') AS t
     JOIN payments AS p ON p.id = t.trip_id
       AND p.paid_at BETWEEN t.at - INTERVAL '10 minutes' AND t.at + INTERVAL '2 hours'`,
    trips.pipe(
      m.dedupe('trip_id', '1 day'),
      m.join(payments, { on: { trip_id: 'id' }, within: ['-10 minutes', '2 hours'] }),
      m.select('trip_id', 'fare', 'amount'),
      out(),
    ),
  ],
  [
    'several flows as one',
    `SELECT "at", zone, fare FROM trips UNION ALL BY NAME SELECT paid_at AS at, CAST(amount AS DOUBLE) AS fare
     FROM payments`,
    m
      .union(
        trips.pipe(m.select('at', 'zone', 'fare')),
        payments.pipe(
          m.derive({ fare: ['DOUBLE', 'amount'] }),
          m.select('paid_at', 'fare'),
          m.rename({ paid_at: 'at' }),
        ),
      )
      .pipe(out()),
  ],
  [
    'expressions over aggregates',
    `SELECT window_start, window_end, zone, sum(fare) AS revenue, CAST(sum(fare) / count(*) AS DOUBLE) AS mean
     FROM TUMBLE(trips, INTERVAL '1 hour') GROUP BY window_start, window_end, zone`,
    trips.pipe(
      m.tumbling('1 hour'),
      m.groupBy('zone'),
      m.aggregate({ revenue: m.sum('fare'), aggregate_2: m.count() }),
      m.derive({ mean: ['DOUBLE', 'revenue / aggregate_2'] }),
      m.select('window_start', 'window_end', 'zone', 'revenue', 'mean'),
      out(),
    ),
  ],
  [
    'groups by an expression, and values that are there',
    `SELECT window_start, window_end, fare > 10 AS is_dear, count(trip_id) AS named, count(DISTINCT zone) AS zones
     FROM TUMBLE(trips, INTERVAL '1 hour') GROUP BY window_start, window_end, fare > 10`,
    trips.pipe(
      m.derive({ is_dear: ['BOOLEAN', 'fare > 10'] }),
      m.tumbling('1 hour'),
      m.groupBy('is_dear'),
      m.aggregate({ named: m.count({ filter: 'trip_id IS NOT NULL' }), zones: m.countDistinct('zone') }),
      out(),
    ),
  ],
]

describe('SQL and TypeScript are one plan', () => {
  test.each(queries)('%s', async (_, sql, flow) => {
    const own = await compiled(duckdb, `${statements}INSERT INTO out ${sql};`)
    const other = m.pipeline('p', { checkpoint: 'ck' }, flow as never)
    expect(await canonicalPlan(duckdb, own)).toEqual(await canonicalPlan(duckdb, other))
  })

  test('every sink that is listed has a statement', () => {
    expect(sinks.filter(({ options, make }) => !options || !make).map(({ kind }) => kind)).toEqual([])
  })

  test('a table of a lake', async () => {
    const own = await compiled(
      duckdb,
      `${statements}CREATE SINK lake WITH (connector = 'ducklake', path = 'lake', table = 'trips');
       INSERT INTO lake SELECT zone, fare FROM trips;`,
    )
    const flow = trips.pipe(m.select('zone', 'fare'), m.to(m.ducklake('lake', { table: 'trips' })))
    expect(await canonicalPlan(duckdb, own)).toEqual(
      await canonicalPlan(duckdb, m.pipeline('p', { checkpoint: 'ck' }, flow)),
    )
  })

  test('views are branches that flows share', async () => {
    const own = await compiled(
      duckdb,
      `${statements}
       CREATE VIEW hourly AS SELECT window_start, window_end, zone, count(*) AS trips
     FROM TUMBLE(trips, INTERVAL '1 hour') GROUP BY ALL;
       CREATE SINK busy WITH (connector = 'files', path = 'busy', format = 'json',
     'partitionBy.day' = 'window_start', epochsBehindMax = 3);
       INSERT INTO out EMIT UPDATE SELECT * FROM hourly;
       INSERT INTO busy SELECT * FROM hourly WHERE trips > 100;`,
    )
    const busy = m.files('busy', { format: 'json', partitionBy: { day: 'window_start' } })
    const other = m.pipeline(
      'p',
      { checkpoint: 'ck' },
      hourly.pipe(m.to(m.files('out', { format: 'parquet' }), { emit: 'update' })),
      hourly.pipe(m.where('trips > 100'), m.to(busy, { epochsBehindMax: 3 })),
    )
    const plan = await canonicalPlan(duckdb, own)
    expect(plan).toEqual(await canonicalPlan(duckdb, other))
    expect(plan.nodes.filter(({ op }) => op === 'aggregate')).toHaveLength(1)
  })
})
