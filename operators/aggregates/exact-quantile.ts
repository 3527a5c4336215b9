import type { KeysOf, Numeric, Time } from '../../src/core/types.ts'
import { configError } from '../../src/core/errors.ts'
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
} from './aggregate.ts'
import { atQuantile, foldQuantile, quantileOption, type Share } from './quantile-rank.ts'
import { valueCounts } from './value-counts.ts'

export interface ExactQuantile<out K extends string> extends AggregateCall {
  readonly aggregate: 'exactQuantile'
  readonly column: K
  readonly q: number
}

export interface ExactQuantileTypes extends AggregateTypes {
  readonly call: ExactQuantile<KeysOf<this['columns'], Numeric | Time>>
  readonly result: ColumnOf<this>
}

const ordered: ReadonlySet<string> = new Set([
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'UBIGINT',
  'FLOAT',
  'DOUBLE',
  'DECIMAL',
  'DATE',
  'TIMESTAMP',
  'TIMESTAMPTZ',
])

const exactQuantileOptions = {
  column: columnOptions.column,
  q: quantileOption,
  ...rowOptions,
} satisfies OptionTable<AggregateOptions & { readonly column: string; readonly q: number }>

export const exactQuantileAggregate: Aggregate<typeof exactQuantileOptions, ExactQuantileTypes> = {
  name: 'exactQuantile',
  options: exactQuantileOptions,
  plan(type, field, { q }) {
    const expected = 'a number or a time'
    const input = scalarType(type, field, expected)
    if (!ordered.has(input.name)) throw configError(field, input.sql, expected)
    const reached = atQuantile(q)
    return {
      result: input.nullable ? input.sql : `${input.sql} NOT NULL`,
      accumulators: [],
      side: valueCounts(input, (rows, groups) => foldQuantile(rows, groups, '_value', reached)),
      finish: (_accumulators, side) => side ?? `CAST(NULL AS ${input.sql})`,
    }
  },
}

/**
 * The value of nearest rank, as SQL's `percentile_disc`: the smallest one with at least the share `q` of the values at
 * or below it. 0 gives the smallest, 1 the largest; NULLs are ignored, NaN is the largest value and -0.0 is 0.0. The
 * column's own type; numbers and times. State is a row for each window, group and value: where that is too much,
 * `quantile` keeps a bounded number of them.
 *
 *     aggregate({ median_fare: exactQuantile('fare_amount', 0.5) })
 *
 * @param q from 0 to 1.
 */
export function exactQuantile<const K extends string, const Q extends number, const O extends AggregateOptions = {}>(
  column: K,
  q: Share<Q>,
  options?: O,
): WithOptions<ExactQuantile<K>, O> {
  return { aggregate: 'exactQuantile', column, q: q as number, ...options } as WithOptions<ExactQuantile<K>, O>
}
