import type { Base, Counted, KeysOf, Scalar } from '../../src/core/types.ts'
import { whole } from '../../src/core/option-kinds.ts'
import type { OptionTable } from '../../src/core/options.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  columnOptions,
  rowOptions,
  scalarType,
  type WithOptions,
  type AggregateTypes,
  type ColumnOf,
  type Like,
} from './aggregate.ts'
import { heapOf, isLargeHeap } from './heap.ts'
import { valueCounts } from './value-counts.ts'

export interface TopK<out K extends string> extends AggregateCall {
  readonly aggregate: 'topK'
  readonly column: K
  readonly k: number
}

export interface TopKTypes extends AggregateTypes {
  readonly call: TopK<KeysOf<this['columns'], Scalar>>
  readonly result: Like<ColumnOf<this>, Counted<Base<ColumnOf<this>> & string>>
}

const topKOptions = {
  column: columnOptions.column,
  k: { kind: whole(1, 10_000), isRequired: true, isPositional: true, about: 'How many values are kept.' },
  ...rowOptions,
} satisfies OptionTable<AggregateOptions & { readonly column: string; readonly k: number }>

export const topKAggregate: Aggregate<typeof topKOptions, TopKTypes> = {
  name: 'topK',
  options: topKOptions,
  plan(type, field, { k }) {
    const input = scalarType(type, field, 'single values')
    const result = `STRUCT("value" ${input.sql}, count BIGINT)[]`
    // The k smallest of (-count, value) are the most frequent, ties by value, in order.
    const least = heapOf('min', `{'rank': -_count, 'value': _value}`, k, '_values')
    const counted = `list_transform(${least}, lambda _tk: {'value': _tk."value", 'count': -_tk."rank"})`
    return {
      result: input.nullable ? result : `${result} NOT NULL`,
      accumulators: [],
      side: valueCounts(
        input,
        (rows, groups) =>
          `SELECT ${groups}, ${counted} AS _folded FROM ` +
          `${isLargeHeap(k) ? withCount(rows, groups) : rows} GROUP BY ${groups}`,
      ),
      finish: (_accumulators, side) => side ?? `CAST(NULL AS ${result})`,
    }
  },
}

/** The rows with `_values`, how many their group has. */
function withCount(rows: string, groups: string): string {
  return `(SELECT *, count(*) OVER (PARTITION BY ${groups}) AS _values FROM ${rows})`
}

/**
 * The `k` most frequent values with their exact counts, most frequent first, of equal counts the smaller value first: a
 * list of `STRUCT(value, count)`, NULL when no value was seen. NULLs are ignored, -0.0 is 0.0 and NaN is one value, the
 * largest. State is a row for each window, group and value.
 *
 *     aggregate({ zones: topK('DOLocationID', 3) })  // then derive({ busiest: ['BIGINT', 'zones[1].value'] })
 *
 * @param k 1 to 10,000.
 */
export function topK<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  k: number,
  options?: O,
): WithOptions<TopK<K>, O> {
  return { aggregate: 'topK', column, k, ...options } as WithOptions<TopK<K>, O>
}
