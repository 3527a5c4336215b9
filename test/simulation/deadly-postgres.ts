/**
 * A backfill into two tables of PostgreSQL, in a process of its own that ends by SIGKILL. Arguments: input, checkpoint, address,
 * schema, the number of the call to the server at which it dies (0: never), and when: `before` it, `after` it, or
 * `during` it. Prints how many calls there were, where it does not die.
 */
import { openPostgres, postgresKind } from '../../connectors/postgres/sink.ts'
import { components } from '../../src/engine/components.ts'
import { pipeline, postgres, to } from '../../src/index.ts'
import { deadlyCalls, flowsOver, latestKey as key, liveThrough } from './deadly-calls.ts'

const [input = '', checkpoint = '', url, schema = '', killAt = '0', when] = process.argv.slice(2)
const calls = deadlyCalls(killAt, when)
const { plain, latest } = flowsOver(input)

const deadly = pipeline(
  'deadly',
  { checkpoint },
  plain.pipe(to(postgres({ url, schema, table: 'plain' }))),
  latest.pipe(to(postgres({ url, schema, table: 'latest', key }), { emit: 'update' })),
)

const sinks = [{ ...postgresKind, open: (sink: never, context: never) => openPostgres(sink, context, calls.around) }]
await liveThrough({ ...components, sinks }, deadly, calls)
