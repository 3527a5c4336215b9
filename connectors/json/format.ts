import { createReadStream } from 'node:fs'
import type { Format, ScannedColumn } from '../../src/plan/format.ts'
import { id, text } from '../../src/plan/sql.ts'
import { compressible, partOf, plainText } from '../text/plain-text.ts'

const notExact =
  ' is a JSON number with a fraction and more than 15 digits, which DuckDB reads as DOUBLE; write it as a string'

/** Where a field stands in a line. */
function pathOf({ name }: ScannedColumn): string {
  // DuckDB takes $."*" for all fields; as a JSON pointer it is one.
  if (name === '*') return text('/*')
  return text(`$."${name.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`)
}

/** Text of a line, cut at every place where it has the name in quotes. */
const cutAt = (name: string) => `string_split(CAST(json AS VARCHAR), ${text(`"${name}"`)})`

/**
 * A field as text, whatever its JSON type, of the line `json`; a JSON null and a missing field are NULL.
 *
 * @param value SQL of DuckDB's text of the field
 * @param cut SQL of the line as `cutAt` gives it; of DECIMAL columns only
 */
function field(column: ScannedColumn, value: string, cut: string): string {
  const path = pathOf(column)
  // As text it would lose the quotes of a JSON string.
  if (column.type.name === 'JSON') return `nullif(CAST(json_extract(json, ${path}) AS VARCHAR), 'null')`
  if (column.type.name !== 'DECIMAL') return value
  // Every way that DuckDB reads a number with a fraction passes through DOUBLE. The line has the number as it was
  // written: where the name occurs once, so that no nested field is meant, its digits are the value.
  const written = `regexp_extract(${cut}[2], '^[ \\t]*:[ \\t]*(-?[0-9][0-9.eE+-]*)', 1)`
  const isWritten = `len(${cut}) = 2 AND TRY_CAST(${written} AS DOUBLE) = TRY_CAST(${value} AS DOUBLE)`
  const digits = `length(regexp_replace(split_part(lower(${value}), 'e', 1), '[^0-9]|^[-0.]+', '', 'g'))`
  return (
    `CASE WHEN NOT regexp_matches(${value}, '[.eE]') THEN ${value} WHEN ${isWritten} THEN ${written} ` +
    `WHEN json_type(json, ${path}) <> 'DOUBLE' THEN ${value} ` +
    `WHEN ${digits} > 15 THEN ${value} || ${text(notExact)} ELSE ${value} END`
  )
}

export const jsonFormat: Format = {
  name: 'json',
  extensions: compressible(['.jsonl', '.ndjson', '.json']),
  ready: object => plainText(object),
  isShared: true,
  // A line that is no JSON gives NULL in its place.
  read: files =>
    `SELECT json, ${partOf(files)} AS _part FROM read_ndjson_objects([${files.map(text).join(', ')}], ` +
    `ignore_errors = true, compression = 'uncompressed', hive_partitioning = false)`,
  // A line is parsed for every call that extracts something: one call for all fields, and none for what starts with '{'.
  scan(from, columns) {
    const fields = columns.map(
      (column, index) => `, ${field(column, `_fields[${index + 1}]`, `_cut${index}`)} AS ${id(column.name)}`,
    )
    const cuts = columns.map(({ name, type }, index) =>
      type.name === 'DECIMAL' ? `, ${cutAt(name)} AS _cut${index}` : '',
    )
    return (
      `SELECT _row, _part, coalesce(CASE WHEN starts_with(json, '{') THEN FALSE ELSE json_type(json) <> 'OBJECT' END, TRUE) AS _broken` +
      `${fields.join('')} FROM (SELECT _row, _part, json, ` +
      `json_extract_string(json, [${columns.map(pathOf).join(', ')}]) AS _fields${cuts.join('')} FROM ${from})`
    )
  },
  brokenText: linesOf,
  rowIs: 'one JSON object on a line',
}

/** Lines of the file by their number among those that are not blank, which is how DuckDB numbers them. */
async function linesOf(file: string, rows: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const wanted = new Set(rows)
  const found = new Map<number, string>()
  let row = 0
  let rest: Buffer = Buffer.alloc(0)
  const line = (bytes: Buffer) => {
    const text = bytes.toString('utf8')
    if (/^[\t\r ]*$/.test(text)) return
    // What no eye sees is written out.
    if (wanted.has(row)) found.set(row, text.slice(0, 1000).replaceAll('\0', '\uFFFD').replaceAll('\uFEFF', '\\uFEFF'))
    row++
  }
  // At line feeds only, as DuckDB does: readline also splits at U+2028 and at a lone carriage return.
  for await (const chunk of createReadStream(file)) {
    rest = Buffer.concat([rest, chunk as Buffer])
    for (let end = rest.indexOf(10); end !== -1 && found.size < wanted.size; end = rest.indexOf(10)) {
      line(rest.subarray(0, end))
      rest = rest.subarray(end + 1)
    }
    if (found.size === wanted.size) return found
  }
  line(rest)
  return found
}
