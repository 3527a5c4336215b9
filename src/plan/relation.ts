import { parseColumnType } from '../core/types.ts'
import { id } from './sql.ts'

/** Column name to SQL type, in order; a type may end in ' NOT NULL'. */
export type ColumnTypes = Readonly<Record<string, string>>

/** The same without NOT NULL: types as a query has them. */
export function plainTypes(columns: ColumnTypes): ColumnTypes {
  return Object.fromEntries(Object.entries(columns).map(([name, type]) => [name, parseColumnType(type, name).sql]))
}

/**
 * A query, its visible columns, and the hidden columns that order its rows totally (S14). Hidden columns are never
 * NULL-ambiguous: two different rows differ in at least one of them.
 */
export interface Relation {
  readonly sql: string
  readonly columns: ColumnTypes
  readonly hidden: readonly string[]
}

/**
 * Hidden column of rows that a function gave: which of them it is, from 0, of those that one source row became. Beside
 * `_seq` and `_row` it makes their order total (S14).
 */
export const ordinalColumn = '_ordinal'
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
