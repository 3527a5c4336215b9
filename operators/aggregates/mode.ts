import { valueCounts } from './value-counts.ts'
import type { KeysOf, Scalar } from '../../src/core/types.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  type AggregateTypes,
  type ColumnOf,
  columnOptions,
  scalarType,
  type WithOptions,
} from './aggregate.ts'

export interface Mode<out K extends string> extends AggregateCall {
  readonly aggregate: 'mode'
  readonly column: K
}

export interface ModeTypes extends AggregateTypes {
  readonly call: Mode<KeysOf<this['columns'], Scalar>>
  readonly result: ColumnOf<this>
}

export const modeAggregate: Aggregate<typeof columnOptions, ModeTypes> = {
  name: 'mode',
  options: columnOptions,
  plan(type, field) {
    const input = scalarType(type, field, 'single values')
    return {
      result: input.nullable ? input.sql : `${input.sql} NOT NULL`,
      accumulators: [],
      side: valueCounts(
        input,
        (rows, groups) =>
          `SELECT ${groups}, min({'rank': -_count, 'value': ` +
          `_value})."value" AS _folded FROM ${rows} GROUP BY ${groups}`,
      ),
      finish: (_accumulators, side) => side ?? `CAST(NULL AS ${input.sql})`,
    }
  },
}

/**
 * The most frequent value, of equally frequent ones the smallest; NULLs are ignored, NULL when no value was seen, -0.0
 * is 0.0 and NaN is one value, the largest. The column's own type. State is a row for each window, group and value.
 *
 *     aggregate({ usual_zone: mode('DOLocationID') })
 */
export function mode<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Mode<K>, O> {
  return { aggregate: 'mode', column, ...options } as WithOptions<Mode<K>, O>
}
