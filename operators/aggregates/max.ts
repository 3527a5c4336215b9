import { extreme } from './extreme.ts'
import type { Aggregate, AggregateCall } from './aggregate.ts'

export interface Max<out K extends string> extends AggregateCall {
  readonly aggregate: 'max'
  readonly column: K
}

export const maxAggregate: Aggregate = extreme('max')

/** The largest value; NULLs are ignored, NaN is the largest value and -0.0 is 0.0. The column's own type. */
export function max<const K extends string>(column: K): Max<K> {
  return { aggregate: 'max', column }
}
