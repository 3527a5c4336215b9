import { map, toArray } from 'rxjs'
import type { Row } from '../src/core/types.ts'
import { readOptions } from '../src/core/options.ts'
import { handOver, type MiniBatch, type Operator } from '../src/plan/batches.ts'
import type { CommittedRows } from '../src/plan/mini-batch.ts'
import type { Emit } from '../src/plan/updates.ts'
import { type GivenRow, type RowsOptions, rowsOptions } from './rows.ts'

/** All rows that one epoch has for a flow. */
export interface Batch<C, R = Row<C>> {
  /** Counts from 1. After a crash or an error the same number comes with the same rows in the same order. */
  readonly epoch: number
  /** At least one. As `rows()` gives them. */
  readonly rows: readonly R[]
}

/**
 * As `rows()`, with all rows of an epoch as one item and the number of the epoch beside them.
 *
 *     trips.pipe(tumbling('1 hour'), ..., batches(), concatMap(({ epoch, rows }) => store(epoch, rows)))
 *
 * A receiver that keeps rows and number in one transaction, and passes over numbers that it has, has each row exactly
 * once. All rows of an epoch are in memory at once: `miniBatch` of the source says how large an epoch is.
 *
 * @param options `{ emit: 'update' }` as with `rows()`: whoever puts the changes of an epoch and its number into one
 * transaction has the latest results at every commit.
 */
export function batches<C, T, E extends Emit = 'final'>(
  options: RowsOptions<E> = {},
): Operator<MiniBatch<C, T>, Batch<C, GivenRow<C, E>>> {
  return handOver('batches', readOptions('batches', rowsOptions, options).emit, (epoch, committed) =>
    (committed as CommittedRows<GivenRow<C, E>>).pipe(
      toArray(),
      map(chunks => ({ epoch, rows: chunks.flat() })),
    ),
  )
}
