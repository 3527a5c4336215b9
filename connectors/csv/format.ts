import { open } from 'node:fs/promises'
import type { CsvSettings } from '../../src/plan/csv-settings.ts'
import { columnsRead, type OwnColumn } from '../../src/plan/find-column.ts'
import type { Format, Ready, SpooledObject } from '../../src/plan/format.ts'
import { id, text } from '../../src/plan/sql.ts'
import { compressible, partOf, passText, writeAll } from '../text/plain-text.ts'
import { createCsvRecords, fieldsOf } from './records.ts'

export const csvExtensions = compressible(['.csv'])

/** Characters of a broken record that are kept. */
const brokenMax = 1000

/**
 * The object's records are cut by our own scanner and written again for DuckDB: one line a record, with a field before
 * the others that is empty, or has the text of a broken record, in hexadecimal behind an x, whose own fields are empty.
 */
export function createCsvFormat(settings: CsvSettings): Format {
  const { header, delimiter, quote, escape, nullText } = settings
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
        `FROM read_csv([${files.map(text).join(', ')}], ${options}, hive_partitioning = false, columns = {${["'broken': 'VARCHAR'", ...columns].join(', ')}})`
      )
    },
    scan: (from, columns) =>
      `SELECT _row, _part, starts_with(coalesce(broken, ''), 'x') AS _broken, TRY(decode(unhex(broken[2:]))) AS _text` +
      `${columns.map(({ name, at }) => `, ${column(at[0] as number)} AS ${id(name)}`).join('')} FROM ${from}`,
    brokenSql: '_text',
    rowIs: header
      ? 'a CSV record of as many fields as the header, with its quotes closed'
      : 'a CSV record of as many fields as there are columns, with its quotes closed',
  }
}

async function rewrite(object: SpooledObject, settings: CsvSettings): Promise<Ready> {
  let names: readonly string[] | undefined = settings.header ? undefined : object.columns
  let wrong: string | undefined
  let out: Buffer[] = []
  const [before, after] = [Buffer.from(settings.delimiter), Buffer.from('\n')]
  const records = createCsvRecords(settings, ({ raw, fields, isWhole }) => {
    if (names === undefined) {
      names = isWhole ? fieldsOf(raw, settings) : []
      if (!isWhole) wrong = `its header is no CSV record: ${shown(raw)}`
    } else if (isWhole && fields === names.length) out.push(before, raw, after)
    else
      out.push(Buffer.from(`x${Buffer.from(shown(raw)).toString('hex')}${settings.delimiter.repeat(names.length)}\n`))
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
