import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Quick } from '../../../operators/aggregates/aggregate.ts'
import { exactSumAccumulators, exactSumSide, finishAvg, finishSum } from '../../../operators/aggregates/exact-sum.ts'
import { quickAvg, quickSum } from '../../../operators/aggregates/quick-sum.ts'
import { openTestDuckdb, type TestDuckdb } from '../../plan/duckdb.ts'
import { exact, round, unitExponent } from './rational.ts'
import { sign, subnormal } from './doubles.ts'

type Value = number | null
interface Result {
  readonly sum: number | null
  readonly avg: number | null
}

let duckdb: TestDuckdb
let folder: string
beforeAll(async () => {
  duckdb = await openTestDuckdb()
  const [row] = await duckdb.rows("SELECT current_setting('allowed_directories')[1] AS folder")
  folder = String(row?.folder)
})
afterAll(async () => {
  await duckdb[Symbol.asyncDispose]()
})

// --- The oracle: rational numbers of BigInt, rounded once. ---

function expected(values: readonly Value[]): Result {
  const present = values.filter(value => value !== null)
  if (present.length === 0) return { sum: null, avg: null }
  const special = present.filter(value => !Number.isFinite(value)).reduce((sum, value) => sum + value, 0)
  if (special !== 0) return { sum: special, avg: special }
  const total = present.reduce((sum, value) => sum + exact(value), 0n)
  return { sum: round(total, 1n, unitExponent), avg: round(total, BigInt(present.length), unitExponent) }
}

// --- From rows to results, as the engine does it. ---

/** A row of group `g` in partial `p`; partials are merged into `m` first and these into the result. */
interface InputRow {
  readonly g: number
  readonly m: number
  readonly p: number
  readonly x: Value
}

const names = exactSumAccumulators.map(({ name }) => name)
const [bin] = exactSumSide.buckets
const [units] = exactSumSide.accumulators
const merged = exactSumAccumulators.map(({ name, merge }) => `${merge(name)} AS ${name}`).join(', ')
const double = (value: number) => `CAST('${Object.is(value, -0) ? '-0' : value}' AS DOUBLE)`

async function evaluate(rows: readonly InputRow[]): Promise<ReadonlyMap<number, Result>> {
  const literal = ({ g, m, p, x }: InputRow) =>
    `(${g}, ${m}, ${p}, ${x === null ? 'NULL' : `'${Object.is(x, -0) ? '-0' : x}'`})`
  const input = `(SELECT g, m, p, CAST(x AS DOUBLE) AS x FROM (VALUES ${rows.map(literal).join(', ')}) AS _(g, m, p, x))`
  const partial = exactSumAccumulators.map(accumulator => `${accumulator.partial('x')} AS ${accumulator.name}`)
  await duckdb.rows(
    `COPY (SELECT g, m, p, ${partial.join(', ')} FROM ${input} GROUP BY g, m, p) TO '${folder}partial.parquet'`,
  )
  await duckdb.rows(
    `COPY (SELECT g, m, p, ${bin?.of('item')} AS _bin, ${units?.partial('item')} AS _units FROM ` +
      `(SELECT g, m, p, unnest(${exactSumSide.items('x')}) AS item FROM ${input} WHERE ${exactSumSide.where('x')}) ` +
      `GROUP BY g, m, p, _bin) TO '${folder}side.parquet'`,
  )
  const state = `(SELECT g, ${merged} FROM (SELECT g, m, ${merged} FROM '${folder}partial.parquet' GROUP BY g, m) GROUP BY g)`
  const mergeSide = (from: string, keys: string) =>
    `(SELECT ${keys}, _bin, ${units?.merge('_units')} AS _units FROM ${from} GROUP BY ${keys}, _bin)`
  const side = `(${exactSumSide.fold(mergeSide(mergeSide(`'${folder}side.parquet'`, 'g, m'), 'g'), 'g')})`
  const result = await duckdb.rows(
    `SELECT g, misfits, _folded, ${finishSum(names, '_folded')} AS sum, ${finishAvg(names, '_folded')} AS avg, ` +
      `${finishSum(names, null)} AS sum_alone, ${finishAvg(names, null)} AS avg_alone FROM ${state} LEFT JOIN ${side} USING (g)`,
  )
  return new Map(
    result.map(row => {
      expect(row.misfits === false).toBe(row._folded === null)
      if (row._folded === null) expect([row.sum_alone, row.avg_alone]).toEqual([row.sum, row.avg])
      return [Number(row.g), { sum: row.sum as number | null, avg: row.avg as number | null }]
    }),
  )
}

// --- Values that hurt. ---

const powerOfTwo = fc.tuple(sign, fc.integer({ min: -1074, max: 1023 })).map(([s, e]) => s * 2 ** e)
const anyDouble = fc.double({ noNaN: true, noDefaultInfinity: true })
/** Uniform over the bits, so every exponent is as likely as any other. */
const everyExponent = fc
  .tuple(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.integer({ min: 0, max: 2046 }))
  .map(([bits, exponent]) => {
    const word = (bits & ~(0x7ffn << 52n)) | (BigInt(exponent) << 52n)
    return new Float64Array(new BigUint64Array([word]).buffer)[0] as number
  })
/** Around 2^-1022, in units of 2^-1074: an average rounded to 53 bits first would often be rounded twice. */
const nearNormal = fc.tuple(sign, fc.integer({ min: 2 ** 49, max: 2 ** 53 - 1 })).map(([s, n]) => s * n * 2 ** -1074)
/** Few units of the lowest accumulator: an average has to take its bits from behind them. */
const fewUnits = fc.tuple(sign, fc.integer({ min: 0, max: 1000 })).map(([s, n]) => s * n * 2 ** -62)
const money = fc.integer({ min: -1_000_000, max: 100_000_000 }).map(cents => cents / 100)
const huge = fc.tuple(sign, fc.double({ min: 2 ** 969, max: Number.MAX_VALUE })).map(([s, x]) => s * x)
const atTheEdge = fc
  .tuple(
    sign,
    fc.constantFrom(2 ** 30, 2 ** 31, 2 ** 31 - 0.5, 2 ** 32, 2 ** -62, 2 ** -63, 1.5 * 2 ** -62),
    fc.constantFrom(0, 2 ** -52, -(2 ** -53)),
  )
  .map(([s, x, ulp]) => s * x * (1 + ulp))
const value = fc.oneof(anyDouble, everyExponent, powerOfTwo, subnormal, nearNormal, money, huge, atTheEdge)

const cancelling = fc
  .tuple(fc.array(value, { maxLength: 8 }), fc.array(value, { maxLength: 3 }))
  .map(([pairs, rest]) => [...pairs, ...rest, ...pairs.map(x => -x)])
/** a + ulp(a)/2, exactly or a hair to either side. */
const halfWay = fc
  .tuple(everyExponent, sign, fc.oneof(fc.constant(0), powerOfTwo))
  .map(([a, s, hair]) => {
    const bits = new BigUint64Array(new Float64Array([a]).buffer)
    const next = new Float64Array(new BigUint64Array([(bits[0] as bigint) + 1n]).buffer)[0] as number
    const half = (next - a) / 2
    return Math.abs(hair) < Math.abs(half) ? [a, s * half, hair] : [a, s * half]
  })
  .filter(values => values.every(Number.isFinite))
const one = (of: fc.Arbitrary<number>) => fc.array(of, { minLength: 1, maxLength: 20 })
const group: fc.Arbitrary<Value[]> = fc.oneof(
  one(value),
  cancelling,
  halfWay,
  one(money),
  one(huge),
  one(nearNormal),
  one(subnormal),
  one(fewUnits),
  one(fc.double({ min: -1, max: 1, noNaN: true })),
  fc.array(fc.oneof(value, fc.constantFrom(null, 0, -0)), { maxLength: 6 }),
  fc.array(fc.oneof(money, fc.constantFrom(null, -0, Number.NaN, Infinity, -Infinity)), { maxLength: 4 }),
)
const split = fc.record({ m: fc.integer({ min: 0, max: 2 }), p: fc.integer({ min: 0, max: 5 }) })

describe('sums and averages of DOUBLE', () => {
  test('are correctly rounded for any rows, any split into partials and any order of merging', async () => {
    const rows = fc.array(
      group.chain(values => fc.tuple(...values.map(x => fc.record({ x: fc.constant(x), at: split })))),
      { minLength: 1, maxLength: 20 },
    )
    await fc.assert(
      fc.asyncProperty(rows, async groups => {
        const input = groups.flatMap((list, g) => list.map(({ x, at }) => ({ g, x, m: at.m, p: at.p })))
        fc.pre(input.length > 0)
        const results = await evaluate(input)
        for (const [g, list] of groups.entries())
          if (list.length > 0) expect(results.get(g), `group ${g}`).toEqual(expected(list.map(({ x }) => x)))
      }),
    )
  })

  const max = Number.MAX_VALUE
  const tiny = 2 ** -1074
  const edge = (2 ** 52 + 1) * 2 ** -1070
  test.each<[string, readonly Value[], number | null, number | null]>([
    ['no value', [null, null], null, null],
    ['NULLs are no part of the average', [1, null, 2], 3, 1.5],
    ['only -0 is 0', [-0, -0], 0, 0],
    ['money', [0.1, 0.2, 0.3], 0.6, 0.2],
    ['naive addition loses the 1', [1e16, 1, -1e16], 1, 1 / 3],
    ['huge and tiny cancel to a subnormal', [1e308, tiny, -1e308], tiny, 0],
    ['everything cancels', [1e308, tiny, -1e308, -tiny], 0, 0],
    ['half-way goes to even, down', [1, 2 ** -53], 1, 0.5],
    ['half-way goes to even, up', [1 + 2 ** -52, 2 ** -53], 1 + 2 ** -51, 0.5 + 2 ** -52],
    ['a hair over half-way goes up', [1, 2 ** -53, tiny], 1 + 2 ** -52, 1 / 3],
    ['a hair under half-way goes down', [1 + 2 ** -52, 2 ** -53, -tiny], 1 + 2 ** -52, 1 / 3],
    ['a hair under a power of two', [2 ** 1000, -tiny], 2 ** 1000, 2 ** 999],
    ['overflow', [max, max], Infinity, max],
    ['negative overflow', [-max, -max, -max], -Infinity, -max],
    ['overflow on the way only', [max, max, -max], max, max / 3],
    ['half-way over the largest overflows', [max, 2 ** 970], Infinity, 2 ** 1023],
    ['a hair less does not', [max, 2 ** 970, -tiny], max, 2 ** 1024 / 3],
    ['a subnormal average goes half to even, down', [tiny, 0], tiny, 0],
    ['a subnormal average goes half to even, up', [tiny, 2 * tiny], 3 * tiny, 2 * tiny],
    ['a subnormal average is rounded once', [tiny, tiny, 0], 2 * tiny, tiny],
    [
      'a subnormal average of 53 bits is rounded once',
      [...Array.from({ length: 9 }, () => 2 ** -1023), 2 ** -1023 + 6 * tiny],
      10 * 2 ** -1023 + 6 * tiny,
      2 ** -1023 + tiny,
    ],
    [
      'an average just above the subnormals is rounded once',
      [edge, edge, edge, edge, 2 * edge, 46 * tiny],
      (6 * 2 ** 52 + 8) * 2 ** -1070,
      edge,
    ],
    ['a third of one unit', [2 ** -62, 0, 0], 2 ** -62, 2 ** -62 / 3],
    ['the smallest normal average', [2 ** -1021, -tiny], 2 ** -1021 - tiny, 2 ** -1022],
    ['infinity', [Infinity, 1, max, max], Infinity, Infinity],
    ['minus infinity', [-Infinity, 1, max, max], -Infinity, -Infinity],
    ['both', [-Infinity, 1, Infinity], Number.NaN, Number.NaN],
    ['NaN', [1, Number.NaN, Infinity], Number.NaN, Number.NaN],
    [
      'a carry through every bin',
      [2 ** 1023, ...Array.from({ length: 40 }, (_, k) => -(2 ** (960 - 31 * k))), -tiny],
      2 ** 1023,
      2 ** 1023 / 42,
    ],
  ])('%s', async (_, values, sum, avg) => {
    const [forward] = [...(await evaluate(values.map((x, p) => ({ g: 0, m: p % 2, p, x })))).values()]
    const [together] = [...(await evaluate(values.map(x => ({ g: 0, m: 0, p: 0, x })))).values()]
    expect(together).toEqual(forward)
    expect(forward?.sum).toBe(sum)
    expect(expected(values).sum).toBe(sum)
    // The literal above may itself be rounded twice (2 ** 1024 is Infinity): the oracle has the last word.
    expect(forward?.avg).toBe(expected(values).avg)
    if (avg !== null && Number.isFinite(avg))
      expect(Math.abs((forward?.avg as number) - avg)).toBeLessThanOrEqual(Math.abs(avg) * 2 ** -50)
  })

  test('stay exact beyond 2^23 rows in one group of one partial', async () => {
    // x = a + b / 2^20 close to the largest usual value: a sum as DOUBLE passes 2^53 after 2^22 rows.
    const a = '2147483646 - (i % 7)'
    const b = '(i % 1048573) * CASE WHEN i % 3 = 0 THEN -1 ELSE 1 END'
    const source = `(SELECT ${a} AS a, ${b} AS b, CAST(a AS DOUBLE) + CAST(b AS DOUBLE) / 1048576 AS x FROM range(9000001) AS _(i))`
    const partial = exactSumAccumulators.map(accumulator => `${accumulator.partial('x')} AS ${accumulator.name}`)
    const [row] = await duckdb.rows(
      `SELECT misfits, ${finishSum(names, null)} AS sum, ${finishAvg(names, null)} AS avg, exact, naive FROM (SELECT ${partial.join(', ')}, ` +
        `CAST(CAST(sum(a) AS HUGEINT) * 1048576 + sum(b) AS VARCHAR) AS exact, sum(x) AS naive FROM ${source})`,
    )
    const total = BigInt(String(row?.exact))
    expect(row?.misfits).toBe(false)
    expect(row?.sum).toBe(round(total, 1n, -20))
    expect(row?.avg).toBe(round(total, 9_000_001n, -20))
    expect(row?.naive).not.toBe(row?.sum)
  })
})

describe('the quick arithmetic', () => {
  const layered = (quick: Quick, prefix: string, rows: string) =>
    quick
      .layers(names, name => `${prefix}_${name}`)
      .reduce(
        (from, layer) =>
          `(SELECT *, ${Object.entries(layer)
            .map(([name, sql]) => `${sql} AS ${prefix}_${name}`)
            .join(', ')} FROM ${from})`,
        rows,
      )

  // Counts, magnitudes and low bits of every kind: powers of two that tie, small divisors, sums that cancel.
  const random = (salt: number) => `hash(i * 1000003 + ${salt})`
  const signed = (salt: number, bits: string) =>
    `CAST(CAST(${random(salt)} % CAST(pow(2, ${bits}) AS UBIGINT) AS BIGINT) * CASE WHEN ${random(salt + 50)} % 2 = 0 THEN 1 ELSE -1 END AS BIGINT)`
  const state =
    `(SELECT i, CAST(1 + CASE WHEN i % 3 = 0 THEN ${random(1)} % 16 WHEN i % 3 = 1 THEN CAST(pow(2, ${random(2)} % 27) AS UBIGINT) - 1 ELSE ${random(3)} % 1000000 END AS BIGINT) AS count, FALSE AS misfits, ` +
    `${signed(4, `${random(5)} % 46`)} AS bin0, CASE WHEN i % 5 = 0 THEN 0 ELSE ${signed(6, `${random(7)} % 54`)} END AS bin1, ` +
    `CASE WHEN i % 7 < 3 THEN 0 ELSE ${signed(8, `${random(9)} % 53`)} END AS bin2 FROM range(300000) AS _(i))`

  // Sums whose quotient by a small even number often lies halfway between two doubles, with and without a low part.
  const ties =
    `(SELECT i, CAST(1 + ${random(1)} % 24 AS BIGINT) AS count, FALSE AS misfits, CAST(count * (${random(2)} % 1024) AS BIGINT) AS bin0, ` +
    `CAST((${random(3)} % 1024) * CASE WHEN i % 2 = 0 THEN count ELSE 1 END AS BIGINT) AS bin1, ` +
    `CAST(count * (1 + 2 * (${random(4)} % 4096)) * CAST(pow(2, ${random(5)} % 14) AS BIGINT) // 2 AS BIGINT) AS bin2 FROM range(300000) AS _(i))`

  test.each([
    ['sum', quickSum, finishSum, 'of any size', state, 200_000],
    ['avg', quickAvg, finishAvg, 'of any size', state, 200_000],
    ['sum', quickSum, finishSum, 'near ties', ties, 300_000],
    ['avg', quickAvg, finishAvg, 'near ties', ties, 299_000],
  ] as const)('gives the exact %s or nothing', async (_, quick, finish, _of, rows, least) => {
    const [row] = await duckdb.rows(
      `SELECT count(*) AS n, count(q_quick) AS quick, count(*) FILTER (q_quick <> slow) AS wrong FROM ` +
        `(SELECT *, ${finish(names, null)} AS slow FROM ${layered(quick, 'q', rows)})`,
    )
    expect(row?.wrong).toBe(0n)
    expect(Number(row?.quick)).toBeGreaterThanOrEqual(least)
    if (rows === state) expect(Number(row?.quick)).toBeLessThan(Number(row?.n))
  })
})

describe('the state', () => {
  test('and the side rows of a value are that value, and usual values have no side rows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(value.filter(Number.isFinite), { minLength: 1, maxLength: 200 }), async values => {
        const partial = exactSumAccumulators.map(accumulator => `${accumulator.partial('x')} AS ${accumulator.name}`)
        const rows = await duckdb.rows(
          `SELECT i, ${partial.join(', ')}, any_value(${exactSumSide.items('x')}) AS side, any_value(${exactSumSide.where('x')}) AS wanted FROM (SELECT unnest(range(${values.length})) AS i, ` +
            `unnest([${values.map(double).join(', ')}]) AS x) GROUP BY i ORDER BY i`,
        )
        for (const [index, x] of values.entries()) {
          const row = rows[index] as Record<string, bigint> & { side: readonly { bin: number; units: bigint }[] }
          const usual = [row.bin0, row.bin1, row.bin2].map((units, k) => ({ bin: -k, units: units as bigint }))
          // In units of 2^-1085, the lowest bin.
          const total = [...usual, ...row.side].reduce(
            (sum, { bin, units }) => sum + (units << BigInt(31 * (bin + 35))),
            0n,
          )
          expect(total, `${x}`).toBe(exact(x) << 11n)
          expect(row.misfits).toBe(row.side.length > 0)
          expect(row.wanted).toBe(row.side.length > 0)
          for (const { bin, units } of row.side) {
            expect(bin).toBeGreaterThanOrEqual(-35)
            expect(bin).toBeLessThanOrEqual(33)
            expect(units <= 2n ** 31n && units >= -(2n ** 31n)).toBe(true)
          }
          const fits = x > -(2 ** 31) - 1 && x < 2 ** 31 && Number.isInteger(x * 2 ** 62)
          expect(row.side.length === 0, `${x}`).toBe(fits)
        }
      }),
    )
  })

  const int64 = fc.oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.constantFrom(0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 30n, -(2n ** 30n), 2n ** 30n - 1n, 2n ** 31n - 1n),
    fc.bigInt({ min: -(2n ** 31n), max: 2n ** 31n }),
  )
  const bins = fc.uniqueArray(fc.record({ bin: fc.integer({ min: -35, max: 33 }), units: int64 }), {
    selector: ({ bin }) => bin,
    maxLength: 69,
  })
  // Rows of neighbouring bins whose carries run far.
  const runs = fc
    .tuple(
      fc.integer({ min: -35, max: 0 }),
      fc.integer({ min: 1, max: 34 }),
      fc.constantFrom(2n ** 30n, -(2n ** 30n), 2n ** 30n - 1n, 2n ** 31n - 1n),
      int64,
    )
    .map(([from, length, units, last]) =>
      Array.from({ length }, (_, k) => ({ bin: from + k, units: k === length - 1 ? last : units })),
    )
  // a at bin k against the same number two bins lower: what is left begins far below.
  const faraway = fc
    .tuple(fc.integer({ min: -33, max: 33 }), fc.constantFrom(-1n, 1n, 2n), bins)
    .map(([k, a, rest]) => [
      { bin: k, units: a },
      { bin: k - 2, units: -a << 62n },
      ...rest.filter(({ bin }) => bin < k - 7),
    ])
  const state = fc.record({
    count: fc.oneof(fc.bigInt({ min: 1n, max: 2n ** 33n }), fc.bigInt({ min: 1n, max: 10n })),
    usual: fc.oneof(fc.tuple(int64, int64, int64), fc.constant<[bigint, bigint, bigint]>([0n, 0n, 0n])),
    side: fc.oneof(bins, runs, faraway),
  })
  test('is rounded correctly however large its bins are', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(state, { minLength: 1, maxLength: 20 }), async states => {
        const literal = ({ count, usual, side }: (typeof states)[number], i: number) =>
          `(${i}, ${count}, 0, ${usual.map(units => `CAST('${units}' AS BIGINT)`).join(', ')}, ` +
          `CAST([${side.map(({ bin, units }) => `{bin: ${bin}, units: CAST('${units}' AS BIGINT)}`).join(', ')}] AS STRUCT(bin SMALLINT, units BIGINT)[]))`
        const rows = await duckdb.rows(
          `SELECT ${finishSum(names, 'side')} AS sum, ${finishAvg(names, 'side')} AS avg FROM (VALUES ${states.map(literal).join(', ')}) AS _(i, ${names.join(', ')}, side) ORDER BY i`,
        )
        for (const [index, { count, usual, side }] of states.entries()) {
          const total = [...usual.map((units, k) => ({ bin: -k, units })), ...side].reduce(
            (sum, { bin, units }) => sum + (units << BigInt(31 * (bin + 35))),
            0n,
          )
          expect(rows[index]).toEqual({ sum: round(total, 1n, -1085), avg: round(total, count, -1085) })
        }
      }),
    )
  })
})

test('DuckDB gives every power of two exactly', async () => {
  const rows = await duckdb.rows('SELECT pow(CAST(2 AS DOUBLE), n) AS power FROM range(-1074, 1024) AS _(n) ORDER BY n')
  expect(rows.map(({ power }) => power)).toEqual(rows.map((_, index) => 2 ** (index - 1074)))
})
