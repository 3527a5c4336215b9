/** Parquet files read by the engine's own stage 1, whatever their columns, beside hyparquet as an independent reader. */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { parquetReadObjects } from 'hyparquet'
import { compressors } from 'hyparquet-compressors'
import { parquetFormat } from '../../connectors/parquet/format.ts'
import { parseColumnType } from '../../src/core/types.ts'
import { infer } from '../../src/engine/infer/infer.ts'
import { type Cells, openObjectReader, type Reading } from '../contracts/object-reader.ts'

/** Reads declared columns of a file; values as text. */
export async function readParquet(path: string, columns: Readonly<Record<string, string>>): Promise<Reading> {
  await using reader = await openObjectReader()
  const [reading] = await reader.read(parquetFormat, columns, { [basename(path)]: await readFile(path) })
  const { reason, rows, aside } = reading as Reading
  return { reason, rows: rows.map(({ _row, ...cells }) => cells), aside }
}

/** What `infer` says can be declared, and what it does not as JSON. */
export async function declarable(path: string): Promise<Readonly<Record<string, string>>> {
  const columns = await infer(path)
  return Object.fromEntries(columns.map(({ name: column, type }) => [column, type ?? 'JSON']))
}

/** The same file by hyparquet, with strings only where the file says so, and times as integers. */
export async function readIndependently(path: string): Promise<readonly Cells[]> {
  const bytes = await readFile(path)
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
  const identity = <T>(value: T) => value as never
  return parquetReadObjects({
    file,
    compressors,
    utf8: false,
    parsers: {
      timestampFromMilliseconds: (value: bigint) => (BigInt(value) * 1000n) as never,
      timestampFromMicroseconds: identity,
      timestampFromNanoseconds: (value: bigint) => (value / 1000n) as never,
      dateFromDays: identity,
    },
  })
}

/** The value of a column, or of the field of a struct that a path names: 'address.city'. */
export function valueAt(row: Cells | undefined, column: string): unknown {
  if (row === undefined || column in row) return row?.[column]
  return column.split('.').reduce<unknown>((at, field) => (at as Cells | null | undefined)?.[field], row)
}

/** Whether hyparquet's value is that of the cell, which is text. */
export function agree(cell: unknown, value: unknown, declared: string): boolean {
  if (value === null || value === undefined) return cell === null
  if (typeof cell !== 'string') return false
  const type = parseColumnType(declared, 'column')
  if (type.list || type.name === 'JSON') return same(JSON.parse(cell), value)
  switch (type.name) {
    case 'DOUBLE':
      return Object.is(float(cell), value)
    case 'FLOAT':
      return Object.is(Math.fround(float(cell)), Math.fround(value as number))
    case 'DECIMAL':
      // hyparquet multiplies a double by a power of ten.
      return Math.abs(Number(cell) - Number(value)) <= 1e-14 * Math.abs(Number(value))
    case 'BLOB':
      return cell === Buffer.from(value as Uint8Array).toString('hex')
    default:
      return cell === String(value as string | number | bigint | boolean)
  }
}

function float(cell: string): number {
  return cell === 'nan' ? Number.NaN : cell === 'inf' ? Infinity : cell === '-inf' ? -Infinity : Number(cell)
}

/** '52951-07-27 10:00:00.000001' in microseconds since 1970. */
function micros(time: string): bigint {
  const [, year, rest, fraction = ''] = /^(\d+)-(.*?)(?:\.(\d+))?$/.exec(time) ?? []
  const extended = `+${(year ?? '').padStart(6, '0')}-${(rest ?? '').replace(' ', 'T')}Z`
  return BigInt(Date.parse(extended)) * 1000n + BigInt(fraction.padEnd(6, '0'))
}

/** Nested values: JSON of one side, objects, arrays, bytes and integers of any size of the other. */
function same(json: unknown, value: unknown): boolean {
  if (value === null || value === undefined) return json === null
  // Times inside JSON are text.
  if (typeof value === 'bigint' && typeof json === 'string' && json.includes(':')) return micros(json) === value
  if (typeof value === 'bigint' || typeof value === 'number') return Number(json) === Number(value)
  if (value instanceof Uint8Array) return json === Buffer.from(value).toString('latin1')
  if (Array.isArray(value))
    return Array.isArray(json) && json.length === value.length && json.every((one, i) => same(one, value[i]))
  if (typeof value !== 'object') return json === value
  if (typeof json !== 'object' || json === null) return false
  const names = Object.keys(value)
  return (
    names.length === Object.keys(json).length &&
    names.every(field => same((json as Cells)[field] ?? null, (value as Cells)[field]))
  )
}
