import { configError } from '../../src/core/errors.ts'
import { finishQuotient } from './exact-sum.ts'
import { runningCounts } from './quantile-rank.ts'
import { unscaled } from './sum.ts'
import { valueCounts } from './value-counts.ts'
import { type KeysOf, type Numeric, type ParsedType, wholeNames } from '../../src/core/types.ts'
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

export interface Median<out K extends string> extends AggregateCall {
  readonly aggregate: 'median'
  readonly column: K
}

export interface MedianTypes extends AggregateTypes {
  readonly call: Median<KeysOf<this['columns'], Numeric>>
  readonly result: Like<ColumnOf<this>, 'DOUBLE'>
}

/** SQL of the mean of two values; undefined for a type that it cannot be exact of. */
function meanOf({ name, precision = 0, scale = 0 }: ParsedType): ((low: string, high: string) => string) | undefined {
  if (name === 'FLOAT' || name === 'DOUBLE')
    return (low, high) => {
      const [a, b] = [`CAST(${low} AS DOUBLE)`, `CAST(${high} AS DOUBLE)`]
      // Halves of values so large that their sum has no DOUBLE are exact.
      return `CASE WHEN isfinite(${a} + ${b}) THEN (${a} + ${b}) / 2 ELSE ${a} / 2 + ${b} / 2 END`
    }
  if (name === 'DECIMAL')
    return precision > 18 || scale > 9
      ? undefined
      : (low, high) =>
          finishQuotient(
            `(${integer(low, scale)} + ${integer(high, scale)})`,
            `CAST(${2n * 10n ** BigInt(scale)} AS HUGEINT)`,
          )
  return wholeNames.includes(name)
    ? (low, high) => finishQuotient(`(${integer(low, 0)} + ${integer(high, 0)})`, 'CAST(2 AS HUGEINT)')
    : undefined
}

const integer = (value: string, scale: number) => (scale === 0 ? `CAST(${value} AS HUGEINT)` : unscaled(value))

/** The two middle values of each group; of an odd number of values both are the one. */
function foldMiddle(rows: string, groups: string): string {
  return (
    `SELECT ${groups}, {'low': min(_value) FILTER (WHERE 2 * _up_to >= _all), 'high': ` +
    'min(_value) FILTER (WHERE 2 * _up_to > _all)} ' +
    `AS _folded FROM (${runningCounts(rows, groups, '_value')}) GROUP BY ${groups}`
  )
}

export const medianAggregate: Aggregate<typeof columnOptions, MedianTypes> = {
  name: 'median',
  options: columnOptions,
  plan(type, field) {
    const expected = 'an integer, a FLOAT, a DOUBLE, or a DECIMAL of at most 18 digits and scale 9'
    const input = scalarType(type, field, expected)
    const mean = meanOf(input)
    if (mean === undefined) throw configError(field, input.sql, expected)
    return {
      result: input.nullable ? 'DOUBLE' : 'DOUBLE NOT NULL',
      accumulators: [],
      side: valueCounts(input, foldMiddle),
      finish: (_accumulators, side) =>
        side === null
          ? 'CAST(NULL AS DOUBLE)'
          : `CASE WHEN ${side} IS NOT NULL THEN ${mean(`${side}.low`, `${side}.high`)} END`,
    }
  },
}

/**
 * The middle value, or the mean of the two middle ones, rounded once; NULLs are ignored, NULL when no value was seen,
 * NaN is the largest value. DOUBLE, of integers, FLOAT, DOUBLE and DECIMAL of at most 18 digits and scale 9. For a
 * value that is one of the column's, and for times, take `exactQuantile('...', 0.5)`. State is a row for each window,
 * group and value.
 *
 *     aggregate({ middle_fare: median('fare_amount') })
 */
export function median<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Median<K>, O> {
  return { aggregate: 'median', column, ...options } as WithOptions<Median<K>, O>
}
