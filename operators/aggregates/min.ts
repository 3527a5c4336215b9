import { extreme } from './extreme.ts'
import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes, ColumnOf } from './aggregate.ts'

export interface Min<out K extends string> extends AggregateCall {
  readonly aggregate: 'min'
  readonly column: K
}

export interface MinTypes extends AggregateTypes {
  readonly call: Min<keyof this['columns'] & string>
  readonly result: ColumnOf<this>
}

export const minAggregate = extreme<MinTypes>('min')

/** The smallest value; NULLs are ignored, NaN is the largest value and -0.0 is 0.0. The column's own type. */
export function min<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Min<K>, O> {
  return { aggregate: 'min', column, ...options } as WithOptions<Min<K>, O>
}
