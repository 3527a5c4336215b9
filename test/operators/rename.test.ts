import { afterAll, beforeAll, expect, test } from 'vitest'
import { groupBy, tumbling } from '../../src/index.ts'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { rename, renameStep } from '../../operators/rename.ts'
import { select } from '../../operators/select.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { checkOneToOne, describeOnce, errorOf, expectConfigError } from './flow.ts'

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

test('rename passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'rename', options: { zone: 'area' } }], trips => trips.pipe(rename({ zone: 'area' })))
})

test('columns keep their order and types', () => {
  const { columns } = describeOnce(trips => trips.pipe(rename({ tip: 'extra', picked_up: 'at' })))
  expect(Object.entries(columns)).toEqual([
    ['at', 'TIMESTAMP NOT NULL'],
    ['zone', 'BIGINT'],
    ['kind', 'VARCHAR'],
    ['amount', 'DECIMAL(18,2)'],
    ['extra', 'DECIMAL(38,2) NOT NULL'],
    ['distance', 'DOUBLE'],
  ])
})

test('two columns can be exchanged, and hidden ones stay', async () => {
  const input = {
    sql: 'SELECT 7 AS _seq, 1 AS _row, 10 AS a, 20 AS "b""", 30 AS c',
    columns: { a: 'INTEGER', 'b"': 'INTEGER', c: 'INTEGER' },
    hidden: ['_seq', '_row'],
  }
  const sql = renameStep.sql(input, { a: 'b"', 'b"': 'a' }, [])
  expect(await db.rows(sql)).toEqual([{ _seq: 7, _row: 1, 'b"': 10, a: 20, c: 30 }])
})

test('a window may follow: the event time rides along by whatever name (S2)', () => {
  const { columns } = describeOnce(trips =>
    trips.pipe(
      rename({ picked_up: 'at', zone: 'area' }),
      tumbling('1 hour'),
      groupBy('area'),
      aggregate({ n: count() }),
    ),
  )
  expect(Object.keys(columns)).toEqual(['window_start', 'window_end', 'area', 'n'])
})

test('another column may not take the name of the event time before a window', () => {
  const error = errorOf(trips =>
    trips.pipe(
      select('zone', 'kind'),
      rename({ kind: 'picked_up' }),
      tumbling('1 hour'),
      groupBy(),
      aggregate({ n: count() }),
    ),
  )
  expect(error).toMatchObject({
    kind: 'user',
    message:
      "tumbling: the event time column 'picked_up' was replaced by rename(); watermarks are taken from the column as read, so give the other column another name.",
  })
})

test.each([
  [{}, 'rename', '{}', "at least one column: { old: 'new' }"],
  [undefined, 'rename', 'undefined', "at least one column: { old: 'new' }"],
  [{ zone: 5 }, 'rename zone', '5', "its new name as text, such as 'zone'"],
])('options that give no name are refused: %j', (options, field, value, expected) => {
  expectConfigError(() => rename(options as never), field, value, expected)
})

test.each([
  [{ zone: '_seq' }, "'_seq'", "a column name that does not start with '_' (millrace's own do)"],
  [{ zone: 'KIND' }, "'KIND'", "a name that differs from 'kind' in more than case, as SQL ignores case"],
  [{ zone: 'kind' }, "'kind'", 'a name that no other column has; here: picked_up, zone, kind, amount, tip, distance'],
  [
    { zone: 'a', kind: 'a' },
    "'a'",
    'a name that no other column has; here: picked_up, zone, kind, amount, tip, distance',
  ],
])('a name that a column may not have is refused when the plan is made: %j', (options, value, expected) => {
  expect(errorOf(trips => trips.pipe(rename(options as never)))).toMatchObject({
    kind: 'user',
    message: `rename: ${value} is not valid; expected ${expected}.`,
  })
})

test('a new name may differ from the old one by case only', () => {
  expect(Object.keys(describeOnce(trips => trips.pipe(rename({ zone: 'Zone' }))).columns)).toContain('Zone')
})

test('an unknown column is refused with the nearest name and all that there are', () => {
  expect(errorOf(trips => trips.pipe(rename({ zon: 'area' } as never)))).toMatchObject({
    kind: 'user',
    code: 'unknown-column',
    message:
      "rename: no column 'zon'; did you mean 'zone'? Columns here: picked_up, zone, kind, amount, tip, distance.",
  })
})
