import type { ParsedType } from '../../src/core/types.ts'
import { id } from '../../src/plan/sql.ts'
import type { IcebergType, Schema, SchemaField } from './metadata.ts'

// Every type of a column has one type of Iceberg that holds all of its values; what that has no place for is refused
// before the epoch is committed.

/** A column of the flow. */
export interface Column {
  readonly name: string
  readonly type: ParsedType
}

/** The schema of a new table: top-level ids first, as other writers give them. */
export function schemaOf(columns: readonly Column[]): Schema {
  let last = columns.length
  const next = () => ++last
  const fields = columns.map(({ name, type }, index): SchemaField => {
    return { id: index + 1, name, required: false, type: typeOf(type, next) }
  })
  return { type: 'struct', 'schema-id': 0, fields }
}

function typeOf(type: ParsedType, next: () => number): IcebergType {
  if (!type.list) return scalarOf(type)
  const element = next()
  return { type: 'list', 'element-id': element, element: elementOf(type, next), 'element-required': false }
}

function elementOf(type: ParsedType, next: () => number): IcebergType {
  if (type.value === undefined) return scalarOf(type)
  const [value, count] = [next(), next()]
  return {
    type: 'struct',
    fields: [
      { id: value, name: 'value', required: false, type: scalarOf(type.value) },
      { id: count, name: 'count', required: false, type: 'long' },
    ],
  }
}

function scalarOf({ name, precision = 0, scale = 0 }: ParsedType): string {
  switch (name) {
    case 'BOOLEAN':
      return 'boolean'
    case 'TINYINT':
    case 'SMALLINT':
    case 'INTEGER':
      return 'int'
    case 'BIGINT':
      return 'long'
    case 'UBIGINT':
      return 'decimal(20, 0)'
    case 'FLOAT':
      return 'float'
    case 'DOUBLE':
      return 'double'
    case 'DECIMAL':
      return `decimal(${precision}, ${scale})`
    case 'UUID':
      return 'uuid'
    case 'BLOB':
      return 'binary'
    case 'DATE':
      return 'date'
    case 'TIMESTAMP':
      return 'timestamp'
    case 'TIMESTAMPTZ':
      return 'timestamptz'
    case 'VARCHAR':
    case 'JSON':
    case 'STRUCT':
      return 'string'
  }
}

/** Types of a table that someone else has made which hold every value of the column too. */
const wider: Readonly<Record<string, readonly string[]>> = { int: ['int', 'long'], float: ['float', 'double'] }

/** Whether a column of the table holds every value of this one. */
export function isHeldBy(type: ParsedType, found: IcebergType): boolean {
  const [own, other] = [typeOf(type, () => 0), found]
  return isHeld(own, other)
}

function isHeld(own: IcebergType, found: IcebergType): boolean {
  if (typeof own === 'string') {
    if (typeof found !== 'string') return false
    const decimal = /^decimal\((\d+),\s*(\d+)\)$/
    const [mine, theirs] = [decimal.exec(own), decimal.exec(found)]
    if (mine && theirs) return mine[2] === theirs[2] && Number(theirs[1]) >= Number(mine[1])
    return (wider[own] ?? [own]).includes(found)
  }
  if (typeof found === 'string' || found.type !== own.type) return false
  if (own.type === 'list') return found.type === 'list' && isHeld(own.element, found.element)
  if (found.type !== 'struct') return false
  const { fields } = found
  return (
    own.fields.length === fields.length &&
    own.fields.every(({ name, type }, index) => {
      const other = fields[index] as SchemaField
      return other.name === name && isHeld(type, other.type)
    })
  )
}

/** SQL of DuckDB: the column as a file of this type has it. */
export function castSql(value: string, type: IcebergType): string {
  return `CAST(${value} AS ${duckdbType(type)})`
}

/** The type of DuckDB that files of this type are read as. */
export function duckdbType(type: IcebergType): string {
  if (typeof type !== 'string')
    return type.type === 'list'
      ? `${duckdbType(type.element)}[]`
      : `STRUCT(${type.fields.map(field => `${id(field.name)} ${duckdbType(field.type)}`).join(', ')})`
  const names: Readonly<Record<string, string>> = {
    int: 'INTEGER',
    long: 'BIGINT',
    string: 'VARCHAR',
    binary: 'BLOB',
    timestamptz: 'TIMESTAMPTZ',
  }
  return names[type] ?? type.toUpperCase()
}

/** Ids of fields as COPY of DuckDB takes them. */
export function fieldIdsSql(fields: readonly SchemaField[]): string {
  return `{${fields.map(field => `${id(field.name)}: ${idSql(field.id, field.type)}`).join(', ')}}`
}

function idSql(own: number, type: IcebergType): string {
  if (typeof type === 'string') return String(own)
  const inner =
    type.type === 'list'
      ? [`element: ${idSql(type['element-id'], type.element)}`]
      : type.fields.map(field => `${id(field.name)}: ${idSql(field.id, field.type)}`)
  return `{__duckdb_field_id: ${[own, ...inner].join(', ')}}`
}

/** SQL that is true of a value that other readers cannot read, and what it is; undefined where there is none. */
export function unstorable(
  value: string,
  { name, list }: ParsedType,
): { readonly sql: string; readonly what: string } | undefined {
  const one = list ? '_e' : value
  const found = unstorableScalar(one, name)
  return found && list ? { ...found, sql: `len(list_filter(${value}, lambda _e: ${found.sql})) > 0` } : found
}

function unstorableScalar(value: string, name: string): { readonly sql: string; readonly what: string } | undefined {
  if (!['DATE', 'TIMESTAMP', 'TIMESTAMPTZ'].includes(name)) return undefined
  return { sql: `NOT isfinite(${value})`, what: 'an infinite time' }
}
