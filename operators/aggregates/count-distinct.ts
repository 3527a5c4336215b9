import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  columnOptions,
  inputType,
  type AggregateTypes,
} from './aggregate.ts'
import { distinctValues } from './value-counts.ts'

export interface CountDistinct<out K extends string> extends AggregateCall {
  readonly aggregate: 'countDistinct'
  readonly column: K
}

export interface CountDistinctTypes extends AggregateTypes {
  readonly call: CountDistinct<keyof this['columns'] & string>
  readonly result: 'BIGINT NOT NULL'
  readonly isCount: true
}

export const countDistinctAggregate: Aggregate<typeof columnOptions, CountDistinctTypes> = {
  name: 'countDistinct',
  options: columnOptions,
  isCount: true,
  plan: (type, field) => ({
    result: 'BIGINT NOT NULL',
    accumulators: [],
    side: distinctValues(
      inputType(type, field),
      (rows, groups) => `SELECT ${groups}, count(*) AS _folded FROM ${rows} GROUP BY ${groups}`,
    ),
    finish: (_accumulators, side) => (side === null ? 'CAST(0 AS BIGINT)' : `coalesce(${side}, 0)`),
  }),
}

/**
 * The exact number of different values; NULLs are ignored, -0.0 is 0.0 and NaN is one value. BIGINT, 0 when no value
 * was seen. State is a row for each window, group and value: where that is too much, `approxDistinct` keeps at most
 * 4,096 rows.
 *
 *     aggregate({ drivers: countDistinct('driver_id') })
 */
export function countDistinct<const K extends string>(column: K, options: AggregateOptions = {}): CountDistinct<K> {
  return { aggregate: 'countDistinct', column, ...options }
}
