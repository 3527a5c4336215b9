import { configError } from '../src/core/errors.ts'
import { type ColumnsOf, type Done, type OfRows, operator, type Operator } from '../src/plan/batches.ts'
import type { Sink } from '../src/plan/sink.ts'

/**
 * Ends a flow: its rows go to this sink, visible once their epoch is committed.
 *
 *     trips.pipe(..., to(files('data/output', { format: 'parquet' })))
 *
 * @throws MillraceError `user` when it is given no sink, or follows `tumbling` or `groupBy` directly.
 */
export function to<I>(sink: NoInfer<OfRows<I, Sink<ColumnsOf<I>>>>): Operator<I, Done> {
  const given = sink as Sink | undefined
  if (given?.sink !== 'files')
    throw configError('to', sink, "a sink such as files('data/output', { format: 'parquet' })")
  const { uri, format, zone } = given
  const how = { uri, format, ...(zone === undefined ? {} : { zone }) }
  return operator({ op: 'to' }, { sink: 'files', ...how }, batch => {
    batch.end({ is: 'files', node: batch.node, ...how })
    return { epoch: batch.epoch }
  })
}
