import { afterAll, beforeAll, expect, test } from 'vitest'
import { rowsSql, text } from '../../src/plan/sql.ts'
import { openTestDuckdb, type TestDuckdb } from './duckdb.ts'

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

const columns = { n: 'BIGINT', s: 'VARCHAR', b: 'BOOLEAN', d: 'DOUBLE' } as const
const rows = [
  { n: 9_223_372_036_854_775_807n, s: `it's "quoted" \\ \n 'twice'' `, b: true, d: 0.1 },
  { n: -1, s: 'a\0b', b: false, d: -1e300 },
  { n: null, s: null, b: null, d: null },
  { n: 0, s: '\u{1F600} \u2028', b: true, d: 5e-324 },
  { n: 1, s: '', b: true, d: 1e21 },
]
/** NULL is NULL, and whole numbers come as bigints. */
const read = (row: (typeof rows)[number]) => ({ ...row, n: row.n === null ? null : BigInt(row.n) })

test.each(rows)('one row comes back as it was, NULs and quotes too: $s', async row => {
  expect(await db.rows(rowsSql([row], columns))).toEqual([read(row)])
})

test.each(['', '\0', 'a\0', '\0\0b', `it's\0'\0`])('a text is itself in SQL, also with NULs: %j', async value => {
  expect(await db.rows(`SELECT ${text(value)} AS s`)).toEqual([{ s: value }])
})

test('so do several', async () => {
  expect(await db.rows(rowsSql(rows, columns))).toEqual(rows.map(read))
})

test('a column that a row lacks is NULL', async () => {
  expect(await db.rows(rowsSql([{ n: 1 }], columns))).toEqual([{ n: 1n, s: null, b: null, d: null }])
})
