import { id, text } from '../../src/plan/sql.ts'

/** A column as data files have it: known by the id of its field, whatever it was called when they were written. */
export interface FieldColumn {
  readonly field: number
  readonly name: string
  /** SQL type of DuckDB. */
  readonly type: string
}

/** A relation of what Parquet files hold. A column that a file lacks is NULL in its rows. */
export function rowsByField(files: readonly string[], columns: readonly FieldColumn[], more = ''): string {
  if (files.length === 0) {
    const items = columns.map(({ name, type }) => `CAST(NULL AS ${type}) AS ${id(name)}`)
    return `(SELECT ${items.join(', ')} WHERE false)`
  }
  const fields = columns.map(
    ({ field, name, type }) => `${field}: {name: ${text(name)}, type: ${text(type)}, default_value: NULL}`,
  )
  return (
    `read_parquet([${files.map(text).join(', ')}], hive_partitioning = false, ` +
    `schema = MAP {${fields.join(', ')}}${more})`
  )
}
