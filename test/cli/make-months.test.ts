import { DuckDBInstance } from '@duckdb/node-api'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { makeMonths } from '../../src/cli/demo/make-months.ts'

let dir: string
let files: readonly string[]
let query: (sql: string) => Promise<readonly Record<string, unknown>[]>
let close: () => void

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-test-'))
  files = await makeMonths({ dir: join(dir, 'a'), months: 4, rowsPerMonth: 5_000 })
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const months = files.slice(0, 4).map(file => `'${join(dir, 'a', file)}'`)
  await connection.run(`CREATE VIEW trips AS
    SELECT *, lpep_pickup_datetime AS t, parse_filename(filename)[-15:-9] AS month
    FROM read_parquet([${months.join()}], filename = true, file_row_number = true)`)
  query = async sql => (await connection.runAndReadAll(sql)).getRowObjectsJson()
  close = () => instance.closeSync()
})
afterAll(async () => {
  close()
  await rm(dir, { recursive: true })
})

test('the same settings give the same bytes', async () => {
  await makeMonths({ dir: join(dir, 'b'), months: 4, rowsPerMonth: 5_000 })
  const hash = async (file: string) =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex')
  for (const file of files) expect(await hash(join(dir, 'b', file))).toBe(await hash(join(dir, 'a', file)))
})

test('four months with the columns of the real ones', async () => {
  expect(files.slice(0, 4)).toEqual(['01', '02', '03', '04'].map(month => `green_tripdata_2022-${month}.parquet`))
  expect(await query('SELECT month, count(*)::INT AS n FROM trips GROUP BY 1 ORDER BY 1')).toEqual(
    ['2022-01', '2022-02', '2022-03', '2022-04'].map(month => ({ month, n: 5_000 })),
  )
  const columns = await query('DESCRIBE (SELECT * EXCLUDE (filename, file_row_number, t, month) FROM trips)')
  expect(Object.fromEntries(columns.map(({ column_name, column_type }) => [column_name, column_type]))).toEqual({
    lpep_pickup_datetime: 'TIMESTAMP',
    lpep_dropoff_datetime: 'TIMESTAMP',
    PULocationID: 'BIGINT',
    DOLocationID: 'BIGINT',
    passenger_count: 'DOUBLE',
    trip_distance: 'DOUBLE',
    fare_amount: 'DOUBLE',
    tip_amount: 'DOUBLE',
    total_amount: 'DOUBLE',
  })
})

test('rows are out of order: 45 to 49 percent step back in each month', async () => {
  const steps = await query(`SELECT avg((t < before)::INT) AS back FROM
    (SELECT month, t, lag(t) OVER (PARTITION BY month ORDER BY file_row_number) AS before FROM trips) GROUP BY month`)
  expect(steps).toHaveLength(4)
  for (const { back } of steps) {
    expect(back).toBeGreaterThan(0.45)
    expect(back).toBeLessThan(0.49)
  }
})

test('each month holds rows of other months and years, and one row in all is stamped 2098', async () => {
  const strays = await query(`SELECT month,
      count(*) FILTER (year(t) IN (2008, 2009))::INT AS old,
      count(*) FILTER (year(t) BETWEEN 2021 AND 2022 AND strftime(t, '%Y-%m') < month)::INT AS before,
      count(*) FILTER (year(t) = 2022 AND strftime(t, '%Y-%m') > month)::INT AS after,
      count(*) FILTER (year(t) = 2098 AND total_amount > 0)::INT AS future
    FROM trips GROUP BY month ORDER BY month`)
  expect(strays).toEqual(
    ['2022-01', '2022-02', '2022-03', '2022-04'].map(month => ({
      month,
      old: 2,
      before: 6,
      after: 4,
      future: month === '2022-03' ? 1 : 0,
    })),
  )
})

test('amounts are whole cents, some of them negative; no value is NULL but passengers', async () => {
  const [row] = await query(`SELECT
      bool_and(total_amount::DECIMAL(18,2)::DOUBLE = total_amount) AS exact,
      count(*) FILTER (total_amount < 0) > 0 AS negative,
      count(*) FILTER (total_amount IS NULL OR t IS NULL OR "PULocationID" NOT BETWEEN 1 AND 263)::INT AS bad,
      bool_and(lpep_dropoff_datetime > t) AS forward
    FROM trips`)
  expect(row).toEqual({ exact: true, negative: true, bad: 0, forward: true })
})

test('the month after the last is no Parquet file at all', async () => {
  expect(files[4]).toBe('green_tripdata_2022-05.parquet')
  const file = join(dir, 'a', 'green_tripdata_2022-05.parquet')
  expect(await readFile(file, 'utf8')).toContain('<Code>AccessDenied</Code>')
  await expect(query(`FROM read_parquet('${file}')`)).rejects.toThrow(/magic bytes|too small/i)
})

test('one month holds everything too', async () => {
  const made = await makeMonths({ dir: join(dir, 'one'), months: 1, rowsPerMonth: 1_000 })
  expect(made).toEqual(['green_tripdata_2022-01.parquet', 'green_tripdata_2022-02.parquet'])
  const file = join(dir, 'one', made[0] as string)
  expect(await query(`SELECT count(*)::INT AS n FROM '${file}' WHERE year(lpep_pickup_datetime) = 2098`)).toEqual([
    { n: 1 },
  ])
})
