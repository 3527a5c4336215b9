import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createGate, type Gate } from '../../src/plan/gate.ts'
import { runs } from '../engine/harness.ts'
import { openTestDuckdb, type TestDuckdb } from './duckdb.ts'
import { changed, columns, expressions, rowsSql, written } from './spellings.ts'

let db: TestDuckdb
let gate: Gate
beforeAll(async () => {
  db = await openTestDuckdb()
  gate = createGate(db)
  await db.run(`CREATE TABLE rows AS ${rowsSql}`)
})
afterAll(async () => await db[Symbol.asyncDispose]())

const canonical = async (sql: string) => JSON.stringify(await gate.canonical(sql, Object.keys(columns)))

describe('an expression in canonical form', () => {
  test.each<readonly [sql: string, tree: unknown]>([
    ['amount > 1e5', ['>', ['column', 'amount'], ['constant', 'DOUBLE', '100000']]],
    ['amount > 100000.0', ['>', ['column', 'amount'], ['constant', 'DECIMAL(7,1)', '100000.0']]],
    ['-n', ['call', '-', ['column', 'n']]],
    ['-1.50', ['constant', 'DECIMAL(3,2)', '-1.50']],
    ['-0e0', ['constant', 'DOUBLE', '-0']],
    ['170141183460469231731687303715884105727', ['constant', 'HUGEINT', '170141183460469231731687303715884105727']],
    ['12345678901234567890123456789.5', ['constant', 'DECIMAL(30,1)', '12345678901234567890123456789.5']],
    ['NULL', ['constant', 'NULL', null]],
    ["DATE '2024-01-01'", ['cast', 'DATE', ['constant', 'VARCHAR', '2024-01-01']]],
    ['TRY_CAST("kind" AS int[])', ['try cast', 'INTEGER[]', ['column', 'Kind']]],
    ["kind::enum('a', 'b')", ['cast', "ENUM('a', 'b')", ['column', 'Kind']]],
    ['NOT ok', ['not', ['column', 'ok']]],
    ['n IN (1)', ['in', ['column', 'n'], ['constant', 'INTEGER', '1']]],
    [
      'CASE WHEN ok THEN n END',
      [
        'case',
        [
          ['column', 'ok'],
          ['column', 'n'],
        ],
        ['constant', 'NULL', null],
      ],
    ],
    ['{a: n}', ['call', 'struct_pack', ['named', 'a', ['column', 'n']]]],
    [
      'list_filter(xs, lambda x, i: x > i + n)',
      [
        'call',
        'list_filter',
        ['column', 'xs'],
        ['lambda', 2, ['>', ['parameter', 0], ['call', '+', ['parameter', 1], ['column', 'n']]]],
      ],
    ],
    [
      'list_transform(xs, lambda a: list_sum(list_transform(xs, lambda b: a - b)))',
      [
        'call',
        'list_transform',
        ['column', 'xs'],
        [
          'lambda',
          1,
          [
            'call',
            'list_sum',
            [
              'call',
              'list_transform',
              ['column', 'xs'],
              ['lambda', 1, ['call', '-', ['parameter', 0], ['parameter', 1]]],
            ],
          ],
        ],
      ],
    ],
    // What this DuckDB does not parse, or no gate lets through, equals only itself.
    ['a >', ['text', 'a >']],
    ['(SELECT 1)', ['text', '(SELECT 1)']],
    ['1e400', ['text', '1e400']],
    ['kind::ENUM(1, 2)', ['text', 'kind::ENUM(1, 2)']],
    ["kind::ENUM('a', NULL)", ['text', "kind::ENUM('a', NULL)"]],
    ['upper(DISTINCT kind)', ['text', 'upper(DISTINCT kind)']],
    ['kind.upper()', ['text', 'kind.upper()']],
    ['system.main.upper(kind)', ['text', 'system.main.upper(kind)']],
  ])('%s', async (sql, tree) => {
    expect(await gate.canonical(sql, Object.keys(columns))).toEqual(tree)
  })

  test.each<readonly [name: string, a: string, b: string]>([
    ['the type of a number', 'amount * 2', 'amount * 2.0'],
    ['the scale of a number', 'n / 2.0', 'n / 2.00'],
    ['a number as DOUBLE', 'amount > 100000.0', 'amount > 1e5'],
    ['the sign of zero', 'amount = 0e0', 'amount = -0e0'],
    ['the case of a text', "kind = 'a'", "kind = 'A'"],
    ['a blank in a text', "kind = 'a b'", "kind = 'a  b'"],
    ['a text in place of a column', "kind = 'n'", 'kind = n::VARCHAR'],
    ['the order of operands', 'n - zone', 'zone - n'],
    ['how sums are grouped', '(amount + fare) + n', 'amount + (fare + n)'],
    ['AND among OR', 'ok AND (n > 1 OR n < 0)', '(ok AND n > 1) OR n < 0'],
    ['CAST and TRY_CAST', 'CAST(kind AS BIGINT)', 'TRY_CAST(kind AS BIGINT)'],
    ['the digits of a type', 'n::DECIMAL(18,2)', 'n::DECIMAL(18,3)'],
    ['which parameter of a lambda', 'list_filter(xs, lambda a, b: a > b)', 'list_filter(xs, lambda a, b: b > a)'],
    ['a parameter that hides a column', 'list_filter(xs, lambda n: n > 1)', 'list_filter(xs, lambda x: n > 1)'],
    ['the name of a field', '{a: n}', '{b: n}'],
    ['IN and NOT IN', 'n IN (1, 2)', 'n NOT IN (1, 2)'],
  ])('tells apart: %s', async (_name, a, b) => {
    const [left, right] = [await canonical(a), await canonical(b)]
    expect(left).not.toContain('"text"')
    expect(left).not.toBe(right)
  })
})

const kinds = fc.constantFrom('number', 'text', 'truth')
const seeds = fc.tuple(fc.nat(2 ** 31 - 1), fc.nat(2 ** 31 - 1))

test('expressions that are written otherwise are equal: blanks, comments, case, parentheses, names of types', async () => {
  let rewritten = 0
  await fc.assert(
    fc.asyncProperty(
      kinds.chain(kind => expressions(kind)),
      seeds,
      async (expression, [one, other]) => {
        const texts = [written(expression, one), written(expression, other)]
        const [a, b] = await Promise.all(texts.map(canonical))
        expect(a, texts[0]).not.toContain('"text"')
        expect(a, texts.join('\n<=>\n')).toBe(b)
        if (texts[0] !== texts[1]) rewritten++
      },
    ),
    runs(150),
  )
  expect(rewritten).toBeGreaterThan(100)
})

test('expressions that give other values, or values of another type, differ', async () => {
  /** Types and values over the rows; an error is NULL. */
  const values = async (sql: string) => {
    const rows = await db.rows(
      `SELECT typeof(v) || ' ' || coalesce(v::VARCHAR, 'NULL') AS v FROM (SELECT TRY(${sql}) AS v FROM rows)`,
    )
    return JSON.stringify(rows.map(({ v }) => v))
  }
  let different = 0
  await fc.assert(
    fc.asyncProperty(
      kinds.chain(kind => expressions(kind, 2)),
      seeds,
      async (expression, [one, other]) => {
        const others = changed(expression)
        const change = others[one % Math.max(1, others.length)]
        if (change === undefined) return
        const texts = [written(expression, one), written(change, other)] as const
        const [a, b] = await Promise.all(texts.map(sql => values(sql).catch(() => undefined)))
        // What DuckDB does not bind is no plan.
        if (a === undefined || b === undefined || a === b) return
        different++
        expect(await canonical(texts[0]), texts.join('\n<=>\n')).not.toBe(await canonical(texts[1]))
      },
    ),
    runs(300),
  )
  expect(different).toBeGreaterThan(80)
})
