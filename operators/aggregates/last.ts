import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes, ColumnOf } from './aggregate.ts'
import { picked } from './picked.ts'

export interface Last<out K extends string> extends AggregateCall {
  readonly aggregate: 'last'
  readonly column: K
}

export interface LastTypes extends AggregateTypes {
  readonly call: Last<keyof this['columns'] & string>
  readonly result: ColumnOf<this>
}

export const lastAggregate = picked<LastTypes>('last', 'time', 'max', 'latest')

/**
 * The last value by event time that is not NULL; of equal times the latest row in ledger order. The column's own type.
 *
 *     aggregate({ fare: last('fare_amount') })
 */
export function last<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Last<K>, O> {
  return { aggregate: 'last', column, ...options } as WithOptions<Last<K>, O>
}
