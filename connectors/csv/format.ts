import { open } from 'node:fs/promises'
import { showCounted } from '../../src/core/quantity.ts'
import type { CsvSettings } from './settings.ts'
import { columnsRead, type OwnColumn } from '../../src/plan/find-column.ts'
import type { Format, Ready, SpooledObject } from '../../src/plan/format.ts'
import { id, text } from '../../src/plan/sql.ts'
import { compressible, partOf, passText, writeAll } from '../text/plain-text.ts'
import { type CsvFault, createCsvRecords, fieldsOf, recordBytesMax } from './records.ts'

export const csvExtensions = compressible(['.csv'])

/** Characters of a broken record that are kept. */
const brokenMax = 1000

/**
 * The object's records are cut by our own scanner and written again for DuckDB: one line a record, with a field before
 * the others that is empty, or tells of a broken record, whose own fields are empty: an x, what was expected and the
 * text, in hexadecimal with a z between them.
 */
export function createCsvFormat(settings: CsvSettings): Format {
  const { delimiter, quote, escape, nullText } = settings
  const options =
    `delim = ${text(delimiter)}, quote = ${text(quote)}, escape = ${text(escape)}, nullstr = ${text(nullText)}, ` +
    `allow_quoted_nulls = false, auto_detect = false, header = false, strict_mode = true, null_padding = false, ` +
    `new_line = '\\n', compression = 'none', comment = '', skip = 0`
  const column = (index: number) => `f${index}`

  return {
    name: 'csv',
    extensions: csvExtensions,
    ready: object => rewrite(object, settings),
    isShared: true,
    read(files, own, declared) {
      const columns = own.map((_, index) => `${text(column(index))}: 'VARCHAR'`)
      const kept = [...columnsRead(declared, own)].map(index => `, ${column(index)}`)
      return (
        `SELECT broken${kept.join('')}, ${partOf(files)} AS _part ` +
        `FROM read_csv([${files.map(text).join(', ')}], ${options}, hive_partitioning = false, ` +
        `columns = {${["'broken': 'VARCHAR'", ...columns].join(', ')}})`
      )
    },
    scan: (from, columns) =>
      `SELECT _row, _part, starts_with(coalesce(broken, ''), ` +
      `'x') AS _broken, ${toldIn(1)} AS _expected, ${toldIn(2)} AS _text` +
      `${columns.map(({ name, at }) => `, ${column(at[0] as number)} AS ${id(name)}`).join('')} FROM ${from}`,
    brokenSql: '_text',
    rowIsSql: '_expected',
    rowIs: 'a CSV record (RFC 4180)',
  }
}

/** SQL of what the field before the others tells of a broken record. */
const toldIn = (part: 1 | 2): string => `TRY(decode(unhex(split_part(broken[2:], 'z', ${part}))))`

const toHex = (text: string): string => Buffer.from(text).toString('hex')

const expected: Readonly<Record<CsvFault, string>> = {
  length: `a CSV record of at most ${recordBytesMax / 1024 / 1024} MiB (rows of JSON may be longer)`,
  encoding: 'a CSV record in UTF-8 (iconv -f WINDOWS-1252 -t UTF-8 converts what Excel writes)',
  quotes: 'a CSV record whose quotes stand around whole fields and are closed, with its line end outside of them',
}

async function rewrite(object: SpooledObject, settings: CsvSettings): Promise<Ready> {
  let names: readonly string[] | undefined = settings.header ? undefined : object.columns
  let wrong: string | undefined
  let out: Buffer[] = []
  const [before, after] = [Buffer.from(settings.delimiter), Buffer.from('\n')]
  const countedBy = settings.header ? 'as the header has' : 'as columns are declared'
  const records = createCsvRecords(settings, ({ raw, fields, fault }) => {
    if (names === undefined) {
      names = fault === null ? fieldsOf(raw, settings) : []
      if (fault !== null) wrong = `its header: expected ${expected[fault]}, found '${shown(raw)}'`
    } else if (fault === null && fields === names.length) out.push(before, raw, after)
    else {
      const count = `a CSV record of ${showCounted(names.length, 'field')}, ${countedBy}, and not of ${fields}`
      const told = [fault === null ? count : expected[fault], shown(raw)].map(toHex).join('z')
      out.push(Buffer.from(`x${told}${settings.delimiter.repeat(names.length)}\n`))
    }
  })
  const target = await open(object.changed, 'wx')
  try {
    const flush = async () => {
      const lines = Buffer.concat(out)
      out = []
      await writeAll(target, lines)
    }
    const reason = await passText(object, async chunk => {
      records.push(chunk)
      await flush()
    })
    const unclosed = reason ?? records.end()
    await flush()
    const bad = unclosed ?? wrong ?? (names === undefined ? 'it is empty; expected a header' : undefined)
    if (bad !== undefined) return { is: 'bad', reason: bad }
    return {
      is: 'ready',
      file: object.changed,
      columns: (names ?? []).map((name): OwnColumn => ({ name: withoutNul(name) })),
    }
  } finally {
    await target.close()
  }
}

/** The text of a record for messages; what no eye sees is written out. */
function shown(raw: Buffer): string {
  return withoutNul(raw.toString('utf8', 0, 4 * brokenMax).slice(0, brokenMax))
}

/** No identifier and no literal of SQL holds one, and no declared name. */
function withoutNul(text: string): string {
  return text.replaceAll('\0', '\uFFFD')
}
