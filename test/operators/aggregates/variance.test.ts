import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { stddevPop } from '../../../operators/aggregates/stddev-pop.ts'
import { stddev } from '../../../operators/aggregates/stddev.ts'
import { varPop } from '../../../operators/aggregates/var-pop.ts'
import { variance, varianceAggregate } from '../../../operators/aggregates/variance.ts'
import { parseColumnType } from '../../../src/core/types.ts'
import { cancelling, everyExponent, huge, money, sign, subnormal } from './doubles.ts'
import { doubleSql, evaluatorForTests, inputRows, type Placed, wanted } from './evaluate.ts'
import { exact, neighbour, round, unitExponent } from './rational.ts'

const evaluator = await evaluatorForTests()

const calls = {
  s: variance('x'),
  p: varPop('x'),
  rs: stddev('x'),
  rp: stddevPop('x'),
  some: variance('x', { filter: 'wanted' }),
}

interface Spread {
  /** The variance is numerator / denominator * 2^exponent. */
  readonly numerator: bigint
  readonly denominator: bigint
  readonly exponent: number
}

/** From integers in units of 2^unit / 10^scale; null for too few values. */
function spread(values: readonly bigint[], unit: number, scale: number, isSample: boolean): Spread | null {
  const n = BigInt(values.length)
  if (n < (isSample ? 2n : 1n)) return null
  const sum = values.reduce((a, b) => a + b, 0n)
  const squares = values.reduce((a, b) => a + b * b, 0n)
  return {
    numerator: n * squares - sum * sum,
    denominator: n * (isSample ? n - 1n : n) * 10n ** BigInt(2 * scale),
    exponent: 2 * unit,
  }
}

function rounded(of: Spread | null): number | null {
  return of === null ? null : round(of.numerator, of.denominator, of.exponent)
}

/** Stands for every double within one unit in the last place of the square root. */
function rootOf(of: Spread | null): unknown {
  if (of === null) return null
  const { numerator, denominator, exponent } = of
  // Both sides in units of 2^-2148, the square of the smallest subnormal.
  const shift = BigInt(exponent - 2 * unitExponent)
  const below = (x: number) => exact(x) * exact(x) * denominator <= numerator << shift
  return {
    asymmetricMatch(found: unknown) {
      if (typeof found !== 'number' || !(found >= 0)) return false
      if (found === Infinity) return below(Number.MAX_VALUE)
      const up = neighbour(found, 1)
      return (
        (found === 0 || below(neighbour(found, -1))) &&
        (up === Infinity || !below(up) || exact(up) ** 2n * denominator === numerator << shift)
      )
    },
    toString: () => 'rootOf',
  }
}

const present = <V>(rows: readonly Placed<V>[]): V[] => rows.flatMap(({ x }) => (x === null ? [] : [x]))

function expected<V>(
  toInteger: (value: V) => bigint,
  unit: number,
  scale: number,
  isSpecial: (value: V) => boolean = () => false,
) {
  const of = (isSample: boolean, result: (of: Spread | null) => unknown) => (rows: readonly Placed<V>[]) => {
    const values = present(rows)
    if (values.some(isSpecial) && values.length >= (isSample ? 2 : 1)) return Number.NaN
    return result(spread(values.some(isSpecial) ? [] : values.map(toInteger), unit, scale, isSample))
  }
  return {
    s: of(true, rounded),
    p: of(false, rounded),
    rs: of(true, rootOf),
    rp: of(false, rootOf),
    some: (rows: readonly Placed<V>[]) => of(true, rounded)(wanted(rows)),
  }
}

/** Forty groups at a time, their rows in up to four partials; a root beside a square, a sample beside a population. */
async function checkGroups<V>(
  type: string,
  sql: (value: V) => string,
  x: fc.Arbitrary<V>,
  oracles: ReturnType<typeof expected<V>>,
): Promise<void> {
  const row = fc.record({ x: fc.option(x, { freq: 10 }), part: fc.nat(3) })
  const group = fc.array(row, { minLength: 1, maxLength: 14 })
  const wide = { s: variance('x'), rp: stddevPop('x') }
  await fc.assert(
    fc.asyncProperty(fc.array(group, { minLength: 40, maxLength: 40 }), async groups => {
      const relations = [0, 1, 2, 3].flatMap(part => {
        const values = groups.flatMap((rows, k) =>
          rows.flatMap(own => (own.part === part ? [`(${k}, ${own.x === null ? 'NULL' : sql(own.x)})`] : [])),
        )
        if (values.length === 0) return []
        return [
          `SELECT 1 AS _seq, 0 AS _row, NULL::BIGINT AS _watermark, make_timestamp(0) AS t, CAST(k AS VARCHAR) AS k, ` +
            `CAST(x AS ${type}) AS x, 1::BIGINT AS "by", true AS wanted FROM (VALUES ${values.join(', ')}) AS _(k, x)`,
        ]
      })
      const found = await evaluator.of(type, relations, wide)
      expect(found).toHaveLength(2 * groups.length)
      for (const { k, s, rp } of found) {
        const rows = (groups[Number(k)] ?? []).map((own, index) => ({
          ...own,
          row: index,
          minute: 0,
          key: null,
          by: null,
          isWanted: null,
        }))
        const values = rows.map(own => own.x)
        expect({ values, s, rp }).toEqual({ values, s: oracles.s(rows), rp: oracles.rp(rows) })
      }
    }),
    { numRuns: 2 },
  )
}

const nearRoot = fc.tuple(sign, fc.double({ min: 2 ** -540, max: 2 ** -500, noNaN: true })).map(([s, x]) => s * x)
const atTheEdge = fc
  .tuple(
    sign,
    fc.constantFrom(2 ** 31, 2 ** 31 - 0.5, 2 ** 30, 2 ** -62, 2 ** -63, 1 + 2 ** -52, 0),
    fc.constantFrom(0, 2 ** -52),
  )
  .map(([s, x, ulp]) => s * x * (1 + ulp))
const powers = fc.tuple(sign, fc.integer({ min: -1074, max: 1023 })).map(([s, e]) => s * 2 ** e)

const toExact = (x: number) => exact(x === 0 ? 0 : x)
const isSpecial = (x: number) => !Number.isFinite(x)

describe('variance and stddev of DOUBLE', () => {
  test.each<[string, fc.Arbitrary<number>]>([
    ['money', money],
    ['a large mean and small differences', cancelling],
    ['every exponent', everyExponent],
    ['huge and tiny together', fc.oneof(huge, subnormal, money, powers)],
    ['subnormals', subnormal],
    ['squares around the smallest double', nearRoot],
    ['the edges of digits', atTheEdge],
    ['one value again and again', fc.constantFrom(0.1, 0.1, 0.1, -0)],
    ['NaN, the infinities and -0', fc.constantFrom(0, -0, 1, Number.NaN, Infinity, -Infinity)],
  ])('are those of exact arithmetic, rounded once, whatever the cut: %s', async (_, x) => {
    await checkGroups('DOUBLE', doubleSql, x, expected(toExact, unitExponent, 0, isSpecial))
  })
})

test('all four, and with a filter, are the same whatever the cut', async () => {
  await fc.assert(
    fc.asyncProperty(inputRows(fc.oneof(money, huge, subnormal), { maxLength: 16 }), rows =>
      evaluator.check('DOUBLE', doubleSql, calls, rows, expected(toExact, unitExponent, 0)),
    ),
    { numRuns: 2 },
  )
})

describe('variance and stddev of integers and DECIMAL', () => {
  const whole = (bits: bigint, isSigned = true) =>
    fc.oneof(
      fc.bigInt({ min: isSigned ? -(2n ** bits) : 0n, max: 2n ** bits - 1n }),
      fc.constantFrom(...(isSigned ? [-(2n ** bits), -1n] : []), 0n, 1n, 2n ** bits - 1n, 2n ** (bits - 1n)),
    )
  test.each<[string, fc.Arbitrary<bigint>, number]>([
    ['TINYINT', whole(7n), 0],
    ['INTEGER', whole(31n), 0],
    ['BIGINT', whole(63n), 0],
    ['UBIGINT', whole(64n, false), 0],
    ['DECIMAL(9,2)', fc.bigInt({ min: -999_999_999n, max: 999_999_999n }), 2],
    ['DECIMAL(18,9)', fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }), 9],
    ['DECIMAL(18,9)', fc.bigInt({ min: -3n, max: 3n }), 9],
    ['DECIMAL(18,6)', fc.bigInt({ min: -(10n ** 18n) + 1n, max: 10n ** 18n - 1n }), 6],
  ])('%s: exact, rounded once, whatever the cut', async (type, x, scale) => {
    const sql = (value: bigint) =>
      scale === 0 ? `'${value}'` : `'${value < 0n ? '-' : ''}${fixed(value < 0n ? -value : value, scale)}'`
    await checkGroups(
      type,
      sql,
      x,
      expected((value: bigint) => value, 0, scale),
    )
  })

  const fixed = (value: bigint, scale: number) => {
    const digits = value.toString().padStart(scale + 1, '0')
    return `${digits.slice(0, -scale)}.${digits.slice(-scale)}`
  }
})

const relation = (x: string, n: number) =>
  `SELECT 1 AS _seq, i AS _row, NULL::BIGINT AS _watermark, make_timestamp(0) AS t, NULL::VARCHAR AS k, ` +
  `${x} AS x, 1::BIGINT AS "by", true AS wanted FROM range(${n}) AS _(i)`

test('of a million values around a large mean, where two sums of DOUBLE lose everything', async () => {
  const [found] = await evaluator.of('DOUBLE', [relation('CAST(1000000000 + (i % 7) / 8 AS DOUBLE)', 1_000_000)], calls)
  const eighths = Array.from({ length: 1_000_000 }, (_, i) => 8_000_000_000n + BigInt(i % 7))
  expect(found?.s).toBe(rounded(spread(eighths, -3, 0, true)))
  expect(found?.p).toBe(rounded(spread(eighths, -3, 0, false)))
  expect(found).toMatchObject({ rs: rootOf(spread(eighths, -3, 0, true)), rp: rootOf(spread(eighths, -3, 0, false)) })
})

test('more values than the arithmetic can take are an error that names the window and the group', async () => {
  for (const type of ['BIGINT', 'DOUBLE']) {
    const plan = varianceAggregate.plan(parseColumnType(type, 'x'), "aggregate v: variance('x')", variance('x'), {})
    const names = plan.accumulators.map(({ name }) => name)
    const values = names.map(name => `CAST(${name === 'count' ? 2 ** 30 + 1 : 0} AS BIGINT) AS ${name}`)
    const sql = `SELECT ${plan.finish(names, null, "'1970-01-01, north'")} AS v FROM (SELECT ${values.join(', ')})`
    await expect(evaluator.db.rows(sql)).rejects.toThrow(
      /aggregate v: variance\('x'\): more than 1073741824 values in the window and group 1970-01-01, north/,
    )
  }
})

test('the largest sums that are allowed stay inside 127 bits', async () => {
  // 2^30 values, half of them the one and half the other: as a merge of their partials.
  const kinds: [string, string, string, number, bigint, bigint][] = [
    ['BIGINT', "'-9223372036854775808'", "'9223372036854775807'", 0, -(2n ** 63n), 2n ** 63n - 1n],
    ['UBIGINT', "'18446744073709551615'", "'18446744073709551615'", 0, 2n ** 64n - 1n, 2n ** 64n - 1n],
    ['DOUBLE', "'-2147483647.75'", "'2147483647.75'", -2, -(2n ** 33n) + 1n, 2n ** 33n - 1n],
    ['DOUBLE', "'2147483647.75'", "'2147483647.75'", -2, 2n ** 33n - 1n, 2n ** 33n - 1n],
    ['DOUBLE', "'0.9999999999999999'", "'2147483647.9999998'", -53, 2n ** 53n - 1n, (2n ** 53n - 1n) * 2n ** 31n],
  ]
  const half = 2n ** 29n
  for (const [type, a, b, unit, first, second] of kinds) {
    const plan = varianceAggregate.plan(parseColumnType(type, 'x'), 'x', variance('x'), {})
    const names = plan.accumulators.map(({ name }) => name)
    const partial = plan.accumulators.map(each => `${each.partial('x', {} as never)} AS ${each.name}`).join(', ')
    const doubled = plan.accumulators.map(({ name, type: kept }) =>
      kept === 'BOOLEAN' ? name : `CAST(${name} * ${half} AS ${kept}) AS ${name}`,
    )
    const merged = plan.accumulators.map(({ name, merge }) => `${merge(name)} AS ${name}`)
    const one = (x: string) =>
      `SELECT ${doubled.join(', ')} FROM (SELECT ${partial} FROM (SELECT CAST(${x} AS ${type}) AS x))`
    const both = `SELECT ${merged.join(', ')} FROM (${one(a)} UNION ALL ${one(b)})`
    const [row] = await evaluator.db.rows(`SELECT ${plan.finish(names, null, "''")} AS v FROM (${both})`)
    const n = 2n * half
    const sum = half * (first + second)
    const squares = half * (first * first + second * second)
    expect(row?.v).toBe(round(n * squares - sum * sum, n * (n - 1n), 2 * unit))
  }
})

test('of 20,000 values of which each has side rows', async () => {
  const values = Array.from({ length: 20_000 }, (_, i) => (i % 1000) * 1e-9)
  const [found] = await evaluator.of('DOUBLE', [relation(`(i % 1000) * CAST('1e-9' AS DOUBLE)`, 20_000)], calls)
  expect(found?.s).toBe(rounded(spread(values.map(exact), unitExponent, 0, true)))
})
