import type { ParsedType, KeysOf, Scalar } from '../../src/core/types.ts'
import { normalKey } from '../../src/plan/normal-key.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  columnOptions,
  scalarType,
  type AggregateTypes,
} from './aggregate.ts'

/*
 * HyperLogLog: 2^12 registers, each the largest rank (leading zeros + 1) of the hashes that fell into it. P. Flajolet,
 * E. Fusy, O. Gandouet, F. Meunier, "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm"
 * (2007). The estimate is that of O. Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017),
 * algorithm 6: no bias table, no change of method between small and large counts, and only additions, products and one
 * quotient, in a fixed order, so that it is the same number on every machine.
 *
 * The hash is part of the stored state, so it is our own (S19): MD5 of a text form of the value, which no DuckDB
 * version can change, unlike its hash().
 */

export interface ApproxDistinct<out K extends string> extends AggregateCall {
  readonly aggregate: 'approxDistinct'
  readonly column: K
}

export interface ApproxDistinctTypes extends AggregateTypes {
  readonly call: ApproxDistinct<KeysOf<this['columns'], Scalar>>
  readonly result: 'BIGINT NOT NULL'
  readonly isCount: true
}

const registerBits = 12
const registers = 2 ** registerBits
/** Of the 64 bits used of a hash the rest gives the rank: 1 to 53. */
const rankBits = 64 - registerBits
const rankMax = rankBits + 1

export const approxDistinctAggregate: Aggregate<typeof columnOptions, ApproxDistinctTypes> = {
  name: 'approxDistinct',
  options: columnOptions,
  isCount: true,
  plan(type, field) {
    const input = scalarType(type, field, 'single values')
    return {
      result: 'BIGINT NOT NULL',
      accumulators: [],
      side: {
        items: value => `[md5_number(${hashed(value, input)})]`,
        buckets: [{ name: '_register', type: 'SMALLINT', of: hash => `CAST(${hash} & ${registers - 1} AS SMALLINT)` }],
        accumulators: [
          {
            name: '_rank',
            type: 'TINYINT',
            // The smallest hash has the largest rank: its digits are counted once a register.
            partial: hash =>
              `CAST(${rankMax} - length(ltrim(bin(min(CAST((${hash} >> ${registerBits}) ` +
              `& ${2n ** BigInt(rankBits) - 1n} AS BIGINT))), '0')) AS TINYINT)`,
            merge: rank => `max(${rank})`,
          },
        ],
        where: value => `${value} IS NOT NULL`,
        fold: (rows, groups) => {
          // Both sums are of integers; the harmonic one is in units of 2^-53.
          const sums =
            `SELECT ${groups}, ${registers} - count(*) AS _empty, ` +
            `sum(CAST(1 AS HUGEINT) << (${rankMax} - _rank)) AS _harmonic FROM ${rows} GROUP BY ${groups}`
          return `SELECT ${groups}, ${estimate('_empty', '_harmonic')} AS _folded FROM (${sums})`
        },
      },
      finish: (_accumulators, side) => (side === null ? 'CAST(0 AS BIGINT)' : `coalesce(${side}, 0)`),
    }
  },
}

/** What is hashed: text, bytes, or the bits of a DOUBLE; equal values of one column only. */
function hashed(value: string, type: ParsedType): string {
  switch (type.name) {
    case 'VARCHAR':
    case 'BLOB':
      return value
    case 'FLOAT':
    case 'DOUBLE':
      // By the bits: how a DOUBLE is written as text is up to the version.
      return `CAST(CAST(CAST(CAST(${normalKey(value, type)} AS DOUBLE) AS BIT) AS BIGINT) AS VARCHAR)`
    default:
      return `CAST(${value} AS VARCHAR)`
  }
}

/**
 * m^2 / (2 ln 2 (m sigma(empty / m) + harmonic)), rounded; sigma(x) = x + the sum over k of 2^(k-1) x^(2^k). Registers
 * of the largest rank would ask for a term of their own only after 2^60 values.
 */
function estimate(empty: string, harmonic: string): string {
  const double = (value: number) => `CAST('${value}' AS DOUBLE)`
  // After 20 squarings x is 0 even where 4,095 of 4,096 registers are empty. The list is (x, 2^(k-1), sum).
  const x = `CAST(${empty} AS DOUBLE) / ${double(registers)}`
  const steps = `list_concat([[${x}, ${double(1)}, ${x}]], list_transform(range(20), lambda _hl_k: [${double(0)}]))`
  const squared = '(_hl_s[1] * _hl_s[1])'
  const next = `[${squared}, 2 * _hl_s[2], _hl_s[3] + ${squared} * _hl_s[2]]`
  const sigma = `list_reduce(${steps}, lambda _hl_s, _hl_t: ${next})[3]`
  // In two halves, each exact: DuckDB's cast of HUGEINT to DOUBLE may round twice.
  const sum =
    `(CAST(${harmonic} >> 32 AS DOUBLE) * ${double(2 ** 32)} + ` +
    `CAST(${harmonic} & 4294967295 AS DOUBLE)) * ${double(2 ** -rankMax)}`
  // 1 / (2 ln 2)
  const scale = double(0.7213475204444817 * registers * registers)
  return `CAST(round(${scale} / (${double(registers)} * ${sigma} + ${sum})) AS BIGINT)`
}

/**
 * The number of different values, estimated: a standard error of 1.6 %, whatever the number; NULLs are ignored, -0.0 is
 * 0.0 and NaN is one value. BIGINT, 0 when no value was seen. State is at most 4,096 small rows for each window and
 * group; the estimate does not depend on how rows were cut.
 *
 *     aggregate({ visitors: approxDistinct('user_id') })
 */
export function approxDistinct<const K extends string>(column: K, options: AggregateOptions = {}): ApproxDistinct<K> {
  return { aggregate: 'approxDistinct', column, ...options }
}
