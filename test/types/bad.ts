import {
  aggregate,
  approxDistinct,
  argMax,
  batches,
  calendar,
  collect,
  columns,
  count,
  csv,
  cumulative,
  dedupe,
  delta,
  deltas,
  derive,
  exactQuantile,
  files,
  filterRows,
  global,
  groupBy,
  hopping,
  join,
  late,
  json,
  lookup,
  mapBatches,
  mapRows,
  max,
  min,
  parquet,
  pipeline,
  postgres,
  quantile,
  quarantine,
  rename,
  rows,
  run,
  select,
  session,
  source,
  sql,
  sum,
  to,
  topK,
  topN,
  tumbling,
  union,
  unnest,
  variance,
  where,
} from 'millrace'
import { makeVector, Table } from 'apache-arrow'
import { filter, map } from 'rxjs'

// One mistake after each directive. The words after the colon stand in the compiler's message: `types.test.ts`
// takes the directives away and looks.

const hits = columns({
  ts: 'TIMESTAMPTZ NOT NULL',
  host: 'VARCHAR',
  status: 'INTEGER',
  bytes: 'BIGINT',
  total_amount: 'DECIMAL(18,2)',
  tags: 'VARCHAR[]',
})
const requests = source('hits', { objects: 'data/hits', format: parquet(), columns: hits, time: 'ts' })

// ---- source, columns, pipeline ------------------------------------------------------------------------------------
// @ts-expect-error no such SQL type: "TIMESTAMPZ"
columns({ ts: 'TIMESTAMPZ' })
// @ts-expect-error a type that loses digits: "HUGEINT"
columns({ n: 'HUGEINT' })
// @ts-expect-error time must be a time column: Type '"host"' is not assignable to type '"ts"'
source('hits', { objects: 'data/hits', format: parquet(), columns: hits, time: 'host' })
// @ts-expect-error a format is a call: Type 'string' is not assignable to type 'FormatSpec'
source('hits', { objects: 'data/hits', format: 'parquet', columns: hits, time: 'ts' })
// @ts-expect-error an option of csv() has one type: Type 'number' is not assignable to type 'string'
csv({ delimiter: 5 })
// @ts-expect-error no such option of csv(): 'separator' does not exist
csv({ separator: ';' })
// @ts-expect-error no such policy: '"drop"'
source('hits', { objects: 'data/hits', format: json(), columns: hits, time: 'ts', onBadRow: 'drop' })
// @ts-expect-error no such option: 'notification' does not exist
source('hits', { objects: 'data/hits', format: json(), columns: hits, time: 'ts', notification: {} })
// @ts-expect-error notifications are made by a call: required in type 'NotificationSpec'
source('hits', { objects: 'data/hits', format: json(), columns: hits, time: 'ts', notifications: {} })
// @ts-expect-error a delay is a duration: '"a day"'
source('hits', { objects: 'data/hits', format: json(), columns: hits, time: 'ts', watermark: { delay: 'a day' } })
// @ts-expect-error a pipeline has a checkpoint: Property 'checkpoint' is missing
pipeline('hits', {}, requests)
// @ts-expect-error run takes a pipeline, not a flow: not assignable to parameter of type 'Pipeline'
run(requests)

// ---- A source without event time ------------------------------------------------------------------------------------
const timeless = source('hits', { objects: 'data/hits', format: json(), columns: hits })
// @ts-expect-error a window needs an event time: name its column in source(...), such as time: 'at'
timeless.pipe(tumbling('1h'))
// @ts-expect-error whatever is between: name its column in source(...), such as time: 'at'
timeless.pipe(where('bytes > 1'), hopping('1h', '5m'))
// @ts-expect-error a window that grows needs one: name its column in source(...), such as time: 'at'
timeless.pipe(cumulative('1d', '1h'))
// @ts-expect-error a calendar needs one: name its column in source(...), such as time: 'at'
timeless.pipe(calendar('day'))
// @ts-expect-error a session needs one: name its column in source(...), such as time: 'at'
timeless.pipe(session('5m'))
// @ts-expect-error what keeps state has a clock: name its column in source(...), such as time: 'at'
timeless.pipe(global({ unbounded: true }))
// @ts-expect-error dedupe has a horizon in event time: name its column in source(...), such as time: 'at'
timeless.pipe(dedupe('host', '1d'))
// @ts-expect-error deltas go by event time: name its column in source(...), such as time: 'at'
timeless.pipe(deltas({ of: ['bytes'], expireAfter: '1d' }))
// @ts-expect-error late rows are those of windows, which go by an event time: name its column in `time`
source('hits', { objects: 'data/hits', format: json(), columns: hits, late: { retention: '30 days' } })
// @ts-expect-error a retention is a duration: '"a month"'
source('hits', { objects: 'data/hits', format: json(), columns: hits, time: 'ts', late: { retention: 'a month' } })
// @ts-expect-error a watermark goes by an event time: name its column in `time`
source('hits', { objects: 'data/hits', format: json(), columns: hits, watermark: { delay: '1d' } })

// ---- A query in the place of steps --------------------------------------------------------------------------------
const halves = requests.pipe(
  sql('SELECT ts, bytes / 2 AS half FROM _in', { ts: 'TIMESTAMPTZ NOT NULL', half: 'DOUBLE' }),
)
// @ts-expect-error a column that the query was not said to give: no column "bytes"
halves.pipe(where('bytes > 3'))
// @ts-expect-error no such SQL type of a column: "REAL"
requests.pipe(sql('SELECT bytes / 2 AS half FROM _in', { half: 'REAL' }))
// @ts-expect-error a query over the rows of a window: add aggregate({...}) before this
requests.pipe(tumbling('5m'), sql('SELECT ts FROM _in'))
// @ts-expect-error the same with columns: add aggregate({...}) before this
requests.pipe(tumbling('5m'), groupBy('host'), sql('SELECT ts FROM _in', { ts: 'TIMESTAMPTZ NOT NULL' }))
// @ts-expect-error a query is text: not assignable to parameter of type 'string'
requests.pipe(sql(7))
// @ts-expect-error unknown columns have no event time either: name its column in source(...), such as time: 'at'
timeless.pipe(sql('SELECT * FROM _in'), tumbling('5m'))

// ---- Names in SQL -------------------------------------------------------------------------------------------------
// @ts-expect-error misspelt column: no column "totl_amount"
requests.pipe(where('totl_amount > 0'))
// @ts-expect-error misspelt column, deep inside: no column "statsu"
requests.pipe(where("host like 'a%' and (bytes > 5 or coalesce(statsu, 0) >= 500)"))
// @ts-expect-error misspelt column at the end: no column "hots"
requests.pipe(where('host = hots'))
// @ts-expect-error misspelt column in quotes: no column "Bytez"
requests.pipe(where('"Bytez" > 5'))
// @ts-expect-error misspelt column in derive: no column "byts"
requests.pipe(derive({ kb: ['DOUBLE', 'byts / 1024'] }))
// @ts-expect-error expressions of one derive do not see each other: no column "kb"
requests.pipe(derive({ kb: ['DOUBLE', 'bytes / 1024'], mb: ['DOUBLE', 'kb / 1024'] }))
// @ts-expect-error no such SQL type in derive: "REAL"
requests.pipe(derive({ kb: ['REAL', 'bytes / 1024'] }))
// @ts-expect-error an expression without its type: not assignable
requests.pipe(derive({ kb: 'bytes / 1024' }))
// @ts-expect-error a predicate is text: Argument of type 'number'
requests.pipe(where(5))

// ---- Names of columns ---------------------------------------------------------------------------------------------
// @ts-expect-error unknown column in select: '"hots"' is not assignable to parameter of type '"
requests.pipe(select('hots'))
// @ts-expect-error a key of a table that is no column: Property 'hots' is missing in type
requests.pipe(to(postgres({ url: 'postgres://h/d', table: 't', key: ['hots'] })))
// @ts-expect-error a partition that is no column: Property 'hots' is missing in type
requests.pipe(to(delta('out', { partitionBy: ['hots'] })))
// @ts-expect-error unknown group key: '"hots"' is not assignable to parameter of type '"
requests.pipe(tumbling('5m'), groupBy('hots'))
// @ts-expect-error sum of a VARCHAR: Type '"host"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: sum('host') }))
// @ts-expect-error sum of an unknown column: Type '"byte"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: sum('byte') }))
// @ts-expect-error max of an unknown column: Type '"byte"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: max('byte') }))
// @ts-expect-error min of nothing: but got 0
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: min() }))
// @ts-expect-error argMax by an unknown column: Type '"byte"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: argMax('host', 'byte') }))
// @ts-expect-error a quantile of text: Type '"host"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: exactQuantile('host', 0.5) }))
// @ts-expect-error a quantile without its share: but got 1
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: exactQuantile('bytes') }))
// @ts-expect-error the variance of text: Type '"host"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: variance('host') }))
// @ts-expect-error a quantile of times: Type '"ts"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: quantile('ts', 0.5) }))
// @ts-expect-error distinct lists are not estimated: Type '"tags"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: approxDistinct('tags') }))
// @ts-expect-error what is collected has a bound: Property 'max' is missing
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: collect('bytes', {}) }))
// @ts-expect-error collected by an unknown column: Type '"byte"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: collect('bytes', { max: 5, by: 'byte' }) }))
// @ts-expect-error the most frequent lists: Type '"tags"' is not assignable to type
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: topK('tags', 3) }))
// @ts-expect-error no column is declared so: "STRUCT(value BIGINT, count BIGINT)[]"
columns({ n: 'STRUCT(value BIGINT, count BIGINT)[]' })
// @ts-expect-error an aggregate is a call: not assignable
requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: 'count' }))

// ---- Order of steps -----------------------------------------------------------------------------------------------
// @ts-expect-error not a duration: '"5 parsecs"'
requests.pipe(tumbling('5 parsecs'))
// @ts-expect-error not a duration: '"hourly"'
requests.pipe(hopping('1 hour', 'hourly'))
// @ts-expect-error not a duration: '"a bit"'
requests.pipe(cumulative('1 day', 'a bit'))
// @ts-expect-error not a period: '"fortnight"'
requests.pipe(calendar('fortnight'))
// @ts-expect-error not a day: '"freitag"'
requests.pipe(calendar('week', { weekStartsOn: 'freitag' }))
// @ts-expect-error the state is unbounded, which must be said: Expected 1 arguments
requests.pipe(global())
// @ts-expect-error neither the first nor the last: '"newest"'
requests.pipe(dedupe('host', '1 day', { keep: 'newest' }))
// @ts-expect-error a difference of text: '"host"'
requests.pipe(deltas({ of: ['host'], expireAfter: '1 day' }))
// @ts-expect-error deltas of a window that is not aggregated: add aggregate({...}) before this
requests.pipe(tumbling('5m'), deltas({ of: ['bytes'], expireAfter: '1 day' }))
// @ts-expect-error no such column: '"m"'
requests.pipe(tumbling('5m'), aggregate({ n: count() }), topN(3, { by: [['m', 'desc']] }))
// @ts-expect-error no direction: '"down"'
requests.pipe(tumbling('5m'), aggregate({ n: count() }), topN(3, { by: [['n', 'down']] }))
// @ts-expect-error the first rows of a window that is not aggregated: add aggregate({...}) before this
requests.pipe(tumbling('5m'), topN(3, { by: ['bytes'] }))
// @ts-expect-error not a gap: '"a while"'
requests.pipe(session('a while'))
// @ts-expect-error a session after a window that is not aggregated: add aggregate({...}) before this
requests.pipe(tumbling('5m'), session('5m'))
// @ts-expect-error groupBy before the window: add a window such as tumbling(...) before this: rows are aggregated in windows
requests.pipe(groupBy('host'))
// @ts-expect-error a forgotten window: add a window such as tumbling(...) before this: rows are aggregated in windows
requests.pipe(groupBy('host'), aggregate({ n: count() }))
// @ts-expect-error a forgotten window without keys: add a window such as tumbling(...) before this
requests.pipe(groupBy(), aggregate({ n: count() }))
// @ts-expect-error neither window nor groupBy: add a window such as tumbling(...) before this
requests.pipe(where('bytes > 1'), aggregate({ n: count() }), where('n > 1'))
// @ts-expect-error keys in two groupBy: name all keys in one groupBy(...)
requests.pipe(tumbling('5m'), groupBy('host'), groupBy('status'), aggregate({ n: count() }))
// @ts-expect-error where between window and groupBy: add aggregate({...}) before this: it makes rows of windows
requests.pipe(tumbling('5m'), where('bytes > 1'), groupBy('host'))
// @ts-expect-error derive between groupBy and aggregate: add aggregate({...}) before this
requests.pipe(tumbling('5m'), groupBy('host'), derive({ kb: ['DOUBLE', 'bytes / 1024'] }))
// @ts-expect-error select between window and groupBy: add aggregate({...}) before this
requests.pipe(tumbling('5m'), select('host'))
// @ts-expect-error a window in a window: add aggregate({...}) before this
requests.pipe(tumbling('5m'), hopping('1h', '5m'))
// @ts-expect-error a window has no rows to write: add aggregate({...}) before this
requests.pipe(tumbling('5m'), to(files('data/out', { format: 'parquet' })))
// @ts-expect-error a window has no rows to write, in groups: add aggregate({...}) before this
requests.pipe(tumbling('5m'), groupBy('host'), to(files('data/out', { format: 'parquet' })))
// @ts-expect-error a window has no rows to hand over: not assignable to parameter of type
requests.pipe(tumbling('5m'), rows())
// @ts-expect-error nothing described follows a sink: nothing of millrace can follow to(...) or rows()
requests.pipe(to(files('data/out', { format: 'parquet' })), where('bytes > 1'))
// @ts-expect-error a percentage for a share: a quantile is a share from 0 to 1
requests.pipe(tumbling('5m'), aggregate({ p95: quantile('bytes', 95) }))
// @ts-expect-error a negative share: a quantile is a share from 0 to 1
requests.pipe(tumbling('5m'), aggregate({ low: exactQuantile('bytes', -0.5) }))
// @ts-expect-error a flow without an end: this flow ends nowhere: add to(files(...)) or rows() at its end
pipeline('hits', { checkpoint: 'data/checkpoint' }, requests)
// @ts-expect-error a second flow without an end: this flow ends nowhere: add to(files(...)) or rows() at its end
pipeline('hits', { checkpoint: 'data/checkpoint' }, requests.pipe(rows()), requests.pipe(where('bytes > 1')))
// @ts-expect-error a flow that ends in a window: this flow ends nowhere: add to(files(...)) or rows() at its end
pipeline('hits', { checkpoint: 'data/checkpoint' }, requests.pipe(tumbling('5m')))
// @ts-expect-error a sink is files(...): Argument of type 'string'
requests.pipe(to('data/out'))
// @ts-expect-error no such output format: '"xml"'
files('data/out', { format: 'xml' })

// ---- After an aggregate -------------------------------------------------------------------------------------------
const out = requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: count() }))
// @ts-expect-error bytes is gone: no column "bytes"
out.pipe(where('bytes > 1'))
const outRows = out.pipe(rows())
// @ts-expect-error no such field in rows: Property 'hots' does not exist
outRows.pipe(map(row => row.hots))
// @ts-expect-error a BIGINT is a bigint: Argument of type 'bigint'
outRows.pipe(map(row => Math.abs(row.n)))
// @ts-expect-error a VARCHAR may be NULL: 'row.host' is possibly 'null'
outRows.pipe(map(row => row.host.length))

// @ts-expect-error final rows have no _op: Property '_op' does not exist
outRows.pipe(map(row => row._op))
// @ts-expect-error an unknown word for emit: Type '"updates"' is not assignable
out.pipe(to(files('out', { format: 'json' }), { emit: 'updates' }))

const outBatches = out.pipe(batches())
// @ts-expect-error no such field in the rows of an epoch: Property 'hots' does not exist
outBatches.pipe(map(({ rows: all }) => all.map(row => row.hots)))
// @ts-expect-error the rows of an epoch are only read: Property 'push' does not exist
outBatches.pipe(map(({ rows: all }) => all.push()))
// @ts-expect-error an epoch is a number: This comparison appears to be unintentional
outBatches.pipe(filter(({ epoch }) => epoch === 1n))
// @ts-expect-error windows have no rows: not assignable
requests.pipe(tumbling('5m'), batches())

// ---- Declarations -------------------------------------------------------------------------------------------------
const place = { objects: 'data', format: parquet() } as const
// @ts-expect-error no such type before DEFAULT: "STRING DEFAULT 'x'"
source('a', { ...place, columns: { at: 'TIMESTAMP', a: "STRING DEFAULT 'x'" }, time: 'at' })
// @ts-expect-error no such clause: "DOUBLE DEFALT 0"
source('a', { ...place, columns: { at: 'TIMESTAMP', a: 'DOUBLE DEFALT 0' }, time: 'at' })
// @ts-expect-error the time is a time: not assignable
source('a', { ...place, columns: { at: 'TIMESTAMP', a: 'DOUBLE DEFAULT 0' }, time: 'a' })
const short = source('a', { ...place, columns: { at: 'TIMESTAMP', fee: 'DOUBLE DEFAULT 0 FROM tip' }, time: 'at' })
// @ts-expect-error the object's name is none here: no column "tip"
short.pipe(where('tip > 0'))
// @ts-expect-error what a function gives has no default: not assignable
requests.pipe(mapRows(() => ({ n: 5 }), { n: 'INTEGER DEFAULT 5' }))

// @ts-expect-error no list to unnest: Argument of type '"host"' is not assignable to parameter of type '"tags"'
requests.pipe(unnest('host'))
// @ts-expect-error the list is gone: no column "tags"
requests.pipe(unnest('tags', { as: 'tag' }), where("tags = 'a'"))
// @ts-expect-error no such option: 'outter' does not exist
requests.pipe(unnest('tags', { outter: true }))
// @ts-expect-error a field has a type: '"TEXT"'
requests.pipe(derive({ items: ['JSON', 'host'] }), unnest('items', { columns: { sku: 'TEXT' } }))
// @ts-expect-error between window and groupBy: add aggregate({...}) before this
requests.pipe(tumbling('5m'), unnest('tags'))

// @ts-expect-error no such column to rename: no column "hots"
requests.pipe(rename({ hots: 'a' }))
// @ts-expect-error the name is taken: there is a column "host" already
requests.pipe(rename({ bytes: 'host' }))
// @ts-expect-error the old name is gone: no column "bytes"
requests.pipe(rename({ bytes: 'b' }), where('bytes > 1'))
// @ts-expect-error between window and groupBy: add aggregate({...}) before this
requests.pipe(tumbling('5m'), rename({ bytes: 'b' }))

// ---- Functions ----------------------------------------------------------------------------------------------------
// @ts-expect-error unknown column of a row: Property 'hots' does not exist
requests.pipe(filterRows(row => row.hots === 'a'))
// @ts-expect-error a row may hold NULL: possibly 'null'
requests.pipe(filterRows(row => row.status >= 500))
// @ts-expect-error a filter answers with a boolean: not assignable
requests.pipe(filterRows(row => row.status))
// @ts-expect-error a function answers at once: not assignable
requests.pipe(filterRows(async () => true))
// @ts-expect-error DECIMAL is text: not assignable
requests.pipe(mapRows(row => ({ x: Number(row.total_amount) }), { x: 'DECIMAL(18,2)' }))
// @ts-expect-error BIGINT is a bigint: not assignable
requests.pipe(mapRows(() => ({ n: 5 }), { n: 'BIGINT' }))
// @ts-expect-error NULL under NOT NULL: not assignable
requests.pipe(mapRows(({ bytes }) => ({ bytes }), { bytes: 'BIGINT NOT NULL' }))
// @ts-expect-error an output column is missing: not assignable
requests.pipe(mapRows(({ ts }) => ({ ts }), { ts: 'TIMESTAMPTZ NOT NULL', host: 'VARCHAR' }))
// @ts-expect-error no such SQL type: "STRING"
requests.pipe(mapRows(({ host }) => ({ host }), { host: 'STRING' }))
// @ts-expect-error columns must be declared: Expected 2-3 arguments
requests.pipe(mapRows(row => row))
// @ts-expect-error no such option: 'name' does not exist
requests.pipe(filterRows(() => true, { name: 'x' }))
const yes = () => true
const fewer = requests.pipe(mapRows(({ ts }) => ({ ts }), { ts: 'TIMESTAMPTZ NOT NULL' }))
// @ts-expect-error what a function does not give is gone: no column "bytes"
fewer.pipe(where('bytes > 5'))
// @ts-expect-error between window and groupBy: add aggregate({...}) before this
requests.pipe(tumbling('5m'), filterRows(yes))
// @ts-expect-error unknown column of a batch: '"hots"' is not assignable
requests.pipe(mapBatches(batch => batch.select(['host', 'hots']), { host: 'VARCHAR' }))
// @ts-expect-error another Arrow type than the column's: column "n" of the returned batch has not the Arrow type of BIGINT
requests.pipe(mapBatches(() => new Table({ n: makeVector(new Float64Array(1)) }), { n: 'BIGINT' }))
// @ts-expect-error a column of the batch is missing: the returned batch has no column "bytes"
requests.pipe(mapBatches(batch => batch.select(['host']), { host: 'VARCHAR', bytes: 'BIGINT' }))

// ---- union ----------------------------------------------------------------------------------------------------------
const dated = source('dated', { objects: 'd', format: json(), columns: { ts: 'DATE', host: 'VARCHAR' }, time: 'ts' })
const coded = requests.pipe(select('ts', 'status'), derive({ host: ['BIGINT', 'status'] }))
// @ts-expect-error two types of one column: column "host" is VARCHAR in the first input and BIGINT here
union(requests, coded)
// @ts-expect-error two types of the event time: the event times of the inputs must be of one type
union(requests, dated)
// @ts-expect-error a window is open: not assignable
union(requests, requests.pipe(tumbling('5m')))
// @ts-expect-error a column that none has: no column "hots"
union(requests, requests.pipe(select('ts'))).pipe(where('hots = 1'))
// @ts-expect-error no such option: 'sourceColum' does not exist
union(requests, requests, { sourceColum: 'x' })

// ---- join -----------------------------------------------------------------------------------------------------------
const others = requests.pipe(select('host', 'status'), rename({ status: 'code' }))
// @ts-expect-error a join has bounds: Property 'within' is missing
requests.pipe(join(others, { on: ['host'] }))
// @ts-expect-error a column that is not there: on: no column "hots"
requests.pipe(join(others, { on: { hots: 'host' }, within: ['0s', '1 hour'] }))
// @ts-expect-error a column that the other side lacks: on: the other side has no column "bytes"
requests.pipe(join(others, { on: ['bytes'], within: ['0s', '1 hour'] }))
// @ts-expect-error a column on both sides: column "status" is on both sides: rename one of them
requests.pipe(join(requests.pipe(select('host', 'status')), { on: ['host'], within: ['0s', '1 hour'] }))
// @ts-expect-error two types of the event time: the event times of both sides must be of one type
requests.pipe(join(dated.pipe(select('host')), { on: ['host'], within: ['0s', '1 hour'] }))
// @ts-expect-error the other side has no event time: join goes by the event times of both sides
requests.pipe(join(timeless.pipe(select('host')), { on: ['host'], within: ['0s', '1 hour'] }))
// @ts-expect-error no event time: join goes by the event times of both sides
timeless.pipe(join(others, { on: ['host'], within: ['0s', '1h'] }))
// @ts-expect-error a bound is a duration: Type '"later"' is not assignable
requests.pipe(join(others, { on: ['host'], within: ['0s', 'later'] }))
// @ts-expect-error no such kind: "outer"
requests.pipe(join(others, { on: ['host'], within: ['0s', '1 hour'], kind: 'outer' }))
// @ts-expect-error no window on this side: put the same one, such as tumbling('1 hour'), at the end of both sides
requests.pipe(join(others.pipe(tumbling('1 hour')), { on: ['host'], window: true }))
// @ts-expect-error no window on the other side: not assignable
requests.pipe(tumbling('1 hour'), join(others, { on: ['host'], window: true }))
// @ts-expect-error a column that the other side lacks: on: the other side has no column "bytes"
requests.pipe(tumbling('1 hour'), join(others.pipe(tumbling('1 hour')), { on: ['bytes'], window: true }))
const perHour = others.pipe(tumbling('1 hour'))
// @ts-expect-error bounds and a window: 'within' does not exist
requests.pipe(tumbling('1 hour'), join(perHour, { on: ['host'], window: true, within: ['0s', '0s'] }))
const hosts = lookup('hosts', {
  objects: 'ref/hosts.csv',
  format: csv(),
  columns: { name: 'VARCHAR NOT NULL', owner: 'VARCHAR', status: 'INTEGER' },
  key: ['name'],
})
const owners = lookup('owners', {
  objects: 'ref/owners.csv',
  format: csv(),
  columns: { name: 'VARCHAR NOT NULL', owner: 'VARCHAR' },
  key: ['name'],
})
// @ts-expect-error a column that is not there: on: no column "hots"
requests.pipe(join(owners, { on: { hots: 'name' } }))
// @ts-expect-error a column that is not of the key: on: "owner" is not part of the lookup's key
requests.pipe(join(owners, { on: { host: 'owner' } }))
// @ts-expect-error a column on both sides: column "status" is on both sides: rename one of them
requests.pipe(join(hosts, { on: { host: 'name' } }))
// @ts-expect-error a kind that a lookup has not: "full"
requests.pipe(join(owners, { on: { host: 'name' }, kind: 'full' }))
// @ts-expect-error a lookup waits for nothing: 'within' does not exist
requests.pipe(join(owners, { on: { host: 'name' }, within: ['0s', '1 hour'] }))
// @ts-expect-error a key may not be NULL: '"owner"' is not assignable to type '"name"'
lookup('x', { objects: 'x', format: csv(), columns: { name: 'VARCHAR NOT NULL', owner: 'VARCHAR' }, key: ['owner'] })
// @ts-expect-error a column of the other side alone: no column "code"
requests.pipe(join(others, { on: ['host'], within: ['0s', '1 hour'], kind: 'semi' }), where('code = 1'))

// ---- What was set aside ---------------------------------------------------------------------------------------------
const counted = requests.pipe(tumbling('5m'), groupBy('host'), aggregate({ n: count() }))
// @ts-expect-error late rows of a source: rows are late for a step that keeps state
late(requests)
// @ts-expect-error late rows of a flow that goes on: rows are late for a step that keeps state
late(counted.pipe(derive({ twice: ['BIGINT', 'n * 2'] })))
// @ts-expect-error late rows of a flow that drops some: rows are late for a step that keeps state
late(counted.pipe(where('n > 1')))
// @ts-expect-error late rows of a flow that drops some by a function: rows are late for a step that keeps state
late(counted.pipe(filterRows(({ n }) => n > 1n)))
// @ts-expect-error late rows of all rows together: no row is late for global(...)
late(requests.pipe(global({ unbounded: true }), aggregate({ n: count() })))
// @ts-expect-error which side of a join: Expected 2 arguments
late(requests.pipe(join(others, { on: ['host'], within: ['0s', '1 hour'] })))
// @ts-expect-error no side of one input: Expected 1 arguments
late(counted, 'left')
// @ts-expect-error a column of the results: no column "n"
late(counted).pipe(where('n > 1'))
// @ts-expect-error a window of late rows: name its column in source(...)
late(counted).pipe(tumbling('5m'))
// @ts-expect-error state of bad rows: name its column in source(...)
quarantine(requests).pipe(dedupe('object', '1d'))
// @ts-expect-error late rows beside others: the event times of the inputs must be of one type
union(requests, late(counted))
