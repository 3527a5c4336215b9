import { whole } from '../../src/core/option-kinds.ts'
import type { OptionTable } from '../../src/core/options.ts'
import { distinctValues } from './value-counts.ts'
import type { Base, KeysOf, Scalar } from '../../src/core/types.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  type AggregateTypes,
  type ColumnOf,
  columnOptions,
  type Like,
  rowOptions,
  scalarType,
  type WithOptions,
} from './aggregate.ts'

export interface CollectSet<out K extends string> extends AggregateCall {
  readonly aggregate: 'collectSet'
  readonly column: K
  readonly max: number
}

export interface CollectSetTypes extends AggregateTypes {
  readonly call: CollectSet<KeysOf<this['columns'], Scalar>>
  readonly result: Like<ColumnOf<this>, `${Base<ColumnOf<this>> & string}[]`>
}

const collectSetOptions = {
  column: columnOptions.column,
  max: { kind: whole(1, 10_000), isRequired: true, isPositional: true, about: 'How many values are kept.' },
  ...rowOptions,
} satisfies OptionTable<AggregateOptions & { readonly column: string; readonly max: number }>

export const collectSetAggregate: Aggregate<typeof collectSetOptions, CollectSetTypes> = {
  name: 'collectSet',
  options: collectSetOptions,
  plan(type, field, { max }) {
    const input = scalarType(type, field, 'single values')
    const result = `${input.sql}[]`
    return {
      result: input.nullable ? result : `${result} NOT NULL`,
      accumulators: [],
      side: distinctValues(
        input,
        (rows, groups) =>
          `SELECT ${groups}, list(_value ORDER BY _value)[:${max}] AS _folded FROM ${rows} GROUP BY ${groups}`,
      ),
      finish: (_accumulators, side) => side ?? `CAST(NULL AS ${result})`,
    }
  },
}

/**
 * The different values as a list, the smallest first, at most `max` of them; NULL when no value was seen. NULLs are
 * left out, -0.0 is 0.0 and NaN is one value, the largest. State is a row for each window, group and value.
 *
 *     aggregate({ drivers: collectSet('driver_id', 1000) })
 */
export function collectSet<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  max: number,
  options?: O,
): WithOptions<CollectSet<K>, O> {
  return { aggregate: 'collectSet', column, max, ...options } as WithOptions<CollectSet<K>, O>
}
