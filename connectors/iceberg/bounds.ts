import type { Executor, SqlRow } from '../../src/core/ports.ts'
import { id, parquetRows } from '../../src/plan/sql.ts'
import type { SchemaField } from './metadata.ts'

/** What a manifest tells of a file's columns, by id. Bounds are as the specification writes single values. */
export interface Statistics {
  readonly values: readonly (readonly [id: number, count: number])[]
  readonly nulls: readonly (readonly [id: number, count: number])[]
  readonly nans: readonly (readonly [id: number, count: number])[]
  readonly lower: readonly (readonly [id: number, bound: Buffer])[]
  readonly upper: readonly (readonly [id: number, bound: Buffer])[]
}

/** Of text and bytes, bounds are this long: what Iceberg's own writers keep. */
const boundMax = 16

/** Reads the values of a file of Parquet; nested columns have no bounds. */
export async function statisticsOf(
  executor: Executor,
  file: string,
  fields: readonly SchemaField[],
): Promise<Statistics> {
  const plain = fields.filter(({ type }) => typeof type === 'string')
  const items = plain.flatMap(({ name, type }, index) => itemsOf(id(name), type as string, index))
  const [row = {}] = await executor.rows(`SELECT ${['count(*) AS n', ...items].join(', ')} FROM ${parquetRows([file])}`)
  const total = Number(row.n)
  const all = plain.map((field, index) => ({ id: field.id, type: field.type as string, ...readColumn(row, index) }))
  return {
    values: all.map(column => [column.id, total]),
    nulls: all.map(column => [column.id, total - column.count]),
    nans: all.flatMap(({ id, nans }) => (nans === undefined ? [] : [[id, nans] as const])),
    lower: all.flatMap(({ id, type, low }) => boundOf(id, lowerBound(type, low))),
    upper: all.flatMap(({ id, type, high }) => boundOf(id, upperBound(type, high))),
  }
}

const boundOf = (id: number, bound: Buffer | undefined) => (bound === undefined ? [] : [[id, bound] as const])

function itemsOf(column: string, type: string, index: number): readonly string[] {
  const isFloat = type === 'float' || type === 'double'
  const numbers = isFloat ? ` FILTER (NOT isnan(${column}))` : ''
  const value = (each: string) => comparable(each, type)
  return [
    `count(${column}) AS n${index}`,
    ...(isFloat ? [`count(*) FILTER (isnan(${column})) AS x${index}`] : []),
    // Kinds of UUIDs are ordered differently by readers, so that a bound could hide rows.
    ...(type === 'uuid'
      ? []
      : [`${value(`min(${column})${numbers}`)} AS l${index}`, `${value(`max(${column})${numbers}`)} AS h${index}`]),
  ]
}

/** As JavaScript holds it whole. */
function comparable(value: string, type: string): string {
  if (type === 'date') return `CAST(date_diff('day', DATE '1970-01-01', ${value}) AS BIGINT)`
  if (type.startsWith('timestamp')) return `epoch_us(${value})`
  if (type === 'binary') return `hex(${value})`
  return type.startsWith('decimal') ? `CAST(${value} AS VARCHAR)` : value
}

function readColumn(row: SqlRow, index: number) {
  const nans = row[`x${index}`]
  return {
    count: Number(row[`n${index}`]),
    nans: nans === undefined ? undefined : Number(nans),
    low: row[`l${index}`] ?? undefined,
    high: row[`h${index}`] ?? undefined,
  }
}

function lowerBound(type: string, low: unknown): Buffer | undefined {
  if (low === undefined) return undefined
  if (type === 'string')
    return Buffer.from(
      characters(low as string)
        .slice(0, boundMax)
        .join(''),
    )
  if (type === 'binary') return Buffer.from(low as string, 'hex').subarray(0, boundMax)
  return singleValue(type, Object.is(low, 0) ? -0 : low)
}

function upperBound(type: string, high: unknown): Buffer | undefined {
  if (high === undefined) return undefined
  if (type === 'string') return textAbove(high as string)
  if (type === 'binary') return bytesAbove(Buffer.from(high as string, 'hex'))
  return singleValue(type, Object.is(high, -0) ? 0 : high)
}

/** The first ones, by code points, whose order is that of UTF-8. */
const characters = (value: string) => Array.from(value.slice(0, 2 * (boundMax + 1)))

/** The text itself, or the least of so many characters that is above all that begin like it. */
function textAbove(value: string): Buffer | undefined {
  const all = characters(value)
  if (all.length <= boundMax) return Buffer.from(value)
  for (let length = boundMax; length > 0; length--) {
    const code = (all[length - 1] as string).codePointAt(0) as number
    // Surrogates are no characters.
    const next = code === 0xd7ff ? 0xe000 : code + 1
    if (next <= 0x10ffff) return Buffer.from(all.slice(0, length - 1).join('') + String.fromCodePoint(next))
  }
  return undefined
}

function bytesAbove(value: Buffer): Buffer | undefined {
  if (value.length <= boundMax) return value
  for (let length = boundMax; length > 0; length--) {
    const last = value[length - 1] as number
    if (last < 0xff) return Buffer.from([...value.subarray(0, length - 1), last + 1])
  }
  return undefined
}

/** "Single-value serialization" of the specification, of a type without bounds of its own. */
export function singleValue(type: string, value: unknown): Buffer {
  const bytes = Buffer.alloc(8)
  switch (type) {
    case 'boolean':
      return Buffer.from([value === true ? 1 : 0])
    case 'int':
    case 'date':
      bytes.writeInt32LE(Number(value))
      return bytes.subarray(0, 4)
    case 'float':
      bytes.writeFloatLE(Number(value))
      return bytes.subarray(0, 4)
    case 'double':
      bytes.writeDoubleLE(Number(value))
      return bytes
    case 'long':
    case 'timestamp':
    case 'timestamptz':
      bytes.writeBigInt64LE(BigInt(value as bigint))
      return bytes
    case 'string':
      return Buffer.from(value as string)
    default:
      return twosComplement(BigInt((value as string).replace('.', '')))
  }
}

/** Big-endian, in as few bytes as hold it. */
function twosComplement(value: bigint): Buffer {
  let length = 1
  while (BigInt.asIntN(length * 8, value) !== value) length++
  return Buffer.from(
    BigInt.asUintN(length * 8, value)
      .toString(16)
      .padStart(length * 2, '0'),
    'hex',
  )
}

/** A bound as DuckDB writes the value; undefined where it is of no use, as of a time beyond JavaScript's. */
export function boundText(type: string, bound: Buffer): string | undefined {
  const isTime = type === 'date' || type.startsWith('timestamp')
  if (isTime) return timeText(type, bound)
  switch (type) {
    case 'int':
      return String(bound.readInt32LE())
    case 'long':
      return String(bound.readBigInt64LE())
    case 'float':
      return String(bound.readFloatLE())
    case 'double':
      return String(bound.readDoubleLE())
    case 'string':
      return bound.toString()
    case 'boolean':
      return String(bound[0] !== 0)
    default:
      return type.startsWith('decimal') ? decimalText(type, bound) : undefined
  }
}

function timeText(type: string, bound: Buffer): string | undefined {
  const us = type === 'date' ? BigInt(bound.readInt32LE()) * 86_400_000_000n : bound.readBigInt64LE()
  const ms = Number(us / 1000n) - (us % 1000n < 0n ? 1 : 0)
  const at = new Date(ms)
  const year = at.getUTCFullYear()
  if (!(year >= 1 && year <= 9999)) return undefined
  const text = at.toISOString()
  if (type === 'date') return text.slice(0, 10)
  const micros = String(((us % 1000n) + 1000n) % 1000n).padStart(3, '0')
  return `${text.slice(0, -1).replace('T', ' ')}${micros}${type === 'timestamptz' ? '+00' : ''}`
}

function decimalText(type: string, bound: Buffer): string {
  const scale = Number(/,\s*(\d+)/.exec(type)?.[1] ?? 0)
  const value = BigInt.asIntN(bound.length * 8, BigInt(`0x${bound.toString('hex')}`))
  const digits = String(value < 0n ? -value : value).padStart(scale + 1, '0')
  const point = digits.length - scale
  return `${value < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`
}
