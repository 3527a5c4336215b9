import { bind, carried, entry } from './exact-sum.ts'

/*
 * Differences of products of exact sums, such as n Q - S^2, as SQL text: what variances, covariances and regressions
 * are quotients of. A sum is a list of digits in base 2^31, a digit of 2^(31 k) stands in bin k above the offset of its
 * sum.
 *
 * What follows makes a chain of structs, each made from the one before, which is always called `_ev_v`. As lambdas
 * inside lambdas the same steps would take DuckDB seconds to plan.
 */

export function stage(before: string, fields: Readonly<Record<string, string>>): string {
  const items = Object.entries(fields).map(([name, sql]) => `${name} := ${sql}`)
  return `list_transform([${before}], lambda _ev_v: struct_pack(${items.join(', ')}))[1]`
}

export const v = (name: string) => `_ev_v.${name}`
export const keep = (...names: readonly string[]) => Object.fromEntries(names.map(name => [name, v(name)]))

export const hugeint = (sql: string | undefined) => `CAST(${sql} AS HUGEINT)`
export const shifted = (sql: string) => `${sql} * CAST('${2n ** 62n}' AS HUGEINT)`

/** SQL of a list: the digits of the products of all pairs of two lists of entries, under bins above `offset`. */
export function products(left: string, right: string, offset: number): string {
  const [a, b, product] = ['_ev_a', '_ev_b', '_ev_p']
  const bin = `${a}.bin + ${b}.bin + ${offset}`
  const digits = bind(
    product,
    `${a}.units * ${b}.units`,
    `[${entry(`${bin} + 1`, `${product} >> 31`)}, ${entry(bin, `${product} & 2147483647`)}]`,
  )
  return `flatten(flatten(list_transform(${left}, lambda ${a}: list_transform(${right}, lambda ${b}: ${digits}))))`
}

/** The exact sum of a column's values, or of products of two columns' values. */
export interface DigitSum {
  /** Its bins stand around this; no bin is further from it than `reach`. */
  readonly offset: number
  /** What is multiplied: names of sums of single values, itself where it is one. */
  readonly of: readonly string[]
  /** Bins, without the offset, and units of the accumulators. */
  readonly usual: readonly (readonly [bin: number, units: string])[]
}
const reach = 400

/** Of two products of sums: the first less the second. `n` is the number of values. */
export interface Difference {
  readonly products: readonly [readonly [string, string], readonly [string, string]]
  /** The sums of single values whose units a unit of the products has. */
  readonly of: readonly string[]
}

/** Zero digits below, so that the eight leading ones are always there. */
const padding = 8

/**
 * A struct of `n` and of each difference, the eight leading digits of its absolute value: (n2 2^124 + n1 2^62 + n0)
 * 2^exponent with its `sign`, `rest` is the sign of what is under them. n2 is 0 only of 0, otherwise at least 2^92.
 *
 * After carries every digit is between -(2^30 + 40) and 2^30 + 40, so that the first digit that is not 0 has the sign
 * of all from there down.
 *
 * @param count SQL of n, at most 2^30. @param side SQL of the group's side entries, NULL or null for none.
 */
export function differences(
  count: string,
  side: string | null,
  sums: Readonly<Record<string, DigitSum>>,
  wanted: Readonly<Record<string, Difference>>,
): string {
  const names = Object.keys(wanted)
  const singles = Object.entries(sums).filter(([, { of }]) => of.length === 1)
  const lows = singles.map(([name]) => `low_${name}`)
  const each = (of: (name: string) => Readonly<Record<string, string>>) => Object.assign({}, ...names.map(of))
  const dug = dugSums(count, side, sums)
  const numerators = stage(dug, {
    ...keep('n', ...lows),
    ...each(name => {
      const [first, second] = (wanted[name] as Difference).products
      const s = (sum: string) => v(`s_${sum}`)
      const length = ([a, b]: readonly [string, string]) => `len(${s(a)}) + len(${s(b)})`
      const product = ([a, b]: readonly [string, string]) => convolved(s(a), s(b))
      const end = `greatest(${length(first)}, ${length(second)}) + 3`
      return {
        [`d_${name}`]: `list_transform(range(1, ${end}), lambda _ev_k: ${product(first)} - ${product(second)})`,
      }
    }),
  })
  const digits = names.map(name => `d_${name}`)
  const padded = stage(numerators, {
    ...keep('n', ...lows),
    ...each(name => ({
      [`d_${name}`]:
        `list_concat(list_transform(range(${padding}), lambda _ev_k: CAST(0 AS HUGEINT)), ` +
        `${carried(carried(carried(v(`d_${name}`))))})`,
    })),
  })
  const lastUsed = (name: string, end: string) =>
    `list_max(list_filter(range(1, ${end}), lambda _ev_i: ${v(`d_${name}`)}[_ev_i] <> 0))`
  const signAt = (name: string, index: string) => `CAST(coalesce(sign(${v(`d_${name}`)}[${index}]), 0) AS INTEGER)`
  const topped = stage(padded, {
    ...keep('n', ...lows, ...digits),
    ...each(name => ({ [`t_${name}`]: lastUsed(name, `len(${v(`d_${name}`)}) + 1`) })),
  })
  const rested = stage(topped, {
    ...keep('n', ...lows, ...digits, ...names.map(name => `t_${name}`)),
    ...each(name => ({
      [`g_${name}`]: signAt(name, v(`t_${name}`)),
      [`r_${name}`]: signAt(name, lastUsed(name, `${v(`t_${name}`)} - ${padding - 1}`)),
    })),
  })
  return stage(rested, { ...keep('n'), ...each(name => ({ [name]: leading(name, (wanted[name] as Difference).of) })) })
}

/** `s_` and the name of each sum: its digits from `low_` and a single sum's name, or the sum of these, upwards. */
function dugSums(count: string, side: string | null, sums: Readonly<Record<string, DigitSum>>): string {
  const digit = (bin: number | string, units: string) =>
    `struct_pack(bin := CAST(${bin} AS INTEGER), units := ${units})`
  const usual = Object.values(sums).flatMap(sum => sum.usual.map(([bin, units]) => digit(sum.offset + bin, units)))
  const rows = `list_transform(${side}, lambda _ev_e: ${digit('_ev_e.bin', hugeint('_ev_e.units'))})`
  const entries = side === null ? `[${usual.join(', ')}]` : `list_concat([${usual.join(', ')}], ${rows})`
  const bins = ({ offset }: DigitSum) =>
    `list_transform(list_filter(${v('entries')}, lambda _ev_i: ` +
    `_ev_i.bin BETWEEN ${offset - reach} AND ${offset + reach}), lambda _ev_i: _ev_i.bin)`
  const singles = Object.entries(sums).filter(([, { of }]) => of.length === 1)
  const lows = singles.map(([name]) => `low_${name}`)
  const low = stage(`struct_pack(n := ${hugeint(count)}, entries := ${entries})`, {
    ...keep('n', 'entries'),
    ...Object.fromEntries(singles.map(([name, sum]) => [`low_${name}`, `list_min(${bins(sum)}) - ${sum.offset}`])),
  })
  const same = `list_filter(${v('entries')}, lambda _ev_i: _ev_i.bin = _ev_k)`
  const units = `list_transform(${same}, lambda _ev_i: _ev_i.units)`
  const all = Object.entries(sums)
  const dug = stage(low, {
    ...keep('n', ...lows),
    ...Object.fromEntries(
      all.map(([name, sum]) => {
        const from = [sum.offset, ...sum.of.map(single => v(`low_${single}`))].join(' + ')
        // Four digits more take the carries of sums of DECIMAL(38,0).
        const places = `range(${from}, list_max(${bins(sum)}) + 5)`
        const dense = `list_transform(${places}, lambda _ev_k: coalesce(list_sum(${units}), CAST(0 AS HUGEINT)))`
        return [`s_${name}`, dense]
      }),
    ),
  })
  return stage(dug, {
    ...keep('n', ...lows),
    s_n: `[${v('n')}]`,
    ...Object.fromEntries(all.map(([name]) => [`s_${name}`, carried(carried(carried(v(`s_${name}`))))])),
  })
}

/** Place `_ev_k` of a product: all pairs of digits whose places sum to it. Places count from 1. */
function convolved(a: string, b: string): string {
  return (
    `coalesce(list_sum(list_transform(range(greatest(1, _ev_k - len(${b}) + 1), least(_ev_k, len(${a})) + 1), ` +
    `lambda _ev_i: ${a}[_ev_i] * ${b}[_ev_k - _ev_i + 1])), CAST(0 AS HUGEINT))`
  )
}

function leading(name: string, of: readonly string[]): string {
  const [digits, top, sign, rest] = ['d', 't', 'g', 'r'].map(letter => v(`${letter}_${name}`))
  const at = (below: number) => `coalesce(${digits}[${top} - ${below}], 0)`
  const two = (below: number) => `${sign} * (${at(below)} * ${2n ** 31n} + ${at(below + 1)})`
  const low = of.map(single => v(`low_${single}`)).join(' + ')
  const fields = {
    n2: `${hugeint(shifted(`(${two(0)})`))} + ${two(2)}`,
    n1: hugeint(two(4)),
    n0: `${hugeint(two(6))} - CAST(${sign} * ${rest} < 0 AS INTEGER)`,
    rest: `${sign} * ${rest}`,
    // Everything cancelled: no digit at all.
    exponent: `coalesce(CAST(31 * (${low} + ${top} - ${2 * padding}) AS INTEGER), 0)`,
    sign,
  }
  return `struct_pack(${Object.entries(fields)
    .map(([field, sql]) => `${field} := ${sql}`)
    .join(', ')})`
}

/** One of the differences, for a chain that goes on with its fields and `n`. */
export function difference(chain: string, name: string): string {
  return stage(chain, {
    ...keep('n'),
    ...Object.fromEntries(['n2', 'n1', 'n0', 'rest', 'exponent', 'sign'].map(field => [field, v(`${name}.${field}`)])),
  })
}
