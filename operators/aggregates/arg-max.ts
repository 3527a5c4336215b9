import type { Base } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes, ColumnOf, OrderOf } from './aggregate.ts'
import { picked } from './picked.ts'

export interface ArgMax<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'argMax'
  readonly column: K
  readonly by: B
}

export interface ArgMaxTypes extends AggregateTypes {
  readonly call: ArgMax<keyof this['columns'] & string, keyof this['columns'] & string>
  readonly result: OrderOf<this> extends `${string} NOT NULL` ? ColumnOf<this> : Base<ColumnOf<this>>
}

export const argMaxAggregate = picked<ArgMaxTypes>('argMax', 'column', 'max', 'earliest')

/**
 * A column's value in the row where another column is largest; of equal rows the earliest in ledger order. Rows whose
 * `by` is NULL are left out; the value itself may be NULL. The column's own type.
 *
 *     aggregate({ farthest_zone: argMax('DOLocationID', 'trip_distance') })
 */
export function argMax<const K extends string, const B extends string, const O extends AggregateOptions = {}>(
  column: K,
  by: B,
  options?: O,
): WithOptions<ArgMax<K, B>, O> {
  return { aggregate: 'argMax', column, by, ...options } as WithOptions<ArgMax<K, B>, O>
}
