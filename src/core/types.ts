import { configError } from './errors.ts'
import { nearestName } from './nearest.ts'

// SQL type names are the schema language: DuckDB casts to them and `tsc` reads them.

// ---- Type level. ----------------------------------------------------------------------------------------------

/** Every declarable type and what a row delivers for it. DECIMAL arrives as text: a number would round it. */
export interface SqlTypes {
  BOOLEAN: boolean
  TINYINT: number
  SMALLINT: number
  INTEGER: number
  BIGINT: bigint
  UBIGINT: bigint
  FLOAT: number
  DOUBLE: number
  VARCHAR: string
  UUID: string
  BLOB: Uint8Array
  DATE: string
  TIMESTAMP: Date
  TIMESTAMPTZ: Date
  JSON: unknown
}

export type SqlName = keyof SqlTypes
type DecimalType = `DECIMAL(${number},${number})` | `DECIMAL(${number}, ${number})`
/** One value and no list. */
export type Scalar = SqlName | DecimalType
/** Values with their counts: what `topK` makes; no source column can be declared so. */
export type Counted<T extends string> = `STRUCT(value ${T}, count BIGINT)[]`

/** The type of a column as a user writes it. */
export type ColType = `${Scalar | `${Scalar}[]`}${'' | ' NOT NULL'}`
export type Columns = Readonly<Record<string, ColType>>

/**
 * The type of a source's column as a user declares it: `TYPE [NOT NULL] [DEFAULT literal] [FROM name|KEY|META]`.
 *
 *     'DOUBLE DEFAULT NULL'           // NULL where an object lacks the column
 *     "VARCHAR DEFAULT 'none'"        // 'none' there; a NULL in an object stays NULL
 *     'BIGINT FROM PULocationID'      // the object's name of the column
 *     'DATE FROM KEY'                 // of a column `dt`: 2024-03-31 in the key dt=2024-03-31/trips.parquet
 *     'VARCHAR FROM META'             // of a column `object_key`: the key itself
 */
export type DeclaredType = ColType | `${ColType} DEFAULT ${string}` | `${ColType} FROM ${string}`
export type DeclaredColumns = Readonly<Record<string, DeclaredType>>

/** The type alone, without DEFAULT and FROM. */
export type Plain<T> = T extends `${infer U} DEFAULT ${string}`
  ? Plain<U>
  : T extends `${infer U} FROM ${string}`
    ? Plain<U>
    : T
/** The columns that declared ones are to the steps of a flow. */
export type PlainColumns<C> = C extends Columns ? C : { readonly [K in keyof C]: Plain<C[K]> }

/** Without NOT NULL. */
export type Base<T> = Plain<T> extends infer P ? (P extends `${infer U} NOT NULL` ? U : P) : never
export type NotNull<T> =
  Plain<T> extends infer P ? (P extends `${string} NOT NULL` ? P : P extends string ? `${P} NOT NULL` : never) : never

type Value<T> = T extends SqlName
  ? SqlTypes[T]
  : T extends `STRUCT(value ${infer V}, count BIGINT)[]`
    ? { value: Value<V>; count: bigint }[]
    : T extends `${infer U extends Scalar}[]`
      ? (Value<U> | null)[]
      : T extends DecimalType
        ? string
        : never
type Js<T> = Plain<T> extends infer P ? (P extends `${infer U} NOT NULL` ? Value<U> : Value<P> | null) : never

/** A row of these columns in TypeScript. */
export type Row<C> = { [K in keyof C]: Js<C[K]> }

export type Numeric = 'TINYINT' | 'SMALLINT' | 'INTEGER' | 'BIGINT' | 'UBIGINT' | 'FLOAT' | 'DOUBLE' | DecimalType
/** Integers of 64 bits and less. */
export type Whole = 'TINYINT' | 'SMALLINT' | 'INTEGER' | 'BIGINT' | 'UBIGINT'
export type Time = 'TIMESTAMP' | 'TIMESTAMPTZ' | 'DATE'

/** The columns of C whose type, NULL or not, is one of T. */
export type KeysOf<C, T> = string extends keyof C
  ? string
  : { [K in keyof C & string]: Base<C[K]> extends T ? K : never }[keyof C & string]

/** The type of a sum (S21): wide enough that it overflows only where an error is due. */
export type SumOf<T> =
  Base<T> extends 'FLOAT' | 'DOUBLE'
    ? 'DOUBLE'
    : Base<T> extends `DECIMAL(${number}, ${infer S extends number})`
      ? `DECIMAL(38,${S})`
      : Base<T> extends `DECIMAL(${number},${infer S extends number})`
        ? `DECIMAL(38,${S})`
        : 'DECIMAL(38,0)'

/** Numbers and times that another type holds. */
interface Held {
  SMALLINT: 'TINYINT'
  INTEGER: 'TINYINT' | 'SMALLINT'
  BIGINT: 'TINYINT' | 'SMALLINT' | 'INTEGER'
  TIMESTAMP: 'DATE'
  TIMESTAMPTZ: 'DATE' | 'TIMESTAMP'
}
type Float = 'FLOAT' | 'DOUBLE'
type WiderBase<A, B> = [A, B] extends [B, A]
  ? A
  : [A, B] extends [`${infer X}[]`, `${infer Y}[]`]
    ? `${WiderBase<X, Y> & string}[]`
    : A extends keyof Held
      ? B extends Held[A]
        ? A
        : WiderOther<A, B>
      : WiderOther<A, B>
type WiderOther<A, B> = B extends keyof Held ? (A extends Held[B] ? B : WiderNumber<A, B>) : WiderNumber<A, B>
type WiderNumber<A, B> = [A, B] extends [Numeric, Numeric]
  ? Extract<A | B, Float> extends never
    ? DecimalType
    : 'DOUBLE'
  : never

/** The type of two columns under one name, as `widerType` has it; `never` where there is none. */
export type Wider<A, B> =
  WiderBase<Base<A>, Base<B>> extends infer W
    ? [W] extends [never]
      ? never
      : [A, B] extends [`${string} NOT NULL`, `${string} NOT NULL`]
        ? NotNull<W>
        : W
    : never

/** Flattens an intersection, so that editors show columns and not how they came about. */
export type Show<T> = { -readonly [K in keyof T]: T[K] } & {}

// ---- At run time. ---------------------------------------------------------------------------------------------

/** Names of `Whole`. */
export const wholeNames: readonly string[] = ['TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'UBIGINT']

/** Names of the scalar types but DECIMAL, which has digits. */
export const sqlNames = [
  'BOOLEAN',
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'UBIGINT',
  'FLOAT',
  'DOUBLE',
  'VARCHAR',
  'UUID',
  'BLOB',
  'DATE',
  'TIMESTAMP',
  'TIMESTAMPTZ',
  'JSON',
] as const satisfies readonly SqlName[]

export interface ParsedType {
  readonly name: SqlName | 'DECIMAL' | 'STRUCT'
  /** DECIMAL only: digits in all, 1 to 38. */
  readonly precision?: number
  /** DECIMAL only: digits after the point, 0 to `precision`. */
  readonly scale?: number
  readonly list: boolean
  readonly nullable: boolean
  /** STRUCT only, which is the list of values and counts that `topK` makes: the value's type. */
  readonly value?: ParsedType
  /** Canonical and without NOT NULL: 'DECIMAL(18,2)', 'BIGINT[]'. */
  readonly sql: string
}

/** What DuckDB accepts and millrace does not, with what to declare instead. */
const refusedNames: Readonly<Record<string, string>> = {
  HUGEINT: 'DECIMAL(38,0), as HUGEINT becomes DOUBLE in Parquet and loses digits (S21)',
  UHUGEINT: 'DECIMAL(38,0), as UHUGEINT becomes DOUBLE in Parquet and loses digits (S21)',
  NUMERIC: 'DECIMAL(precision,scale)',
  INT: 'INTEGER',
  LONG: 'BIGINT',
  BOOL: 'BOOLEAN',
  REAL: 'FLOAT',
  STRING: 'VARCHAR',
  TEXT: 'VARCHAR',
  BYTEA: 'BLOB',
  DATETIME: 'TIMESTAMP',
  'TIMESTAMP WITH TIME ZONE': 'TIMESTAMPTZ',
  UTINYINT: 'SMALLINT',
  USMALLINT: 'INTEGER',
  UINTEGER: 'BIGINT',
  TIMESTAMP_NS: 'TIMESTAMP (microseconds)',
  TIMESTAMP_MS: 'TIMESTAMP',
  TIMESTAMP_S: 'TIMESTAMP',
  DECIMAL: 'DECIMAL(precision,scale), for example DECIMAL(18,2)',
}

/** @param field names the column in errors: 'columns.total_amount' */
export function parseColumnType(text: string, field: string): ParsedType {
  const match = typeof text === 'string' ? /^\s*(.*?)\s*(\[\s*\])?(\s+NOT\s+NULL)?\s*$/is.exec(text) : null
  if (match === null) throw configError(field, text, 'a SQL type name as text')
  const written = (match[1] ?? '').toUpperCase().replace(/\s+/g, ' ')
  const list = match[2] !== undefined
  const nullable = match[3] === undefined

  const decimal = /^DECIMAL ?\( ?(\d{1,3}) ?, ?(\d{1,3}) ?\)$/.exec(written)
  if (decimal) {
    const precision = Number(decimal[1])
    const scale = Number(decimal[2])
    if (precision < 1 || precision > 38 || scale > precision) {
      throw configError(field, text, 'DECIMAL(precision,scale) with precision 1 to 38 and scale 0 to precision')
    }
    const sql = `DECIMAL(${precision},${scale})`
    return { name: 'DECIMAL', precision, scale, list, nullable, sql: list ? `${sql}[]` : sql }
  }
  const counted = list ? /^STRUCT\("?VALUE"? (.+), COUNT BIGINT\)$/.exec(written)?.[1] : undefined
  if (counted !== undefined) {
    const value = parseColumnType(counted, field)
    // DuckDB writes a field that is a word of SQL in quotes.
    return { name: 'STRUCT', value, list, nullable, sql: `STRUCT("value" ${value.sql}, count BIGINT)[]` }
  }

  const name = sqlNames.find(known => known === written)
  if (name !== undefined) return { name, list, nullable, sql: list ? `${name}[]` : name }
  if (Object.hasOwn(refusedNames, written)) throw configError(field, text, refusedNames[written] ?? '')
  if (written.startsWith('DECIMAL')) throw configError(field, text, refusedNames.DECIMAL ?? '')
  const near = nearestName(written, [...sqlNames, 'DECIMAL(18,2)'])
  const scalars = `${sqlNames.join(', ')}, DECIMAL(precision,scale)`
  const all = `${scalars}, each also as NOT NULL and as lists (BIGINT[])`
  throw configError(field, text, near === undefined ? `one of ${all}` : `${near}, or another of ${all}`)
}

/** The one way to write a type that has many: 'DECIMAL(18,2) NOT NULL' for 'decimal(18, 2) not  null'. */
export function canonicalType(text: string, field: string): string {
  const { sql, nullable } = parseColumnType(text, field)
  return nullable ? sql : `${sql} NOT NULL`
}

/**
 * Checks declared columns and parses their types.
 *
 * @param field names them in errors: 'source trips: columns'
 * @returns name -> type, in declared order
 */
export function columnsOf(
  columns: Readonly<Record<string, string>>,
  field: string,
): Readonly<Record<string, ParsedType>> {
  if (typeof columns !== 'object' || columns === null || Object.keys(columns).length === 0) {
    throw configError(field, columns, 'at least one column: { name: SQL type }')
  }
  const seen = new Map<string, string>()
  const parsed: [string, ParsedType][] = []
  for (const [name, type] of Object.entries(columns)) {
    checkColumnName(name, field)
    const twin = seen.get(name.toLowerCase())
    if (twin !== undefined) {
      throw configError(field, name, `a name that differs from '${twin}' in more than case, as SQL ignores case`)
    }
    seen.set(name.toLowerCase(), name)
    const column = parseColumnType(type, `${field}.${name}`)
    if (column.name === 'STRUCT') throw configError(`${field}.${name}`, type, 'JSON, as only topK makes this type')
    parsed.push([name, column])
  }
  return Object.fromEntries(parsed)
}

/** Refuses a further column whose name cannot be declared, or that another one has, in whatever case. */
export function checkNewColumn(name: string, others: readonly string[], field: string): void {
  checkColumnName(name, field)
  const twin = others.find(other => other.toLowerCase() === name.toLowerCase())
  if (twin !== undefined)
    throw configError(field, name, `a name that differs from '${twin}' in more than case, as SQL ignores case`)
}

export function checkColumnName(name: string, field: string): void {
  const expected = expectedName(name)
  if (expected !== undefined) throw configError(field, name, expected)
}

/**
 * What is expected of a name that cannot be declared. Those that begin with '_' are millrace's own: `_seq`, `_row`,
 * `_op`.
 */
export function expectedName(name: string): string | undefined {
  if (name.trim() === '') return 'a column name that is not empty'
  if (name.startsWith('_')) return "a column name that does not start with '_' (millrace's own do)"
  if (name.includes('\0') || /\p{Surrogate}/u.test(name)) return 'a column name that is valid Unicode text'
  return undefined
}

/**
 * Column types with their literal types kept, for reuse in several sources: `const trip = columns({ at: 'TIMESTAMP'
 * })`.
 */
export function columns<const C extends DeclaredColumns>(types: C): C {
  return types
}
