import { concatAll } from 'rxjs'
import { oneOf } from '../src/core/option-kinds.ts'
import { type Option, type OptionTable, readOptions } from '../src/core/options.ts'
import type { Row, Show } from '../src/core/types.ts'
import { handOver, type MiniBatch, type Operator } from '../src/plan/batches.ts'
import type { CommittedRows } from '../src/plan/mini-batch.ts'
import type { Emit } from '../src/plan/updates.ts'

export interface RowsOptions<E extends Emit = Emit> {
  /**
   * 'update': each epoch gives what it changes of the results, as `Change` rows. Default 'final': each result once,
   * when nothing can change it any more.
   */
  readonly emit?: E
}

/** What an epoch changes of a result: the result as it is now, or as it was last before it was gone. */
export type Change<C> = Show<
  Row<C> & {
    readonly _op: 'upsert' | 'delete'
    /** That it belongs to: a later one counts. */
    readonly _epoch: bigint
  }
>

/** A row as `rows()` gives it. */
export type GivenRow<C, E extends Emit> = E extends 'update' ? Change<C> : Row<C>

export const emitOption = {
  kind: oneOf('final', 'update'),
  default: 'final',
  about: 'Whether each result is given once, when it is final, or what each epoch changes of them.',
} as const satisfies Option<Emit>

export const rowsOptions = { emit: emitOption } satisfies OptionTable<RowsOptions>

/**
 * Ends the described part of a flow: hands its rows to what follows, as JavaScript objects. Any RxJS operator may
 * follow.
 *
 *     trips.pipe(tumbling('1 hour'), ..., rows(), concatMap(row => send(row)))
 *
 * From here on the flow is subscribed anew for each committed epoch that has rows for it, one epoch after another. Its
 * completion means that the rows are taken, its error that they are not: then the epoch is handed over again, by
 * `backfill` at the next start, by `run` after a pause. Rows stay in the checkpoint until they are taken, so what
 * arrives is never lost and may come twice: after a crash an epoch comes again, with the same rows. `batches()` gives
 * the number of the epoch with them, by which a receiver knows what it has already.
 *
 * Operators that keep something from one row to the next (`scan`, `bufferCount`, `toArray`) begin anew with each epoch.
 * What never completes (`merge(..., NEVER)`) is never taken.
 *
 * BIGINT arrives as bigint, DECIMAL as text, TIMESTAMP and TIMESTAMPTZ as Date (milliseconds; an invalid Date where
 * none holds it: infinity, and times beyond the year 275760), DATE as text. Rows are read and emitted a few thousand at
 * a time; RxJS knows no back-pressure, so an operator such as `concatMap` keeps those that wait for it.
 *
 * @param options `{ emit: 'update' }` for what each epoch changes of the results, in the place of final ones
 */
export function rows<C, T, E extends Emit = 'final'>(
  options: RowsOptions<E> = {},
): Operator<MiniBatch<C, T>, GivenRow<C, E>> {
  return handOver('rows', readOptions('rows', rowsOptions, options).emit, (_epoch, committed) =>
    (committed as CommittedRows<GivenRow<C, E>>).pipe(concatAll()),
  )
}
