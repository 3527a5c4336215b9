import { configError } from '../../src/core/errors.ts'
import { number as numberOf } from '../../src/core/option-kinds.ts'
import type { OptionTable } from '../../src/core/options.ts'
import type { ParsedType, KeysOf, Numeric } from '../../src/core/types.ts'
import { normalKey } from '../../src/plan/normal-key.ts'
import {
  type Accumulator,
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  columnOptions,
  rowOptions,
  scalarType,
  type Side,
  type WithOptions,
  type AggregateTypes,
  type ColumnOf,
  type Like,
} from './aggregate.ts'
import { atQuantile, foldQuantile, quantileOption, type Share } from './quantile-rank.ts'

/*
 * A sketch of buckets with a relative error, as DDSketch: C. Masson, J. E. Rim, H. K. Lee, "DDSketch: a fast and
 * fully-mergeable quantile sketch with relative-error guarantees" (2019). Buckets are not powers of a base, whose
 * logarithm every C library rounds in its own way, but equal parts of each power of two, so that a bucket is found by
 * integer arithmetic on the bits of the DOUBLE (S19).
 */

export interface Quantile<out K extends string> extends AggregateCall {
  readonly aggregate: 'quantile'
  readonly column: K
  readonly q: number
  readonly relativeError?: number
}

export interface QuantileTypes extends AggregateTypes {
  readonly call: Quantile<KeysOf<this['columns'], Numeric>>
  readonly result: Like<ColumnOf<this>, 'DOUBLE'>
}

export interface QuantileOptions extends AggregateOptions {
  /** 0.001 to 0.25; default 0.01. The smaller, the more buckets. */
  readonly relativeError?: number
}

/** Subnormals are read at 2^54 times their value; exponents then begin at 1 - 54. */
const below = 54
const nanBucket = 2 ** 31 - 1

const quantileOptions = {
  column: columnOptions.column,
  q: quantileOption,
  relativeError: {
    kind: numberOf('a number from 0.001 to 0.25', error => error >= 0.001 && error <= 0.25),
    default: 0.01,
    about: 'How far the result may be from the exact quantile, as a share of it; the smaller, the more buckets.',
  },
  ...rowOptions,
} satisfies OptionTable<QuantileOptions & { readonly column: string; readonly q: number }>

export const quantileAggregate: Aggregate<typeof quantileOptions, QuantileTypes> = {
  name: 'quantile',
  options: quantileOptions,
  plan(type, field, { q, relativeError }) {
    const expected = 'a number; exactQuantile takes times too'
    const input = scalarType(type, field, expected)
    if (!numeric.has(input.name)) throw configError(field, input.sql, expected)
    const reached = atQuantile(q)
    // The harmonic mean of a bucket's ends [a, a + a / parts) is off by 1 / (2 * parts + 1) at most.
    const parts = Math.ceil((1 / relativeError - 1) / 2)
    const side: Side = {
      buckets: [{ name: '_bucket', type: 'INTEGER', of: value => bucketOf(double(value, input), parts) }],
      accumulators: [
        {
          name: '_count',
          type: 'BIGINT',
          partial: () => 'count(*)',
          merge: count => `CAST(sum(${count}) AS BIGINT)`,
        },
      ],
      where: value => `${value} IS NOT NULL`,
      fold: (rows, groups) => foldQuantile(rows, groups, '_bucket', reached),
    }
    // The ends are exact and need no buckets.
    const isEnd = q === 0 || q === 1
    return {
      result: input.nullable ? 'DOUBLE' : 'DOUBLE NOT NULL',
      // The estimate is never outside what was seen; a group of equal values is exact.
      accumulators: (['min', 'max'] as const).map(
        (name): Accumulator => ({
          name,
          type: 'DOUBLE',
          partial: value => `${name}(${double(value, input)})`,
          merge: seen => `${name}(${seen})`,
        }),
      ),
      ...(isEnd ? {} : { side }),
      finish: ([min, max], bucket) => {
        if (isEnd) return `${q === 0 ? min : max}`
        if (bucket === null) return 'CAST(NULL AS DOUBLE)'
        return `greatest(${min}, least(${max}, ${valueOf(bucket, parts)}))`
      },
    }
  },
}

const numeric: ReadonlySet<string> = new Set([
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'UBIGINT',
  'FLOAT',
  'DOUBLE',
  'DECIMAL',
])

function double(value: string, type: ParsedType): string {
  return `CAST(${normalKey(value, type)} AS DOUBLE)`
}

function number(value: number): string {
  return `CAST('${value}' AS DOUBLE)`
}

/**
 * (exponent, part of the power of two) in one integer, with the value's sign; 0 for zero. Infinity is just the next.
 */
function bucketOf(value: string, parts: number): string {
  const bits = (of: string) => `CAST(CAST(${of} AS BIT) AS BIGINT)`
  const index = (of: string, shift: number) =>
    `((${bits(of)} >> 52) + ${below - shift}) * ${parts} + (((${bits(of)} & ${2n ** 52n - 1n}) * ${parts}) >> 52) + 1`
  const size = `abs(${value})`
  return (
    `CAST(CASE WHEN isnan(${value}) THEN ${nanBucket} WHEN ${value} = 0 THEN 0 ` +
    `ELSE sign(${value}) * CASE WHEN ${size} < ${number(2 ** -1022)} ` +
    `THEN ${index(`(${size} * ${number(2 ** below)})`, below)} ELSE ${index(size, 0)} END END AS INTEGER)`
  )
}

/** The harmonic mean of the bucket's ends: exact integers, one quotient, and products with powers of two. */
function valueOf(bucket: string, parts: number): string {
  const at = `(abs(${bucket}) - 1)`
  const part = `CAST(${at} % ${parts} AS DOUBLE)`
  const mean = `(2 * (${parts} + ${part}) * (${parts} + 1 + ${part}) / (${parts} * (2 * ${parts} + 1 + 2 * ${part})))`
  const exponent = `(${at} // ${parts} - ${below} - 1023)`
  const power = (of: string) => `pow(${number(2)}, ${of})`
  const size = `${mean} * ${power(`${exponent} // 2`)} * ${power(`(${exponent} - ${exponent} // 2)`)}`
  const infinity = `${(2047 + below) * parts}`
  return (
    `CASE WHEN ${bucket} = ${nanBucket} THEN ${number(Number.NaN)} WHEN ${bucket} = 0 THEN ${number(0)} ` +
    `ELSE sign(${bucket}) * CASE WHEN ${at} >= ${infinity} THEN ${number(Infinity)} ELSE ${size} END END`
  )
}

/**
 * A value within `relativeError` (default 1 %) of the one of nearest rank (`exactQuantile`), and never outside the
 * values seen; 0 and 1 give the smallest and the largest themselves; NULLs are ignored, NaN is the largest value.
 * DOUBLE. State is a row for each window, group and bucket: about 50 buckets between a number and its double at 1 %,
 * and at most one for each value. The result does not depend on how rows were cut.
 *
 *     aggregate({ p95: quantile('duration_ms', 0.95), p99: quantile('duration_ms', 0.99, { relativeError: 0.005 }) })
 *
 * @param q from 0 to 1.
 */
export function quantile<const K extends string, const Q extends number, const O extends QuantileOptions = {}>(
  column: K,
  q: Share<Q>,
  options?: O,
): WithOptions<Quantile<K>, O> {
  return { aggregate: 'quantile', column, q: q as number, ...options } as WithOptions<Quantile<K>, O>
}
