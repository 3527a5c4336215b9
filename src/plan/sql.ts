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
 * Rows as a query, by column name to type. They cross as one JSON text: planning a VALUES list of a thousand rows costs
 * several times as much. A bigint crosses as text, which keeps its digits.
 */
export function rowsSql(
  rows: readonly Readonly<Record<string, string | number | bigint | boolean | null>>[],
  columns: Readonly<Record<string, string>>,
): string {
  const json = JSON.stringify(rows, (_name, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))
  return `SELECT * FROM (SELECT unnest(from_json(${text(json)}, ${text(JSON.stringify([columns]))}), recursive := true))`
}
