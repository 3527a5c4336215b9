import type { OptionTable } from '../../src/core/options.ts'
import { inputColumn } from '../../src/plan/relation.ts'
import {
  type Accumulator,
  type Aggregate,
  type AggregateOptions,
  type AggregateTypes,
  type ColumnOf,
  columnName,
  columnOptions,
  type Like,
  rowOptions,
  scalarType,
  type Side,
} from './aggregate.ts'
import {
  difference,
  type Difference,
  differences,
  type DigitSum,
  hugeint,
  keep,
  products,
  stage,
  v,
} from './exact-digits.ts'
import { bind, double, entry, exactSumSide, isMisfit, nanBin, number, powerOf2, split } from './exact-sum.ts'
import { type Digits, type DigitsOf, digitsOf, quotient, rounded, squareBin, sumOf, tooMany } from './exact-variance.ts'
import { comparedType } from './picked.ts'

/*
 * Covariances, correlations and regressions of exact arithmetic (S20): as `exact-variance.ts`, with the exact sums of
 * the products of two columns beside those of their squares. Each is a quotient of differences of products of these
 * sums, all of them exact, so that no order of rows and no cut can show. Only rows in which both columns have a value
 * count.
 *
 *     xy = n Sxy - Sx Sy        covariance = xy / n^2, or over n (n - 1)   slope = xy / xx
 *     xx = n Sxx - Sx^2         R^2 = xy^2 / (xx yy)                       correlation = its root, with the sign of xy
 *     yy = n Syy - Sy^2         intercept = (Sy Sxx - Sx Sxy) / xx
 *
 * Covariances are rounded once, as variances are. The others divide numbers of which at least 59 bits are right.
 */

type Kind = 'covarPop' | 'covarSamp' | 'corr' | 'regrSlope' | 'regrIntercept' | 'regrR2'

/** DOUBLE, NOT NULL where both columns are. */
export type LikeBoth<T extends AggregateTypes> = T['given'] extends {
  readonly other: infer B extends keyof T['columns'] & string
}
  ? T['columns'][B] extends `${string} NOT NULL`
    ? Like<ColumnOf<T>, 'DOUBLE'>
    : 'DOUBLE'
  : never

const pairOptions = {
  column: columnOptions.column,
  other: {
    kind: columnName,
    isRequired: true,
    isPositional: true,
    about: 'The other column of each pair; of a regression the one that is known, x.',
  },
  ...rowOptions,
} satisfies OptionTable<AggregateOptions & { readonly column: string; readonly other: string }>

/** Where the side table has the bins of each sum; y is the aggregate's column, x the other. */
const offsets = { y: 0, yy: squareBin, x: 2000, xy: 3000, xx: 4000 } as const
type Product = 'xx' | 'xy' | 'yy'
const productsOf: Readonly<Record<Kind, readonly Product[]>> = {
  covarPop: ['xy'],
  covarSamp: ['xy'],
  corr: ['xy', 'xx', 'yy'],
  regrSlope: ['xy', 'xx'],
  regrIntercept: ['xy', 'xx'],
  regrR2: ['xy', 'xx', 'yy'],
}

type Columns = Readonly<Record<'x' | 'y', DigitsOf>>

export function exactCovariance<T extends AggregateTypes>(name: Kind): Aggregate<typeof pairOptions, T> {
  return {
    name,
    options: pairOptions,
    plan(type, field, options, input) {
      const y = scalarType(type, field, 'a number')
      const at = `${field}: other`
      const x = scalarType(comparedType(String(options.other), field, input, 'other'), at, 'a number')
      const columns: Columns = { x: digitsOf(x, at), y: digitsOf(y, field) }
      const other = inputColumn(String(options.other))
      const used = productsOf[name]
      const accumulators = [counted(other), ...sums(columns, other, used)]
      const isExact = columns.x.isDouble || columns.y.isDouble
      const misfits: Accumulator = {
        name: 'misfits',
        type: 'BOOLEAN',
        partial: value => `coalesce(bool_or(${isMisfitPair(columns, value, other)}), FALSE)`,
        merge: column => `bool_or(${column})`,
      }
      return {
        result: name === 'covarPop' && !x.nullable && !y.nullable ? 'DOUBLE NOT NULL' : 'DOUBLE',
        accumulators: isExact ? [...accumulators, misfits] : accumulators,
        ...(isExact ? { side: pairSide(columns, other, used) } : {}),
        finish: (merged, side, where) => {
          const named = new Map(accumulators.map((part, index) => [part.name, merged[index] as string]))
          return finish({ name, field, where, columns }, named, side)
        },
      }
    },
  }
}

function counted(other: string): Accumulator {
  return {
    name: 'count',
    type: 'BIGINT',
    partial: value => `count(CASE WHEN ${other} IS NOT NULL THEN ${value} END)`,
    merge: count => `CAST(sum(${count}) AS BIGINT)`,
  }
}

const letters = ['a', 'b', 'c'] as const

/**
 * The digits of both columns and of the products, of pairs whose values both fit: what does not fit has NULL digits.
 */
function sums(columns: Columns, other: string, used: readonly Product[]): Accumulator[] {
  const pair = (value: string) => {
    const [x, y] = [columns.x.digits(other), columns.y.digits(value)]
    const with0 = (digits: Digits, of: Digits) => digits.map(digit => `(${digit} + 0 * ${of[0]})`) as unknown as Digits
    return { x: with0(x, y), y: with0(y, x) }
  }
  return [
    ...(['y', 'x'] as const).flatMap(column =>
      letters.map((letter, index) =>
        sumOf(`${column}${letter}`, 'BIGINT', value => `sum(${pair(value)[column][index]})`),
      ),
    ),
    ...used.flatMap(([left, right]) =>
      places.map((_, place) =>
        sumOf(`${left}${right}${place}`, 'DECIMAL(38,0)', value => {
          const both = pair(value)
          return digitAt(both[left as 'x' | 'y'], both[right as 'x' | 'y'], place)
        }),
      ),
    ),
  ]
}

/** Of a product of two times three digits, from the highest down. */
const places = [0, 1, 2, 3, 4] as const

function digitAt(left: Digits, right: Digits, place: number): string {
  return left
    .flatMap((digit, index) => {
      const partner = right[place - index]
      return partner === undefined ? [] : [`sum(${digit} * ${partner})`]
    })
    .join(' + ')
}

function isMisfitPair({ x, y }: Columns, value: string, other: string): string {
  const misfit = (of: DigitsOf, sql: string) => (of.isDouble ? isMisfit(double(sql)) : 'FALSE')
  return `(${value} IS NOT NULL AND ${other} IS NOT NULL AND (${misfit(y, value)} OR ${misfit(x, other)}))`
}

/** Pairs of which a value does not fit, whole: their digits, those of their products, NaN and the infinities. */
function pairSide(columns: Columns, other: string, used: readonly Product[]): Side {
  const isFinite = (of: DigitsOf, sql: string) => (of.isDouble ? `isfinite(${double(sql)})` : 'TRUE')
  const digits = (of: DigitsOf, sql: string) =>
    of.isDouble
      ? bind('_ev_d', double(sql), split('_ev_d'))
      : `[${of
          .digits(sql)
          .map((digit, index) => entry(String(of.top - index), digit))
          .join(', ')}]`
  const [x, y] = ['_ev_x', '_ev_y']
  const list = { x, y }
  const moved = `list_transform(${x}, lambda _ev_e: ${entry(`_ev_e.bin + ${offsets.x}`, '_ev_e.units')})`
  return {
    ...exactSumSide,
    where: value => isMisfitPair(columns, value, other),
    items(value) {
      const all = used.map(name => products(list[name[0] as 'x'], list[name[1] as 'x'], offsets[name]))
      const lists = [y, moved, ...all].reduce((left, right) => `list_concat(${left}, ${right})`)
      const found = bind(y, digits(columns.y, value), bind(x, digits(columns.x, other), lists))
      return (
        `CASE WHEN ${isFinite(columns.y, value)} AND ${isFinite(columns.x, other)} THEN ${found} ` +
        `ELSE [${entry(String(nanBin), '1')}] END`
      )
    },
  }
}

interface Finish {
  readonly name: Kind
  readonly field: string
  readonly where: string
  readonly columns: Columns
}

function finish(
  { name, field, where, columns }: Finish,
  merged: ReadonlyMap<string, string>,
  side: string | null,
): string {
  const count = merged.get('count') as string
  const isSpecial =
    side === null
      ? ''
      : `WHEN list_contains(list_transform(${side}, lambda _ev_e: _ev_e.bin), ${nanBin}) THEN ${number(Number.NaN)} `
  return (
    `CASE WHEN ${count} < ${name === 'covarSamp' ? 2 : 1} THEN NULL ${isSpecial}` +
    `${tooMany(count, field, where)} ELSE ${result(name, columns, merged, side)} END`
  )
}

const wanted = {
  xy: {
    products: [
      ['n', 'xy'],
      ['x', 'y'],
    ],
    of: ['x', 'y'],
  },
  xx: {
    products: [
      ['n', 'xx'],
      ['x', 'x'],
    ],
    of: ['x', 'x'],
  },
  yy: {
    products: [
      ['n', 'yy'],
      ['y', 'y'],
    ],
    of: ['y', 'y'],
  },
  at0: {
    products: [
      ['y', 'xx'],
      ['x', 'xy'],
    ],
    of: ['x', 'x', 'y'],
  },
} as const satisfies Readonly<Record<string, Difference>>

function result(name: Kind, columns: Columns, merged: ReadonlyMap<string, string>, side: string | null): string {
  const { x, y } = columns
  const exact = (...names: readonly (keyof typeof wanted)[]) =>
    differences(
      merged.get('count') as string,
      side,
      digitSums(columns, merged, productsOf[name]),
      Object.fromEntries(names.map(wantedName => [wantedName, wanted[wantedName]])),
    )
  const cut = (of: string) => leadingBits(`${of}.n2`, 61)
  switch (name) {
    case 'covarPop':
    case 'covarSamp': {
      const parts = quotient(difference(exact('xy'), 'xy'), name === 'covarSamp', x.scale + y.scale, true)
      return `${rounded(parts, false)} + ${number(0)}`
    }
    case 'regrSlope':
    case 'regrIntercept': {
      const top = name === 'regrSlope' ? 'xy' : 'at0'
      // By units of 10^-scale: a slope is in those of y over those of x, an intercept in those of y.
      const decimals = name === 'regrSlope' ? y.scale - x.scale : y.scale
      const line = stage(exact(top, 'xx'), {
        sign: v(`${top}.sign`),
        isNull: `${v('xx.sign')} = 0`,
        over: `${leadingBits(v(`${top}.n2`), 91)} * ${powerOf10(-decimals)}`,
        under: `${leadingBits(v('xx.n2'), 91)} * ${powerOf10(decimals)}`,
        exponent: `${exponentOf(v(top), 91)} - ${exponentOf(v('xx'), 91)}`,
      })
      return ratio(line, ({ digits, exponent }) => scaled(`CAST(${digits} AS DOUBLE)`, exponent))
    }
    case 'corr':
    case 'regrR2': {
      const squared = stage(exact('xy', 'xx', 'yy'), {
        sign: name === 'corr' ? v('xy.sign') : `abs(${v('xy.sign')})`,
        isNull: name === 'corr' ? `${v('xx.sign')} = 0 OR ${v('yy.sign')} = 0` : `${v('xx.sign')} = 0`,
        isFlat: `${v('yy.sign')} = 0`,
        over: `${cut(v('xy'))} * ${cut(v('xy'))}`,
        under: `${cut(v('xx'))} * ${cut(v('yy'))}`,
        exponent: `2 * ${exponentOf(v('xy'), 61)} - ${exponentOf(v('xx'), 61)} - ${exponentOf(v('yy'), 61)}`,
      })
      if (name === 'corr')
        return ratio(squared, ({ digits, exponent }) =>
          // With an even exponent, so that nothing leaves the range on its way.
          scaled(
            `sqrt(CAST(${digits} AS DOUBLE) * (1 + (${exponent} & 1)))`,
            `((${exponent} - (${exponent} & 1)) // 2)`,
          ),
        )
      // A level line explains all of what does not vary.
      return ratio(squared, ({ digits, exponent }) => scaled(`CAST(${digits} AS DOUBLE)`, exponent), {
        condition: v('isFlat'),
        value: number(1),
      })
    }
  }
}

function digitSums(
  columns: Columns,
  merged: ReadonlyMap<string, string>,
  used: readonly Product[],
): Record<string, DigitSum> {
  const single = (column: 'x' | 'y'): DigitSum => ({
    offset: offsets[column],
    of: [column],
    usual: letters.map((letter, index) => [columns[column].top - index, hugeint(merged.get(`${column}${letter}`))]),
  })
  const product = (name: Product): DigitSum => {
    const [left, right] = [...name] as ['x' | 'y', 'x' | 'y']
    return {
      offset: offsets[name],
      of: [left, right],
      usual: places.map(place => [
        columns[left].top + columns[right].top - place,
        hugeint(merged.get(`${name}${place}`)),
      ]),
    }
  }
  return { x: single('x'), y: single('y'), ...Object.fromEntries(used.map(name => [name, product(name)])) }
}

const powerOf10 = (decimals: number) => hugeint(`'${10n ** BigInt(Math.max(decimals, 0))}'`)

/** How many bits a positive integer has; logarithms of rounded values may miss by one. 0 counts as 1. */
const bitsOf = (integer: string) => `(CAST(floor(log2(CAST(greatest(${integer}, 1) AS DOUBLE))) AS INTEGER) + 1)`
/** Of a leading limb, which has more bits than `count`. */
const leadingBits = (n2: string, count: number) => `(${n2} >> greatest(${bitsOf(n2)} - ${count}, 0))`
/** Of two, the exponent of `leadingBits`. */
const exponentOf = (of: string, count: number) => `(${of}.exponent + 124 + ${bitsOf(`${of}.n2`)} - ${count})`

/** digits * 2^exponent, in two steps: a power of two alone may be out of range. */
const scaled = (digits: string, exponent: string) =>
  `${digits} * ${powerOf2(`${exponent} // 2`)} * ${powerOf2(`${exponent} - ${exponent} // 2`)}`

/**
 * sign * over / under * 2^exponent, by its leading bits, of which there are 57 to 62. What is a double comes out as it
 * is.
 *
 * @param fraction SQL of a struct: `sign`, `isNull`, `over` and `under` below 2^124, `exponent`.
 */
function ratio(
  fraction: string,
  value: (parts: { readonly digits: string; readonly exponent: string }) => string,
  unless?: { readonly condition: string; readonly value: string },
): string {
  const others = ['sign', 'isNull', ...(unless === undefined ? [] : ['isFlat'])]
  const aligned = stage(fraction, {
    ...keep(...others, 'over', 'under', 'exponent'),
    up: `120 - ${bitsOf(v('over'))}`,
    down: `greatest(${bitsOf(v('under'))} - 61, 0)`,
  })
  const divided = stage(aligned, {
    ...keep(...others),
    digits:
      `CAST(((${v('over')} >> greatest(-${v('up')}, 0)) << greatest(${v('up')}, 0)) // ` +
      `greatest(${v('under')} >> ${v('down')}, 1) AS BIGINT)`,
    exponent: `CAST(${v('exponent')} - ${v('up')} - ${v('down')} AS INTEGER)`,
  })
  const branches = [
    `WHEN ${v('isNull')} THEN NULL`,
    ...(unless === undefined ? [] : [`WHEN ${unless.condition} THEN ${unless.value}`]),
    `WHEN ${v('sign')} = 0 THEN ${number(0)}`,
  ]
  const signed = `${v('sign')} * ${value({ digits: v('digits'), exponent: v('exponent') })}`
  return `list_transform([${divided}], lambda _ev_v: CASE ${branches.join(' ')} ELSE ${signed} END)[1]`
}
