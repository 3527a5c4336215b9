import type { Base } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes, ColumnOf, OrderOf } from './aggregate.ts'
import { picked } from './picked.ts'

export interface ArgMin<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'argMin'
  readonly column: K
  readonly by: B
}

export interface ArgMinTypes extends AggregateTypes {
  readonly call: ArgMin<keyof this['columns'] & string, keyof this['columns'] & string>
  readonly result: OrderOf<this> extends `${string} NOT NULL` ? ColumnOf<this> : Base<ColumnOf<this>>
}

export const argMinAggregate = picked<ArgMinTypes>('argMin', 'column', 'min', 'earliest')

/**
 * A column's value in the row where another column is smallest; of equal rows the earliest in ledger order. Rows whose
 * `by` is NULL are left out; the value itself may be NULL. The column's own type.
 *
 *     aggregate({ farthest_zone: argMin('DOLocationID', 'trip_distance') })
 */
export function argMin<const K extends string, const B extends string, const O extends AggregateOptions = {}>(
  column: K,
  by: B,
  options?: O,
): WithOptions<ArgMin<K, B>, O> {
  return { aggregate: 'argMin', column, by, ...options } as WithOptions<ArgMin<K, B>, O>
}
