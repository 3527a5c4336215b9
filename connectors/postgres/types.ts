import type { ParsedType } from '../../src/core/types.ts'
import { jsonValue } from '../json/values.ts'

// Every type of a column has one type of PostgreSQL that holds all of its values; what a value of a wider range has
// no place for is refused before the epoch is committed.

/** How a column is made in a new table, without NOT NULL. */
export function columnType(type: ParsedType): string {
  if (type.name === 'STRUCT') return 'json'
  return `${scalarType(type)}${type.list ? '[]' : ''}`
}

function scalarType({ name, precision = 0, scale = 0 }: ParsedType): string {
  switch (name) {
    case 'BOOLEAN':
      return 'boolean'
    case 'TINYINT':
    case 'SMALLINT':
      return 'smallint'
    case 'INTEGER':
      return 'integer'
    case 'BIGINT':
      return 'bigint'
    case 'UBIGINT':
      return 'numeric(20,0)'
    case 'FLOAT':
      return 'real'
    case 'DOUBLE':
      return 'double precision'
    case 'DECIMAL':
      return `numeric(${precision},${scale})`
    case 'VARCHAR':
      return 'text'
    case 'UUID':
      return 'uuid'
    case 'BLOB':
      return 'bytea'
    case 'DATE':
      return 'date'
    case 'TIMESTAMP':
      return 'timestamp without time zone'
    case 'TIMESTAMPTZ':
      return 'timestamp with time zone'
    // json keeps the text as it is; jsonb would lose numbers' forms and twins, and refuses \u0000.
    case 'JSON':
    case 'STRUCT':
      return 'json'
  }
}

/** Whole numbers by how many digits they have at most. */
const digits: Readonly<Record<string, number>> = { TINYINT: 3, SMALLINT: 5, INTEGER: 10, BIGINT: 19, UBIGINT: 20 }
const wider: Readonly<Record<string, readonly string[]>> = {
  TINYINT: ['smallint', 'integer', 'bigint'],
  SMALLINT: ['smallint', 'integer', 'bigint'],
  INTEGER: ['integer', 'bigint'],
  VARCHAR: ['text', 'character varying'],
  // Times of millrace are UTC, and so is the session.
  TIMESTAMP: ['timestamp without time zone', 'timestamp with time zone'],
  JSON: ['json', 'jsonb'],
  STRUCT: ['json', 'jsonb'],
}

/** Types of a table that someone else has made which hold every value of the column, as `format_type` writes them. */
export function isHeldBy(type: ParsedType, found: string): boolean {
  const isList = type.list && type.name !== 'STRUCT'
  if (isList !== found.endsWith('[]')) return false
  const one = isList ? found.slice(0, -2) : found
  const { name } = type
  if ((wider[name] ?? []).includes(one) || scalarType(type) === one) return true
  const numeric = /^numeric(?:\((\d+),(-?\d+)\))?$/.exec(one)
  if (!numeric || !(name === 'DECIMAL' || name in digits)) return false
  if (numeric[1] === undefined) return true
  const [precision, scale] = [Number(numeric[1]), Number(numeric[2])]
  const own = name === 'DECIMAL' ? (type.scale ?? 0) : 0
  const whole = (name === 'DECIMAL' ? (type.precision ?? 0) : (digits[name] as number)) - own
  return scale >= own && precision - scale >= whole
}

/** Whether values can be told apart by the type: a column of a key. */
export function isComparable({ name }: ParsedType): boolean {
  return name !== 'JSON' && name !== 'STRUCT'
}

/** SQL of DuckDB: a value as COPY reads it. */
export function copyText(value: string, type: ParsedType): string {
  if (type.name === 'STRUCT') return `CAST(to_json(${jsonValue(value, type)}) AS VARCHAR)`
  if (!type.list) return scalarText(value, type)
  const item =
    `CASE WHEN _e IS NULL THEN 'NULL' ELSE '"' || ` +
    `replace(replace(CAST(${scalarText('_e', type)} AS VARCHAR), '\\', '\\\\'), '"', '\\"') || '"' END`
  return `'{' || array_to_string(list_transform(${value}, lambda _e: ${item}), ',') || '}'`
}

function scalarText(value: string, { name }: ParsedType): string {
  if (name === 'BLOB') return `'\\x' || lower(hex(${value}))`
  if (!isTime(name)) return value
  const plain = `CAST(${value} AS VARCHAR)`
  // DuckDB writes '0044-03-15 (BC) 00:00:00'.
  return (
    `CASE WHEN isfinite(${value}) AND ${value} < ${name} '0001-01-01' ` +
    `THEN replace(${plain}, ' (BC)', '') || ' BC' ELSE ${plain} END`
  )
}

const isTime = (name: string) => ['DATE', 'TIMESTAMP', 'TIMESTAMPTZ'].includes(name)

/** What PostgreSQL has no place for in a column. */
export interface Unstorable {
  /** SQL of DuckDB that is true of such a value. */
  readonly sql: string
  /** 'a NUL character'. */
  readonly what: string
}

/** Undefined where every value has one. */
export function unstorable(value: string, type: ParsedType): Unstorable | undefined {
  const one = unstorableScalar(type.list ? '_e' : value, type)
  if (!one || !type.list) return one
  return { ...one, sql: `len(list_filter(${value}, lambda _e: ${one.sql})) > 0` }
}

function unstorableScalar(value: string, { name }: ParsedType): Unstorable | undefined {
  if (name === 'VARCHAR') return { sql: `contains(${value}, chr(0))`, what: 'a NUL character' }
  if (name === 'DATE')
    return {
      sql: `isfinite(${value}) AND ${value} NOT BETWEEN DATE '4714-11-24 (BC)' AND DATE '5874897-12-31'`,
      what: 'a day outside of 4714-11-24 BC to 5874897-12-31',
    }
  if (name === 'TIMESTAMP' || name === 'TIMESTAMPTZ')
    return {
      sql: `isfinite(${value}) AND ${value} < ${name} '4714-11-24 (BC) 00:00:00'`,
      what: 'a time before 4714-11-24 BC',
    }
  return undefined
}
