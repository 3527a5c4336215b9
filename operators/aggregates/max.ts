import { extreme } from './extreme.ts'
import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes, ColumnOf } from './aggregate.ts'

export interface Max<out K extends string> extends AggregateCall {
  readonly aggregate: 'max'
  readonly column: K
}

export interface MaxTypes extends AggregateTypes {
  readonly call: Max<keyof this['columns'] & string>
  readonly result: ColumnOf<this>
}

export const maxAggregate = extreme<MaxTypes>('max')

/** The largest value; NULLs are ignored, NaN is the largest value and -0.0 is 0.0. The column's own type. */
export function max<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Max<K>, O> {
  return { aggregate: 'max', column, ...options } as WithOptions<Max<K>, O>
}
