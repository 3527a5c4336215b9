import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { approxDistinct } from '../../../operators/aggregates/approx-distinct.ts'
import { doubleSql, evaluatorForTests, fewDoubles, inputRows, type Placed, wanted } from './evaluate.ts'

const evaluator = await evaluatorForTests()

/** HyperLogLog once more, from the papers: registers in a map, ranks by counting zeros of text, sigma as its series. */
function estimate(texts: Iterable<string>): bigint {
  const ranks = new Map<number, number>()
  for (const text of texts) {
    // DuckDB reads the digest's 16 bytes as one number, the first byte lowest; its low 64 bits are the hash.
    const hash = createHash('md5').update(text).digest().readBigUInt64LE(0)
    const register = Number(hash & 4095n)
    const zeros = /^0*/.exec((hash >> 12n).toString(2).padStart(52, '0'))?.[0].length ?? 0
    const rank = zeros + 1
    ranks.set(register, Math.max(ranks.get(register) ?? 0, rank))
  }
  let sigma = (4096 - ranks.size) / 4096
  for (let x = sigma, half = 1, before = -1; before !== sigma; half *= 2) {
    before = sigma
    x *= x
    sigma += x * half
  }
  const harmonic = [...ranks.values()].reduce((sum, rank) => sum + 2 ** -rank, 0)
  return BigInt(Math.round((4096 * 4096) / (2 * Math.LN2 * (4096 * sigma + harmonic))))
}

describe('approxDistinct', () => {
  test('is that of the same registers whatever the cut, and exact for a few values', async () => {
    const texts = (rows: readonly Placed<string>[]) => new Set(rows.flatMap(({ x }) => (x === null ? [] : [x])))
    await fc.assert(
      fc.asyncProperty(inputRows(fc.constantFrom('', 'a', 'b', 'é', 'null', '0', '-0')), rows =>
        evaluator.check(
          'VARCHAR',
          text => `'${text}'`,
          { n: approxDistinct('x'), some: approxDistinct('x', { filter: 'wanted' }) },
          rows,
          { n: own => BigInt(texts(own).size), some: own => BigInt(texts(wanted(own)).size) },
        ),
      ),
      { numRuns: 5 },
    )
  })

  test('-0.0 is 0.0 and NaN is one value (S19)', async () => {
    const distinct = (rows: readonly Placed<number>[]) =>
      BigInt(new Set(rows.flatMap(({ x }) => (x === null ? [] : [x === 0 ? 0 : x]))).size)
    await fc.assert(
      fc.asyncProperty(inputRows(fewDoubles), rows =>
        evaluator.check('DOUBLE', doubleSql, { n: approxDistinct('x') }, rows, { n: distinct }),
      ),
      { numRuns: 4 },
    )
  })

  test.each([10, 300, 3_000, 10_000, 100_000])(
    "of %i integers it is the oracle's, within 4 standard errors",
    async n => {
      const offset = 7 * n
      const expected = estimate(Array.from({ length: n }, (_, index) => String(index + offset)))
      const rows =
        `SELECT 1 AS _seq, i AS _row, NULL::BIGINT AS _watermark, make_timestamp(0) AS t, NULL::VARCHAR AS k, ` +
        `CAST(i + ${offset} AS BIGINT) AS x, 1::BIGINT AS "by", true AS wanted FROM range(${n}) AS _(i)`
      const [row] = await evaluator.of('BIGINT', [rows], { n: approxDistinct('x') })
      const found = row?.n
      expect(found).toBe(expected)
      expect(Math.abs(Number(found) - n) / n).toBeLessThan(4 * 0.01625)
    },
  )

  test('hashes by what does not depend on the version of DuckDB', async () => {
    // Any change of these is a change of a stored format: registers of old and new rows would not agree.
    const kinds: [string, string][] = [
      ['BOOLEAN', 'true'],
      ['UBIGINT', '18446744073709551615'],
      ['DECIMAL(18,2)', '-1.5'],
      ['DOUBLE', '0.1'],
      ['FLOAT', '0.5'],
      ['VARCHAR', "'é'"],
      ['UUID', "'00000000-0000-0000-0000-00000000000A'"],
      ['BLOB', "'\\x00'"],
      ['DATE', "'2022-01-02'"],
      ['TIMESTAMP', "'2022-01-02 03:04:05.006'"],
      ['TIMESTAMPTZ', "'2022-01-02 03:04:05+01:00'"],
      ['JSON', `'{"a":1}'`],
    ]
    const found: Record<string, unknown> = {}
    for (const [type, sql] of kinds) {
      const rows =
        `SELECT 1 AS _seq, 0 AS _row, NULL::BIGINT AS _watermark, make_timestamp(0) AS t, NULL::VARCHAR AS k, ` +
        `CAST(${sql} AS ${type}) AS x, 1::BIGINT AS "by", true AS wanted`
      const [row] = await evaluator.side(type, rows, { n: approxDistinct('x') })
      found[type] = `${String(row?._register)} ${String(row?._rank)}`
    }
    const texts: Record<string, string> = {
      BOOLEAN: 'true',
      UBIGINT: '18446744073709551615',
      'DECIMAL(18,2)': '-1.50',
      DOUBLE: String(0x3fb999999999999an),
      FLOAT: String(0x3fe0000000000000n),
      VARCHAR: 'é',
      UUID: '00000000-0000-0000-0000-00000000000a',
      BLOB: '\0',
      DATE: '2022-01-02',
      TIMESTAMP: '2022-01-02 03:04:05.006',
      TIMESTAMPTZ: '2022-01-02 02:04:05+00',
      JSON: '{"a":1}',
    }
    expect(found).toEqual(
      Object.fromEntries(
        Object.entries(texts).map(([type, text]) => {
          const hash = createHash('md5').update(text).digest().readBigUInt64LE(0)
          return [type, `${hash & 4095n} ${53 - (hash >> 12n).toString(2).length}`]
        }),
      ),
    )
  })
})
