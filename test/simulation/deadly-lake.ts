/**
 * A backfill into tables of a lake, in a process of its own that ends by SIGKILL. Arguments: the sink, input, checkpoint,
 * the folder of the tables, the number of the call to their stores at which it dies (0: never), and when: `before` it,
 * `after` it, or `during` it. Prints how many calls there were, where it does not die.
 */
import { components } from '../../src/engine/components.ts'
import { delta, ducklake, iceberg, type Pipeline, pipeline, to } from '../../src/index.ts'
import type { SinkKind } from '../../src/plan/sink.ts'
import { deadlyCalls, flowsOver, latestKey as key, liveThrough } from './deadly-calls.ts'

const [kind = '', input = '', checkpoint = '', tables = '', killAt = '0', when] = process.argv.slice(2)
const calls = deadlyCalls(killAt, when)
const { plain, latest } = flowsOver(input)

const pipelines: Readonly<Record<string, () => Pipeline>> = {
  delta: () =>
    pipeline(
      'deadly',
      { checkpoint },
      plain.pipe(to(delta(`${tables}/plain`))),
      latest.pipe(to(delta(`${tables}/latest`, { key }), { emit: 'update' })),
    ),
  iceberg: () =>
    pipeline(
      'deadly',
      { checkpoint },
      plain.pipe(to(iceberg(`${tables}/plain`, { partitionBy: [{ day: 't' }] }))),
      latest.pipe(to(iceberg(`${tables}/latest`, { key }), { emit: 'update' })),
    ),
  ducklake: () =>
    pipeline(
      'deadly',
      { checkpoint },
      plain.pipe(to(ducklake(tables, { table: 'plain' }))),
      latest.pipe(to(ducklake(tables, { table: 'latest', key }), { emit: 'update' })),
    ),
}

const sinks = components.sinks.map((sink): SinkKind => {
  const open: SinkKind['open'] = (given, context) =>
    sink.open(given, { ...context, openStore: async address => calls.store(await context.openStore(address)) })
  return { ...sink, open }
})

await liveThrough({ ...components, sinks }, (pipelines[kind] as () => Pipeline)(), calls)
