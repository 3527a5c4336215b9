/** SQL text, quoted. Every name and literal that millrace puts into a query passes here. */

/** An identifier: `a"b` becomes `"a""b"`. */
export function id(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A text as a literal; one with a NUL, which no literal can hold, as its parts. */
export function text(value: string): string {
  const [first = '', ...rest] = value.split('\0').map(part => `'${part.replaceAll("'", "''")}'`)
  return rest.length === 0 ? first : `concat(${[first, ...rest].join(', chr(0), ')})`
}

/**
 * Rows of Parquet files here. A column that only some of them have is NULL in the others. A folder `name=value` of
 * their path gives no column: DuckDB would take it for a partition.
 */
export function parquetRows(files: readonly string[], more = ''): string {
  return `read_parquet([${files.map(text).join(', ')}], union_by_name = true, hive_partitioning = false${more})`
}

/**
 * Rows as a query, by column name to type. One row crosses as literals, more as one JSON text: planning a VALUES list
 * of a thousand rows costs several times as much. A bigint crosses as text, which keeps its digits.
 */
export function rowsSql(
  rows: readonly Readonly<Record<string, string | number | bigint | boolean | null>>[],
  columns: Readonly<Record<string, string>>,
): string {
  const [only] = rows
  if (only !== undefined && rows.length === 1) {
    const literal = (value: string | number | bigint | boolean | null | undefined) =>
      typeof value === 'string' ? text(value) : String(value ?? null)
    const items = Object.entries(columns).map(
      ([name, type]) => `CAST(${literal(only[name])} AS ${type}) AS ${id(name)}`,
    )
    return `SELECT ${items.join(', ')}`
  }
  const json = JSON.stringify(rows, (_name, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))
  return (
    `SELECT * FROM (SELECT unnest(from_json(${text(json)}, ` +
    `${text(JSON.stringify([columns]))}), recursive := true))`
  )
}
