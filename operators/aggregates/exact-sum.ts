import type { Accumulator, Side } from './aggregate.ts'

/*
 * Exact, correctly rounded sums and averages of DOUBLE as SQL text (S20).
 *
 * State is a number in base 2^31 on one fixed grid: bin k counts units of 2^(31k). Additions of integers are exact, so
 * no order of rows, partials or merges can show in the result. The method is binned summation: J. Demmel and H. D.
 * Nguyen, "Parallel Reproducible Summation" (2015); R. M. Neal, "Fast exact summation using small and large
 * superaccumulators" (2015).
 *
 *     bin    33  ...   1       0        -1        -2        -3  ...  -35
 *     unit        2^31     2^0 = 1    2^-31     2^-62     2^-93     2^-1085
 *            |--- side ---|----- accumulators --------|------ side ------|
 *
 * Usual values (below 2^31, nothing left under 2^-62) live in three accumulators. What does not fit there goes to a
 * side table of (group, bin, units): a value of 2^31 or more as a whole, of a smaller one only the remainder under
 * 2^-62. NaN and the infinities are side rows too, so that they cost the usual case nothing.
 *
 * Emission rounds once: the exact number is cut to at least 55 bits with its last bit set if anything was lost
 * (round-to-odd: S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
 * rounding to odd", 2008), and converting that integer to DOUBLE gives the correctly rounded value. Adding bins as
 * doubles would round twice, and so does DuckDB's cast of HUGEINT to DOUBLE.
 */

/** Bins of the side table that stand for what is no number. Their units are counts. */
export const nanBin = 100
const infinityBin = 101
const minusInfinityBin = 102

/** Needs nothing of the row but the value. */
export interface ExactSumAccumulator extends Accumulator {
  partial(value: string): string
}

/**
 * The merged state of one sum. Numbers are 0 where nothing was added. Merging is checked: an overflow is an
 * error, never a wrong sum, and needs at least 2^32 rows of the largest usual value in one group.
 */
export const exactSumAccumulators: readonly ExactSumAccumulator[] = [
  // Values that are not NULL: the divisor of an average, and a result of NULL when there is none.
  accumulator('count', value => `count(${value})`),
  // Whether some row has side rows too. Where it is FALSE everywhere the side's query is spared. A count would make the
  // group wider: 5 % of the whole query.
  {
    name: 'misfits',
    type: 'BOOLEAN',
    partial: value => `coalesce(bool_or(${isMisfit(double(value))}), FALSE)`,
    merge: column => `bool_or(${column})`,
  },
  accumulator('bin0', value => `coalesce(sum(${whole(value)}), 0)`),
  accumulator('bin1', value => `coalesce(${fractions(value)} >> 31, 0)`),
  accumulator('bin2', value => `coalesce(${fractions(value)} & 2147483647, 0)`),
]

function accumulator(name: string, partial: (value: string) => string): ExactSumAccumulator {
  return {
    name,
    type: 'BIGINT',
    partial: value => `CAST(${partial(double(value))} AS BIGINT)`,
    merge: column => `CAST(sum(${column}) AS BIGINT)`,
  }
}

/**
 * The integer part, NULL for NaN, the infinities and from 2^31 on: sums then pass over the row without a CASE. By
 * `trunc` and not by the cast's rounding: DuckDB checks the range before it rounds, so 2147483647.5 became -2^31.
 * Not by `floor`: what is left of a small negative value would need more bits than it has.
 */
export function whole(value: string): string {
  return `TRY_CAST(trunc(${value}) AS INTEGER)`
}

/** The rest, below 1, in units of 2^-62. Both steps are exact. An integer iff nothing is left under 2^-62. */
export function fraction(value: string): string {
  return `((${value} - ${whole(value)}) * ${number(2 ** 62)})`
}

/** DuckDB sums BIGINT as HUGEINT: exact for any number of rows. The cast drops what `remainder` hands to the side. */
function fractions(value: string): string {
  return `sum(CAST(${fraction(value)} AS BIGINT))`
}

/** What the cast in `fractions` drops: exact, as it has the value's own last bit. */
function remainder(value: string): string {
  return `((${fraction(value)} - CAST(CAST(${fraction(value)} AS BIGINT) AS DOUBLE)) * ${number(2 ** -62)})`
}

/** A fraction that does not fit is no integer; one of a value that does not fit is NULL. */
export function isMisfit(value: string): string {
  return `coalesce(floor(${fraction(value)}) <> ${fraction(value)}, ${value} IS NOT NULL)`
}

/** SQL type of a group's side entries, and of a row's. */
const sideType = 'STRUCT(bin SMALLINT, units BIGINT)[]'

/**
 * Side rows: (`_bin`, `_units`) of what the accumulators do not hold. |units| of one row is at most 2^31, so the
 * checked sums hold 2^32 rows in one bin.
 */
export const exactSumSide = {
  items,
  buckets: [{ name: '_bin', type: 'SMALLINT', of: (item: string) => `struct_extract(${item}, 'bin')` }],
  accumulators: [
    {
      name: '_units',
      type: 'BIGINT',
      partial: (item: string) => `CAST(sum(struct_extract(${item}, 'units')) AS BIGINT)`,
      merge: (units: string) => `CAST(sum(${units}) AS BIGINT)`,
    },
  ],
  where: (value: string) => isMisfit(double(value)),
  neededBy: 'misfits',
  fold: (rows: string, groups: string) =>
    `SELECT ${groups}, list(struct_pack(bin := _bin, units := _units)) AS _folded FROM ${rows} GROUP BY ${groups}`,
} satisfies Side

/** Empty for a usual value and NULL. */
function items(value: string): string {
  const x = '_es_x'
  const special = (bin: number) => `[${entry(String(bin), '1')}]`
  return bind(
    x,
    double(value),
    `CASE WHEN ${x} IS NULL THEN ${none} ` +
      `WHEN isnan(${x}) THEN ${special(nanBin)} ` +
      `WHEN isinf(${x}) THEN CASE WHEN ${x} > 0 THEN ${special(infinityBin)} ELSE ${special(minusInfinityBin)} END ` +
      `ELSE ${bind('_es_r', `CASE WHEN ${whole(x)} IS NULL THEN ${x} ELSE ${remainder(x)} END`, split('_es_r'))} END`,
  )
}

/** A finite double in at most three bins, from the one of its leading bit down: 53 bits reach over no more. */
export function split(value: string): string {
  const [shift, y, bin, z, high, rest, middle] = ['_es_s', '_es_y', '_es_k', '_es_z', '_es_h', '_es_q', '_es_m']
  const entries = bind(
    // Twenty bins nearer to 1 first, so that no power below leaves the range of DOUBLE. A product with a power of two
    // is exact here: it only ever moves away from the subnormals.
    shift,
    `CASE WHEN abs(${value}) >= ${number(2 ** 310)} THEN 20 ` +
      `WHEN abs(${value}) < ${number(2 ** -310)} THEN -20 ELSE 0 END`,
    bind(
      y,
      `${value} * ${powerOf2(`-31 * ${shift}`)}`,
      // Where log2 misses by a hair the value has one bit more or less in its first bin, and still fits into three.
      bind(
        bin,
        `CAST(floor(log2(abs(${y})) / 31) AS INTEGER)`,
        bind(
          z,
          `${y} * ${powerOf2(`-31 * ${bin}`)}`,
          bind(
            high,
            `CAST(${z} AS BIGINT)`,
            bind(
              rest,
              `(${z} - ${high}) * ${number(2 ** 31)}`,
              bind(
                middle,
                `CAST(${rest} AS BIGINT)`,
                `[${entry(`${bin} + ${shift}`, high)}, ${entry(`${bin} + ${shift} - 1`, middle)}, ` +
                  `${entry(`${bin} + ${shift} - 2`, `(${rest} - ${middle}) * ${number(2 ** 31)}`)}]`,
              ),
            ),
          ),
        ),
      ),
    ),
  )
  return `CASE WHEN ${value} = 0 THEN ${none} ELSE list_filter(${entries}, lambda _es_e: _es_e.units <> 0) END`
}

/**
 * The sum, correctly rounded, NULL when no value was seen. Beyond the range of DOUBLE it is an infinity; NaN and the
 * infinities behave as in IEEE 754; a zero is 0.0.
 *
 * @param accumulators SQL of the merged accumulators, in order.
 * @param side SQL of the group's merged side entries, each bin once, in any order (`exactSumSide.fold`), NULL for a
 * group without; null when the plan has no side table, which is right only if no partial had misfits.
 */
export function finishSum(accumulators: readonly string[], side: string | null): string {
  return finish(accumulators, side, null)
}

/** The average: the exact sum divided by the number of values, correctly rounded. Parameters as in `finishSum`. */
export function finishAvg(accumulators: readonly string[], side: string | null): string {
  return finish(accumulators, side, `CAST(${accumulators[0]} AS HUGEINT)`)
}

/**
 * An integer divided by a positive integer below 2^64, correctly rounded; NULL when either is NULL.
 *
 * @param total SQL of a HUGEINT. @param divisor SQL of a HUGEINT.
 */
export function finishQuotient(total: string, divisor: string): string {
  const exact = (value: string, least: bigint) => `${value} BETWEEN ${least} AND ${2n ** 53n}`
  // Both are doubles then, and one division of doubles is correctly rounded.
  const quick =
    `CASE WHEN ${exact(total, -(2n ** 53n))} AND ${exact(divisor, 1n)} ` +
    `THEN CAST(${total} AS DOUBLE) / CAST(${divisor} AS DOUBLE) END`
  return `coalesce(${quick}, ${quotient(total, divisor, 0)})`
}

/**
 * `total` * 2^`exponent` / `divisor`, correctly rounded. Written with `bind`: DuckDB computes parts that repeat outside
 * of a lambda for every row, even where this is the second choice of a `coalesce`, and plans long text slowly.
 */
function quotient(total: string, divisor: string | null, exponent: number): string {
  const [t, n] = ['_es_t', '_es_n']
  const cut = roundToOdd(t, divisor === null ? null : n, null)
  const scaled = bind(
    '_es_o',
    cut,
    `sign(${t}) * CAST(_es_o.odd AS DOUBLE) * ${powerOf2(`_es_o.exponent + ${exponent}`)}`,
  )
  return bind(t, total, divisor === null ? scaled : bind(n, divisor, scaled))
}

function finish([count, , ...bins]: readonly string[], side: string | null, divisor: string | null): string {
  const [bin0, bin1, bin2] = bins
  const total = `CAST(${bin0} AS HUGEINT) * ${2n ** 62n} + CAST(${bin1} AS HUGEINT) * ${2n ** 31n} + ${bin2}`
  // 0 // 0 is NULL, and so is the sum of no value.
  const usual = `(${quotient(total, divisor, -62)} + 0 // ${count})`
  if (side === null) return usual
  const has = (bin: number) => `list_contains(list_transform(${side}, lambda _es_e: _es_e.bin), ${bin})`
  return (
    `coalesce(CASE WHEN coalesce(len(${side}), 0) = 0 THEN NULL ` +
    `WHEN ${has(nanBin)} OR (${has(infinityBin)} AND ${has(minusInfinityBin)}) THEN ${number(Number.NaN)} ` +
    `WHEN ${has(infinityBin)} THEN ${number(Infinity)} WHEN ${has(minusInfinityBin)} THEN ${number(-Infinity)} ` +
    `ELSE ${roundedOnce(leading(bins, side), divisor)} END, ${usual})`
  )
}

/**
 * The bins of the whole range as `total` * 2^(`exponent` - 1), a HUGEINT and an INTEGER, odd where bits are cut.
 *
 * Carries: each pass leaves every bin a digit of -2^30 to 2^30 - 1 and hands the rest up, all bins at once. From up to
 * 2^64 the first pass hands up 2^33, the second 5: after two, no digit passes 2^30 + 5. Then what is under a digit is
 * less than 0.6 of its unit, so the first digit that is not 0 has the sign of the whole, four of them hold at least 91
 * bits, and what is under those four counts only by its sign.
 */
function leading(bins: readonly string[], side: string): string {
  const [all, low, digits, top] = ['_es_a', '_es_l', '_es_d', '_es_t']
  const usual = bins.map((units, index) => entry(String(-index), units))
  const binsOf = `list_transform(${all}, lambda _es_e: _es_e.bin)`
  // Three empty bins below keep `top - 3` inside the list, two above take the carries.
  const units = `list_transform(list_filter(${all}, lambda _es_e: _es_e.bin = _es_k), lambda _es_e: _es_e.units)`
  const dense =
    `list_transform(range(${low}, list_max(${binsOf}) + 3), lambda _es_k: ` +
    `coalesce(CAST(list_sum(${units}) AS HUGEINT), 0))`
  const digit = (below: number) => `${digits}[${top} - ${below}] * ${2n ** BigInt(31 * (3 - below))}`
  const lastUsed = (end: string) => `list_max(list_filter(range(1, ${end}), lambda _es_i: ${digits}[_es_i] <> 0))`
  const sticky = `coalesce(sign(${digits}[${lastUsed(`${top} - 3`)}]), 0)`
  // No digit at all: everything cancelled.
  const total = `coalesce(2 * (${[0, 1, 2, 3].map(digit).join(' + ')}) + ${sticky}, 0)`
  const parts = `struct_pack(total := ${total}, exponent := coalesce(CAST(31 * (${low} + ${top} - 4) AS INTEGER), 0))`
  return bind(
    all,
    `list_concat(${side}, [${usual.join(', ')}])`,
    bind(
      low,
      `list_min(${binsOf}) - 3`,
      bind(digits, carried(carried(dense)), bind(top, lastUsed(`len(${digits}) + 1`), parts)),
    ),
  )
}

export function carried(list: string): string {
  const below = `CASE WHEN _es_i = 1 THEN 0 ELSE ${high31('_es_c[greatest(_es_i - 1, 1)]')} END`
  return bind(
    '_es_c',
    list,
    `list_transform(range(1, len(_es_c) + 1), lambda _es_i: ${low31('_es_c[_es_i]')} + ${below})`,
  )
}

/** The quotient of `leading` by the divisor to the nearest double, over the whole range. */
export function roundedOnce(parts: string, divisor: string | null): string {
  const [p, c, unit] = ['_es_v', '_es_c', '_es_p']
  // 2^-1076 is two bits under the smallest subnormal: below 2^-1021 the last place no longer moves, and these two bits
  // are rounded here, half to even. Elsewhere the conversion to DOUBLE rounds.
  const least = -1076
  const total = `${p}.total`
  const cut = roundToOdd(total, divisor === null ? '2' : `(2 * ${divisor})`, `${least} - ${p}.exponent`)
  const odd = `${c}.odd`
  const subnormal = `CAST((${odd} + 1 + ((${odd} >> 2) & 1)) >> 2 AS DOUBLE) * ${number(2 ** -1074)}`
  // In two steps, as 2^unit alone may be under the range.
  const scaled = `CAST(${odd} AS DOUBLE) * ${powerOf2(`${unit} // 2`)} * ${powerOf2(`${unit} - ${unit} // 2`)}`
  const rounded = `CASE WHEN ${unit} = ${least} AND ${odd} < ${2n ** 55n} THEN ${subnormal} ELSE ${scaled} END`
  return bind(p, parts, bind(c, cut, bind(unit, `${c}.exponent + ${p}.exponent`, `sign(${total}) * ${rounded}`)))
}

function high31(units: string): string {
  return `((${units} + ${2 ** 30}) >> 31)`
}

function low31(units: string): string {
  return `(((${units} + ${2 ** 30}) & 2147483647) - ${2 ** 30})`
}

/**
 * |total| / divisor as an integer of 56 to 61 bits times 2^exponent, the last bit set if anything was cut.
 *
 * For a number between two integers, an odd total with an even divisor stands for everything between its even
 * neighbours: no multiple of the divisor lies there. Such a total has at least 92 bits and the divisor at most 34, so
 * that nothing is shifted in behind its last bit.
 *
 * Logarithms of rounded values may miss by one; the range of bits allows it.
 *
 * @param total SQL of a HUGEINT. @param divisor null for 1. @param least the smallest exponent allowed; the integer
 * then has fewer bits.
 * @returns SQL of a struct: `odd` BIGINT, `exponent` INTEGER
 */
export function roundToOdd(total: string, divisor: string | null, least: string | null): string {
  const [up, numerator, quotient, down, kept] = ['_es_up', '_es_nu', '_es_qu', '_es_dn', '_es_ke']
  const log2 = (integer: string) => `log2(CAST(greatest(${integer}, 1) AS DOUBLE))`
  const back = `(${kept} << ${down})${divisor === null ? '' : ` * ${divisor}`}`
  return bind(
    up,
    divisor === null ? '0' : `greatest(CAST(57 + ${log2(divisor)} - ${log2(`abs(${total})`)} AS INTEGER), 0)`,
    bind(
      numerator,
      `abs(${total}) << ${up}`,
      bind(
        quotient,
        divisor === null ? numerator : `${numerator} // ${divisor}`,
        bind(
          down,
          `greatest(CAST(${log2(quotient)} - 58 AS INTEGER), ${least === null ? '0' : `${least} + ${up}`}, 0)`,
          bind(
            kept,
            `${quotient} >> ${down}`,
            `struct_pack(odd := CAST(${kept} AS BIGINT) | CAST(NOT (${back} = ${numerator}) AS BIGINT), ` +
              `exponent := ${down} - ${up})`,
          ),
        ),
      ),
    ),
  )
}

const none = `CAST([] AS ${sideType})`

export function entry(bin: string, units: string): string {
  return `struct_pack(bin := CAST(${bin} AS SMALLINT), units := CAST(${units} AS BIGINT))`
}

/** `let name = value in body`: each intermediate is written and computed once. The names start with `_es_`. */
export function bind(name: string, value: string, body: string): string {
  return `list_transform([${value}], lambda ${name}: ${body})[1]`
}

/** Exact: every C library's pow is within one unit in the last place and exact where the result is a double. */
export function powerOf2(exponent: string): string {
  return `pow(${number(2)}, ${exponent})`
}

/** A bare literal may be a DECIMAL. JavaScript prints the shortest text that reads back as the same double. */
export function number(value: number): string {
  return `CAST('${value}' AS DOUBLE)`
}

export function double(value: string): string {
  return `CAST(${value} AS DOUBLE)`
}
