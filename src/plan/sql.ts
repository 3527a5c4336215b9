/** SQL text, quoted. Every name and literal that millrace puts into a query passes here. */

/** An identifier: `a"b` becomes `"a""b"`. */
export function id(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

/** A text literal. */
export function text(value: string): string {
  return `'${value.replaceAll("'", "''")}'`
}

/**
 * Rows as a query, by column name to type. One row crosses as literals, more as one JSON text: planning a VALUES list of a
 * thousand rows costs several times as much. A bigint crosses as text, which keeps its digits. A row with a NUL
 * crosses as JSON too: no literal can hold one.
 */
export function rowsSql(
  rows: readonly Readonly<Record<string, string | number | bigint | boolean | null>>[],
  columns: Readonly<Record<string, string>>,
): string {
  const [only] = rows
  const hasNul = (value: unknown) => typeof value === 'string' && value.includes('\0')
  if (only !== undefined && rows.length === 1 && !Object.values(only).some(hasNul)) {
    const literal = (value: string | number | bigint | boolean | null | undefined) =>
      typeof value === 'string' ? text(value) : String(value ?? null)
    const items = Object.entries(columns).map(
      ([name, type]) => `CAST(${literal(only[name])} AS ${type}) AS ${id(name)}`,
    )
    return `SELECT ${items.join(', ')}`
  }
  const json = JSON.stringify(rows, (_name, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))
  return `SELECT * FROM (SELECT unnest(from_json(${text(json)}, ${text(JSON.stringify([columns]))}), recursive := true))`
}
