/**
 * A backfill into tables of a lake, in a process of its own that ends by SIGKILL. Arguments: the sink, input, checkpoint,
 * the folder of the tables, the number of the call to their stores at which it dies (0: never), and when: `before` it,
 * `after` it, or `during` it. Prints how many calls there were, where it does not die.
 */
import type { ObjectStore } from '../../src/core/ports.ts'
import type { SinkKind } from '../../src/plan/sink.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { components } from '../../src/engine/components.ts'
import {
  aggregate,
  count,
  delta,
  ducklake,
  groupBy,
  iceberg,
  parquet,
  type Pipeline,
  pipeline,
  source,
  sum,
  to,
  tumbling,
  where,
} from '../../src/index.ts'

const [kind = '', input = '', checkpoint = '', tables = '', killAt = '0', when] = process.argv.slice(2)
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

const key = ['window_start', 'k'] as const
const plain = () => days.pipe(where('n % 2 = 0'))
const latest = () =>
  days.pipe(tumbling('1 day'), groupBy('k'), aggregate({ rows: count(), total: sum('n') }), where('total <> 0'))
const pipelines: Readonly<Record<string, () => Pipeline>> = {
  delta: () =>
    pipeline(
      'deadly',
      { checkpoint },
      plain().pipe(to(delta(`${tables}/plain`))),
      latest().pipe(to(delta(`${tables}/latest`, { key }), { emit: 'update' })),
    ),
  iceberg: () =>
    pipeline(
      'deadly',
      { checkpoint },
      plain().pipe(to(iceberg(`${tables}/plain`, { partitionBy: [{ day: 't' }] }))),
      latest().pipe(to(iceberg(`${tables}/latest`, { key }), { emit: 'update' })),
    ),
  ducklake: () => pipeline('deadly', { checkpoint }, plain().pipe(to(ducklake(tables, { table: 'plain' })))),
}
const deadly = (pipelines[kind] as () => Pipeline)()

const sinks = components.sinks.map((sink): SinkKind => {
  const open: SinkKind['open'] = (given, context) =>
    sink.open(given, { ...context, openStore: async address => deadlyStore(await context.openStore(address)) })
  return { ...sink, open }
})

await backfillWith({ ...components, sinks }, deadly, {
  objectsPerEpoch: 1,
  threads: 1,
  memory: '300MB',
  takeover: true,
})
console.log(calls)
