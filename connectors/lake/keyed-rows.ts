import { configError } from '../../src/core/errors.ts'
import { id, text } from '../../src/plan/sql.ts'

// What sinks of tables share: rows that meet those of their key, and values that a table has no place for.

/** What becomes of a row: the first column of rows that meet those of their key. */
export const opColumn = '_op'

/** SQL: what a flow says of its rows, or that each is there from now on. @param names of the flow's columns */
export function opSql(names: readonly string[]): string {
  return names.includes(opColumn) ? id(opColumn) : `'upsert' AS ${id(opColumn)}`
}

/** Of a value that is refused, so much of its row is shown. */
const shownMax = 300

/**
 * SQL of DuckDB: the value, or an error with its row. Before the commit the pipeline can still be changed, which no
 * committed row can.
 *
 * @param refused SQL that is true of a value that has no place
 * @param what 'infinity, which Delta Lake cannot keep'
 * @param names of the row's columns
 */
export function unlessRefused(
  value: string,
  refused: string,
  what: string,
  { at, column, names }: { readonly at: string; readonly column: string; readonly names: readonly string[] },
): string {
  const row = `to_json(struct_pack(${names.map(name => `${id(name)} := ${id(name)}`).join(', ')}))`
  const message = text(`${at}: column '${column}' holds ${what}, in the row `)
  return `CASE WHEN ${refused} THEN error(${message} || left(${row}, ${shownMax})) ELSE ${value} END`
}

/**
 * A row of another key than that of the changes would stay when its result is gone.
 *
 * @param at names the sink in errors: 'flow-1: delta'
 */
export function checkChanges(key: readonly string[] | undefined, changesBy: readonly string[], at: string): void {
  if (key && key.length === changesBy.length && changesBy.every(name => key.includes(name))) return
  const expected = changesBy.map(name => `'${name}'`).join(', ')
  throw configError(`${at}: key`, key, `[${expected}], which tell results apart, with emit: 'update'`)
}
