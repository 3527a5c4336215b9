import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { whereStep, where } from '../../operators/where.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { checkOneToOne, describeOnce, expectConfigError, sourceNode } from './flow.ts'

test('where passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'where', options: { predicate: 'amount > 0' } }], trips => trips.pipe(where('amount > 0')))
})

test('its step is plain data: operator and options say all there is', () => {
  const operator = where('1 = 1')
  expect(JSON.parse(JSON.stringify(operator.options))).toEqual({ predicate: '1 = 1' })
  expect(operator.step).toBe(whereStep)
})

test('columns stay as they are', () => {
  expect(describeOnce(trips => trips.pipe(where('amount > 0'))).columns).toEqual(sourceNode.columns)
})

test.each([
  ['', "''"],
  [' \n', "' \n'"],
  [5, '5'],
  [undefined, 'undefined'],
])('a predicate that is no text is refused: %j', (predicate, shown) => {
  expectConfigError(() => where(predicate as never), 'where', shown, 'a SQL predicate')
})

test('the gate is told that the predicate must be BOOLEAN', () => {
  expect(whereStep.expressions({ predicate: 'a' })).toEqual([{ field: 'where', sql: 'a', mustBe: 'BOOLEAN' }])
})

describe('over rows', () => {
  let db: TestDuckdb
  beforeAll(async () => {
    db = await openTestDuckdb()
  })
  afterAll(async () => await db[Symbol.asyncDispose]())

  test('only TRUE keeps a row: FALSE and NULL drop it, and hidden columns go along (S22)', async () => {
    const rows = `SELECT * FROM (VALUES (1, 0, 10), (1, 1, -10), (1, 2, NULL), (1, 3, 20)) AS t(_seq, _row, a)`
    const input = { sql: rows, columns: { a: 'INTEGER' }, hidden: ['_seq', '_row'] }
    const sql = whereStep.sql(input, { predicate: 'a > 0' }, ['"_in"."a" > 0'])
    expect(await db.rows(`SELECT * FROM (${sql}) ORDER BY _row`)).toEqual([
      { _seq: 1, _row: 0, a: 10 },
      { _seq: 1, _row: 3, a: 20 },
    ])
  })
})
