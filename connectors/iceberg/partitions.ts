import { configError } from '../../src/core/errors.ts'
import { didYouMean } from '../../src/core/nearest.ts'
import { id } from '../../src/plan/sql.ts'
import { singleValue } from './bounds.ts'
import type { PartitionField, PartitionSpec, Schema } from './metadata.ts'
import type { Column } from './types.ts'

/** A part of a time column, in UTC: `{ day: 'window_start' }`. */
export interface CalendarPart {
  readonly year?: string
  readonly month?: string
  readonly day?: string
  readonly hour?: string
}

/** What the files of a table are parted by: a column by its values, or a time by a part of the calendar. */
export type PartitionBy = readonly (string | CalendarPart)[]

export interface Partition {
  readonly column: string
  /** 'identity', 'year', 'month', 'day' or 'hour' */
  readonly transform: string
  /** 'zone', 'window_start_day' */
  readonly name: string
}

const units = ['year', 'month', 'day', 'hour'] as const

/** @throws MillraceError `user` for what is no column of the flow, or none that files can be parted by */
export function partitionsOf(by: PartitionBy, columns: readonly Column[], at: string): readonly Partition[] {
  const found = by.map(part => partitionOf(part, columns, at))
  const twice = found.find(({ name }, index) => found.findIndex(other => other.name === name) !== index)
  if (twice) throw configError(at, twice.name, 'each part once')
  return found
}

function partitionOf(part: string | CalendarPart, columns: readonly Column[], at: string): Partition {
  if (typeof part === 'string') {
    const { type } = columnOf(part, columns, at)
    if (type.list || !identityTypes.includes(type.name))
      throw configError(at, `${part} ${type.sql}`, 'a column of text, whole numbers, BOOLEAN or dates')
    return { column: part, transform: 'identity', name: part }
  }
  const given = units.filter(unit => part[unit] !== undefined)
  const [unit] = given
  if (unit === undefined || given.length > 1)
    throw configError(at, part, "one part of the calendar, such as { day: 'window_start' }")
  const column = part[unit] as string
  const { type } = columnOf(column, columns, at)
  const isTime = !type.list && ['TIMESTAMP', 'TIMESTAMPTZ', 'DATE'].includes(type.name)
  if (!isTime || (type.name === 'DATE' && unit === 'hour'))
    throw configError(at, `${column} ${type.sql}`, 'a TIMESTAMP or TIMESTAMPTZ column, or a DATE for all but hours')
  const name = `${column}_${unit}`
  if (columns.some(other => other.name === name))
    throw configError(at, part, `no column called ${name} beside it, which is the name of the part`)
  return { column, transform: unit, name }
}

const identityTypes: readonly string[] = ['VARCHAR', 'TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'BOOLEAN', 'DATE']

function columnOf(name: string, columns: readonly Column[], at: string): Column {
  const found = columns.find(column => column.name === name)
  if (found) return found
  const names = columns.map(column => column.name)
  throw configError(at, name, `a column of the flow: ${names.join(', ')}${didYouMean(name, names)}`)
}

/** The partition spec of a new table. */
export function specOf(partitions: readonly Partition[], schema: Schema): PartitionSpec {
  return {
    'spec-id': 0,
    fields: partitions.map(({ column, transform, name }, index) => ({
      'source-id': schema.fields.find(field => field.name === column)?.id as number,
      'field-id': 1000 + index,
      name,
      transform,
    })),
  }
}

/** Whether a table's files are parted like this. */
export function isSameSpec(partitions: readonly Partition[], spec: PartitionSpec, schema: Schema): boolean {
  const fields = spec.fields.filter(({ transform }) => transform !== 'void')
  return (
    fields.length === partitions.length &&
    partitions.every(({ column, transform }, index) => {
      const field = fields[index] as PartitionField
      return field.transform === transform && sourceOf(field, schema)?.name === column
    })
  )
}

/** 'day(window_start), zone', for messages. */
export function describeSpec(spec: PartitionSpec, schema: Schema): string {
  const parts = spec.fields.map(field => `${field.transform}(${sourceOf(field, schema)?.name ?? field['source-id']})`)
  return parts.length === 0 ? 'nothing' : parts.join(', ')
}

const sourceOf = (field: PartitionField, schema: Schema) =>
  schema.fields.find(({ id: own }) => own === field['source-id'])

const epochs = {
  DATE: "DATE '1970-01-01'",
  TIMESTAMP: "TIMESTAMP '1970-01-01'",
  TIMESTAMPTZ: "TIMESTAMPTZ '1970-01-01 00:00:00+00'",
}

/** SQL: the value as text that `valueOf` reads; NULL is one. */
export function textSql({ column, transform }: Partition, columns: readonly Column[]): string {
  const type = columns.find(({ name }) => name === column)?.type.name as keyof typeof epochs
  if (transform === 'identity' && type !== 'DATE') return `CAST(${id(column)} AS VARCHAR)`
  const unit = transform === 'identity' ? 'day' : transform
  return `CAST(date_diff('${unit}', ${epochs[type]}, ${id(column)}) AS VARCHAR)`
}

/** How a value of a part stands in manifests, and its bounds in lists of them. */
export interface PartitionType {
  readonly avro: unknown
  fromText(text: string): unknown
  toText(value: unknown): string | null
  bytes(value: unknown): Buffer
}

const days = { type: 'int', logicalType: 'date' }
const types: Readonly<Record<string, Omit<PartitionType, 'bytes' | 'toText'>>> = {
  int: { avro: 'int', fromText: Number },
  long: { avro: 'long', fromText: BigInt },
  string: { avro: 'string', fromText: text => text },
  boolean: { avro: 'boolean', fromText: text => text === 'true' },
  date: { avro: days, fromText: Number },
}

/** Of a field of the kinds that `partitionsOf` makes. */
export function partitionType(field: PartitionField, schema: Schema): PartitionType {
  const source = sourceOf(field, schema)?.type
  const type = field.transform === 'identity' ? (source as string) : 'int'
  const { avro, fromText } = types[type] as Omit<PartitionType, 'bytes' | 'toText'>
  return {
    // Days are dates to Iceberg; months and hours are numbers.
    avro: field.transform === 'day' ? days : avro,
    fromText,
    toText: value => (value === null ? null : `${value as string | number | bigint | boolean}`),
    bytes: value => singleValue(type, value),
  }
}
