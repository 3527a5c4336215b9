import { number } from '../../src/core/option-kinds.ts'

/** Of these decimal places a quantile may have at most: its numerator times a count then stays far inside HUGEINT. */
const placesMax = 18

/** A share that can be written: 0 to 1. Of a number that the compiler does not know anything is accepted. */
export type Share<Q extends number> = number extends Q
  ? Q
  : `${Q}` extends '0' | '1' | `0.${string}` | `${string}e-${string}`
    ? Q
    : 'a quantile is a share from 0 to 1: the 95th percentile is 0.95'

/** Which quantile. */
export const quantileOption = {
  kind: number(
    `a number from 0 to 1 with at most ${placesMax} decimal places, such as 0.95`,
    q => q >= 0 && q <= 1 && decimalOf(q).places <= placesMax,
  ),
  isRequired: true,
  isPositional: true,
  about: 'The share of the values that lie at or below the result.',
} as const

/** The decimal that was written: the shortest text that reads back as the same double. */
function decimalOf(q: number): { readonly digits: string; readonly places: number } {
  const [, whole = '', part = '', exponent = '0'] = /^(\d)(?:\.(\d+))?(?:e-(\d+))?$/.exec(String(q)) ?? []
  return { digits: `${whole}${part}`, places: part.length + Number(exponent) }
}

/**
 * SQL predicate: a value is at or above the quantile's nearest rank. The quantile is the decimal that was written, so
 * that 0.1 of 10 values is the first one, although the double 0.1 is a hair larger.
 *
 * @param q from 0 to 1. @param upTo SQL of the number of values up to and with this one. @param all SQL of all values.
 */
export function atQuantile(q: number): (upTo: string, all: string) => string {
  const { digits, places } = decimalOf(q)
  const numerator = BigInt(digits)
  const denominator = 10n ** BigInt(places)
  return (upTo, all) => `${upTo} * CAST('${denominator}' AS HUGEINT) >= ${all} * CAST('${numerator}' AS HUGEINT)`
}

/**
 * SQL query over side rows: those of each group with `_up_to`, the number of values up to and with it, and `_all` of
 * them.
 */
export function runningCounts(rows: string, groups: string, key: string): string {
  return (
    `SELECT ${groups}, ${key}, sum(_count) OVER (PARTITION BY ${groups} ` +
    `ORDER BY ${key} ROWS UNBOUNDED PRECEDING) AS _up_to, ` +
    `sum(_count) OVER (PARTITION BY ${groups}) AS _all FROM ${rows}`
  )
}

/**
 * SQL query over side rows (a column of order, `_count`): the first at or above the quantile, of each group.
 *
 * @param key the column to order by. @param groups a list of columns.
 */
export function foldQuantile(
  rows: string,
  groups: string,
  key: string,
  reached: ReturnType<typeof atQuantile>,
): string {
  return (
    `SELECT ${groups}, min(${key}) AS _folded FROM (${runningCounts(rows, groups, key)}) ` +
    `WHERE ${reached('_up_to', '_all')} GROUP BY ${groups}`
  )
}
