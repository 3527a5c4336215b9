import { parseColumnType } from '../core/types.ts'
import { id } from './sql.ts'

/** Column name to SQL type, in order; a type may end in ' NOT NULL'. */
export type ColumnTypes = Readonly<Record<string, string>>

/** The same without NOT NULL: types as a query has them. */
export function plainTypes(columns: ColumnTypes): ColumnTypes {
  return Object.fromEntries(Object.entries(columns).map(([name, type]) => [name, parseColumnType(type, name).sql]))
}

/** 'zone BIGINT, fare DOUBLE', as a person reads it. */
export function columnsTold(columns: ColumnTypes): string {
  return Object.entries(columns)
    .map(([name, type]) => `${name} ${type}`)
    .join(', ')
}

/**
 * A query, its visible columns, and the hidden columns that order its rows totally (S14). Hidden columns are never
 * NULL-ambiguous: two different rows differ in at least one of them. docs/internals/hidden-columns.md has all of them.
 */
export interface Relation {
  readonly sql: string
  readonly columns: ColumnTypes
  readonly hidden: readonly string[]
  /** SQL over a row: its event time in microseconds. Absent: the hidden column `_time`. */
  readonly timeUs?: string
}

/**
 * Hidden column: the row's event time in microseconds. It rides along, so that `select` cannot drop it and a stateful
 * step may follow another, whatever its rows look like.
 */
export const timeColumn = '_time'
/**
 * SQL of a time in microseconds; NULL where it has none, as infinity has. DuckDB computes functions for the least and
 * the greatest value of a column too, and a day may lie where no TIMESTAMP reaches.
 *
 * @param type name of its SQL type, without NOT NULL
 */
export function microsecondsOf(expr: string, type: string): string {
  return `epoch_us(${type === 'DATE' ? `TRY_CAST(${expr} AS TIMESTAMP)` : expr})`
}

/** SQL of a time in microseconds as this type, whose name it takes without NOT NULL. */
export function timeFromMicroseconds(us: string, type: string): string {
  if (type === 'TIMESTAMPTZ') return `make_timestamptz(${us})`
  return type === 'DATE' ? `CAST(make_timestamp(${us}) AS DATE)` : `make_timestamp(${us})`
}

/** The same of a row that has no event time. */
export const noTimeUs = 'CAST(NULL AS BIGINT)'

/** SQL over a row of the relation: its event time in microseconds. */
export function timeOf({ timeUs }: Relation): string {
  return timeUs ?? timeColumn
}

/** Hidden column: the watermark, before the row's own ledger entry, of the stage that the row goes to (S8). */
export const watermarkColumn = '_watermark'

/**
 * Hidden column of results that late rows may change after they were given (S16): tells a result apart, whatever its
 * visible columns are.
 */
export const resultColumn = '_result'
/** Hidden column of such changes: there is no result any more. */
export const goneColumn = '_is_gone'

/** SQL of that, out of what tells the rows apart that a step gives. */
export function resultOf(emitted: Pick<Relation, 'hidden'>): string {
  return `CAST(to_json([${orderOf(emitted)
    .map(name => `CAST(${id(name)} AS VARCHAR)`)
    .join(', ')}]) AS VARCHAR)`
}

/** Hidden columns of rows before a stateful step: where they come from, and what they are judged by. */
export const rowHidden = ['_seq', '_row', watermarkColumn, timeColumn] as const

/** The hidden columns that order a relation's rows totally (S14); the others only ride along. */
export function orderOf({ hidden }: Pick<Relation, 'hidden'>): readonly string[] {
  return hidden.filter(name => name !== watermarkColumn && name !== timeColumn)
}

/** The rows that a stateful step gives, before the engine has placed them in the ledger's order (S13). */
export interface Emitted extends Relation {
  readonly timeUs: string
  /** SQL over a row: where what it sums up begins. A flush closes what begins at or below its limit (S6). */
  readonly startUs: string
  /**
   * SQL over a row: the watermark that makes it final, so that it belongs to the first ledger entry which brings that;
   * NULL where it needs none. Undefined where a row is one of this epoch's own and keeps its `_seq` and `_row`.
   */
  readonly closesAt?: string
  /** SQL over a row: the number of the first ledger entry that it may belong to. Absent: any. */
  readonly notBefore?: string
}

/**
 * Hidden column of rows that `mapRows` or `unnest` gave: which of them it is, from 0, of those that one source row
 * became. Beside `_seq` and `_row` it makes their order total (S14).
 */
export const ordinalColumn = '_ordinal'
/** Hidden columns with that one. */
export function withOrdinal(hidden: readonly string[]): readonly string[] {
  return hidden.includes(ordinalColumn) ? hidden : [...hidden, ordinalColumn]
}
/** A source row becomes at most this many rows, so that (`_row`, `_ordinal`) fits into one BIGINT. */
export const ordinalsMax = 2 ** 20

/** SQL over an input row: its number in its object, total also where one source row became several. */
export function rowNumber({ hidden }: Pick<Relation, 'hidden'>): string {
  const row = inputColumn('_row')
  return hidden.includes(ordinalColumn) ? `(${row} * ${ordinalsMax} + ${inputColumn(ordinalColumn)})` : row
}

/** The alias under which an expression sees its input. The gate qualifies every column with it. */
export const inputAlias = '_in'

/** `SELECT <hidden>, <items> FROM (<input>) AS _in <tail>`: how every stateless step wraps its input. */
export function wrap(input: Relation, items: readonly string[], tail = ''): string {
  const hidden = input.hidden.map(name => `${id(inputAlias)}.${id(name)}`)
  return `SELECT ${[...hidden, ...items].join(', ')} FROM (${input.sql}) AS ${id(inputAlias)}${tail && ` ${tail}`}`
}

/** The input's column of this name, qualified. */
export function inputColumn(name: string): string {
  return `${id(inputAlias)}.${id(name)}`
}
