import type { Accumulator } from './aggregate.ts'

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
const nanBin = 100
const infinityBin = 101
const minusInfinityBin = 102

/**
 * The merged state of one sum. All are BIGINT and 0 where nothing was added. Merging is checked: an overflow is an
 * error, never a wrong sum, and needs at least 2^32 rows of the largest usual value in one group.
 */
export const exactSumAccumulators: readonly Accumulator[] = [
  // Values that are not NULL: the divisor of an average, and a result of NULL when there is none.
  accumulator('count', value => `count(${value})`),
  // Rows that also have side rows. A partial in which this is 0 everywhere needs no run of exactSumSide. A fraction
  // that does not fit is no integer; one of a value that does not fit is NULL, and NULL is not counted.
  accumulator('misfits', value => `count(${value}) - count_if(floor(${fraction(value)}) = ${fraction(value)})`),
  accumulator('bin0', value => `coalesce(sum(${whole(value)}), 0)`),
  accumulator('bin1', value => `coalesce(${fractions(value)} >> 31, 0)`),
  accumulator('bin2', value => `coalesce(${fractions(value)} & 2147483647, 0)`),
]

function accumulator(name: string, partial: (value: string) => string): Accumulator {
  return {
    name,
    type: 'BIGINT',
    partial: value => `CAST(${partial(double(value))} AS BIGINT)`,
    merge: column => `CAST(sum(${column}) AS BIGINT)`,
  }
}

/** The nearest integer, NULL for NaN, the infinities and beyond 2^31: sums then pass over the row without a CASE. */
function whole(value: string): string {
  return `TRY_CAST(${value} AS INTEGER)`
}

/** The rest, at most 1/2, in units of 2^-62. Both steps are exact. An integer iff nothing is left under 2^-62. */
function fraction(value: string): string {
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

/** SQL type of one side entry of a row or a group. */
export const exactSumSideType = 'STRUCT(bin SMALLINT, units BIGINT)[]'

/**
 * A list of (bin, units) for the part of a value that the accumulators do not hold: empty for a usual value and NULL.
 * `unnest` it, then per group and bin `CAST(sum(units) AS BIGINT)`, which is the merge as well. |units| is at most
 * 2^31, so the checked cast holds 2^32 rows in one bin.
 */
export function exactSumSide(value: string): string {
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
function split(value: string): string {
  const [shift, y, bin, z, high, rest, middle] = ['_es_s', '_es_y', '_es_k', '_es_z', '_es_h', '_es_q', '_es_m']
  const entries = bind(
    // Twenty bins nearer to 1 first, so that no power below leaves the range of DOUBLE. A product with a power of two
    // is exact here: it only ever moves away from the subnormals.
    shift,
    `CASE WHEN abs(${value}) >= ${number(2 ** 310)} THEN 20 WHEN abs(${value}) < ${number(2 ** -310)} THEN -20 ELSE 0 END`,
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
 * @param side SQL of the group's merged side entries, each bin once, in any order (`exactSumSideType`), NULL for a
 * group without; null when the plan has no side table, which is right only if no partial had misfits.
 */
export function finishSum(accumulators: readonly string[], side: string | null): string {
  return finish(accumulators, side, '1')
}

/** The average: the exact sum divided by the number of values, correctly rounded. Parameters as in `finishSum`. */
export function finishAvg(accumulators: readonly string[], side: string | null): string {
  return finish(accumulators, side, accumulators[0] as string)
}

function finish([count, , ...bins]: readonly string[], side: string | null, divisor: string): string {
  const [bin0, bin1, bin2] = bins
  const units = `(CAST(${bin0} AS HUGEINT) * ${2n ** 62n} + CAST(${bin1} AS HUGEINT) * ${2n ** 31n} + ${bin2})`
  const usual = quotient(`2 * ${units}`, '-62', divisor)
  const empty = `WHEN coalesce(${count}, 0) = 0 THEN NULL`
  if (side === null) return `CASE ${empty} ELSE ${usual} END`
  const has = (bin: number) => `list_contains(list_transform(${side}, lambda _es_e: _es_e.bin), ${bin})`
  return (
    `CASE ${empty} WHEN coalesce(len(${side}), 0) = 0 THEN ${usual} ` +
    `WHEN ${has(nanBin)} OR (${has(infinityBin)} AND ${has(minusInfinityBin)}) THEN ${number(Number.NaN)} ` +
    `WHEN ${has(infinityBin)} THEN ${number(Infinity)} WHEN ${has(minusInfinityBin)} THEN ${number(-Infinity)} ` +
    `ELSE ${wide(bins as readonly string[], side, divisor)} END`
  )
}

/**
 * The quotient from bins all over the range.
 *
 * Carries: each pass leaves every bin a digit of -2^30 to 2^30 - 1 and hands the rest up, all bins at once. From up to
 * 2^64 the first pass hands up 2^33, the second 5: after two, no digit passes 2^30 + 5. Then what is under a digit is
 * less than 0.6 of its unit, so the first digit that is not 0 has the sign of the whole and four of them hold at least
 * 92 bits, and what is under those four counts only by its sign.
 */
function wide(bins: readonly string[], side: string, divisor: string): string {
  const [all, low, digits, used, top] = ['_es_a', '_es_l', '_es_d', '_es_u', '_es_t']
  const usual = bins.map((units, index) => entry(String(-index), units))
  // Three empty bins below keep `top - 3` inside the list, two above take the carries.
  const dense = `list_transform(range(${low}, list_max(list_transform(${all}, lambda _es_e: _es_e.bin)) + 3), lambda _es_k: ${sumOfBin})`
  const carried = (list: string) =>
    `list_transform(range(1, len(${list}) + 1), lambda _es_i: ` +
    `${low31(`${list}[_es_i]`)} + CASE WHEN _es_i = 1 THEN 0 ELSE ${high31(`${list}[greatest(_es_i - 1, 1)]`)} END)`
  const digit = (below: number) => `${digits}[${top} - ${below}] * ${2n ** BigInt(31 * (3 - below))}`
  const head = `(${digit(0)} + ${digit(1)} + ${digit(2)} + ${digit(3)})`
  const sticky = `coalesce(sign(${digits}[list_max(list_filter(${used}, lambda _es_i: _es_i < ${top} - 3))]), 0)`
  return bind(
    all,
    `list_concat(${side}, [${usual.join(', ')}])`,
    bind(
      low,
      `list_min(list_transform(${all}, lambda _es_e: _es_e.bin)) - 3`,
      bind(
        '_es_d0',
        dense,
        bind(
          '_es_d1',
          carried('_es_d0'),
          bind(
            digits,
            carried('_es_d1'),
            bind(
              used,
              `list_filter(range(1, len(${digits}) + 1), lambda _es_i: ${digits}[_es_i] <> 0)`,
              bind(
                top,
                `list_max(${used})`,
                // No digit at all: everything cancelled.
                `CASE WHEN ${top} IS NULL THEN ${number(0)} ` +
                  `ELSE ${quotient(`2 * ${head} + ${sticky}`, `31 * (${low} + ${top} - 4)`, divisor)} END`,
              ),
            ),
          ),
        ),
      ),
    ),
  )
}

const sumOfBin =
  'coalesce(CAST(list_sum(list_transform(list_filter(_es_a, lambda _es_e: _es_e.bin = _es_k), lambda _es_e: _es_e.units)) AS HUGEINT), 0)'

function high31(units: string): string {
  return `((${units} + ${2 ** 30}) >> 31)`
}

function low31(units: string): string {
  return `(((${units} + ${2 ** 30}) & 2147483647) - ${2 ** 30})`
}

/**
 * S / divisor, correctly rounded, of a number S = T * 2^exponent that may have bits under T.
 *
 * @param doubled 2T, or 2T + 1 or 2T - 1 for S between T and its neighbour: the odd value stands for everything
 * between, and as 2 * divisor is even no quotient below can fall on the wrong side of an integer. With such a bit, T
 * has at least 91 bits and the divisor at most 33, so that nothing is shifted in behind it.
 */
function quotient(doubled: string, exponent: string, divisor: string): string {
  const [v, d, shift, numerator, q, odd, result] = ['_es_v', '_es_n', '_es_p', '_es_b', '_es_c', '_es_o', '_es_f']
  const up = `greatest(-${shift}, 0)`
  const down = `greatest(${shift}, 0)`
  const one = 'CAST(1 AS HUGEINT)'
  // 2^-1076 is two bits under the smallest subnormal: below 2^-1021 the last place no longer moves, and the two bits
  // are rounded here, half to even.
  const least = -1076
  const unit = `(${shift} + ${exponent})`
  const small = `CAST((${odd} + 1 + ((${odd} >> 2) & 1)) >> 2 AS DOUBLE) * ${number(2 ** -1074)}`
  const scaled = `CAST(${odd} AS DOUBLE) * ${powerOf2(`(${unit} // 2)`)} * ${powerOf2(`(${unit} - ${unit} // 2)`)}`
  return bind(
    v,
    doubled,
    `CASE WHEN ${v} = 0 THEN ${number(0)} ELSE ${bind(
      d,
      `2 * CAST(${divisor} AS HUGEINT)`,
      bind(
        // To a quotient of 55 to 60 bits: logarithms of rounded values may miss by one.
        shift,
        `greatest(CAST(floor(log2(CAST(abs(${v}) AS DOUBLE))) - floor(log2(CAST(${d} AS DOUBLE))) AS INTEGER) - 57, ${least} - ${exponent})`,
        bind(
          numerator,
          `abs(${v}) * (${one} << ${up})`,
          bind(
            q,
            `${numerator} // ${d}`,
            bind(
              odd,
              `CAST((${q} >> ${down}) | CASE WHEN ${numerator} % ${d} <> 0 OR ${q} % (${one} << ${down}) <> 0 THEN 1 ELSE 0 END AS BIGINT)`,
              bind(
                result,
                `CASE WHEN ${unit} = ${least} AND ${odd} < ${2n ** 55n} THEN ${small} ELSE ${scaled} END`,
                `CASE WHEN ${v} < 0 THEN -${result} ELSE ${result} END`,
              ),
            ),
          ),
        ),
      ),
    )} END`,
  )
}

const none = `CAST([] AS ${exactSumSideType})`

function entry(bin: string, units: string): string {
  return `struct_pack(bin := CAST(${bin} AS SMALLINT), units := CAST(${units} AS BIGINT))`
}

/** `let name = value in body`: each intermediate is written and computed once. The names start with `_es_`. */
function bind(name: string, value: string, body: string): string {
  return `list_transform([${value}], lambda ${name}: ${body})[1]`
}

/** Exact: every C library's pow is within one unit in the last place and exact where the result is a double. */
function powerOf2(exponent: string): string {
  return `pow(${number(2)}, ${exponent})`
}

/** A bare literal may be a DECIMAL. JavaScript prints the shortest text that reads back as the same double. */
function number(value: number): string {
  return `CAST('${value}' AS DOUBLE)`
}

function double(value: string): string {
  return `CAST(${value} AS DOUBLE)`
}
