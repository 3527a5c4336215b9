import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { oracle, type OracleObject } from '../oracle/oracle.ts'
import { sharedData } from '../shared-data.ts'

const root = resolve(import.meta.dirname, '../..')
const { path: months, isThere } = sharedData('tlc')
const dayUs = 86_400_000_000n
const hourUs = 3_600_000_000n

interface Result {
  readonly outputFiles: readonly string[]
}

/** The months as the oracle takes them, read by DuckDB column by column and put into windows row by row. */
async function readMonths(): Promise<readonly OracleObject[]> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const objects: OracleObject[] = []
  for (const name of (await readdir(months)).filter(file => file.startsWith('green_')).toSorted()) {
    const [, year, month] = /(\d{4})-(\d{2})/.exec(name) ?? []
    const reader = await connection.runAndReadAll(
      `SELECT epoch_us(lpep_pickup_datetime), PULocationID, round(total_amount * 100)::BIGINT FROM '${join(months, name)}'`,
    )
    const [t, zone, cents] = reader.getColumns() as [bigint[], bigint[], bigint[]]
    objects.push({
      bounds: [
        BigInt(Date.UTC(Number(year), Number(month) - 1)) * 1000n,
        BigInt(Date.UTC(Number(year), Number(month))) * 1000n,
      ],
      rows: t.map((time, row) => ({ t: time, key: [zone[row] ?? null], values: [cents[row] ?? null] })),
    })
  }
  connection.closeSync()
  instance.closeSync()
  return objects
}

async function readResults(files: readonly string[]) {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const reader = await connection.runAndReadAll(
    `SELECT epoch_us(window_start) AS s, epoch_us(window_end) AS e, PULocationID AS zone, trips, (revenue * 100)::BIGINT AS cents
     FROM read_parquet([${files.map(file => `'${file}'`).join(', ')}]) ORDER BY ALL`,
  )
  const rows = reader.getRowsJS().map(row => row.map(String).join(' '))
  connection.closeSync()
  instance.closeSync()
  return rows
}

describe.skipIf(!isThere)('examples/hourly-zones over the real months of New York’s TLC', () => {
  let folder: string
  /** Through the command line, as a user would. */
  const run = async (name: string, ...more: readonly string[]): Promise<Result> => {
    const folders = ['--output', join(folder, name, 'output'), '--checkpoint', join(folder, name, 'checkpoint')]
    const args = ['backfill', 'examples/hourly-zones.ts', '--input', months, ...folders, '--json', ...more]
    const { stdout } = await promisify(execFile)(process.execPath, ['src/cli/bin.ts', ...args], { cwd: root })
    return JSON.parse(stdout) as Result
  }
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-tlc-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('equals a row-by-row computation of S2, S3, S6 and S8, however it is cut (I11)', async () => {
    const objects = await readMonths()
    const expected = oracle({
      ledger: objects,
      windows: { sizeUs: hourUs, everyUs: hourUs },
      delayUs: dayUs,
      flush: true,
      where: row => (row.values[0] ?? 0n) > 0n,
    })
    const rows = expected.final
      .map(({ windowStart, windowEnd, key, count, values }) =>
        [windowStart, windowEnd, key[0], count, values[0]?.sum].map(String),
      )
      .toSorted((a, b) => Number(BigInt(a[0] ?? 0) - BigInt(b[0] ?? 0)) || Number(a[2]) - Number(b[2]))
      .map(row => row.join(' '))

    const cuts = {
      whole: [],
      single: ['--objects-per-epoch', '1'],
      pairs: ['--objects-per-epoch', '2', '--threads', '1'],
    }
    for (const [name, options] of Object.entries(cuts)) {
      const summary = await run(name, ...options)
      expect(summary).toMatchObject({
        rows: objects.reduce((sum, object) => sum + object.rows.length, 0),
        late: expected.late.length,
        objects: 5,
        quarantined: 1,
        quarantinedRows: 0,
        ignored: 1,
        openWindows: new Set(expected.open.map(({ windowStart }) => windowStart)).size,
      })
      const found = await readResults(summary.outputFiles)
      expect(found.length).toBeGreaterThan(50_000)
      expect(found).toEqual(rows)
    }
  })

  test('says that there is nothing to do when it is run again', async () => {
    await run('again')
    expect(await run('again')).toMatchObject({ nothingToDo: true, epochs: 2, objects: 5 })
  })
})
