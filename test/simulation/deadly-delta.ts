/**
 * A backfill into two tables of Delta Lake, in a process of its own that ends by SIGKILL. Arguments: input, checkpoint, the
 * folder of the tables, the number of the call to their stores at which it dies (0: never), and when: `before` it, `after`
 * it, or `during` it. Prints how many calls there were, where it does not die.
 */
import { deltaKind } from '../../connectors/delta/sink.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import {
  aggregate,
  count,
  delta,
  groupBy,
  parquet,
  pipeline,
  source,
  sum,
  to,
  tumbling,
  where,
} from '../../src/index.ts'

const [input = '', checkpoint = '', tables = '', killAt = '0', when] = process.argv.slice(2)
const die = () => process.kill(process.pid, 'SIGKILL')

let calls = 0
async function around<T>(call: () => Promise<T>): Promise<T> {
  const isLast = ++calls === Number(killAt)
  if (isLast && when === 'before') die()
  // The call is on its way, and nobody waits for the answer.
  if (isLast && when === 'during') setImmediate(die)
  const result = await call()
  if (isLast) die()
  return result
}

const deadlyStore = (store: ObjectStore): ObjectStore => ({
  ...store,
  get: (...args) => around(() => store.get(...args)),
  put: (...args) => around(() => store.put(...args)),
  delete: keys => around(() => store.delete(keys)),
})

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
  days.pipe(where('n % 2 = 0'), to(delta(`${tables}/plain`))),
  days.pipe(
    tumbling('1 day'),
    groupBy('k'),
    aggregate({ rows: count(), total: sum('n') }),
    where('total <> 0'),
    to(delta(`${tables}/latest`, { key: ['window_start', 'k'] }), { emit: 'update' }),
  ),
)

const open: typeof deltaKind.open = (sink, context) =>
  deltaKind.open(sink, { ...context, openStore: async address => deadlyStore(await context.openStore(address)) })

await backfillWith({ ...components, sinks: [{ ...deltaKind, open } as never] }, deadly, {
  objectsPerEpoch: 1,
  threads: 1,
  memory: '300MB',
  takeover: true,
})
console.log(calls)
