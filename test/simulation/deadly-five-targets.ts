/**
 * A backfill of a bucket into files, PostgreSQL, Delta Lake, a DuckLake and Iceberg at once, in a process of its own
 * that ends by SIGKILL. Arguments: the bucket's address, the folder of checkpoint and targets, address and schema of the
 * database, the number of the call to the checkpoint or to a target at which it dies (0: never), and when: `before` it,
 * `after` it, or `during` it. Prints how many calls there were, where it does not die.
 */
import { openPostgres } from '../../connectors/postgres/sink.ts'
import { components } from '../../src/engine/components.ts'
import {
  aggregate,
  count,
  delta,
  ducklake,
  files,
  groupBy,
  iceberg,
  parquet,
  pipeline,
  postgres,
  source,
  sum,
  to,
  tumbling,
} from '../../src/index.ts'
import { deadlyCalls, liveThrough } from './deadly-calls.ts'

const [bucket = '', place = '', url, schema = '', killAt = '0', when] = process.argv.slice(2)
const calls = deadlyCalls(killAt, when)

const trips = source('trips', {
  objects: bucket,
  format: parquet(),
  columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', fare: 'DECIMAL(18,2) NOT NULL' },
  time: 'at',
  watermark: { delay: '2 days' },
})
const daily = trips.pipe(tumbling('1 day'), groupBy('zone'), aggregate({ trips: count(), fares: sum('fare') }))

const deadly = pipeline(
  'five',
  { checkpoint: `${place}/checkpoint` },
  daily.pipe(to(files(`${place}/files`, { format: 'parquet' }))),
  daily.pipe(to(postgres({ url, schema, table: 'daily' }))),
  daily.pipe(to(delta(`${place}/delta/daily`))),
  daily.pipe(to(ducklake(`${place}/ducklake`, { table: 'daily' }))),
  daily.pipe(to(iceberg(`${place}/iceberg/daily`))),
)

await liveThrough(
  {
    ...components,
    // Of the checkpoint and of every folder that results go to.
    openWritable: async (address, field) => calls.store(await components.openWritable(address, field)),
    sinks: components.sinks.map(kind =>
      kind.kind === 'postgres'
        ? { ...kind, open: (sink: never, context: never) => openPostgres(sink, context, calls.around) }
        : kind,
    ),
  },
  deadly,
  calls,
)
