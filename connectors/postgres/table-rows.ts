import { join } from 'node:path'
import type { ParsedType } from '../../src/core/types.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import { id, text } from '../../src/plan/sql.ts'
import type { Transaction } from './database.ts'
import type { Column } from './rows.ts'
import { quoted, tableName, type WantedTable } from './table.ts'

/** Brings the rows of a table here, and gives a relation of them. */
export function bringRows(
  transaction: Transaction,
  wanted: Pick<WantedTable, 'schema' | 'table' | 'columns'>,
  { duckdb, newId }: Pick<SinkContext, 'duckdb' | 'newId'>,
): Promise<string> {
  return duckdb(async ({ folder }) => {
    const file = join(folder, `${newId()}.csv`)
    const items = wanted.columns.map(asText)
    // What is not NULL stands in quotes, so that an empty text is none.
    await transaction.copyOut(
      `COPY (SELECT ${items.join(', ')} FROM ${tableName(wanted)}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)`,
      file,
    )
    const texts = wanted.columns.map((_, index) => `'c${index}': 'VARCHAR'`)
    const rows =
      `read_csv(${text(file)}, auto_detect = false, header = false, delim = ',', quote = '"', escape = '"', ` +
      `new_line = '\\n', nullstr = '', allow_quoted_nulls = false, parallel = false, ` +
      `max_line_size = ${lineBytesMax}, columns = {${texts.join(', ')}})`
    const read = wanted.columns.map(({ name, type }, index) => `${fromText(`c${index}`, type)} AS ${id(name)}`)
    return `(SELECT ${read.join(', ')} FROM ${rows})`
  })
}

const lineBytesMax = 268_435_456

/** SQL of PostgreSQL: a value as text; a list as JSON of texts. */
function asText({ name, type }: Column): string {
  if (type.list && type.name !== 'STRUCT') return `to_json(${quoted(name)}::text[])::text`
  return `${quoted(name)}::text`
}

/** SQL of DuckDB: the value that a text stands for. */
function fromText(value: string, type: ParsedType): string {
  if (type.name === 'STRUCT') return `CAST(CAST(${value} AS JSON) AS ${type.sql})`
  if (!type.list) return scalar(value, type, type.sql)
  const one = type.sql.replace(/\[\]$/, '')
  return `list_transform(CAST(CAST(${value} AS JSON) AS VARCHAR[]), lambda _e: ${scalar('_e', type, one)})`
}

function scalar(value: string, { name }: ParsedType, sql: string): string {
  // '\\x6162'
  if (name === 'BLOB') return `unhex(substr(${value}, 3))`
  if (!['DATE', 'TIMESTAMP', 'TIMESTAMPTZ'].includes(name)) return `CAST(${value} AS ${sql})`
  // '0044-03-15 00:00:00 BC' is '0044-03-15 (BC) 00:00:00' to DuckDB.
  const moved = `regexp_replace(${value}, '^(\\S+)(.*) BC$', '\\1 (BC)\\2')`
  return `CAST(${moved} AS ${sql})`
}
