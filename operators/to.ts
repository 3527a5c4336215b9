import { configError } from '../src/core/errors.ts'
import { type Done, type MiniBatch, operator, type Operator } from '../src/plan/batches.ts'
import type { Sink } from '../src/plan/sink.ts'

/**
 * Ends a flow: its rows go to this sink, visible once their epoch is committed.
 *
 *     trips.pipe(..., to(files('data/output', { format: 'parquet' })))
 *
 * @throws MillraceError `user` when it is given no sink, or follows `tumbling` or `groupBy` directly.
 */
export function to<C, T>(sink: Sink<C>): Operator<MiniBatch<C, T>, Done> {
  if (sink?.sink !== 'files')
    throw configError('to', sink, "a sink such as files('data/output', { format: 'parquet' })")
  const { uri, format } = sink
  return operator({ op: 'to' }, { sink: 'files', uri, format }, batch => {
    batch.end({ is: 'files', node: batch.node, uri, format })
    return { epoch: batch.epoch }
  })
}
