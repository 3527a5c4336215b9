import { expect, test } from 'vitest'
import { filesThatMayHold, rowsWithKeys, rowsWithoutKeys } from '../../../connectors/lake/key-files.ts'
import { lentDuckdb } from './duckdb.ts'

const lent = lentDuckdb()

const key = [
  { name: 'day', sql: 'DATE' },
  { name: 'zone', sql: 'VARCHAR' },
]
const file = (days: readonly [string, string] | [], zones: readonly [string, string] | [], nulls?: number) => ({
  day: days.length === 0 ? {} : { min: days[0], max: days[1], nulls: 0 },
  zone: {
    ...(zones.length > 0 && { min: zones[0] as string, max: zones[1] as string }),
    ...(nulls !== undefined && { nulls }),
  },
})
const files = [
  file(['2024-01-01', '2024-01-31'], ['a', 'c'], 0),
  file(['2024-02-01', '2024-02-29'], ['a', 'c'], 0),
  file(['2024-02-01', '2024-02-29'], ['a', 'c'], 2),
  file(['2024-02-01', '2024-02-29'], ['x', 'z']),
  file([], []),
]

test.each([
  ["(DATE '2024-01-31', 'b')", [0, 4]],
  ["(DATE '2024-02-01', 'c')", [1, 2, 4]],
  // A file that does not tell how many are NULL may hold one.
  ["(DATE '2024-02-01', NULL::VARCHAR)", [2, 3, 4]],
  ["(DATE '2024-01-02', 'x'), (DATE '2024-02-02', 'y')", [3, 4]],
  ["(DATE '2025-01-01', 'b')", [4]],
])('the changes %s may lie in files %j', async (values, expected) => {
  const changes = `(SELECT * FROM (VALUES ${values}) AS r(day, zone))`
  expect(await filesThatMayHold(lent.executor, files, changes, key)).toEqual(expected)
})

test('a bound may stand for more than itself', async () => {
  const upTo = (bound: string) => `${bound} + INTERVAL 1 millisecond`
  const column = { name: 'at', sql: 'TIMESTAMP' }
  const bounds = [{ at: { min: '2024-01-01 00:00:00', max: '2024-01-01 00:00:00.123', nulls: 0 } }]
  const changes = "(SELECT TIMESTAMP '2024-01-01 00:00:00.123456' AS at)"
  expect(await filesThatMayHold(lent.executor, bounds, changes, [column])).toEqual([])
  expect(await filesThatMayHold(lent.executor, bounds, changes, [column], upTo)).toEqual([0])
})

test('many files and many keys are compared by the range of the keys', async () => {
  const many = Array.from({ length: 400 }, (_, i) => ({
    k: { min: `${i * 1000}`, max: `${i * 1000 + 999}`, nulls: 0 },
  }))
  const changes = '(SELECT 5000 + i AS k FROM range(60000) AS r(i))'
  const found = await filesThatMayHold(lent.executor, many, changes, [{ name: 'k', sql: 'BIGINT' }])
  expect(found).toEqual(Array.from({ length: 60 }, (_, i) => 5 + i))
})

test('rows are parted by whether their key is among the changes, and NULL is one', async () => {
  const rows = "(SELECT * FROM (VALUES (1, 'a'), (2, NULL), (3, 'a'), (NULL, 'b')) AS r(n, s))"
  const changes = "(SELECT * FROM (VALUES (1, 'a'), (2, NULL), (2, NULL), (3, 'b')) AS r(n, s))"
  const columns = [
    { name: 'n', sql: 'INTEGER' },
    { name: 's', sql: 'VARCHAR' },
  ]
  const ordered = (sql: string) => lent.executor.rows(`SELECT n FROM (${sql}) ORDER BY n`)
  expect(await ordered(rowsWithKeys(rows, changes, columns))).toEqual([{ n: 1 }, { n: 2 }])
  expect(await ordered(rowsWithoutKeys(rows, changes, columns))).toEqual([{ n: 3 }, { n: null }])
})
