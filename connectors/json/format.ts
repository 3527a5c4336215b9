import { createReadStream } from 'node:fs'
import { open, rm } from 'node:fs/promises'
import type { Format, ProvenColumn, Ready, ScannedColumn, SpooledObject } from '../../src/plan/format.ts'
import { decimalOfField, jsonOfField, jsonPath, jsonPaths } from '../../src/plan/json-field.ts'
import type { JsonSettings } from './settings.ts'
import { id, text } from '../../src/plan/sql.ts'
import { createLines } from '../text/lines.ts'
import { compressible, partOf, passText, plainText, writeAll } from '../text/plain-text.ts'
import { openObject } from './bytes.ts'
import { plainLines } from './plain-lines.ts'
import { createProver, type Prover } from './proof.ts'
import { brokenText } from './row-writer.ts'
import { createJsonRows, type JsonRowsSettings } from './rows.ts'
import { rowBytesMaxDefault } from './spec.ts'

export const jsonExtensions = compressible(['.jsonl', '.ndjson', '.json'])

/** Text of a line, cut at every place where it has the name in quotes. */
const cutAt = (name: string) => `string_split(CAST(json AS VARCHAR), ${text(`"${name}"`)})`

/**
 * A field as text, whatever its JSON type, of the line `json`; a JSON null and a missing field are NULL.
 *
 * @param value SQL of DuckDB's text of the field
 * @param cut SQL of the line as `cutAt` gives it; of DECIMAL columns only
 */
function field({ from, type }: ScannedColumn, value: string, cut: string): string {
  const path = jsonPath(from)
  if (type.name === 'JSON') return jsonOfField('json', path)
  if (type.name !== 'DECIMAL') return value
  // Every way that DuckDB reads a number with a fraction passes through DOUBLE. The line has the number as it was
  // written: where the name occurs once, so that no nested field is meant, its digits are the value.
  const written = `regexp_extract(${cut}[2], '^[ \\t]*:[ \\t]*(-?[0-9][0-9.eE+-]*)', 1)`
  const isSame = `len(${cut}) = 2 AND TRY_CAST(${written} AS DOUBLE) = TRY_CAST(${value} AS DOUBLE)`
  return decimalOfField('json', path, value, { text: written, isSame })
}

/** @param rowBytesMax a longer row is a broken one */
export function createJsonFormat(settings?: JsonSettings, rowBytesMax = rowBytesMaxDefault): Format {
  const rowsOf = rowsSettings(settings, rowBytesMax)
  const provers = new WeakMap<readonly ProvenColumn[], Prover | undefined>()
  const proverOf = (columns: readonly ProvenColumn[]) => {
    if (!provers.has(columns)) provers.set(columns, createProver(columns))
    return provers.get(columns)
  }
  const options =
    `compression = 'uncompressed', hive_partitioning = false, ` +
    `maximum_object_size = ${Math.max(rowBytesMax, rowBytesMaxDefault)}`
  return {
    name: 'json',
    extensions: jsonExtensions,
    async ready(object) {
      if (settings !== undefined) return rewrite(object, rowsOf)
      const lines = await plainText(object)
      if (lines.is === 'bad') return lines
      const proof = object.declared && proverOf(object.declared)?.()
      const found = await plainLines(lines.file, rowBytesMax, object.signal, proof)
      if (found === 'proven') return { ...lines, isQuick: true, provenFields: proof?.names ?? [] }
      if (found === 'plain') return { ...lines, isQuick: true }
      if (lines.file === object.changed) await rm(object.changed)
      return rewrite(object, rowsOf)
    },
    again: object => rewrite(object, rowsOf),
    isShared: true,
    // A line that is no JSON gives NULL in its place.
    read: files =>
      `SELECT json, ${partOf(files)} AS _part FROM read_ndjson_objects([${files.map(text).join(', ')}], ` +
      `ignore_errors = true, ${options})`,
    readProven: (files, columns) => {
      const types = columns.map(({ from, type }) => `${text(from)}: ${text(type.sql)}`)
      const own = columns.map(({ name, from }) => `, ${id(from)} AS ${id(name)}`)
      return (
        `SELECT ${partOf(files)} AS _part${own.join('')} FROM read_json([${files.map(text).join(', ')}], ` +
        `columns = {${types.join(', ')}}, format = 'newline_delimited', records = true, ` +
        `ignore_errors = false, ${options})`
      )
    },
    scan: scanOf,
    fields: rows => `SELECT _part, unnest(json_keys(json)) AS name FROM (${rows})`,
    brokenText: brokenRows,
    rowIs: 'a JSON object (RFC 8259)',
  }
}

export const jsonFormat: Format = createJsonFormat()

/** @param index of the column among those of `_has`: whether the line has the field, be it a JSON null */
function orDefault({ ifMissing }: ScannedColumn, value: string, index: number): string {
  return typeof ifMissing === 'string'
    ? `CASE WHEN _has[${index + 1}] THEN ${value} ELSE ${text(ifMissing)} END`
    : value
}

// A line is parsed for every call that extracts something: one call for all fields, and none for what starts with '{'.
function scanOf(from: string, columns: readonly ScannedColumn[]): string {
  const optional = columns.filter(({ ifMissing }) => typeof ifMissing === 'string')
  const fields = columns.map((column, index) => {
    const value = field(column, `_fields[${index + 1}]`, `_cut${index}`)
    return `, ${orDefault(column, value, optional.indexOf(column))} AS ${id(column.name)}`
  })
  const cuts = columns.map(({ from: name, type }, index) =>
    type.name === 'DECIMAL' ? `, ${cutAt(name)} AS _cut${index}` : '',
  )
  const paths = (of: readonly ScannedColumn[]) => jsonPaths(of.map(({ from: name }) => name))
  const has = optional.length === 0 ? '' : `, json_exists(json, ${paths(optional)}) AS _has`
  return (
    `SELECT _row, _part, coalesce(CASE WHEN starts_with(json, '{') ` +
    `THEN FALSE ELSE json_type(json) <> 'OBJECT' END, TRUE) AS _broken` +
    `${fields.join('')} FROM (SELECT _row, _part, json, ` +
    `json_extract_string(json, ${paths(columns)}) AS _fields${cuts.join('')}${has} FROM ${from})`
  )
}

/** The objects of an object alone, one on a line: what is broken is left out. */
export function objectLines(object: SpooledObject, settings?: JsonSettings): Promise<Ready> {
  return rewrite(object, rowsSettings(settings, rowBytesMaxDefault), line => line[0] === openObject)
}

function rowsSettings(settings: JsonSettings | undefined, rowBytesMax: number): JsonRowsSettings {
  return { rowBytesMax, ...(settings ? { path: settings.records.split('.') } : {}) }
}

/** One line a row, as `createRowWriter` writes them. */
async function rewrite(
  object: SpooledObject,
  settings: JsonRowsSettings,
  isWanted: (line: Buffer) => boolean = () => true,
): Promise<Ready> {
  let out: Buffer[] = []
  const end = Buffer.from('\n')
  const rows = createJsonRows(settings, line => void (isWanted(line) && out.push(line, end)))
  const target = await open(object.changed, 'wx')
  try {
    const flush = async () => {
      const lines = Buffer.concat(out)
      out = []
      await writeAll(target, lines)
    }
    const unreadable = await passText(object, async chunk => {
      rows.push(chunk)
      await flush()
    })
    const reason = unreadable ?? rows.end()
    await flush()
    return reason === undefined ? { is: 'ready', file: object.changed } : { is: 'bad', reason }
  } finally {
    await target.close()
  }
}

/** A line that DuckDB refuses is not longer than its row, one that is written for it is short. */
const brokenBytesMax = 64 * 1024

/** The text of broken rows, by their number in a file that `rewrite` made, where every line is a row. */
async function brokenRows(file: string, rows: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const wanted = new Set(rows)
  const found = new Map<number, string>()
  let row = 0
  const lines = createLines(brokenBytesMax, ({ text: line }) => {
    if (wanted.has(row)) found.set(row, brokenText(line))
    row++
  })
  for await (const chunk of createReadStream(file)) {
    lines.push(chunk as Buffer)
    if (found.size === wanted.size) break
  }
  return found
}
