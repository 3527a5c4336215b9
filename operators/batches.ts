import { map, toArray } from 'rxjs'
import type { Row } from '../src/core/types.ts'
import { handOver, type MiniBatch, type Operator } from '../src/plan/batches.ts'
import type { CommittedRows } from '../src/plan/mini-batch.ts'

/** All rows that one epoch has for a flow. */
export interface Batch<C> {
  /** Counts from 1. After a crash or an error the same number comes with the same rows in the same order. */
  readonly epoch: number
  /** At least one. As `rows()` gives them. */
  readonly rows: readonly Row<C>[]
}

/**
 * As `rows()`, with all rows of an epoch as one item and the number of the epoch beside them.
 *
 *     trips.pipe(tumbling('1 hour'), ..., batches(), concatMap(({ epoch, rows }) => store(epoch, rows)))
 *
 * A receiver that keeps rows and number in one transaction, and passes over numbers that it has, has each row exactly
 * once. All rows of an epoch are in memory at once: `miniBatch` of the source says how large an epoch is.
 */
export function batches<C, T>(): Operator<MiniBatch<C, T>, Batch<C>> {
  return handOver('batches', (epoch, committed) =>
    (committed as CommittedRows<Row<C>>).pipe(
      toArray(),
      map(chunks => ({ epoch, rows: chunks.flat() })),
    ),
  )
}
