import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fileStatistics } from '../../../connectors/lake/statistics.ts'
import { lentDuckdb } from './duckdb.ts'

const lent = lentDuckdb()

const columnsOf = (types: Readonly<Record<string, string>>) =>
  Object.entries(types).map(([name, sql]) => ({ name, sql }))

test.each([
  ['BIGINT', '(9223372036854775807), (-5), (NULL), (12)', { min: '-5', max: '9223372036854775807', nulls: 1 }],
  ['TINYINT', '(-1), (9), (10)', { min: '-1', max: '10', nulls: 0 }],
  [
    'DECIMAL(38,2)',
    "('-9.50'), ('123456789012345678901234567890123456.78')",
    { min: '-9.50', max: '123456789012345678901234567890123456.78', nulls: 0 },
  ],
  ['DECIMAL(4,1)', '(9.5), (10.5)', { min: '9.5', max: '10.5', nulls: 0 }],
  ['VARCHAR', "('b'), (''), ('ä'), (NULL)", { min: '', max: 'ä', nulls: 1 }],
  ['DATE', "('2024-02-29'), ('1969-12-31')", { min: '1969-12-31', max: '2024-02-29', nulls: 0 }],
  [
    'TIMESTAMP',
    "('2024-01-01 00:00:00.000001'), ('2024-01-02')",
    { min: '2024-01-01 00:00:00.000001', max: '2024-01-02 00:00:00', nulls: 0 },
  ],
  [
    'TIMESTAMPTZ',
    "('2024-01-01 00:00:00.5+02')",
    { min: '2023-12-31 22:00:00.5+00', max: '2023-12-31 22:00:00.5+00', nulls: 0 },
  ],
  ['DOUBLE', '(1.5), (-2)', { min: '-2.0', max: '1.5', nulls: 0 }],
  ['DOUBLE', "(1.5::DOUBLE), ('nan'::DOUBLE)", { nulls: 0 }],
  ['VARCHAR', '(NULL), (NULL)', { nulls: 2 }],
  ['BIGINT[]', '([1]), (NULL)', { nulls: undefined }],
])('of a column of %s with %s', async (sql, values, { nulls, ...bounds }) => {
  const file = join(lent.folder, 'one.parquet')
  const written = await lent.executor.write(`SELECT CAST(v AS ${sql}) AS v FROM (VALUES ${values}) AS r(v)`, file, [])
  const found = await fileStatistics(lent.executor, file, [{ name: 'v', sql }])
  expect(found).toEqual({ rows: written.rows, columns: { v: { ...bounds, ...(nulls !== undefined && { nulls }) } } })
})

test('are those of all row groups, and of columns by their names', async () => {
  const file = join(lent.folder, 'groups.parquet')
  const sql = `SELECT i::BIGINT AS "a,b", CASE WHEN i < 3000 THEN NULL ELSE 'n' || i END AS "q""x" FROM range(10000) r(i)`
  await lent.executor.write(sql, file, [], { format: 'parquet', rowGroupRows: 2048 })
  expect(await fileStatistics(lent.executor, file, columnsOf({ 'q"x': 'VARCHAR', 'a,b': 'BIGINT' }))).toEqual({
    rows: 10_000,
    columns: { 'a,b': { min: '0', max: '9999', nulls: 0 }, 'q"x': { min: 'n3000', max: 'n9999', nulls: 3000 } },
  })
})

test('of a file without rows are none', async () => {
  const file = join(lent.folder, 'empty.parquet')
  await lent.executor.write('SELECT 1::BIGINT AS k WHERE false', file, [])
  const { rows, columns } = await fileStatistics(lent.executor, file, columnsOf({ k: 'BIGINT' }))
  expect(rows).toBe(0)
  expect(columns.k?.min).toBeUndefined()
})
