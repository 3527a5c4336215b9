import type { ParsedType } from '../../src/core/types.ts'
import { normalKey } from '../../src/plan/normal-key.ts'
import type { Side } from './aggregate.ts'

/**
 * Side rows (`_value`, `_count`): each value that is not NULL with the number of its rows, for aggregates that need
 * all of them. Values are told apart as keys are (S19): -0.0 is 0.0, NaN is one value and the largest.
 *
 * @param fold as in `Side`.
 */
export function valueCounts(type: ParsedType, fold: Side['fold']): Side {
  return {
    ...distinctValues(type, fold),
    accumulators: [
      { name: '_count', type: 'BIGINT', partial: () => 'count(*)', merge: count => `CAST(sum(${count}) AS BIGINT)` },
    ],
  }
}

/** Side rows (`_value`): each value that is not NULL, told apart as in `valueCounts`. */
export function distinctValues(type: ParsedType, fold: Side['fold']): Side {
  return {
    buckets: [{ name: '_value', type: type.sql, of: value => normalKey(value, type) }],
    accumulators: [],
    where: value => `${value} IS NOT NULL`,
    fold,
  }
}
