import { extreme } from './extreme.ts'
import type { Aggregate, AggregateCall } from './aggregate.ts'

export interface Min<out K extends string> extends AggregateCall {
  readonly aggregate: 'min'
  readonly column: K
}

export const minAggregate: Aggregate = extreme('min')

/** The smallest value; NULLs are ignored, NaN is the largest value and -0.0 is 0.0. The column's own type. */
export function min<const K extends string>(column: K): Min<K> {
  return { aggregate: 'min', column }
}
