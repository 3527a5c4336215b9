import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bitAnd,
  bitOr,
  bitXor,
  boolAnd,
  boolOr,
  collectSet,
  entropy,
  histogram,
  largest,
  listagg,
  median,
  mode,
  product,
  smallest,
} from '../../../src/index.ts'
import { compareDoubles, doubleSql, evaluatorForTests, fewDoubles, inputRows, type Placed, wanted } from './evaluate.ts'

const evaluator = await evaluatorForTests()

const values = <V>(rows: readonly Placed<V>[]) => rows.flatMap(({ x }) => (x === null ? [] : [x]))
/** The oracle of all values, NULL for none. */
const over =
  <V>(of: (all: readonly V[]) => unknown) =>
  (rows: readonly Placed<V>[]) =>
    values(rows).length === 0 ? null : of(values(rows))
const settings = { numRuns: 4 }

test('boolAnd and boolOr are those of the rows, whatever the cut', async () => {
  const calls = { all: boolAnd('x'), any: boolOr('x'), some: boolOr('x', { filter: 'wanted' }) }
  const any = over<boolean>(all => all.some(Boolean))
  await fc.assert(
    fc.asyncProperty(inputRows(fc.boolean()), rows =>
      evaluator.check('BOOLEAN', String, calls, rows, {
        all: over(all => all.every(Boolean)),
        any,
        some: own => any(wanted(own)),
      }),
    ),
    settings,
  )
})

test('bitAnd, bitOr and bitXor are those of the rows, whatever the cut', async () => {
  const whole = fc.oneof(
    fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
    fc.constantFrom(-(2n ** 63n), -1n, 0n, 2n ** 63n - 1n),
  )
  await fc.assert(
    fc.asyncProperty(inputRows(whole), rows =>
      evaluator.check('BIGINT', x => `'${x}'`, { and: bitAnd('x'), or: bitOr('x'), xor: bitXor('x') }, rows, {
        and: over<bigint>(all => all.reduce((a, b) => a & b)),
        or: over<bigint>(all => all.reduce((a, b) => a | b)),
        xor: over<bigint>(all => all.reduce((a, b) => a ^ b)),
      }),
    ),
    settings,
  )
})

describe('product', () => {
  const most = 10n ** 38n
  const size = (x: bigint) => (x < 0n ? -x : x)
  /** The exact product, with so many decimal places for each value, at `scale` places, half away from zero. */
  const exact = (all: readonly bigint[], scale: number) => {
    const whole = all.reduce((a, b) => a * b)
    const unit = 10n ** BigInt(scale * (all.length - 1))
    const places = (size(whole) * 2n + unit) / (unit * 2n)
    const digits = String(places).padStart(scale + 1, '0')
    const sign = whole < 0n && places > 0n ? '-' : ''
    return sign + (scale === 0 ? digits : `${digits.slice(0, -scale)}.${digits.slice(-scale)}`)
  }

  test('of integers and DECIMAL is exact and rounded once, whatever the cut', async () => {
    const factor = fc.oneof(fc.bigInt(-9n, 9n), fc.bigInt(-999n, 999n), fc.constantFrom(1n, -1n, 100n))
    for (const [type, scale] of [
      ['BIGINT', 0],
      ['DECIMAL(18,2)', 2],
      ['DECIMAL(38,4)', 4],
    ] as const)
      await fc.assert(
        fc.asyncProperty(inputRows(factor, { maxLength: 12 }), rows =>
          evaluator.check(
            type,
            x => exact([x], scale),
            { p: product('x'), some: product('x', { filter: 'wanted' }) },
            rows,
            { p: over(all => exact(all, scale)), some: own => over<bigint>(all => exact(all, scale))(wanted(own)) },
          ),
        ),
        settings,
      )
  })

  test('has 38 digits, and one more is an error that names the window and the group', async () => {
    const calls = { p: product('x') }
    const tens = Array.from({ length: 37 }, () => '10')
    expect(await evaluator.one('BIGINT', tens, calls)).toEqual({ p: String(10n ** 37n) })
    expect(await evaluator.one('BIGINT', [...tens, '-9'], calls)).toEqual({ p: String(-9n * 10n ** 37n) })
    expect(await evaluator.one('DECIMAL(38,0)', [String(most - 1n), '-1'], calls)).toEqual({ p: String(1n - most) })
    await expect(evaluator.one('BIGINT', [...tens, '10'], calls)).rejects.toThrow(
      /aggregate p: product\('x'\): the product passes 38 digits in the window and group 1970-01-01 00:00:00, NULL/,
    )
  })

  test('is 0 where a value is 0, in whatever order one beyond 38 digits is passed', async () => {
    const calls = { p: product('x') }
    const large = Array.from({ length: 9 }, () => '9223372036854775807')
    expect(await evaluator.one('BIGINT', [...large, '0'], calls)).toEqual({ p: '0' })
    expect(await evaluator.one('BIGINT', ['0', ...large], calls)).toEqual({ p: '0' })
    expect(await evaluator.one('DECIMAL(9,2)', ['0.01', '-0.01'], calls)).toEqual({ p: '0.00' })
    expect(await evaluator.one('DECIMAL(9,2)', ['0.05', '-0.10'], calls)).toEqual({ p: '-0.01' })
  })

  test('takes no numbers whose product has no exact end', async () => {
    await expect(evaluator.one('DOUBLE', ['1'], { p: product('x') })).rejects.toThrow(
      'expected a whole number or a DECIMAL',
    )
  })
})

/** In order, -0 as 0. */
const sorted = (all: readonly number[]) => all.map(x => (x === 0 ? 0 : x)).toSorted(compareDoubles)
function counted(all: readonly number[]): { value: number; count: bigint }[] {
  const found: { value: number; count: bigint }[] = []
  for (const value of sorted(all)) {
    const last = found.at(-1)
    if (last && compareDoubles(last.value, value) === 0) last.count++
    else found.push({ value, count: 1n })
  }
  return found
}

describe('over DOUBLE', () => {
  const check = async (calls: Record<string, object>, expected: Record<string, (all: readonly number[]) => unknown>) =>
    fc.assert(
      fc.asyncProperty(inputRows(fewDoubles, { maxLength: 20 }), rows =>
        evaluator.check(
          'DOUBLE',
          doubleSql,
          calls,
          rows,
          Object.fromEntries(Object.entries(expected).map(([name, of]) => [name, over(of)])),
        ),
      ),
      settings,
    )

  test('mode, histogram and collectSet are those of the rows, whatever the cut', () =>
    check(
      { mode: mode('x'), histogram: histogram('x'), set: collectSet('x', 3) },
      {
        mode: all => counted(all).reduce((a, b) => (b.count > a.count ? b : a)).value,
        histogram: counted,
        set: all =>
          counted(all)
            .slice(0, 3)
            .map(({ value }) => value),
      },
    ))

  test('largest and smallest are those of the rows, whatever the cut', () =>
    check(
      { top: largest('x', 3), low: smallest('x', 2) },
      { top: all => sorted(all).toReversed().slice(0, 3), low: all => sorted(all).slice(0, 2) },
    ))

  test('entropy is that of the counts, with the same bits whatever the cut', () =>
    check(
      { bits: entropy('x') },
      {
        bits: all => {
          const counts = counted(all)
            .map(({ count }) => Number(count))
            .toSorted((a, b) => a - b)
          return expect.closeTo(
            counts.reduce((sum, count) => sum + (count / all.length) * Math.log2(all.length / count), 0),
            12,
          )
        },
      },
    ))
})

describe('median', () => {
  test('of DOUBLE is the mean of the middle values, rounded once, whatever the cut', async () => {
    const middle = over<number>(all => {
      const [low, high] = [sorted(all)[Math.ceil(all.length / 2) - 1], sorted(all)[Math.floor(all.length / 2)]] as [
        number,
        number,
      ]
      const mean = Number.isFinite(low + high) ? (low + high) / 2 : low / 2 + high / 2
      return mean === 0 ? 0 : mean
    })
    await fc.assert(
      fc.asyncProperty(inputRows(fewDoubles, { maxLength: 20 }), rows =>
        evaluator.check('DOUBLE', doubleSql, { m: median('x') }, rows, { m: middle }),
      ),
      settings,
    )
  })

  test.each([
    ['BIGINT', ['9223372036854775807', '9223372036854775805'], 2 ** 63],
    ['BIGINT', ['-9223372036854775808', '9223372036854775807'], -0.5],
    ['BIGINT', ['1', '9007199254740993'], 4503599627370497],
    ['UBIGINT', ['18446744073709551615'], 2 ** 64],
    ['INTEGER', ['3', '1', '2'], 2],
    ['DECIMAL(9,2)', ['0.10', '0.21'], 0.155],
    ['DECIMAL(18,9)', ['123456789.123456789'], Number('123456789.123456789')],
    ['FLOAT', ['0.5', '0.25'], 0.375],
    ['DOUBLE', ["'1e308'", "'1.6e308'"], 1.3e308],
    ['DOUBLE', ["'5e-324'", "'1e-323'"], 1e-323],
    ['DOUBLE', ["'-inf'", "'inf'"], Number.NaN],
  ] as const)('of %s %s', async (type, all, expected) => {
    expect((await evaluator.one(type, all, { m: median('x') })).m).toEqual(expected)
  })

  test('a DECIMAL that it cannot be exact of is refused by name', async () => {
    await expect(evaluator.one('DECIMAL(38,2)', ['1'], { m: median('x') })).rejects.toThrow(
      /DECIMAL\(38,2\).*18 digits/,
    )
  })
})

test('listagg joins what collect gives', async () => {
  const calls = {
    all: listagg('x', { max: 100 }),
    two: listagg('x', { max: 2, separator: " '> ", by: 'by', order: 'descending' }),
  }
  expect(await evaluator.one('VARCHAR', ["'b'", "'a'", 'NULL', "''", "'a'"], calls)).toEqual({
    all: 'b,a,,a',
    two: "a '> ",
  })
})

test('without any value all of them are NULL', async () => {
  const calls = {
    a: mode('x'),
    b: histogram('x'),
    c: collectSet('x', 3),
    d: entropy('x'),
    e: median('x'),
    f: largest('x', 1),
  }
  const none = Object.fromEntries(Object.keys(calls).map(name => [name, null]))
  expect(await evaluator.one('DOUBLE', ['NULL', 'NULL'], calls)).toEqual(none)
})
