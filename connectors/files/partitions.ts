import { configError, MillraceError } from '../../src/core/errors.ts'
import { didYouMean } from '../../src/core/nearest.ts'
import { type ParsedType, parseColumnType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import { id, text } from '../../src/plan/sql.ts'

/**
 * Parts of the calendar, in UTC, each of a time column: a folder for each, the first in full (`month=2024-03/day=31`).
 */
export interface CalendarParts {
  readonly year?: string
  readonly month?: string
  readonly day?: string
  readonly hour?: string
}

/** What the folders of files are named after, the outer ones first. */
export type PartitionBy = CalendarParts | readonly (string | CalendarParts)[]

/** One level of folders. */
export interface Partition {
  /** As folders have it: `zone` of `zone=74`. */
  readonly name: string
  /** SQL of its value as text; NULL where there is none. */
  readonly sql: string
  /** Where it is a column of the flow, its type. */
  readonly type: ParsedType | undefined
}

/** Types whose text says what their value is, and says it in one way. */
const plainTypes = /^(VARCHAR|BOOLEAN|U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|DECIMAL|DATE|TIMESTAMP|TIMESTAMPTZ)$/

const units = ['year', 'month', 'day', 'hour'] as const
const formats = { year: '%Y', month: '%m', day: '%d', hour: '%H' } as const
const joints = { year: '', month: '-', day: '-', hour: 'T' } as const

/** @throws MillraceError `user` for what is no column of the flow, or none that a folder can be named after */
export function partitionsOf(by: PartitionBy, columns: ColumnTypes, at: string): readonly Partition[] {
  const parts = [by].flat() as readonly (string | CalendarParts)[]
  const found = parts.flatMap(part =>
    typeof part === 'string' ? [plainPartition(part, columns, at)] : calendarPartitions(part, columns, at),
  )
  const names = found.map(({ name }) => name.toLowerCase())
  const twice = found.find(({ name }, index) => names.indexOf(name.toLowerCase()) !== index)
  if (twice) throw configError(at, twice.name, 'each folder named once')
  return found
}

function plainPartition(name: string, columns: ColumnTypes, at: string): Partition {
  const type = typeOf(name, columns, at)
  if (type.list || type.value !== undefined || !plainTypes.test(type.name))
    throw configError(at, `${name} ${type.sql}`, 'a column of text, whole numbers, DECIMAL, BOOLEAN, dates or times')
  // An empty text names no folder: Hive and Spark take it for NULL.
  return { name, sql: `nullif(CAST(${id(name)} AS VARCHAR), '')`, type }
}

function calendarPartitions(parts: CalendarParts, columns: ColumnTypes, at: string): readonly Partition[] {
  const given = units.filter(unit => parts[unit] !== undefined)
  const [first] = given
  if (first === undefined) throw configError(at, parts, "a column, or { day: 'window_start' }")
  const from = units.indexOf(first)
  if (given.some((unit, index) => unit !== units[from + index]))
    throw configError(at, parts, 'parts of the calendar without a gap, such as year, month and day')
  const [column = '', ...others] = new Set(given.map(unit => parts[unit]))
  if (others.length > 0) throw configError(at, parts, 'parts of one column; give those of another one by themselves')
  const type = typeOf(column, columns, at)
  const isTime = !type.list && ['TIMESTAMP', 'TIMESTAMPTZ', 'DATE'].includes(type.name)
  if (!isTime || (type.name === 'DATE' && given.includes('hour')))
    throw configError(at, `${column} ${type.sql}`, 'a TIMESTAMP or TIMESTAMPTZ column, or a DATE for all but hours')
  return given.map(unit => {
    if (Object.keys(columns).some(name => name.toLowerCase() === unit))
      throw configError(at, unit, `no column of that name beside it: rename the column, or use ['${unit}']`)
    // The first one says where in the calendar it is, those below it only what is finer.
    const before = unit === first ? units.slice(0, from) : []
    const format = [...before, unit].map((one, index) => (index === 0 ? '' : joints[one]) + formats[one]).join('')
    return { name: unit, sql: `strftime(${id(column)}, ${text(format)})`, type: undefined }
  })
}

function typeOf(name: string, columns: ColumnTypes, at: string): ParsedType {
  const type = Object.hasOwn(columns, name) ? columns[name] : undefined
  if (type !== undefined) return parseColumnType(type, name)
  const names = Object.keys(columns)
  throw configError(at, name, `a column of the flow: ${names.join(', ')}${didYouMean(name, names)}`)
}

/** What Hive, Spark, Trino and DuckDB read as NULL. */
const nullName = '__HIVE_DEFAULT_PARTITION__'

/** Characters that Hive writes as %XX in the name of a folder (FileUtils.escapePathName). */
const escapedCharacters = new RegExp(`[${String.raw`\0-\x1f\x7f"#%'*/:=?\\{[\]^`}]`, 'g')

function escaped(value: string): string {
  const plain = value.replaceAll(
    escapedCharacters,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
  return plain === nullName ? `%5F${plain.slice(1)}` : plain
}

/** Bytes that a name of a folder can have on every file system. */
const nameBytesMax = 255

/** `zone=74/day=2024-03-31/` */
export function folderOf(partitions: readonly Partition[], values: readonly (string | null)[], at: string): string {
  return partitions
    .map(({ name }, index) => {
      const value = values[index] ?? null
      const folder = `${escaped(name)}=${value === null ? nullName : escaped(value)}`
      if (Buffer.byteLength(folder) > nameBytesMax)
        throw new MillraceError(
          'fatal',
          'partition-name',
          `${at}: a value of '${name}' makes a folder of ${Buffer.byteLength(folder)} bytes, ` +
            `'${folder.slice(0, 60)}...'; expected at most ${nameBytesMax}. ` +
            `Part by something shorter, such as left(${name}, 40).`,
        )
      return `${folder}/`
    })
    .join('')
}

/** The values that a key's folders name, in their order. */
export function valuesOf(key: string): readonly (string | null)[] {
  return key
    .split('/')
    .slice(0, -1)
    .map(folder => {
      const value = folder.slice(folder.indexOf('=') + 1)
      return value === nullName ? null : decodeURIComponent(value)
    })
}
