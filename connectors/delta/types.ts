import type { ParsedType } from '../../src/core/types.ts'

// Delta Lake has fewer types than DuckDB. Each column has one that holds all of its values; what a value has no place
// for is refused before the epoch is committed.

/** A type as `schemaString` writes it. */
export type DeltaType =
  | string
  | { readonly type: 'array'; readonly elementType: DeltaType; readonly containsNull: boolean }
  | { readonly type: 'struct'; readonly fields: readonly DeltaField[] }
  | { readonly type: 'map'; readonly keyType: DeltaType; readonly valueType: DeltaType }

export interface DeltaField {
  readonly name: string
  readonly type: DeltaType
  readonly nullable: boolean
  readonly metadata: Readonly<Record<string, unknown>>
}

/** The type of a column in the table. */
export function deltaType(type: ParsedType): DeltaType {
  const one = type.value ? countedType(type.value) : scalarType(type)
  return type.list ? { type: 'array', elementType: one, containsNull: true } : one
}

/** What `topK` makes. */
function countedType(value: ParsedType): DeltaType {
  const field = (name: string, type: DeltaType): DeltaField => ({ name, type, nullable: true, metadata: {} })
  return { type: 'struct', fields: [field('value', deltaType(value)), field('count', 'long')] }
}

function scalarType({ name, precision = 0, scale = 0 }: ParsedType): string {
  switch (name) {
    case 'BOOLEAN':
      return 'boolean'
    case 'TINYINT':
      return 'byte'
    case 'SMALLINT':
      return 'short'
    case 'INTEGER':
      return 'integer'
    case 'BIGINT':
      return 'long'
    case 'UBIGINT':
      return 'decimal(20,0)'
    case 'FLOAT':
      return 'float'
    case 'DOUBLE':
      return 'double'
    case 'DECIMAL':
      return `decimal(${precision},${scale})`
    case 'VARCHAR':
    case 'UUID':
    case 'JSON':
      return 'string'
    case 'BLOB':
      return 'binary'
    case 'DATE':
      return 'date'
    case 'TIMESTAMP':
      return 'timestamp_ntz'
    case 'TIMESTAMPTZ':
      return 'timestamp'
    case 'STRUCT':
      throw new Error('unreachable: a STRUCT has a value')
  }
}

/** The type of DuckDB in which values lie in data files. */
export function storedType(type: ParsedType): string {
  if (type.value) return `STRUCT("value" ${storedType(type.value)}, count BIGINT)[]`
  const name =
    { UBIGINT: 'DECIMAL(20,0)', UUID: 'VARCHAR', JSON: 'VARCHAR' }[type.name as string] ?? type.sql.replace(/\[\]$/, '')
  return type.list ? `${name}[]` : name
}

/** The type of DuckDB in which a file's values are read; undefined of a type that only others write. */
export function readType(type: DeltaType): string | undefined {
  if (typeof type !== 'string') return undefined
  const decimal = /^decimal\((\d+),(\d+)\)$/.exec(type)
  return decimal ? `DECIMAL(${decimal[1]},${decimal[2]})` : readTypes[type]
}

const readTypes: Readonly<Record<string, string>> = {
  boolean: 'BOOLEAN',
  byte: 'TINYINT',
  short: 'SMALLINT',
  integer: 'INTEGER',
  long: 'BIGINT',
  float: 'FLOAT',
  double: 'DOUBLE',
  string: 'VARCHAR',
  binary: 'BLOB',
  date: 'DATE',
  timestamp_ntz: 'TIMESTAMP',
  timestamp: 'TIMESTAMPTZ',
}

/** Whether two types are one, whatever may be NULL in them. */
export function isSameType(a: DeltaType, b: DeltaType): boolean {
  if (typeof a === 'string' || typeof b === 'string') return a === b
  if (a.type === 'array' && b.type === 'array') return isSameType(a.elementType, b.elementType)
  if (a.type !== 'struct' || b.type !== 'struct') return false
  return (
    a.fields.length === b.fields.length &&
    a.fields.every((field, index) => {
      const other = b.fields[index] as DeltaField
      return field.name === other.name && isSameType(field.type, other.type)
    })
  )
}

/** A type as messages name it: 'array<long>'. */
export function showType(type: DeltaType): string {
  if (typeof type === 'string') return type
  if (type.type === 'array') return `array<${showType(type.elementType)}>`
  if (type.type === 'map') return `map<${showType(type.keyType)},${showType(type.valueType)}>`
  return `struct<${type.fields.map(({ name, type: own }) => `${name}:${showType(own)}`).join(',')}>`
}

/** SQL that is true of a value that the table has no place for; undefined where there is none. */
export function unstorable(value: string, type: ParsedType): string | undefined {
  const isTime = (name: string | undefined) => ['DATE', 'TIMESTAMP', 'TIMESTAMPTZ'].includes(name ?? '')
  if (!isTime(type.value?.name ?? type.name)) return undefined
  if (!type.list) return `NOT isfinite(${value})`
  const one = type.value ? '_e."value"' : '_e'
  return `len(list_filter(${value}, lambda _e: NOT isfinite(${one}))) > 0`
}
