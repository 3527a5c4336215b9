import {
  type ColType,
  type Done,
  type MiniBatch,
  type Row,
  type NoTime,
  type Stream,
  aggregate,
  albLogs,
  approxDistinct,
  argMax,
  argMin,
  batches,
  collect,
  calendar,
  columns,
  count,
  countDistinct,
  csv,
  cumulative,
  dedupe,
  delta,
  deltas,
  derive,
  exactQuantile,
  files,
  filterRows,
  first,
  global,
  groupBy,
  hopping,
  join,
  late,
  json,
  last,
  lookup,
  mapBatches,
  mapRows,
  max,
  min,
  parquet,
  pipeline,
  postgres,
  product,
  quantile,
  quarantine,
  rename,
  rows,
  select,
  session,
  source,
  sql,
  stddev,
  stddevPop,
  sum,
  text,
  to,
  topK,
  topN,
  tumbling,
  union,
  unnest,
  varPop,
  corr,
  covarPop,
  variance,
  where,
} from 'millrace'
import { makeVector, Table, vectorFromArray } from 'apache-arrow'
import { concatMap, filter, map, type Observable } from 'rxjs'
import { is } from './is.ts'

// Nothing here runs: `tsc` must accept every line, and infer exactly these types.

type ColumnsOf<S> = S extends Observable<MiniBatch<infer C, unknown>> ? C : never
type TimeOf<S> = S extends Observable<MiniBatch<unknown, infer T>> ? T : never

const hits = columns({
  ts: 'TIMESTAMPTZ NOT NULL',
  host: 'VARCHAR',
  user_id: 'UUID',
  status: 'INTEGER',
  bytes: 'BIGINT NOT NULL',
  price: 'DECIMAL(18,2)',
  tax: 'DECIMAL(5, 3) NOT NULL',
  ratio: 'DOUBLE',
  tags: 'VARCHAR[]',
  body: 'JSON',
})
const requests = source('hits', { objects: 'data/hits', format: parquet(), columns: hits, time: 'ts' })
is<typeof requests, Stream<MiniBatch<typeof hits, 'TIMESTAMPTZ NOT NULL'>>>(true)

/** Without event time rows pass through, and nothing of `time` is asked for. */
const timeless = source('hits', { objects: 'data/hits', format: json(), columns: hits, rescue: 'rescued' })
is<ColumnsOf<typeof timeless>['rescued'], 'JSON'>(true)
const converted = timeless.pipe(
  where('status >= 500'),
  derive({ kb: ['DOUBLE', 'bytes / 1024'] }),
  mapRows(({ host, kb }) => ({ host, kb }), { host: 'VARCHAR', kb: 'DOUBLE' }),
  select('kb'),
)
is<ColumnsOf<typeof converted>['kb'], 'DOUBLE'>(true)
pipeline('converted', { checkpoint: 'data' }, converted.pipe(to(files('out', { format: 'json' }))))
converted.pipe(
  rows(),
  map(({ kb }) => is<typeof kb, number | null>(true)),
)

// ---- A row for each element ------------------------------------------------------------------------------------------
const tagged = requests.pipe(unnest('tags', { as: 'tag', position: 'place' }))
is<ColumnsOf<typeof tagged>['tag'], 'VARCHAR'>(true)
is<ColumnsOf<typeof tagged>['place'], 'BIGINT NOT NULL'>(true)
is<'tags' extends keyof ColumnsOf<typeof tagged> ? true : false, false>(true)
is<TimeOf<typeof tagged>, 'TIMESTAMPTZ NOT NULL'>(true)
const itself = requests.pipe(unnest('tags'), tumbling('5m'), groupBy('tags'), aggregate({ n: count() }))
is<ColumnsOf<typeof itself>['tags'], 'VARCHAR'>(true)
const bought = requests.pipe(
  unnest('body', { columns: { sku: 'VARCHAR NOT NULL', fee: 'DECIMAL(18,2) FROM price' }, rescue: 'odd' }),
)
is<ColumnsOf<typeof bought>['sku'], 'VARCHAR NOT NULL'>(true)
is<ColumnsOf<typeof bought>['fee'], 'DECIMAL(18,2)'>(true)
is<ColumnsOf<typeof bought>['odd'], 'JSON'>(true)
const keptAll = requests.pipe(unnest('body', { columns: { sku: 'VARCHAR NOT NULL' }, position: 'place', outer: true }))
is<ColumnsOf<typeof keptAll>['sku'], 'VARCHAR'>(true)
is<ColumnsOf<typeof keptAll>['place'], 'BIGINT'>(true)
const elements = requests.pipe(unnest('body'), select('body', 'host'))
is<ColumnsOf<typeof elements>['body'], 'JSON'>(true)
const topOnes = requests.pipe(tumbling('5m'), aggregate({ top: topK('status', 3) }), unnest('top'))
is<ColumnsOf<typeof topOnes>['value'], 'INTEGER NOT NULL'>(true)
is<ColumnsOf<typeof topOnes>['count'], 'BIGINT NOT NULL'>(true)

const logged = source('logged', { objects: 'logs', format: text(albLogs), columns: albLogs.columns, time: 'time' })
is<TimeOf<typeof logged>, 'TIMESTAMPTZ NOT NULL'>(true)
is<ColumnsOf<typeof logged>['elb_status_code'], 'INTEGER'>(true)

// ---- Declarations: DEFAULT and FROM are no part of a column's type. --------------------------------------------------
const declared = columns({
  at: 'TIMESTAMP NOT NULL FROM lpep_pickup_datetime',
  zone: 'BIGINT FROM PULocationID',
  fare: 'DECIMAL(18,2) NOT NULL DEFAULT 0 FROM "a FROM b DEFAULT c"',
  fee: 'DOUBLE DEFAULT NULL',
  note: "VARCHAR NOT NULL DEFAULT 'a FROM b NOT NULL'",
  tags: "VARCHAR[] DEFAULT '[]'",
  id: 'UUID',
})
const renamed = source('trips', { objects: 'data', format: parquet(), columns: declared, time: 'at' })
interface DeclaredAs {
  readonly at: 'TIMESTAMP NOT NULL'
  readonly zone: 'BIGINT'
  readonly fare: 'DECIMAL(18,2) NOT NULL'
  readonly fee: 'DOUBLE'
  readonly note: 'VARCHAR NOT NULL'
  readonly tags: 'VARCHAR[]'
  readonly id: 'UUID'
}
is<ColumnsOf<typeof renamed>, DeclaredAs>(true)
is<TimeOf<typeof renamed>, 'TIMESTAMP NOT NULL'>(true)
is<
  Row<typeof declared>,
  {
    readonly at: Date
    readonly zone: bigint | null
    readonly fare: string
    readonly fee: number | null
    readonly note: string
    readonly tags: (string | null)[] | null
    readonly id: string | null
  }
>(true)
const bySum = renamed.pipe(
  where("fee > 1 and note <> ''"),
  tumbling('1h'),
  groupBy('zone'),
  aggregate({ fares: sum('fare') }),
)
is<
  ColumnsOf<typeof bySum>,
  {
    window_start: 'TIMESTAMP NOT NULL'
    window_end: 'TIMESTAMP NOT NULL'
    zone: 'BIGINT'
    fares: 'DECIMAL(38,2) NOT NULL'
  }
>(true)

const kept = source('trips', {
  objects: 'data',
  format: json(),
  columns: { at: 'DATE', n: 'BIGINT DEFAULT 0' },
  time: 'at',
  rescue: 'rescued',
})
is<ColumnsOf<typeof kept>, { readonly at: 'DATE'; readonly n: 'BIGINT'; readonly rescued: 'JSON' }>(true)
kept.pipe(where("rescued->>'n' = 'x'"))

// ---- Renaming: the order of types stays, names may be exchanged. -----------------------------------------------------
const swapped = renamed.pipe(rename({ at: 'picked_up', fare: 'fee', fee: 'fare' }))
is<
  ColumnsOf<typeof swapped>,
  {
    picked_up: 'TIMESTAMP NOT NULL'
    zone: 'BIGINT'
    fee: 'DECIMAL(18,2) NOT NULL'
    fare: 'DOUBLE'
    note: 'VARCHAR NOT NULL'
    tags: 'VARCHAR[]'
    id: 'UUID'
  }
>(true)
is<TimeOf<typeof swapped>, 'TIMESTAMP NOT NULL'>(true)

// ---- Aggregates: sums of integers and decimals are wide, and NOT NULL where their column is (S21). --------------
const out = requests.pipe(
  where("status >= 500 and host not like 'test%'"),
  derive({ kb: ['DOUBLE', 'bytes / 1024'], day: ['DATE', "date_trunc('day', ts)"] }),
  tumbling('5m'),
  groupBy('host', 'day'),
  aggregate({
    errors: count(),
    codes: sum('status'),
    bytes: sum('bytes'),
    revenue: sum('price'),
    taxes: sum('tax'),
    first: min('ts'),
    last: max('user_id'),
    most: max('kb'),
    least: min('price'),
  }),
)
is<
  ColumnsOf<typeof out>,
  {
    window_start: 'TIMESTAMPTZ NOT NULL'
    window_end: 'TIMESTAMPTZ NOT NULL'
    host: 'VARCHAR'
    day: 'DATE'
    errors: 'BIGINT NOT NULL'
    codes: 'DECIMAL(38,0)'
    bytes: 'DECIMAL(38,0) NOT NULL'
    revenue: 'DECIMAL(38,2)'
    taxes: 'DECIMAL(38,3) NOT NULL'
    first: 'TIMESTAMPTZ NOT NULL'
    last: 'UUID'
    most: 'DOUBLE'
    least: 'DECIMAL(18,2)'
  }
>(true)

// ---- One picked row; a filter may leave no row, so its result may be NULL. ----------------------------------------
const picked = requests.pipe(
  tumbling('5m'),
  groupBy(),
  aggregate({
    first: first('bytes'),
    last: last('host'),
    slowest: argMax('bytes', 'tax'),
    cheapest: argMin('bytes', 'price'),
    errors: count({ filter: 'status >= 500' }),
    paid: sum('bytes', { filter: 'price > 0' }),
    least: min('tax', { filter: 'price > 0' }),
  }),
)
is<
  ColumnsOf<typeof picked>,
  {
    window_start: 'TIMESTAMPTZ NOT NULL'
    window_end: 'TIMESTAMPTZ NOT NULL'
    first: 'BIGINT NOT NULL'
    last: 'VARCHAR'
    slowest: 'BIGINT NOT NULL'
    cheapest: 'BIGINT'
    errors: 'BIGINT NOT NULL'
    paid: 'DECIMAL(38,0)'
    least: 'DECIMAL(5, 3)'
  }
>(true)

// ---- Counts of values are never NULL; quantiles are of the column's type; topK gives values with their counts. ------
const counted = requests.pipe(
  tumbling('5m'),
  groupBy(),
  aggregate({
    hosts: countDistinct('host'),
    taggings: countDistinct('tags', { filter: 'status >= 500' }),
    median: exactQuantile('tax', 0.5),
    latest: exactQuantile('ts', 0.99, { filter: 'status >= 500' }),
    sizes: topK('bytes', 3),
    prices: topK('price', 3),
    users: approxDistinct('user_id', { filter: 'status >= 500' }),
    p95: quantile('bytes', 0.95, { relativeError: 0.02 }),
    p99: quantile('price', 0.99),
    slow: quantile('bytes', 0.99, { filter: 'status >= 500' }),
    spread: variance('bytes'),
    deviation: stddev('price', { filter: 'status >= 500' }),
    spreadOfAll: varPop('bytes'),
    deviationOfAll: stddevPop('ratio'),
    together: covarPop('bytes', 'status'),
    related: corr('bytes', 'price'),
    sizesTogether: product('bytes'),
    pricesTogether: product('price', { filter: 'status >= 500' }),
    early: collect('bytes', { max: 5 }),
    dear: collect('tax', { max: 5, by: 'bytes', order: 'descending' }),
    some: collect('bytes', { max: 5, by: 'price' }),
    failed: collect('bytes', { max: 5, filter: 'status >= 500' }),
  }),
)
is<
  ColumnsOf<typeof counted>,
  {
    window_start: 'TIMESTAMPTZ NOT NULL'
    window_end: 'TIMESTAMPTZ NOT NULL'
    hosts: 'BIGINT NOT NULL'
    taggings: 'BIGINT NOT NULL'
    median: 'DECIMAL(5, 3) NOT NULL'
    latest: 'TIMESTAMPTZ'
    sizes: 'STRUCT(value BIGINT, count BIGINT)[] NOT NULL'
    prices: 'STRUCT(value DECIMAL(18,2), count BIGINT)[]'
    users: 'BIGINT NOT NULL'
    p95: 'DOUBLE NOT NULL'
    p99: 'DOUBLE'
    slow: 'DOUBLE'
    spread: 'DOUBLE'
    deviation: 'DOUBLE'
    spreadOfAll: 'DOUBLE NOT NULL'
    deviationOfAll: 'DOUBLE'
    together: 'DOUBLE'
    related: 'DOUBLE'
    sizesTogether: 'DECIMAL(38,0) NOT NULL'
    pricesTogether: 'DECIMAL(38,2)'
    early: 'BIGINT[] NOT NULL'
    dear: 'DECIMAL(5, 3)[] NOT NULL'
    some: 'BIGINT[]'
    failed: 'BIGINT[]'
  }
>(true)
type Counted = Row<ColumnsOf<typeof counted>>
is<Counted['sizes'], { value: bigint; count: bigint }[]>(true)
is<Counted['prices'], { value: string; count: bigint }[] | null>(true)
counted.pipe(derive({ busiest: ['BIGINT', 'sizes[1].value'] }))

// ---- Rows in TypeScript. ------------------------------------------------------------------------------------------
type Out = Row<ColumnsOf<typeof out>>
is<Out['errors'], bigint>(true)
is<Out['bytes'], string>(true)
is<Out['revenue'], string | null>(true)
is<Out['host'], string | null>(true)
is<Out['window_start'], Date>(true)
is<Out['day'], string | null>(true)
is<Out['most'], number | null>(true)
is<
  Row<{
    a: 'BOOLEAN'
    b: 'TINYINT NOT NULL'
    c: 'UBIGINT NOT NULL'
    d: 'FLOAT'
    e: 'BLOB NOT NULL'
    f: 'TIMESTAMP NOT NULL'
    g: 'BIGINT[] NOT NULL'
    h: 'VARCHAR[]'
    i: 'DECIMAL(10,2) NOT NULL'
    j: 'JSON NOT NULL'
    k: 'DECIMAL(10,2)[]'
  }>,
  {
    a: boolean | null
    b: number
    c: bigint
    d: number | null
    e: Uint8Array
    f: Date
    g: (bigint | null)[]
    h: (string | null)[] | null
    i: string
    j: unknown
    k: (string | null)[] | null
  }
>(true)

const hosts = out.pipe(
  rows(),
  filter(row => row.errors > 10n && row.window_end.getTime() > 0),
  map(row => row.host?.toUpperCase()),
)
is<typeof hosts, Stream<string | undefined>>(true)
const epochs = out.pipe(
  batches(),
  concatMap(async ({ epoch, rows: all }) => `${epoch.toFixed()} ${all.map(row => row.errors + 1n).join()}`),
)
is<typeof epochs, Stream<string>>(true)
const changing = out.pipe(
  rows({ emit: 'update' }),
  map(row => (row._op === 'delete' ? row.errors : -1n) + row._epoch),
)
is<typeof changing, Stream<bigint>>(true)
const changedEpochs = out.pipe(
  batches({ emit: 'update' }),
  map(({ rows: all }) => all.map(row => row._op)),
)
is<typeof changedEpochs, Stream<('upsert' | 'delete')[]>>(true)
out.pipe(to(files('out', { format: 'json' }), { emit: 'update' }))

// ---- Steps and their columns. -------------------------------------------------------------------------------------
const chosen = requests.pipe(select('host', 'bytes'))
is<ColumnsOf<typeof chosen>, { readonly host: 'VARCHAR'; readonly bytes: 'BIGINT NOT NULL' }>(true)
const replaced = requests.pipe(select('host', 'ts'), derive({ host: ['INTEGER NOT NULL', 'len(host)'] }))
is<ColumnsOf<typeof replaced>, { ts: 'TIMESTAMPTZ NOT NULL'; host: 'INTEGER NOT NULL' }>(true)
const total = requests.pipe(tumbling('1 hour'), groupBy(), aggregate({ n: count() }))
is<
  ColumnsOf<typeof total>,
  { window_start: 'TIMESTAMPTZ NOT NULL'; window_end: 'TIMESTAMPTZ NOT NULL'; n: 'BIGINT NOT NULL' }
>(true)
const sessions = requests.pipe(session('30 minutes'), groupBy('host'), aggregate({ n: count(), most: max('bytes') }))
is<
  ColumnsOf<typeof sessions>,
  {
    window_start: 'TIMESTAMPTZ NOT NULL'
    window_end: 'TIMESTAMPTZ NOT NULL'
    host: 'VARCHAR'
    n: 'BIGINT NOT NULL'
    most: 'BIGINT NOT NULL'
  }
>(true)
sessions.pipe(tumbling('1 day'), groupBy('host'), aggregate({ n: sum('n') }))
requests.pipe(calendar('week', { timeZone: 'Europe/Berlin', weekStartsOn: 'sunday' }), aggregate({ n: count() }))
const totals = requests.pipe(global({ unbounded: true }), groupBy('host'), aggregate({ n: count() }))
is<ColumnsOf<typeof totals>, { host: 'VARCHAR'; n: 'BIGINT NOT NULL' }>(true)
totals.pipe(where('n > 1'), to(files('data/out', { format: 'parquet' })))
const newest = requests.pipe(dedupe(['host'], '1 hour', { keep: 'last' }), select('host'))
is<ColumnsOf<typeof newest>, { readonly host: 'VARCHAR' }>(true)
const busiest = requests.pipe(
  tumbling('1 day'),
  groupBy('host'),
  aggregate({ n: count() }),
  topN(10, { by: [['n', 'desc'], 'host'], per: ['window_start'] }),
  where('rank < 4'),
  select('host', 'rank'),
)
is<ColumnsOf<typeof busiest>, { host: 'VARCHAR'; rank: 'BIGINT NOT NULL' }>(true)
const changed = sessions.pipe(deltas({ of: ['n', 'most'], expireAfter: '1 day' }), select('n_delta', 'most_delta'))
is<ColumnsOf<typeof changed>, { n_delta: 'DECIMAL(38,0)'; most_delta: 'DECIMAL(38,0)' }>(true)
requests.pipe(
  deltas({ of: ['bytes'], per: ['host'], expireAfter: '1 day' }),
  tumbling('1 hour'),
  aggregate({ n: count() }),
)
const soFar = requests.pipe(
  cumulative('1 day', '1 hour', { offset: '5 hours' }),
  groupBy('host'),
  aggregate({ n: count() }),
)
is<
  ColumnsOf<typeof soFar>,
  {
    window_start: 'TIMESTAMPTZ NOT NULL'
    window_end: 'TIMESTAMPTZ NOT NULL'
    host: 'VARCHAR'
    n: 'BIGINT NOT NULL'
  }
>(true)
// ... and groupBy may be left out where the whole window is meant.
const ungrouped = requests.pipe(tumbling('1 hour'), aggregate({ n: count() }))
is<typeof ungrouped, typeof total>(true)
requests.pipe(
  hopping('1 hour', '5 minutes'),
  aggregate({ n: count(), users: countDistinct('user_id') }),
  where('n > 10'),
)
// Quantiles are shares: as they are written, and as the program knows them.
requests.pipe(
  tumbling('1 hour'),
  aggregate({
    least: quantile('bytes', 0),
    most: exactQuantile('bytes', 1),
    rare: exactQuantile('bytes', 1e-7),
    some: quantile('bytes', Number('0.5')),
  }),
)
// Columns that are not known are any.
declare const open: Stream<MiniBatch<Readonly<Record<string, 'BIGINT'>>>>
open.pipe(where('a > 1'), select('a'), tumbling('1 hour'), groupBy('a'), aggregate({ n: count() }))
pipeline('any flows', { checkpoint: 'data/checkpoint' }, ...([] as Observable<unknown>[]))
requests.pipe(hopping('1 hour', '5 minutes'), groupBy('user_id'), aggregate({ n: count() }), where('n > 10'))
out.pipe(to(delta('s3://lake/out')))
out.pipe(to(delta('out', { key: ['window_start', 'host'], partitionBy: ['host'] }), { emit: 'update' }))
out.pipe(to(postgres({ url: process.env.PG, table: 'out' })))
out.pipe(to(postgres({ url: process.env.PG, table: 'out', key: ['window_start', 'host'] }), { emit: 'update' }))
to(postgres({ url: process.env.PG, table: 'out', key: ['window_start'] }))
const ended = out.pipe(where('errors > 1'), to(files('data/out', { format: 'json' })))
is<typeof ended, Stream<Done>>(true)
pipeline('hits', { checkpoint: 'data/checkpoint' }, ended, hosts, epochs)

// ---- The event time's type is that of the window columns, NOT NULL. -----------------------------------------------
const daily = source('daily', {
  objects: 'file:///data/daily',
  format: json(),
  columns: { day: 'DATE', n: 'INTEGER' },
  time: 'day',
  watermark: { delay: '30 days', bounds: { lastModifiedSkew: '1d' } },
  late: { retention: '30 days' },
  onBadRow: 'quarantine',
  onBadObject: 'skip',
  overwrite: 'append',
  miniBatch: { objectsMax: 10, bytesMax: 1_000_000 },
})
is<TimeOf<typeof daily>, 'DATE NOT NULL'>(true)
const byDay = daily.pipe(tumbling('7 days'), groupBy(), aggregate({ n: sum('n') }))
is<ColumnsOf<typeof byDay>, { window_start: 'DATE NOT NULL'; window_end: 'DATE NOT NULL'; n: 'DECIMAL(38,0)' }>(true)

// ---- Functions: rows by their columns, before a window and after it. -----------------------------------------------
const busy = requests.pipe(
  filterRows(({ status, tags }) => (status ?? 0) >= 500 && tags?.[0] !== 'test'),
  mapRows(
    ({ ts, host, bytes, tax }) => {
      is<typeof bytes, bigint>(true)
      is<typeof tax, string>(true)
      return host === null ? null : [{ ts, host, kb: Number(bytes) / 1024 }]
    },
    { ts: 'TIMESTAMPTZ NOT NULL', host: 'VARCHAR NOT NULL', kb: 'DOUBLE' },
    { version: '1' },
  ),
)
is<
  ColumnsOf<typeof busy>,
  { readonly ts: 'TIMESTAMPTZ NOT NULL'; readonly host: 'VARCHAR NOT NULL'; readonly kb: 'DOUBLE' }
>(true)
is<TimeOf<typeof busy>, 'TIMESTAMPTZ NOT NULL'>(true)
const labelled = busy.pipe(
  tumbling('5m'),
  groupBy('host'),
  aggregate({ n: count(), kb: max('kb') }),
  mapRows(({ host, n, kb }) => ({ text: `${host}: ${n}, ${kb?.toFixed(1)}` }), { text: 'VARCHAR NOT NULL' }),
)
is<ColumnsOf<typeof labelled>, { readonly text: 'VARCHAR NOT NULL' }>(true)
const byBatch = requests.pipe(
  mapBatches(
    batch => {
      const bytes = batch.getChild('bytes')
      is<ReturnType<NonNullable<typeof bytes>['toArray']>, BigInt64Array>(true)
      const kb = Float64Array.from({ length: batch.numRows }, (_, row) => Number(bytes?.get(row) ?? 0n) / 1024)
      const ts = batch.getChild('ts')
      if (!ts) throw new Error('unreachable')
      return new Table({ ts, kb: makeVector(kb), label: vectorFromArray(['a', 'b']) })
    },
    { ts: 'TIMESTAMPTZ NOT NULL', kb: 'DOUBLE', label: 'VARCHAR' },
  ),
  where('kb > 1'),
)
is<
  ColumnsOf<typeof byBatch>,
  { readonly ts: 'TIMESTAMPTZ NOT NULL'; readonly kb: 'DOUBLE'; readonly label: 'VARCHAR' }
>(true)
requests.pipe(
  mapBatches(batch => batch, hits),
  select('tags'),
)

// ---- Types that can be declared. ----------------------------------------------------------------------------------
is<ColType extends string ? true : false, true>(true)
columns({ a: 'VARCHAR[] NOT NULL', b: 'DECIMAL(38,0)', c: 'UUID NOT NULL', d: 'TIMESTAMP[]', e: 'DECIMAL(18,2)[]' })

// ---- CSV, and a field of a struct by its path. ------------------------------------------------------------------
const places = source('places', {
  objects: 'data/places',
  format: csv({ header: false, delimiter: ';', nullText: 'NULL' }),
  columns: { at: 'TIMESTAMP', 'place.name': 'VARCHAR' },
  time: 'at',
})
const named = places.pipe(where(`"place.name" = 'a'`), select('at', 'place.name'))
is<keyof ColumnsOf<typeof named>, 'at' | 'place.name'>(true)

// ---- sql ----------------------------------------------------------------------------------------------------------
const halves = requests.pipe(
  sql('SELECT ts, host, bytes / 2 AS half FROM _in WHERE status < 500', {
    ts: 'TIMESTAMPTZ NOT NULL',
    host: 'VARCHAR',
    half: 'DOUBLE',
  }),
)
is<ColumnsOf<typeof halves>, { ts: 'TIMESTAMPTZ NOT NULL'; host: 'VARCHAR'; half: 'DOUBLE' }>(true)
is<TimeOf<typeof halves>, 'TIMESTAMPTZ NOT NULL'>(true)
halves.pipe(where('half > 3'), tumbling('1 hour'), groupBy('host'), aggregate({ most: max('half') }))
// Without columns any of them may be named, whatever its type is.
const unchecked = requests.pipe(sql('SELECT *, bytes / 2 AS half FROM _in'))
is<TimeOf<typeof unchecked>, 'TIMESTAMPTZ NOT NULL'>(true)
unchecked.pipe(
  where('half > 3 and any_other = 1'),
  derive({ quarter: ['DOUBLE', 'half / 2'] }),
  select('half', 'quarter', 'ts'),
  rename({ half: 'part' }),
  dedupe('part', '1 day'),
  tumbling('1 hour'),
  groupBy('part'),
  aggregate({ total: sum('quarter'), near: quantile('part', 0.5) }),
  to(files('out', { format: 'json' })),
)
unchecked.pipe(sql('SELECT half FROM _in', { half: 'DOUBLE' }), select('half'))
unchecked.pipe(
  mapRows(({ half }) => ({ twice: Number(half) * 4 }), { twice: 'DOUBLE' }),
  select('twice'),
)
unchecked.pipe(unnest('tags'))
unchecked.pipe(
  rows(),
  map(({ half }) => String(half)),
)
union(unchecked, requests).pipe(tumbling('1 hour'), groupBy('host'), aggregate({ n: count() }))
requests.pipe(join(unchecked, { on: ['host'], within: ['0s', '1 hour'], kind: 'semi' }))
sql('SELECT 1 AS a FROM _in')

// ---- union --------------------------------------------------------------------------------------------------------
const few = requests.pipe(select('ts', 'host'), derive({ bytes: ['DOUBLE', '1'], extra: ['DATE', 'NULL'] }))
const both = union(requests, few, { sourceColumn: 'from' })
is<ColumnsOf<typeof both>['bytes'], 'DOUBLE'>(true)
is<ColumnsOf<typeof both>['ts'], 'TIMESTAMPTZ NOT NULL'>(true)
is<ColumnsOf<typeof both>['extra'], 'DATE'>(true)
is<ColumnsOf<typeof both>['from'], 'VARCHAR NOT NULL'>(true)
union(requests, few, requests).pipe(tumbling('1 hour'), groupBy('extra'), aggregate({ n: count() }))

// ---- join ---------------------------------------------------------------------------------------------------------
const codes = requests.pipe(
  derive({ code: ['INTEGER NOT NULL', '1'], site: ['VARCHAR', 'host'] }),
  select('site', 'code'),
)
const joined = requests.pipe(join(codes, { on: { host: 'site' }, within: ['-10 minutes', '2 hours'], kind: 'left' }))
is<ColumnsOf<typeof joined>['code'], 'INTEGER'>(true)
is<ColumnsOf<typeof joined>['ts'], 'TIMESTAMPTZ NOT NULL'>(true)
is<'site' extends keyof ColumnsOf<typeof joined> ? true : false, false>(true)
const right = requests.pipe(join(codes, { on: { host: 'site' }, within: ['0s', '0s'], kind: 'right' }))
is<ColumnsOf<typeof right>['code'], 'INTEGER NOT NULL'>(true)
is<ColumnsOf<typeof right>['ts'], 'TIMESTAMPTZ'>(true)
requests.pipe(
  join(codes, { on: { host: 'site' }, within: ['0s', '1 hour'] }),
  tumbling('1 hour'),
  groupBy('host'),
  aggregate({ most: max('code') }),
)
const owners = lookup('hosts', {
  objects: 'ref/hosts.csv',
  format: csv(),
  columns: { name: 'VARCHAR NOT NULL', owner: 'VARCHAR NOT NULL', since: 'DATE FROM from_day' },
  key: ['name'],
})
const owned = requests.pipe(join(owners, { on: { host: 'name' }, kind: 'left' }))
is<ColumnsOf<typeof owned>['owner'], 'VARCHAR'>(true)
is<ColumnsOf<typeof owned>['ts'], 'TIMESTAMPTZ NOT NULL'>(true)
is<'name' extends keyof ColumnsOf<typeof owned> ? true : false, false>(true)
const known = requests.pipe(join(owners, { on: { host: 'name' } }), tumbling('1 hour'), groupBy('owner'))
known.pipe(aggregate({ n: count(), first: min('since') }))
requests.pipe(join(requests, { on: ['host'], within: ['0s', '1 hour'], kind: 'anti' }), select('bytes'))
const inHours = codes.pipe(tumbling('1 hour'))
const inWindow = requests.pipe(tumbling('1 hour'), join(inHours, { on: { host: 'site' }, window: true, kind: 'left' }))
is<ColumnsOf<typeof inWindow>['window_end'], 'TIMESTAMPTZ NOT NULL'>(true)
is<ColumnsOf<typeof inWindow>['code'], 'INTEGER'>(true)
is<'site' extends keyof ColumnsOf<typeof inWindow> ? true : false, false>(true)
const lateInWindow = late(inWindow, 'right')
is<ColumnsOf<typeof lateInWindow>['late_window_end'], 'TIMESTAMPTZ'>(true)
is<ColumnsOf<typeof lateInWindow>['code'], 'INTEGER NOT NULL'>(true)
requests.pipe(
  tumbling('1 hour'),
  join(inHours, { on: { host: 'site' }, window: true, kind: 'semi' }),
  topN(3, { by: [['bytes', 'desc']] }),
  where('window_end IS NOT NULL AND rank = 1'),
)

// ---- What was set aside -------------------------------------------------------------------------------------------
const lateRequests = late(
  requests.pipe(select('host', 'bytes'), tumbling('5m'), groupBy('host'), aggregate({ n: count() })),
)
is<
  ColumnsOf<typeof lateRequests>,
  {
    host: 'VARCHAR'
    bytes: 'BIGINT NOT NULL'
    late_window_start: 'TIMESTAMPTZ'
    late_window_end: 'TIMESTAMPTZ'
    late_watermark: 'TIMESTAMPTZ NOT NULL'
    late_object: 'VARCHAR'
    late_row: 'BIGINT'
  }
>(true)
is<TimeOf<typeof lateRequests>, NoTime>(true)
const lateDay = late(
  source('days', { objects: 'd', format: json(), columns: { day: 'DATE', host: 'VARCHAR' }, time: 'day' }).pipe(
    tumbling('1 day'),
    aggregate({ n: count() }),
  ),
)
is<ColumnsOf<typeof lateDay>['late_window_end'], 'DATE'>(true)
is<ColumnsOf<typeof lateDay>['late_watermark'], 'TIMESTAMP NOT NULL'>(true)
const lateLeft = late(joined, 'left')
is<ColumnsOf<typeof lateLeft>['ts'], 'TIMESTAMPTZ NOT NULL'>(true)
const lateRight = late(joined, 'right')
is<keyof ColumnsOf<typeof lateRight>, 'site' | 'code' | 'late_watermark' | 'late_object' | 'late_row'>(true)
const lateOnes = late(requests.pipe(dedupe('host', '1 day'))).pipe(where("host = 'a'"), select('host', 'late_object'))
is<keyof ColumnsOf<typeof lateOnes>, 'host' | 'late_object'>(true)
union(
  lateRequests.pipe(select('host', 'late_watermark')),
  late(requests.pipe(deltas({ of: ['bytes'], expireAfter: '1d' }))).pipe(select('host', 'late_watermark')),
)
const bad = union(quarantine(requests), quarantine(timeless))
is<ColumnsOf<typeof bad>['row_number'], 'BIGINT'>(true)
pipeline('aside', { checkpoint: 'data' }, bad.pipe(where("column_name = 'host'"), to(files('bad', { format: 'json' }))))
