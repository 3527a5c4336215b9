/**
 * A backfill into two tables of PostgreSQL, in a process of its own that ends by SIGKILL. Arguments: input, checkpoint, address,
 * schema, the number of the call to the server at which it dies (0: never), and when: `before` it, `after` it, or
 * `during` it. Prints how many calls there were, where it does not die.
 */
import { openPostgres, postgresKind } from '../../connectors/postgres/sink.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import {
  aggregate,
  count,
  groupBy,
  parquet,
  pipeline,
  postgres,
  source,
  sum,
  to,
  tumbling,
  where,
} from '../../src/index.ts'

const [input = '', checkpoint = '', url, schema = '', killAt = '0', when] = process.argv.slice(2)
const die = () => process.kill(process.pid, 'SIGKILL')

let calls = 0
async function around<T>(call: () => Promise<T>): Promise<T> {
  const isLast = ++calls === Number(killAt)
  if (isLast && when === 'before') die()
  // The request is on its way, and nobody waits for the answer.
  if (isLast && when === 'during') setImmediate(die)
  const result = await call()
  if (isLast) die()
  return result
}

const days = source('days', {
  objects: input,
  format: parquet(),
  columns: { t: 'TIMESTAMP NOT NULL', k: 'BIGINT', n: 'BIGINT NOT NULL' },
  time: 't',
  watermark: { delay: '1 day' },
})
const deadly = pipeline(
  'deadly',
  { checkpoint },
  days.pipe(where('n % 2 = 0'), to(postgres({ url, schema, table: 'plain' }))),
  days.pipe(
    tumbling('1 day'),
    groupBy('k'),
    aggregate({ rows: count(), total: sum('n') }),
    where('total <> 0'),
    to(postgres({ url, schema, table: 'latest', key: ['window_start', 'k'] }), { emit: 'update' }),
  ),
)

await backfillWith(
  {
    ...components,
    sinks: [{ ...postgresKind, open: (sink, context) => openPostgres(sink as never, context, around) }],
  },
  deadly,
  { objectsPerEpoch: 1, threads: 1, memory: '300MB', takeover: true },
)
console.log(calls)
