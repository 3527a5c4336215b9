import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes, ColumnOf } from './aggregate.ts'
import { picked } from './picked.ts'

export interface First<out K extends string> extends AggregateCall {
  readonly aggregate: 'first'
  readonly column: K
}

export interface FirstTypes extends AggregateTypes {
  readonly call: First<keyof this['columns'] & string>
  readonly result: ColumnOf<this>
}

export const firstAggregate = picked<FirstTypes>('first', 'time', 'min', 'earliest')

/**
 * The first value by event time that is not NULL; of equal times the earliest row in ledger order. The column's own
 * type.
 *
 *     aggregate({ fare: first('fare_amount') })
 */
export function first<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<First<K>, O> {
  return { aggregate: 'first', column, ...options } as WithOptions<First<K>, O>
}
