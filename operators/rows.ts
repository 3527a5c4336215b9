import { concatAll } from 'rxjs'
import type { Row } from '../src/core/types.ts'
import { handOver, type MiniBatch, type Operator } from '../src/plan/batches.ts'
import type { CommittedRows } from '../src/plan/mini-batch.ts'

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
 */
export function rows<C, T>(): Operator<MiniBatch<C, T>, Row<C>> {
  return handOver('rows', (_epoch, committed) => (committed as CommittedRows<Row<C>>).pipe(concatAll()))
}
