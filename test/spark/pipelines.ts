/** Pipelines whose portable plans are carried out, over objects whose columns are of many types. */
import { join } from 'node:path'
import {
  aggregate,
  approxDistinct,
  argMax,
  argMin,
  avg,
  bitAnd,
  bitOr,
  bitXor,
  boolAnd,
  boolOr,
  calendar,
  collect,
  collectSet,
  corr,
  count,
  countDistinct,
  covarPop,
  covarSamp,
  csv,
  cumulative,
  derive,
  entropy,
  exactQuantile,
  files,
  first,
  groupBy,
  histogram,
  hopping,
  join as joined,
  largest,
  last,
  listagg,
  lookup,
  max,
  median,
  min,
  mode,
  parquet,
  type Pipeline,
  pipeline,
  product,
  quantile,
  regrIntercept,
  regrR2,
  regrSlope,
  rename,
  select,
  smallest,
  source,
  stddev,
  stddevPop,
  sum,
  to,
  topK,
  topN,
  tumbling,
  union,
  unnest,
  varPop,
  variance,
  where,
} from '../../src/index.ts'
import type { Lab } from '../engine/harness.ts'

/** Where the rows of each flow come out. */
export const outputOf = (lab: Pick<Lab, 'root'>, flow: number) => join(lab.root, `flow-${flow}`)

/** The objects of source `trips`, in the ledger's order: days with late rows, with misfits, and one without rows. */
export async function writeTrips(lab: Lab): Promise<void> {
  const zone = `['harbour', 'market', 'park', NULL, '', 'dépôt'][CAST(hash(x * 7) % 6 + 1 AS BIGINT)]`
  const day = (n: number, own: string) =>
    lab.parquet(
      `trips_2024-03-0${n}.parquet`,
      `SELECT * EXCLUDE (x) REPLACE (${own}) FROM (SELECT x,
        CAST(TIMESTAMP '2024-03-0${n}' + INTERVAL (CAST(hash(x) % 90_000 AS BIGINT) - 3000) SECOND AS TIMESTAMP) AS started,
        ${zone} AS zone, CAST(hash(x + 3) % 5000 / 100.0 - 5 AS DECIMAL(9,2)) AS fare,
        CAST(hash(x + 5) % 997 AS DOUBLE) / 7 AS miles, CAST(hash(x + 9) % 40 AS INTEGER) AS riders,
        x % 3 > 0 AS paid, CAST(x % 5 AS INTEGER) AS flags, [x % 2, NULL, x] AS tags, '{"n": ' || x || '}' AS note
       FROM range(${n * 1000}, ${n * 1000 + 150}) AS _(x)) AS r`,
    )
  await day(1, 'fare AS fare')
  // Numbers and times that are written otherwise, a few of which do not fit.
  await day(
    2,
    `IF(x % 10 = 0, 1.005, CAST(fare AS DOUBLE)) AS fare, CAST(riders AS BIGINT) + IF(x % 11 = 0, 2 ** 40, 0)::BIGINT AS riders`,
  )
  await day(
    3,
    `IF(x % 9 = 0, 'none', CAST(fare AS VARCHAR)) AS fare, IF(x % 13 = 0, NULL, timezone('UTC', r.started)) AS started`,
  )
  await day(
    4,
    `CAST(CASE x % 5 WHEN 0 THEN 'nan' WHEN 1 THEN '-0.0' ELSE x / 4 END AS FLOAT) AS miles, encode(zone) AS zone`,
  )
  await day(
    5,
    `CAST(fare AS DECIMAL(30,4)) AS fare, r.started - INTERVAL 4 DAY AS started, IF(x % 7 = 0, '{n:', note) AS note`,
  )
  await lab.parquet(
    'trips_2024-03-06.parquet',
    `FROM read_parquet('${join(lab.input, 'trips_2024-03-01.parquet')}') LIMIT 0`,
  )
  await day(
    7,
    `CAST(fare AS DECIMAL(9,3)) AS fare, CAST(CAST(tags AS VARCHAR[]) AS VARCHAR[]) AS tags, riders + IF(x % 17 = 0, 0.5, 0)::DOUBLE AS riders`,
  )
}

type Trips = ReturnType<typeof tripsOf>

const tripsOf = (lab: Pick<Lab, 'input'>) =>
  source('trips', {
    objects: lab.input,
    suffix: '.parquet',
    format: parquet(),
    columns: {
      started: 'TIMESTAMP NOT NULL',
      zone: 'VARCHAR',
      fare: 'DECIMAL(9,2)',
      miles: 'DOUBLE',
      riders: 'INTEGER',
      is_paid: 'BOOLEAN FROM paid',
      flags: 'BIGINT',
      tags: 'INTEGER[]',
      note: 'JSON',
      tip: "DECIMAL(9,2) DEFAULT '0.50'",
      object_key: 'VARCHAR FROM META',
    },
    time: 'started',
    onBadRow: 'quarantine',
    watermark: { delay: '6 hours', bounds: 'trips_{yyyy}-{MM}-{dd}' },
  })

const zonesOf = (lab: Pick<Lab, 'root'>) =>
  lookup('zones', {
    objects: join(lab.root, 'zones.csv'),
    format: csv(),
    columns: { name: 'VARCHAR NOT NULL', borough: 'VARCHAR', tax: 'DECIMAL(4,2)' },
    key: ['name'],
  })

export const zonesCsv = 'name,borough,tax\nharbour,south,0.25\nmarket,centre,1.5\n'

/** Aggregates that count and sum. */
const counted = {
  n: count(),
  paid: count({ filter: 'is_paid' }),
  zones: countDistinct('zone'),
  about: approxDistinct('zone'),
  fares: sum('fare'),
  miles: sum('miles'),
  riders: sum('riders'),
  multiplied: product('flags'),
  mean: avg('fare'),
  mean_miles: avg('miles', { filter: 'isfinite(miles)' }),
  spread: variance('fare'),
  deviation: stddev('miles', { filter: 'isfinite(miles)' }),
  spread_all: varPop('miles', { filter: 'isfinite(miles)' }),
  deviation_all: stddevPop('fare'),
}

/** Quantiles and bits. */
const ranked = {
  middle: median('fare'),
  most: quantile('fare', 0.95),
  most_exactly: exactQuantile('fare', 0.95),
  all_flags: bitAnd('flags'),
  any_flag: bitOr('flags'),
  odd_flags: bitXor('flags'),
}

/** Of pairs, places and values by their order. */
const ordered = {
  together: covarSamp('fare', 'riders'),
  together_all: covarPop('fare', 'riders'),
  alike: corr('fare', 'riders'),
  slope: regrSlope('fare', 'riders'),
  intercept: regrIntercept('fare', 'riders'),
  fit: regrR2('fare', 'riders'),
  least: min('miles'),
  greatest: max('miles'),
  earliest: first('zone'),
  latest: last('fare'),
  cheapest: argMin('zone', 'fare'),
  dearest: argMax('object_key', 'fare'),
  usual: mode('riders'),
}

/** Lists, and values as often as they are there. */
const listed = {
  were_paid: boolAnd('is_paid'),
  was_paid: boolOr('is_paid'),
  low: smallest('fare', 3),
  high: largest('miles', 3),
  some: collect('zone', { max: 4 }),
  kinds: collectSet('zone', 10),
  listed: listagg('zone', { max: 4, separator: ' > ' }),
  often: topK('zone', 2),
  counts: histogram('flags'),
  disorder: entropy('zone'),
}

export const everyAggregate = { ...counted, ...ranked, ...ordered, ...listed }

const amounts = { n: count(), fares: sum('fare'), miles: sum('miles'), latest: last('fare') }

type Made = (trips: Trips, lab: Pick<Lab, 'root' | 'input'>, end: (flow: number) => End) => Pipeline['flows']
type End = ReturnType<typeof ending>
const ending = (lab: Pick<Lab, 'root'>, flow: number) => to(files(outputOf(lab, flow), { format: 'parquet' }))

const made: Readonly<Record<string, Made>> = {
  'where, derive, rename, select': (trips, _, end) => [
    trips.pipe(
      where('riders > 3 OR zone IS NULL'),
      derive({ total: ['DECIMAL(12,2)', 'fare + tip'], hour: ['TIMESTAMP', "date_trunc('hour', started)"] }),
      rename({ zone: 'place' }),
      select('place', 'total', 'hour', 'tags', 'note', 'object_key'),
      end(1),
    ),
  ],
  'tumbling by two keys': (trips, _, end) => [
    trips.pipe(
      where('fare > 0'),
      tumbling('3 hours'),
      groupBy('zone', 'miles'),
      aggregate({ n: count(), fares: sum('fare'), latest: last('fare') }),
      end(1),
    ),
  ],
  'tumbling without keys': (trips, _, end) => [
    trips.pipe(tumbling('1 hour', { offset: '20 minutes' }), aggregate(amounts), end(1)),
  ],
  hopping: (trips, _, end) => [
    trips.pipe(hopping('7 hours', '2 hours', { offset: '30 minutes' }), groupBy('zone'), aggregate(amounts), end(1)),
  ],
  cumulative: (trips, _, end) => [
    trips.pipe(cumulative('2 days', '8 hours'), groupBy('zone'), aggregate(amounts), end(1)),
  ],
  calendar: (trips, _, end) => [
    trips.pipe(calendar('day', { timeZone: 'America/New_York' }), groupBy('is_paid'), aggregate(amounts), end(1)),
  ],
  'aggregates, counted': (trips, _, end) => [
    trips.pipe(tumbling('12 hours'), groupBy('flags'), aggregate(counted), end(1)),
  ],
  'aggregates, ranked': (trips, _, end) => [
    trips.pipe(tumbling('12 hours'), groupBy('flags'), aggregate(ranked), end(1)),
  ],
  'aggregates, ordered': (trips, _, end) => [
    trips.pipe(tumbling('12 hours'), groupBy('flags'), aggregate(ordered), end(1)),
  ],
  'aggregates, listed': (trips, _, end) => [
    trips.pipe(tumbling('12 hours'), groupBy('flags'), aggregate(listed), end(1)),
  ],
  'a chain': (trips, _, end) => [
    trips.pipe(
      tumbling('1 hour'),
      groupBy('zone', 'flags'),
      aggregate({ n: count(), miles: avg('miles') }),
      where('n > 1'),
      hopping('12 hours', '5 hours'),
      groupBy('flags'),
      aggregate({
        most: max('n'),
        first_zone: first('zone'),
        last_zone: last('zone'),
        miles: sum('miles'),
        means: avg('miles'),
      }),
      tumbling('1 day'),
      aggregate({ results: count(), most: max('most'), zones: collect('last_zone', { max: 6 }) }),
      end(1),
    ),
  ],
  'a lookup before a window': (trips, lab, end) => [
    trips.pipe(
      joined(zonesOf(lab), { on: { zone: 'name' }, kind: 'left' }),
      derive({ taxed: ['DECIMAL(12,2)', 'fare + coalesce(tax, 0)'] }),
      tumbling('4 hours'),
      groupBy('borough'),
      aggregate({ n: count(), taxed: sum('taxed') }),
      end(1),
    ),
  ],
  'a lookup behind a window': (trips, lab, end) => [
    trips.pipe(
      tumbling('4 hours'),
      groupBy('zone'),
      aggregate(amounts),
      joined(zonesOf(lab), { on: { zone: 'name' } }),
      end(1),
    ),
  ],
  'ranks of a window': (trips, _, end) => [
    trips.pipe(tumbling('6 hours'), groupBy('zone'), aggregate(amounts), topN(2, { by: [['n', 'desc']] }), end(1)),
  ],
  'flows that share a stage, and rows of lists': (trips, _, end) => {
    const hours = trips.pipe(tumbling('1 hour'), groupBy('zone'), aggregate(amounts))
    return [
      hours.pipe(tumbling('1 day'), groupBy('zone'), aggregate({ hours: count(), fares: sum('fares') }), end(1)),
      hours.pipe(where('n > 2'), end(2)),
      trips.pipe(
        unnest('tags', { as: 'tag', position: 'nth' }),
        tumbling('8 hours'),
        groupBy('tag'),
        aggregate({ n: count() }),
        end(3),
      ),
    ]
  },
  'a union': (trips, _, end) => [
    union(
      trips.pipe(where('is_paid'), select('started', 'zone', 'fare')),
      trips.pipe(where('riders > 20'), select('started', 'zone', 'fare')),
    ).pipe(
      tumbling('5 hours'),
      groupBy('zone'),
      aggregate({ n: count(), fares: sum('fare'), first_fare: first('fare') }),
      end(1),
    ),
  ],
}

export const names = Object.keys(made)

export function pipelineNamed(lab: Pick<Lab, 'root' | 'input' | 'checkpoint'>, name: string): Pipeline {
  const flows = made[name]?.(tripsOf(lab), lab, flow => ending(lab, flow))
  if (flows === undefined) throw new Error(`no pipeline is named '${name}'`)
  return pipeline('carried', { checkpoint: lab.checkpoint }, ...(flows as never[]))
}
