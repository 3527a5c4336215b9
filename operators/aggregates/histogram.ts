import { valueCounts } from './value-counts.ts'
import type { Base, Counted, KeysOf, Scalar } from '../../src/core/types.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  type AggregateTypes,
  type ColumnOf,
  columnOptions,
  type Like,
  scalarType,
  type WithOptions,
} from './aggregate.ts'

export interface Histogram<out K extends string> extends AggregateCall {
  readonly aggregate: 'histogram'
  readonly column: K
}

export interface HistogramTypes extends AggregateTypes {
  readonly call: Histogram<KeysOf<this['columns'], Scalar>>
  readonly result: Like<ColumnOf<this>, Counted<Base<ColumnOf<this>> & string>>
}

export const histogramAggregate: Aggregate<typeof columnOptions, HistogramTypes> = {
  name: 'histogram',
  options: columnOptions,
  plan(type, field) {
    const input = scalarType(type, field, 'single values')
    const result = `STRUCT("value" ${input.sql}, count BIGINT)[]`
    return {
      result: input.nullable ? result : `${result} NOT NULL`,
      accumulators: [],
      side: valueCounts(
        input,
        (rows, groups) =>
          `SELECT ${groups}, list({'value': _value, 'count': ` +
          `_count} ORDER BY _value) AS _folded FROM ${rows} GROUP BY ${groups}`,
      ),
      finish: (_accumulators, side) => side ?? `CAST(NULL AS ${result})`,
    }
  },
}

/**
 * Every value with its exact count, the smallest value first: a list of `STRUCT(value, count)`, NULL when no value was
 * seen. NULLs are left out, -0.0 is 0.0 and NaN is one value, the largest. State is a row for each window, group and
 * value; where the most frequent ones are enough, `topK` gives a short list.
 *
 *     aggregate({ riders: histogram('passenger_count') })
 */
export function histogram<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Histogram<K>, O> {
  return { aggregate: 'histogram', column, ...options } as WithOptions<Histogram<K>, O>
}
