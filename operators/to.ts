import { configError } from '../src/core/errors.ts'
import { whole } from '../src/core/option-kinds.ts'
import { type OptionTable, readOptions } from '../src/core/options.ts'
import { type ColumnsOf, type Done, type OfRows, operator, type Operator } from '../src/plan/batches.ts'
import { type Sink, sinkOptions } from '../src/plan/sink.ts'
import { asksForChanges, type Emit } from '../src/plan/updates.ts'
import { emitOption } from './rows.ts'

export interface ToOptions {
  /**
   * 'update': each epoch gives what it changes of the results, as rows with `_op` ('upsert' or 'delete') and `_epoch`.
   * Default 'final': each result once, when nothing can change it any more.
   */
  readonly emit?: Emit
  /**
   * Committed epochs that the sink may not have yet before no further one is committed. Default: 1 of `files`, whose
   * next epoch is computed meanwhile, else 10.
   */
  readonly epochsBehindMax?: number
  /** Bytes of their files; the last epoch may pass them. Default: 268,435,456 (256 MiB). */
  readonly bytesBehindMax?: number
}

export const toOptions = {
  emit: emitOption,
  epochsBehindMax: {
    kind: whole(1, 10_000),
    otherwise: '1 of files, else 10',
    about: 'How many committed epochs the sink may be behind.',
  },
  bytesBehindMax: {
    kind: whole(1),
    unit: 'bytes',
    otherwise: '268435456 (256 MiB)',
    about: 'How many bytes of committed epochs may wait for the sink.',
  },
} satisfies OptionTable<ToOptions>

/** Outside a pipe nothing is known of the columns that a sink asks for. */
type Asked<C> = unknown extends C ? never : C

/**
 * Ends a flow: its rows go to this sink, visible once their epoch is committed.
 *
 *     trips.pipe(..., to(files('data/output', { format: 'parquet' })))
 *
 * A sink that is away for a while gets what it missed, in order, when it is back. Meanwhile other flows go on, until
 * this one is as far behind as the options say: then nothing further is committed or read.
 *
 * @throws MillraceError `user` when it is given no sink, or follows `tumbling` or `groupBy` directly; for
 * `emit: 'update'` where results never change (sessions, `dedupe`, steps in a row), or lack a column that tells them
 * apart.
 */
export function to<I>(sink: NoInfer<OfRows<I, Sink<Asked<ColumnsOf<I>>>>>, options: ToOptions = {}): Operator<I, Done> {
  const given = sink as Sink | undefined
  if (typeof given?.sink !== 'string' || typeof given.uri !== 'string')
    throw configError('to', sink, "a sink such as files('data/output', { format: 'parquet' })")
  const { emit, epochsBehindMax: epochsMax, bytesBehindMax: bytesMax } = readOptions('to', toOptions, options)
  const behind = { ...(epochsMax !== undefined && { epochsMax }), ...(bytesMax !== undefined && { bytesMax }) }
  if (given.snapshot && emit !== 'update')
    throw configError(`to: ${given.sink}: snapshot`, given.snapshot, "none without emit: 'update'")
  return operator({ op: 'to' }, { sink: given.sink, uri: given.uri, ...sinkOptions(given) }, batch => {
    batch.end({ is: 'sink', node: batch.node, sink: given, behind, ...asksForChanges(emit) })
    return { epoch: batch.epoch }
  })
}
