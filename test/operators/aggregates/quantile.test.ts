import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { quantile } from '../../../operators/aggregates/quantile.ts'
import { everyExponent } from './doubles.ts'
import { compareDoubles, doubleSql, evaluatorForTests, fewDoubles, inputRows, type Placed, wanted } from './evaluate.ts'

const evaluator = await evaluatorForTests()

const tiny = 2 ** -1074
const powers = fc
  .tuple(fc.integer({ min: -1074, max: 1023 }), fc.constantFrom(1, 1 - 2 ** -53, 1 + 2 ** -52))
  .map(([exponent, near]) => 2 ** exponent * near)
const value = fc.oneof(fewDoubles, everyExponent, powers, fc.integer({ min: -1000, max: 1000 }))

interface Near {
  /** Stands for any value this near. */
  asymmetricMatch(found: unknown): boolean
}
/** The value of nearest rank, or anything within the relative error of it; a half of the smallest subnormal on top. */
function nearest(tenths: number, relativeError: number) {
  return (rows: readonly Placed<number>[]): number | null | Near => {
    const values = rows.flatMap(({ x }) => (x === null ? [] : [x === 0 ? 0 : x])).toSorted(compareDoubles)
    const exact = values[Math.max(Math.ceil((values.length * tenths) / 10), 1) - 1]
    if (exact === undefined) return null
    if (!Number.isFinite(exact) || exact === 0) return exact
    const [least = 0, most = 0] = [values[0], values.at(-1)]
    return {
      asymmetricMatch: found =>
        typeof found === 'number' &&
        compareDoubles(found, least) >= 0 &&
        compareDoubles(found, most) <= 0 &&
        // Quarters, so that no difference overflows; four units in the last place for the estimate's own rounding.
        Math.abs(found / 4 - exact / 4) <= Math.abs(exact / 4) * (relativeError + 2 ** -50) + tiny,
    }
  }
}
describe('quantile', () => {
  test('is within its relative error of the nearest rank, whatever the cut', async () => {
    await fc.assert(
      fc.asyncProperty(inputRows(value, { maxLength: 25 }), rows =>
        evaluator.check(
          'DOUBLE',
          doubleSql,
          {
            least: quantile('x', 0),
            tenth: quantile('x', 0.1, { relativeError: 0.25 }),
            median: quantile('x', 0.5),
            most: quantile('x', 1),
            some: quantile('x', 0.7, { relativeError: 0.001, filter: 'wanted' }),
          },
          rows,
          {
            least: nearest(0, 0),
            tenth: nearest(1, 0.25),
            median: nearest(5, 0.01),
            most: nearest(10, 0),
            some: own => nearest(7, 0.001)(wanted(own)),
          },
        ),
      ),
      { numRuns: 8 },
    )
  })

  test('finds the bucket of any double: each alone between the infinities is within the error', async () => {
    // Without the bounds by the smallest and largest value, which would hide a wrong bucket.
    await fc.assert(
      fc.asyncProperty(
        fc.array(value.filter(Number.isFinite), { minLength: 200, maxLength: 200 }),
        fc.constantFrom(0.001, 0.01, 0.02, 0.1, 0.25),
        async (values, relativeError) => {
          const triples = values.map((x, k) => `(${k}, ["'-inf'", ${doubleSql(x)}, "'inf'"])`.replaceAll('"', ''))
          const rows =
            `SELECT 1 AS _seq, k AS _row, NULL::BIGINT AS _watermark, make_timestamp(0) AS t, CAST(k AS VARCHAR) AS k, ` +
            `CAST(unnest(list) AS DOUBLE) AS x, 1::BIGINT AS "by", true AS wanted FROM (VALUES ${triples.join(', ')}) AS _(k, list)`
          const found = await evaluator.of('DOUBLE', [rows], { q: quantile('x', 0.5, { relativeError }) })
          expect(found).toHaveLength(2 * values.length)
          const row = { row: 0, minute: 0, key: null, by: null, isWanted: null, part: 0 }
          for (const { k, q } of found) {
            const x = values[Number(k)] as number
            expect({ x, q }).toEqual({
              x,
              q: nearest(5, relativeError)([-Infinity, x, Infinity].map(each => ({ ...row, x: each }))),
            })
          }
        },
      ),
      { numRuns: 6 },
    )
  })

  test.each([
    ['TINYINT', ['-128', '127', '5'], 5],
    ['UBIGINT', ['18446744073709551615', '18446744073709551614', '0'], 2 ** 64],
    ['DECIMAL(38,2)', ['1.25', '100.00', '99.99'], 99.99],
    ['FLOAT', ["'nan'", "'0.1'", '3'], 3],
  ])('takes %s', async (type, values, exact) => {
    const { q } = await evaluator.one(type, values, { q: quantile('x', 0.5) })
    expect(Math.abs((q as number) - exact)).toBeLessThanOrEqual(exact * 0.01)
  })

  test('of 1,000 values the middle and the end', async () => {
    const calls = { p50: quantile('x', 0.5), p99: quantile('x', 0.99) }
    const values = Array.from({ length: 1000 }, (_, index) => String(index + 1))
    const { p50, p99 } = await evaluator.one('INTEGER', values, calls)
    expect(Math.abs((p50 as number) - 500)).toBeLessThanOrEqual(5)
    expect(Math.abs((p99 as number) - 990)).toBeLessThanOrEqual(9.9)
  })
})
