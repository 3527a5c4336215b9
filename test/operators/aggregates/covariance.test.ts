import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { corr, covarPop, covarSamp, regrIntercept, regrR2, regrSlope } from '../../../src/index.ts'
import { covarPopAggregate } from '../../../operators/aggregates/covar-pop.ts'
import { parseColumnType } from '../../../src/core/types.ts'
import { cancelling, everyExponent, huge, money, subnormal } from './doubles.ts'
import { doubleSql, evaluatorForTests } from './evaluate.ts'
import { exact, isWithinOneUnit, neighbour, round, unitExponent } from './rational.ts'

const evaluator = await evaluatorForTests()

/** `x` of the tables is the dependent column, y of a regression, and `by` the other. */
const calls = {
  p: covarPop('x', 'by'),
  s: covarSamp('x', 'by'),
  r: corr('x', 'by'),
  slope: regrSlope('x', 'by'),
  at0: regrIntercept('x', 'by'),
  r2: regrR2('x', 'by'),
}

/** How the values of a column are integers: in units of 2^unit / 10^scale. */
interface Column<V> {
  readonly type: string
  readonly values: fc.Arbitrary<V>
  sql(value: V): string
  toInteger(value: V): bigint
  readonly unit: number
  readonly scale: number
}

interface Sums {
  readonly n: bigint
  /** n Sxy - Sx Sy and its kin. */
  readonly xy: bigint
  readonly xx: bigint
  readonly yy: bigint
  readonly at0: bigint
}

function sumsOf(pairs: readonly (readonly [y: bigint, x: bigint])[]): Sums {
  const n = BigInt(pairs.length)
  const sum = (of: (y: bigint, x: bigint) => bigint) => pairs.reduce((all, [y, x]) => all + of(y, x), 0n)
  const [sy, sx] = [sum(y => y), sum((_, x) => x)]
  const [syy, sxy, sxx] = [sum(y => y * y), sum((y, x) => y * x), sum((_, x) => x * x)]
  return {
    n,
    xy: n * sxy - sx * sy,
    xx: n * sxx - sx * sx,
    yy: n * syy - sy * sy,
    at0: sy * sxx - sx * sxy,
  }
}

/** Stands for the numbers that a predicate takes. */
const satisfying = (name: string, accepts: (found: number) => boolean) => ({
  asymmetricMatch: (found: unknown) => typeof found === 'number' && accepts(found),
  toString: () => name,
})

const power = (scale: number) => 10n ** BigInt(Math.max(scale, 0))

function quotient(name: string, numerator: bigint, denominator: bigint, exponent: number, decimals: number) {
  return satisfying(name, found =>
    isWithinOneUnit(found, numerator * power(-decimals), denominator * power(decimals), exponent),
  )
}

/** The root of numerator / denominator, with a sign. */
function signedRoot(sign: bigint, numerator: bigint, denominator: bigint) {
  const isBelow = (x: number) => exact(x) ** 2n * denominator <= numerator << BigInt(-2 * unitExponent)
  const isExactly = (x: number) => exact(x) ** 2n * denominator === numerator << BigInt(-2 * unitExponent)
  return satisfying('root', found => {
    const size = Math.abs(found)
    if (size > 1 || (size > 0 && Math.sign(found) !== Number(sign))) return false
    if (isExactly(1)) return size === 1
    return (
      (size === 0 || isBelow(neighbour(size, -1))) && (!isBelow(neighbour(size, 1)) || isExactly(neighbour(size, 1)))
    )
  })
}

function expected<Y, X>(y: Column<Y>, x: Column<X>, rows: readonly (readonly [Y | null, X | null])[]) {
  const pairs = rows.flatMap(([a, b]) => (a === null || b === null ? [] : [[a, b] as const]))
  if (pairs.length === 0) return { p: null, s: null, r: null, slope: null, at0: null, r2: null }
  const isSpecial = (value: unknown) => typeof value === 'number' && !Number.isFinite(value)
  if (pairs.some(pair => pair.some(isSpecial))) {
    const nan = Number.NaN
    return { p: nan, s: pairs.length < 2 ? null : nan, r: nan, slope: nan, at0: nan, r2: nan }
  }
  const { n, xy, xx, yy, at0 } = sumsOf(pairs.map(([a, b]) => [y.toInteger(a), x.toInteger(b)] as const))
  const covariance = (over: bigint) => round(xy, over * power(y.scale + x.scale), y.unit + x.unit) + 0
  const sign = xy > 0n ? 1n : xy < 0n ? -1n : 0n
  return {
    p: covariance(n * n),
    s: n < 2n ? null : covariance(n * (n - 1n)),
    r: xx === 0n || yy === 0n ? null : signedRoot(sign, xy * xy, xx * yy),
    slope: xx === 0n ? null : quotient('slope', xy, xx, y.unit - x.unit, y.scale - x.scale),
    at0: xx === 0n ? null : quotient('intercept', at0, xx, y.unit, y.scale),
    r2: xx === 0n ? null : yy === 0n ? 1 : quotient('r2', xy * xy, xx * yy, 0, 0),
  }
}

interface Row<Y, X> {
  readonly pair: readonly [Y | null, X | null]
  readonly part: number
}

const relationOf = <Y, X>(y: Column<Y>, x: Column<X>, rows: readonly (Row<Y, X> & { readonly k: number })[]) =>
  `SELECT 1 AS _seq, 0 AS _row, NULL::BIGINT AS _watermark, make_timestamp(0) AS t, CAST(k AS VARCHAR) AS k, ` +
  `CAST(x AS ${y.type}) AS x, CAST(b AS ${x.type}) AS "by", k % 2 = 0 AS wanted FROM (VALUES ` +
  rows
    .map(({ k, pair: [a, b] }) => `(${k}, ${a === null ? 'NULL' : y.sql(a)}, ${b === null ? 'NULL' : x.sql(b)})`)
    .join(', ') +
  ') AS _(k, x, b)'

/** Many groups at a time, their rows in up to four partials and in one. */
async function checkGroups<Y, X>(
  y: Column<Y>,
  x: Column<X>,
  group: fc.Arbitrary<Row<Y, X>[]> = fc.array(
    fc.record<Row<Y, X>>({
      pair: fc.tuple(fc.option<Y>(y.values, { freq: 12 }), fc.option<X>(x.values, { freq: 12 })),
      part: fc.nat(3),
    }),
    { minLength: 1, maxLength: 9 },
  ),
): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(group, { minLength: 30, maxLength: 30 }), async groups => {
      const all = groups.flatMap((rows, k) => rows.map(row => ({ ...row, k })))
      const parts = [0, 1, 2, 3].map(part => all.filter(row => row.part === part)).filter(({ length }) => length > 0)
      const found = await evaluator.of(
        y.type,
        parts.map(part => relationOf(y, x, part)),
        calls,
        x.type,
      )
      expect(await evaluator.of(y.type, [relationOf(y, x, all)], calls, x.type)).toEqual(found)
      expect(found).toHaveLength(2 * groups.length)
      for (const { k, window_start: _start, window_end: _end, ...results } of found) {
        const rows = (groups[Number(k)] ?? []).map(({ pair }) => pair)
        expect({ rows, ...results }).toEqual({ rows, ...expected(y, x, rows) })
      }
    }),
    // Shrinking thirty groups would take minutes.
    { numRuns: 1, endOnFailure: true },
  )
}

const double = (values: fc.Arbitrary<number>): Column<number> => ({
  type: 'DOUBLE',
  values,
  sql: doubleSql,
  toInteger: value => exact(value === 0 ? 0 : value),
  unit: unitExponent,
  scale: 0,
})
const whole = (type: string, least: bigint, most: bigint): Column<bigint> => ({
  type,
  values: fc.oneof(fc.bigInt({ min: least, max: most }), fc.constantFrom(least, most, 0n, 1n)),
  sql: value => `'${value}'`,
  toInteger: value => value,
  unit: 0,
  scale: 0,
})
const decimal = (precision: number, scale: number, most = 10n ** BigInt(precision) - 1n): Column<bigint> => ({
  ...whole(`DECIMAL(${precision},${scale})`, -most, most),
  sql(value) {
    const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
    return `'${value < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}'`
  },
  scale,
})

describe('covariances, correlation and regression are those of exact arithmetic, whatever the cut', () => {
  test.each<[string, Column<any>, Column<any>]>([
    ['money', double(money), double(money)],
    ['large means and small differences', double(cancelling), double(cancelling)],
    ['every exponent', double(everyExponent), double(everyExponent)],
    ['huge beside subnormal', double(fc.oneof(huge, subnormal, money)), double(fc.oneof(huge, subnormal, money))],
    ['few values', double(fc.constantFrom(0.1, 0.1, -0)), double(fc.constantFrom(0.1, 0.1, 0, 5e-324))],
    [
      'NaN and the infinities',
      double(fc.constantFrom(0, -0, 1, NaN, Infinity)),
      double(fc.constantFrom(1, 2, -Infinity)),
    ],
    ['DOUBLE over BIGINT', double(fc.oneof(money, everyExponent)), whole('BIGINT', -(2n ** 63n), 2n ** 63n - 1n)],
    ['UBIGINT over DOUBLE', whole('UBIGINT', 0n, 2n ** 64n - 1n), double(fc.oneof(money, subnormal))],
    ['TINYINT over INTEGER', whole('TINYINT', -128n, 127n), whole('INTEGER', -(2n ** 31n), 2n ** 31n - 1n)],
    ['DECIMAL over DECIMAL', decimal(18, 9), decimal(9, 2)],
    ['few DECIMAL over many', decimal(9, 2, 3n), decimal(18, 9)],
    ['DECIMAL over BIGINT', decimal(18, 6), whole('BIGINT', -5n, 5n)],
    ['DOUBLE over DECIMAL', double(money), decimal(18, 9)],
  ])('%s', (_, y, x) => checkGroups(y, x))

  test('pairs on a line', async () => {
    const column = whole('BIGINT', -(2n ** 40n), 2n ** 40n)
    const line = fc
      .record({
        a: fc.bigInt(-1000n, 1000n),
        b: fc.bigInt(-(2n ** 40n), 2n ** 40n),
        x: fc.array(column.values, { minLength: 2, maxLength: 6 }),
      })
      .map(({ a, b, x }) => x.map((each, part) => ({ pair: [a * each + b, each] as const, part: part % 4 })))
    await checkGroups(column, column, line)
  })
})

test('with a filter only its pairs count', async () => {
  const [y, x] = [double(money), double(money)]
  const rows = [1, 2, 4, 8].map(value => ({ k: value % 2, part: 0, pair: [value, value * value] as const }))
  const some = { n: covarPop('x', 'by', { filter: 'wanted' }) }
  const found = await evaluator.of('DOUBLE', [relationOf(y, x, rows)], some, 'DOUBLE')
  const kept = rows.flatMap(({ k, pair }) => (k === 0 ? [pair] : []))
  const { p } = expected(y, x, kept)
  expect(found.map(({ k, n }) => [k, n])).toEqual([
    ['0', p],
    ['1', null],
    ['0', p],
    ['1', null],
  ])
})

test('more pairs than the arithmetic can take are an error that names the window and the group', async () => {
  const plan = covarPopAggregate.plan(
    parseColumnType('DOUBLE', 'y'),
    "aggregate c: covarPop('y')",
    covarPop('y', 'x') as never,
    {
      x: 'BIGINT',
      y: 'DOUBLE',
    },
  )
  const names = plan.accumulators.map(({ name }) => name)
  const values = names.map(name => `CAST(${name === 'count' ? 2 ** 30 + 1 : 0} AS BIGINT) AS ${name}`)
  const sql = `SELECT ${plan.finish(names, null, "'1970-01-01, north'")} AS c FROM (SELECT ${values.join(', ')})`
  await expect(evaluator.db.rows(sql)).rejects.toThrow(
    /aggregate c: covarPop\('y'\): more than 1073741824 values in the window and group 1970-01-01, north/,
  )
})
