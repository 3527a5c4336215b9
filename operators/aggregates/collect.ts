import type { Base, KeysOf, Scalar } from '../../src/core/types.ts'
import { oneOf, whole } from '../../src/core/option-kinds.ts'
import type { OptionTable } from '../../src/core/options.ts'
import { normalKey } from '../../src/plan/normal-key.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  columnName,
  columnOptions,
  rowOptions,
  scalarType,
  type WithOptions,
  type AggregateTypes,
  type ColumnOf,
  type Like,
} from './aggregate.ts'
import { heapOf, isLargeHeap } from './heap.ts'
import { comparedType } from './picked.ts'

export interface Collect<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'collect'
  readonly column: K
  readonly max: number
  readonly by?: B
  readonly order?: 'ascending' | 'descending'
}

export interface CollectTypes extends AggregateTypes {
  readonly call: Collect<KeysOf<this['columns'], Scalar>, keyof this['columns'] & string>
  readonly result: this['given'] extends Collect<string, infer B>
    ? Like<Ordered<this['columns'], ColumnOf<this>, B>, `${Base<ColumnOf<this>> & string}[]`>
    : never
}
/** The values' type, NOT NULL only where what they are ordered by is so too. */
export type Ordered<C, V, B extends string> = [B] extends [never]
  ? V
  : C[B & keyof C] extends `${string} NOT NULL`
    ? V
    : Base<V>

export interface CollectOptions extends AggregateOptions {
  /** So many values at most, 1 to 10,000: the first ones of the order. */
  readonly max: number
  /** Column to order by; rows where it is NULL are left out. Default: event time. */
  readonly by?: string
  /** Default 'ascending'. */
  readonly order?: 'ascending' | 'descending'
}

export const collectOptions = {
  column: columnOptions.column,
  max: { kind: whole(1, 10_000), isRequired: true, about: 'How many values are kept: the first ones of the order.' },
  by: { kind: columnName, otherwise: 'the event time', about: 'The column that values are ordered by.' },
  order: { kind: oneOf('ascending', 'descending'), default: 'ascending', about: 'The direction of the order.' },
  ...rowOptions,
} satisfies OptionTable<CollectOptions & { readonly column: string }>

/**
 * The accumulator is the list itself: structs that begin with what rows are ordered by and end with the value. (`_seq`,
 * `_row`) between them makes the order total, as in `picked`.
 */
export const collectAggregate: Aggregate<typeof collectOptions, CollectTypes> = {
  name: 'collect',
  options: collectOptions,
  plan(type, field, { max, by, order }, input) {
    const value = scalarType(type, field, 'single values')
    const other = by === undefined ? undefined : comparedType(by, field, input)
    const struct = `STRUCT("at" ${other?.sql ?? 'BIGINT'}, seq BIGINT, "row" BIGINT, "value" ${value.sql})`
    const result = `${value.sql}[]`
    // Where the largest struct comes first, the earliest row must have the largest numbers.
    const [first, sign, direction] =
      order === 'ascending' ? (['min', '', 'ASC'] as const) : (['max', '-', 'DESC'] as const)
    return {
      result: value.nullable || other?.nullable ? result : `${result} NOT NULL`,
      accumulators: [
        {
          name: 'rows',
          type: `${struct}[]`,
          countsRows: isLargeHeap(max),
          partial(sql, { timeUs, seq, row, filter, rowCount, column }) {
            const at = other ? normalKey(column(String(by)), other) : timeUs
            const wanted = [
              `${sql} IS NOT NULL`,
              ...(other ? [`${column(String(by))} IS NOT NULL`] : []),
              ...(filter === undefined ? [] : [filter]),
            ].join(' AND ')
            const item = `{'at': ${at}, 'seq': ${sign}${seq}, 'row': ${sign}${row}, 'value': ${normalKey(sql, value)}}`
            return `${heapOf(first, `CAST(${item} AS ${struct})`, max, rowCount)} FILTER (WHERE ${wanted})`
          },
          merge: rows =>
            `list_sort(flatten(list(${rows}) FILTER (WHERE ${rows} IS NOT NULL)), '${direction}')[:${max}]`,
        },
      ],
      finish: ([rows]) => `list_transform(${rows}, lambda _co_row: _co_row."value")`,
    }
  },
}

/**
 * The values as a list, NULL when no value was seen: the first `max` by event time, or by another column, ascending or
 * descending; of equal ones the earlier row in ledger order comes first. NULLs are left out, -0.0 is 0.0. State
 * holds `max` values at most for each window and group, and memory is taken for those that there are.
 *
 *     aggregate({ largest_fares: collect('fare_amount', { max: 5, by: 'fare_amount', order: 'descending' }) })
 */
export function collect<const K extends string, const O extends CollectOptions>(
  column: K,
  options: O,
): WithOptions<Collect<K, O extends { readonly by: infer B extends string } ? B : never>, O> {
  return { aggregate: 'collect', column, ...options } as never
}
