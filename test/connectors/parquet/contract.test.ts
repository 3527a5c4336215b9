import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { afterAll, beforeAll } from 'vitest'
import { parquetFormat } from '../../../connectors/parquet/format.ts'
import { cellsOf, type FormatRow, formatColumns, formatContract } from '../../contracts/format.ts'
import { quoted } from '../../engine/harness.ts'
import { isoText } from '../format-values.ts'

let folder: string
let instance: DuckDBInstance
let connection: DuckDBConnection
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-contract-'))
  instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  connection = await instance.connect()
})
afterAll(async () => {
  connection.closeSync()
  instance.closeSync()
  await rm(folder, { recursive: true })
})

const compressions = ['snappy', 'zstd', 'uncompressed', 'gzip'] as const
let count = 0

formatContract('Parquet', {
  format: parquetFormat,
  extension: '.parquet',
  async write(rows, columns) {
    const file = join(folder, `${count++}.parquet`)
    const items = columns.map(name => `CAST(NULL AS ${formatColumns[name]}) AS ${name}`)
    const values = rows.map(row => `SELECT ${columns.map(name => written(row, name)).join(', ')}`)
    const query = [`SELECT ${items.join(', ')} WHERE FALSE`, ...values].join(' UNION ALL ')
    const compression = compressions[count % compressions.length] as string
    await connection.run(`COPY (${query}) TO ${quoted(file)} (FORMAT parquet, COMPRESSION ${compression})`)
    const body = await readFile(file)
    await rm(file)
    return body
  },
  async readIndependently(body) {
    const file = body.buffer.slice(body.byteOffset, body.byteOffset + body.length) as ArrayBuffer
    try {
      const identity = (value: bigint) => value as never
      const rows = await parquetReadObjects({
        file,
        compressors,
        parsers: { timestampFromMicroseconds: identity } as never,
      })
      return (rows as unknown as FormatRow[]).map(cellsOf)
    } catch {
      return undefined
    }
  },
})

function written(row: FormatRow, name: keyof FormatRow): string {
  const [value, type] = [row[name], formatColumns[name]]
  if (value === null) return `CAST(NULL AS ${type})`
  if (name === 't') return `CAST(${quoted(isoText(value as bigint))} AS ${type})`
  return `CAST(${quoted(Object.is(value, -0) ? '-0.0' : String(value))} AS ${type})`
}
