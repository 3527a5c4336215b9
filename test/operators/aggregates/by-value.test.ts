import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { countDistinct } from '../../../operators/aggregates/count-distinct.ts'
import { exactQuantile } from '../../../operators/aggregates/exact-quantile.ts'
import { topK } from '../../../operators/aggregates/top-k.ts'
import { compareDoubles, doubleSql, evaluatorForTests, fewDoubles, inputRows, type Placed, wanted } from './evaluate.ts'

// countDistinct, exactQuantile and topK: what keeps every value with its count in a side table.

const evaluator = await evaluatorForTests()

interface Kind<V> {
  readonly type: string
  readonly x: fc.Arbitrary<V>
  readonly sql: (value: V) => string
  readonly compare: (a: V, b: V) => number
  /** As DuckDB's client gives it. */
  readonly out: (value: V) => unknown
}
const byOrder = <V>(a: V, b: V) => (a < b ? -1 : a > b ? 1 : 0)

const doubles: Kind<number> = {
  type: 'DOUBLE',
  x: fewDoubles,
  sql: doubleSql,
  compare: compareDoubles,
  out: value => (value === 0 ? 0 : value),
}
const bigints: Kind<bigint> = {
  type: 'BIGINT',
  x: fc.constantFrom(-(2n ** 63n), -1n, 0n, 1n, 2n, 2n ** 63n - 1n),
  sql: String,
  compare: byOrder,
  out: value => value,
}
const decimals: Kind<number> = {
  type: 'DECIMAL(9,2)',
  x: fc.integer({ min: -3, max: 3 }).map(n => n / 4),
  sql: String,
  compare: byOrder,
  out: value => (value === 0 ? 0 : value),
}
const times: Kind<number> = {
  type: 'TIMESTAMP',
  x: fc.integer({ min: -2, max: 2 }),
  sql: ms => `make_timestamp(${ms * 1000})`,
  compare: byOrder,
  out: ms => new Date(ms),
}
const texts: Kind<string> = {
  type: 'VARCHAR',
  x: fc.constantFrom('', 'a', 'B', 'b', 'é', 'null', '𝄞'),
  sql: text => `'${text}'`,
  compare: (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)),
  out: text => text,
}

/** Values that are not NULL, in order, with their counts. */
function counted<V>(kind: Kind<V>, rows: readonly Placed<V>[]): { value: V; count: number }[] {
  const found: { value: V; count: number }[] = []
  for (const value of rows.flatMap(({ x }) => (x === null ? [] : [x])).toSorted(kind.compare)) {
    const last = found.at(-1)
    if (last !== undefined && kind.compare(last.value, value) === 0) last.count++
    else found.push({ value, count: 1 })
  }
  return found
}

describe.each([doubles, bigints, decimals, times, texts] as unknown as Kind<never>[])('over $type', kind => {
  test('countDistinct and topK are those of the rows, whatever the cut', async () => {
    const top = (k: number) => (rows: readonly Placed<never>[]) => {
      const all = counted(kind, rows).toSorted((a, b) => b.count - a.count || kind.compare(a.value, b.value))
      if (all.length === 0) return null
      return all.slice(0, k).map(({ value, count }) => ({ value: kind.out(value), count: BigInt(count) }))
    }
    const distinct = (rows: readonly Placed<never>[]) => BigInt(counted(kind, rows).length)
    const calls = {
      n: countDistinct('x'),
      some: countDistinct('x', { filter: 'wanted' }),
      best: topK('x', 1),
      top: topK('x', 3),
      all: topK('x', 10_000, { filter: 'wanted' }),
    }
    await fc.assert(
      fc.asyncProperty(inputRows(kind.x), rows =>
        evaluator.check(kind.type, kind.sql, calls, rows, {
          n: distinct,
          some: own => distinct(wanted(own)),
          best: top(1),
          top: top(3),
          all: own => top(10_000)(wanted(own)),
        }),
      ),
      { numRuns: 4 },
    )
  })
})

describe.each([doubles, bigints, decimals, times] as unknown as Kind<never>[])('over $type', kind => {
  test('exactQuantile is the value of nearest rank, whatever the cut', async () => {
    /** In tenths, so that the rank is exact. */
    const quantile = (tenths: number) => (rows: readonly Placed<never>[]) => {
      const values = counted(kind, rows).flatMap(({ value, count }) => Array.from({ length: count }, () => value))
      const rank = Math.max(Math.ceil((values.length * tenths) / 10), 1)
      return values.length === 0 ? null : kind.out(values[rank - 1] as never)
    }
    const calls = {
      least: exactQuantile('x', 0),
      tenth: exactQuantile('x', 0.1),
      median: exactQuantile('x', 0.5),
      most: exactQuantile('x', 1),
      some: exactQuantile('x', 0.7, { filter: 'wanted' }),
    }
    await fc.assert(
      fc.asyncProperty(inputRows(kind.x, { maxLength: 25 }), rows =>
        evaluator.check(kind.type, kind.sql, calls, rows, {
          least: quantile(0),
          tenth: quantile(1),
          median: quantile(5),
          most: quantile(10),
          some: own => quantile(7)(wanted(own)),
        }),
      ),
      { numRuns: 4 },
    )
  })
})

test('a quantile is the decimal that was written: 0.1, 0.2, 0.3 of 10 values are the first three', async () => {
  const values = Array.from({ length: 10 }, (_, index) => String(index + 1))
  const calls = Object.fromEntries(
    [0.1, 0.2, 0.3, 0.6, 0.7, 1e-7, 0.1000001, 0.9999999999999999].map(q => [`q${q}`, exactQuantile('x', q)]),
  )
  expect(await evaluator.one('INTEGER', values, calls)).toEqual({
    'q0.1': 1,
    'q0.2': 2,
    'q0.3': 3,
    'q0.6': 6,
    'q0.7': 7,
    'q1e-7': 1,
    'q0.1000001': 2,
    'q0.9999999999999999': 10,
  })
})

test('countDistinct takes lists, JSON, BLOB and UUID too', async () => {
  const calls = { n: countDistinct('x') }
  expect(await evaluator.one('DOUBLE[]', ["['-0'::DOUBLE, NULL]", '[0, NULL]', '[0]', '[]'], calls)).toEqual({ n: 3n })
  expect(await evaluator.one('JSON', [`'{"a":1}'`, `'{"a":1}'`, `'[]'`], calls)).toEqual({ n: 2n })
  expect(await evaluator.one('BLOB', [`'\\x00'`, `'\\x00\\x00'`], calls)).toEqual({ n: 2n })
  expect(await evaluator.one('UUID', ['uuid()', 'uuid()'], calls)).toEqual({ n: 2n })
})

test('without any value: 0 and NULL', async () => {
  const calls = { n: countDistinct('x'), top: topK('x', 2), median: exactQuantile('x', 0.5) }
  expect(await evaluator.one('DATE', ['NULL', 'NULL'], calls)).toEqual({ n: 0n, top: null, median: null })
})
