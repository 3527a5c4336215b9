import { configError } from '../../src/core/errors.ts'
import type { ParsedType } from '../../src/core/types.ts'
import { text } from '../../src/plan/sql.ts'
import {
  type Accumulator,
  type Aggregate,
  type AggregatePlan,
  type AggregateTypes,
  columnOptions,
  scalarType,
  type Side,
} from './aggregate.ts'
import {
  bind,
  double,
  entry,
  exactSumAccumulators,
  exactSumSide,
  fraction,
  nanBin,
  number,
  powerOf2,
  roundedOnce,
  roundToOdd,
  split,
  whole,
} from './exact-sum.ts'
import { difference, differences, hugeint, keep, products, shifted, stage, v } from './exact-digits.ts'

/*
 * Variances of exact arithmetic, rounded once (S20). With the exact sums S of the values and Q of their squares, the
 * variance of n values is (n Q - S^2) / (n (n - 1)), or over n^2 for a population: a quotient of integers, however much
 * cancels.
 *
 * A usual value is three digits in base 2^31, a 2^62 + b 2^31 + c times a unit: an integer as it is, a DECIMAL as its
 * unscaled integer, a DOUBLE below 2^31 with nothing under 2^-62 in units of 2^-62. Its square has five, whose products
 * of 62 bits are summed as HUGEINT. Values of DOUBLE that do not fit there go digit by digit to the side table of
 * `exact-sum.ts`, and so do the digits of their squares, under bins of their own.
 */

/** The side table's bin for 2^(31k) of a square is this + k; sums have bins from -35 to 33. */
export const squareBin = 1000

type Kind = 'variance' | 'stddev' | 'varPop' | 'stddevPop'

/** So that 10^(2 scale) leaves 124 bits of a quotient their place in HUGEINT. */
const scaleMax = 9

/** At most so many values of one window and group: no product below passes 127 bits. */
const countMax = 2 ** 30

export function exactVariance<T extends AggregateTypes>(name: Kind): Aggregate<typeof columnOptions, T> {
  return {
    name,
    options: columnOptions,
    plan(type, field) {
      const input = scalarType(type, field, 'a number')
      const { digits, top, scale, isDouble } = digitsOf(input, field)
      // A sample of one value has no variance.
      const result = name.endsWith('Pop') && !input.nullable ? 'DOUBLE NOT NULL' : 'DOUBLE'
      return {
        result,
        accumulators: [
          ...(isDouble ? exactSumAccumulators.slice(0, 2) : [counted]),
          ...['a', 'b', 'c'].map((digit, index) => sumOf(digit, 'BIGINT', value => `sum(${digits(value)[index]})`)),
          ...squares.map(([square, of]) => sumOf(square, 'DECIMAL(38,0)', value => of(digits(value)))),
        ],
        ...(isDouble ? { side: varianceSide } : {}),
        finish: (accumulators, side, where) =>
          finish({ name, field, top, scale, where }, isDouble ? accumulators.toSpliced(1, 1) : accumulators, side),
      } satisfies AggregatePlan
    },
  }
}

export const counted: Accumulator = {
  name: 'count',
  type: 'BIGINT',
  partial: value => `count(${value})`,
  merge: count => `CAST(sum(${count}) AS BIGINT)`,
}

export function sumOf(name: string, type: string, partial: (value: string) => string): Accumulator {
  return {
    name,
    type,
    partial: value => `CAST(coalesce(${partial(value)}, 0) AS ${type})`,
    merge: column => `CAST(sum(${column}) AS ${type})`,
  }
}

export type Digits = readonly [a: string, b: string, c: string]

/**
 * Products of digits from the highest down. The middle one is 2ac + b^2; the doubling of ab and bc waits for the end.
 */
const squares: readonly (readonly [string, (digits: Digits) => string])[] = [
  ['aa', ([a]) => `sum(${a} * ${a})`],
  ['ab', ([a, b]) => `sum(${a} * ${b})`],
  ['acbb', ([a, b, c]) => `2 * sum(${a} * ${c}) + sum(${b} * ${b})`],
  ['bc', ([, b, c]) => `sum(${b} * ${c})`],
  ['cc', ([, , c]) => `sum(${c} * ${c})`],
]

export interface DigitsOf {
  /** BIGINT each, NULL for NULL and for what does not fit; b and c are below 2^31. */
  digits(value: string): Digits
  /** `a` counts units of 2^(31 top). */
  readonly top: number
  readonly scale: number
  readonly isDouble: boolean
}

export function digitsOf(type: ParsedType, field: string): DigitsOf {
  const cut = (integer: string): Digits => [
    `CAST(${integer} >> 62 AS BIGINT)`,
    `CAST((${integer} >> 31) & 2147483647 AS BIGINT)`,
    `CAST(${integer} & 2147483647 AS BIGINT)`,
  ]
  switch (type.name) {
    case 'TINYINT':
    case 'SMALLINT':
    case 'INTEGER':
    case 'BIGINT':
      return { digits: value => cut(`CAST(${value} AS BIGINT)`), top: 2, scale: 0, isDouble: false }
    case 'UBIGINT':
      return { digits: value => cut(`CAST(${value} AS HUGEINT)`), top: 2, scale: 0, isDouble: false }
    case 'DECIMAL': {
      const [precision, scale] = [type.precision as number, type.scale as number]
      if (precision > 18 || scale > scaleMax)
        throw configError(
          field,
          type.sql,
          `a DECIMAL of at most 18 digits and scale ${scaleMax}; derive one, or a DOUBLE, first`,
        )
      // Of 38 digits, as DuckDB keeps a product of two short ones at 18.
      const power = `CAST('${10n ** BigInt(scale)}' AS DECIMAL(${scale + 1},0))`
      const wide = (value: string) => `CAST(${value} AS DECIMAL(38,${scale}))`
      return { digits: value => cut(`CAST(${wide(value)} * ${power} AS BIGINT)`), top: 2, scale, isDouble: false }
    }
    case 'FLOAT':
    case 'DOUBLE':
      return { digits: digitsOfDouble, top: 0, scale: 0, isDouble: true }
    default:
      throw configError(field, type.sql, 'a number')
  }
}

/**
 * Without CASE, in which DuckDB computes every repeated part again: 0 // 0 is NULL and makes NULL what does not fit.
 */
function digitsOfDouble(value: string): Digits {
  const x = double(value)
  const fits = `(0 // CAST(floor(${fraction(x)}) = ${fraction(x)} AS BIGINT))`
  const below = `CAST(${fraction(x)} AS BIGINT)`
  return [
    `(CAST(${whole(x)} AS BIGINT) + ${fits})`,
    `((${below} >> 31) + ${fits})`,
    `((${below} & 2147483647) + ${fits})`,
  ]
}

/** What the accumulators do not hold at all: the digits of such values and of their squares, NaN and the infinities. */
const varianceSide: Side = {
  ...exactSumSide,
  items(value) {
    const [x, list] = ['_ev_x', '_ev_l']
    const all = products(list, list, squareBin)
    return bind(
      x,
      double(value),
      `CASE WHEN isfinite(${x}) THEN ${bind(list, split(x), `list_concat(${list}, ${all})`)} ` +
        `ELSE [${entry(String(nanBin), '1')}] END`,
    )
  },
}

/** SQL of a branch of CASE: an error where a group has more values than the arithmetic can take. */
export function tooMany(count: string, field: string, where: string): string {
  const error = `error(${text(`${field}: more than ${countMax} values in the window and group `)} || ${where})`
  return `WHEN ${count} > ${countMax} THEN ${error}`
}

interface Finish {
  readonly name: Kind
  readonly field: string
  readonly top: number
  readonly scale: number
  readonly where: string
}

/** @param accumulators count, the three sums, the five squares. */
function finish(
  { name, field, top, scale, where }: Finish,
  accumulators: readonly string[],
  side: string | null,
): string {
  const count = `${accumulators[0]}`
  const isSample = !name.endsWith('Pop')
  const usual = usualNumerator(accumulators, top)
  const numerator =
    side === null
      ? usual
      : `CASE WHEN coalesce(len(${side}), 0) = 0 THEN ${usual} ELSE ${fullNumerator(accumulators, side)} END`
  const value = rounded(quotient(numerator, isSample, 2 * scale), name.startsWith('stddev'))
  const isSpecial =
    side === null
      ? ''
      : `WHEN list_contains(list_transform(${side}, lambda _ev_e: _ev_e.bin), ${nanBin}) THEN ${number(Number.NaN)} `
  return (
    `CASE WHEN ${count} < ${isSample ? 2 : 1} THEN NULL ${isSpecial}` +
    `${tooMany(count, field, where)} ELSE ${value} END`
  )
}

/** The limbs of `quotient`: what is under 2^62, and what is above. */
const limb = (sql: string) => `(${sql} & CAST('${2n ** 62n - 1n}' AS HUGEINT))`
const carry = (sql: string) => `(${sql} >> 62)`

/**
 * n Q - S^2 = (n2 2^124 + n1 2^62 + n0) 2^exponent from the accumulators alone: three limbs, not carried. `rest` is the
 * sign of what is under them.
 */
function usualNumerator(accumulators: readonly string[], top: number): string {
  const [n, a, b, c, aa, ab, acbb, bc, cc] = accumulators.map(hugeint)
  const low = `(${b} * ${2n ** 31n} + ${c})`
  const low30 = (sql: string | undefined) => `(${sql} & ${2n ** 30n - 1n}) * ${2n ** 32n}`
  const limbs = {
    n: `${n}`,
    h: `${a} + ${carry(low)}`,
    l: limb(low),
    // 2ab 2^93 is ab 2^94, and 2bc 2^31 is bc 2^32: cut at the limbs' borders.
    q2: `${aa} + (${ab} >> 30)`,
    q1: `${acbb} + ${low30(ab)} + (${bc} >> 30)`,
    q0: `${cc} + ${low30(bc)}`,
  }
  const first = `struct_pack(${Object.entries(limbs)
    .map(([name, sql]) => `${name} := ${sql}`)
    .join(', ')})`
  return stage(first, {
    ...keep('n'),
    n2: `${v('n')} * ${v('q2')} - ${v('h')} * ${v('h')}`,
    n1: `${v('n')} * ${v('q1')} - 2 * ${v('h')} * ${v('l')}`,
    n0: `${v('n')} * ${v('q0')} - ${v('l')} * ${v('l')}`,
    rest: '0',
    exponent: `${62 * (top - 2)}`,
  })
}

/** The same of a DOUBLE's accumulators and side rows, from the whole range. */
function fullNumerator(accumulators: readonly string[], side: string): string {
  const [n = '', a, b, c, aa, ab, acbb, bc, cc] = accumulators
  const usual = (units: readonly (string | undefined)[]) =>
    units.map(
      (sql, index) => [-index, index % 2 === 1 && units.length > 3 ? `2 * ${hugeint(sql)}` : hugeint(sql)] as const,
    )
  const sums = {
    x: { offset: 0, of: ['x'], usual: usual([a, b, c]) },
    xx: { offset: squareBin, of: ['x', 'x'], usual: usual([aa, ab, acbb, bc, cc]) },
  }
  const wanted = {
    xx: {
      products: [
        ['n', 'xx'],
        ['x', 'x'],
      ],
      of: ['x', 'x'],
    },
  } as const
  return difference(differences(n, side, sums, wanted), 'xx')
}

/**
 * The numerator over n (n - 1) or n^2, and over 10^decimals, as `total` * 2^(`exponent` - 1) with at least 62 bits,
 * odd where anything was cut: long division in base 2^62, each divisor below 2^61.
 *
 * @param decimals at most 18. @param isSigned the numerator has a `sign`, for the total.
 */
export function quotient(numerator: string, isSample: boolean, decimals: number, isSigned = false): string {
  // Two places behind the point for the smallest quotient, 2^-60; a third for the scale.
  const behind = decimals === 0 ? ['f1', 'f2'] : ['f1', 'f2', 'f3']
  const limbs = ['n2', 'n1', 'n0', ...behind]
  const signs = isSigned ? ['sign'] : []
  const others = ['rest', 'exponent', 'divisor', ...signs]
  let chain = stage(numerator, {
    ...keep('n2', 'rest', 'exponent', ...signs),
    n1: `${v('n1')} + ${carry(v('n0'))}`,
    n0: limb(v('n0')),
    divisor: `${v('n')} * ${isSample ? `(${v('n')} - 1)` : v('n')}`,
  })
  chain = stage(chain, {
    ...keep('n0', ...others),
    n2: `${v('n2')} + ${carry(v('n1'))}`,
    n1: limb(v('n1')),
    ...Object.fromEntries(behind.map(name => [name, 'CAST(0 AS HUGEINT)'])),
    r: 'CAST(0 AS HUGEINT)',
  })
  const divide = (divisor: string) => {
    for (const name of limbs) {
      const part = `(${shifted(v('r'))} + ${v(name)})`
      chain = stage(chain, {
        ...keep(...limbs.filter(other => other !== name), ...others),
        [name]: `${part} // ${divisor}`,
        r: `${part} % ${divisor}`,
      })
    }
    chain = stage(chain, {
      ...keep(...limbs, 'exponent', 'divisor', ...signs),
      rest: `CAST(${v('rest')} <> 0 OR ${v('r')} <> 0 AS INTEGER)`,
      r: 'CAST(0 AS HUGEINT)',
    })
  }
  divide(v('divisor'))
  if (decimals > 0) divide(`CAST('${10n ** BigInt(decimals)}' AS HUGEINT)`)

  // The two leading limbs that are not 0, or the first one alone where it is that long.
  const leading = (from: number, count: 1 | 2) => {
    const [first = '', second = ''] = limbs.slice(from)
    const total = count === 1 ? v(first) : `(${shifted(v(first))} + ${v(second)})`
    const below = limbs.slice(from + count).map(name => `${v(name)} <> 0`)
    const isCut = [`${v('rest')} <> 0`, ...below].join(' OR ')
    return (
      `struct_pack(total := ${isSigned ? `${v('sign')} * ` : ''}(2 * ${total} + CAST(${isCut} AS INTEGER)), ` +
      `exponent := ${v('exponent')} + ${124 - 62 * (from + count - 1)})`
    )
  }
  const last = limbs.length - 2
  const cases = limbs
    .slice(0, last)
    .map((name, from) => `WHEN ${v(name)} > 0 THEN ${leading(from, 2)}`)
    .join(' ')
  const picked = `CASE WHEN ${v('n2')} >= ${2n ** 62n} THEN ${leading(0, 1)} ${cases} ELSE ${leading(last, 2)} END`
  return `list_transform([${chain}], lambda _ev_v: ${picked})[1]`
}

/** total * 2^(exponent - 1) to the nearest double, or its square root. */
export function rounded(parts: string, isRoot: boolean): string {
  const at = '_ev_q'
  // What is far under the smallest subnormal would only be shifted out of its 127 bits.
  if (!isRoot)
    return bind(at, parts, `CASE WHEN ${at}.exponent < -1201 THEN ${number(0)} ELSE ${roundedOnce(at, null)} END`)
  // Of the correctly rounded mantissa with an even exponent, so that nothing overflows on its way.
  const [cut, mantissa, exponent, half] = ['_ev_c', '_ev_m', '_ev_x', '((_ev_x - (_ev_x & 1)) // 2)']
  const square = bind(
    cut,
    roundToOdd(`${at}.total`, '2', null),
    bind(
      exponent,
      `CAST(${cut}.exponent + ${at}.exponent AS INTEGER)`,
      bind(
        mantissa,
        `CAST(${cut}.odd AS DOUBLE) * (1 + (${exponent} & 1))`,
        `sqrt(${mantissa}) * ${powerOf2(`${half} // 2`)} * ${powerOf2(`${half} - ${half} // 2`)}`,
      ),
    ),
  )
  return bind(at, parts, square)
}
