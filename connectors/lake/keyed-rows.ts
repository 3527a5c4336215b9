import { configError } from '../../src/core/errors.ts'
import { didYouMean } from '../../src/core/nearest.ts'
import type { Executor } from '../../src/core/ports.ts'
import type { ParsedType } from '../../src/core/types.ts'
import { id, parquetRows, text } from '../../src/plan/sql.ts'

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

/** Types whose values can be told apart: keys are of them. */
export const isComparable = ({ name }: ParsedType): boolean => name !== 'JSON' && name !== 'STRUCT'

/**
 * @param field names the option in errors: 'flow-1: delta: key'
 * @param which continues 'expected columns': 'whose values can be told apart'
 * @throws MillraceError `user` for columns that the flow does not have, or whose type is not taken
 */
export function checkColumns(
  given: readonly string[] = [],
  field: string,
  columns: readonly { readonly name: string; readonly type: ParsedType }[],
  accepts: (type: ParsedType) => boolean = isComparable,
  which = 'whose values can be told apart',
): void {
  const names = columns.map(({ name }) => name)
  for (const name of given) {
    const column = columns.find(each => each.name === name)
    if (!column) throw configError(field, name, `columns of the flow: ${names.join(', ')}${didYouMean(name, names)}`)
    if (!accepts(column.type)) throw configError(field, `${name} ${column.type.sql}`, `columns ${which}`)
  }
}

/**
 * An epoch's rows as a table, the last one of each key, with `opColumn`: as long as the work lasts.
 *
 * @param local Parquet files, in the order of their rows
 */
export async function withChanges<T>(
  executor: Executor,
  local: readonly string[],
  key: readonly string[],
  work: (changes: string) => Promise<T>,
): Promise<T> {
  const changes = '_changes'
  const last = `list_position([${local.map(text).join(', ')}], _file) DESC, file_row_number DESC`
  await executor.run(
    `CREATE OR REPLACE TEMP TABLE ${changes} AS SELECT * EXCLUDE (_file, file_row_number) ` +
      `FROM ${parquetRows(local, ", filename = '_file', file_row_number = true")} ` +
      `QUALIFY row_number() OVER (PARTITION BY ${key.map(id).join(', ')} ORDER BY ${last}) = 1`,
  )
  try {
    return await work(changes)
  } finally {
    await executor.run(`DROP TABLE ${changes}`)
  }
}
