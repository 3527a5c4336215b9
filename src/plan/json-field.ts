import { text } from './sql.ts'

const notExact =
  ' is a JSON number with a fraction and more than 15 digits, which DuckDB reads as DOUBLE; write it as a string'

/** Where a field stands in an object, as a constant of SQL. */
export function jsonPath(name: string): string {
  // DuckDB takes $."*" for all fields; as a JSON pointer it is one.
  if (name === '*') return text('/*')
  return text(`$."${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`)
}

/** Several such places, as a list. */
export function jsonPaths(names: readonly string[]): string {
  return `[${names.map(jsonPath).join(', ')}]`
}

/** SQL of a field as JSON: as text it would lose the quotes of a JSON string. A JSON null is NULL. */
export function jsonOfField(json: string, path: string): string {
  return `nullif(CAST(json_extract(${json}, ${path}) AS VARCHAR), 'null')`
}

/**
 * SQL of the text of a field for a DECIMAL. DuckDB has a number with a fraction by way of a DOUBLE: of more than 15
 * digits it is told as what it is, which no DECIMAL takes. A JSON string is exact.
 *
 * @param value SQL of DuckDB's text of the field
 * @param written SQL of the number as it was written, and whether it is the same one
 */
export function decimalOfField(
  json: string,
  path: string,
  value: string,
  written?: { readonly text: string; readonly isSame: string },
): string {
  const digits = `length(regexp_replace(split_part(lower(${value}), 'e', 1), '[^0-9]|^[-0.]+', '', 'g'))`
  return (
    `CASE WHEN NOT regexp_matches(${value}, '[.eE]') THEN ${value} ` +
    (written === undefined ? '' : `WHEN ${written.isSame} THEN ${written.text} `) +
    `WHEN json_type(${json}, ${path}) <> 'DOUBLE' THEN ${value} ` +
    `WHEN ${digits} > 15 THEN ${value} || ${text(notExact)} ELSE ${value} END`
  )
}
