import { isUtf8 } from 'node:buffer'
import { open } from 'node:fs/promises'
import type { OwnColumn } from '../../src/plan/find-column.ts'
import type { Format, Ready, ScannedColumn, SpooledObject } from '../../src/plan/format.ts'
import { id, text } from '../../src/plan/sql.ts'
import type { TextSettings } from './settings.ts'
import { createLines } from './lines.ts'
import { compressible, partOf, passText, writeAll } from './plain-text.ts'
import { brokenMax, shown, type TakenText } from './row-text.ts'

/** A longer line is a bad row. */
const lineBytesMax = 1024 * 1024

/** Between the fields of what DuckDB gets, and around one that has either of them: characters that logs do not have. */
const [delimiter, quote] = ['\x02', '\x01']
const csv =
  `delim = '${delimiter}', quote = '${quote}', escape = '${quote}', ` +
  `nullstr = '', auto_detect = false, header = false, ` +
  `strict_mode = true, null_padding = false, new_line = '\\n', compression = 'none', comment = '', skip = 0, ` +
  // A line of nothing but quotes is twice as long.
  `max_line_size = ${2 * lineBytesMax + 1024}, hive_partitioning = false`

/** The whole line, where it fits: an empty one is no row, so this tells whether it does. */
const whole = '_whole'

/**
 * Lines are cut by our own scanner and written again for DuckDB, without those that are no rows: a field that is empty,
 * or has the text of a broken line in hexadecimal behind an x, and the line. There the pattern takes them apart.
 */
export function createTextFormat(settings: TextSettings): Format {
  const own = settings.groups.flatMap((name): readonly OwnColumn[] => (name === null ? [] : [{ name }]))
  const scan = (from: string, columns: readonly ScannedColumn[]) => scanOf(settings, own, from, columns)
  return {
    name: 'text',
    extensions: compressible(['.log', '.txt']),
    async ready(object) {
      const ready = await rewrite(object, settings)
      return ready.is === 'bad' ? ready : { ...ready, columns: own }
    },
    isShared: true,
    read: files =>
      `SELECT broken, line, ${partOf(files)} AS _part FROM read_csv([${files.map(text).join(', ')}], ${csv}, ` +
      `columns = {'broken': 'VARCHAR', 'line': 'VARCHAR'})`,
    scan,
    brokenSql: '_text',
    check: {
      option: 'pattern',
      value: settings.pattern,
      sql: scan(`(SELECT 0 AS _row, 0 AS _part, CAST(NULL AS VARCHAR) AS broken, '' AS line)`, []),
    },
    rowIs: 'a line of UTF-8, of at most 1 MiB, that the pattern fits',
  }
}

// The line is taken apart once, one level below what reads the groups.
function scanOf(
  { pattern, groups, nullText, times }: TextSettings,
  own: readonly OwnColumn[],
  from: string,
  columns: readonly ScannedColumn[],
): string {
  // DuckDB names groups by their numbers, and holds struct fields equal that differ by case.
  const fields = [whole, ...groups.map((_, index) => `g${index}`)]
  const match = `regexp_extract(line, ${text(`^(${pattern})$`)}, [${fields.map(text).join(', ')}])`
  const value = (name: string) => {
    const field = `nullif(_match.g${groups.indexOf(name)}, '')`
    const known = nullText === '' ? field : `nullif(${field}, ${text(nullText)})`
    const format = times[name]
    return format === undefined ? known : isoTime(known, format)
  }
  const values = columns.map(({ name, at }) => `, ${value((own[at[0] as number] as OwnColumn).name)} AS ${id(name)}`)
  return (
    `SELECT _row, _part, _match.${whole} IS NULL OR _match.${whole} = '' AS _broken, ` +
    `CASE WHEN broken IS NULL THEN line[1:${brokenMax}] ` +
    `ELSE TRY(decode(unhex(broken[2:]))) END AS _text${values.join('')} ` +
    `FROM (SELECT *, ${match} AS _match FROM ${from})`
  )
}

/** SQL of a time's text as ISO 8601 in UTC; what is no such time stays as it is, for the cast to refuse. */
function isoTime(value: string, format: string): string {
  const iso = (time: string) => `strftime(${time}, '%Y-%m-%dT%H:%M:%S.%fZ')`
  if (!format.startsWith('epoch-')) return `coalesce(${iso(`try_strptime(${value}, ${text(format)})`)}, ${value})`
  const [digits, us] = format === 'epoch-seconds' ? [11, 1_000_000] : [14, 1_000]
  const number = `CASE WHEN regexp_full_match(${value}, '-?[0-9]{1,${digits}}') THEN TRY_CAST(${value} AS BIGINT) END`
  return `coalesce(${iso(`make_timestamp(${number} * ${us})`)}, ${value})`
}

async function rewrite(object: SpooledObject, { comment, headerLines }: TextSettings): Promise<Ready> {
  const [before, after, mark] = [delimiter, '\n', comment].map(piece => Buffer.from(piece)) as [Buffer, Buffer, Buffer]
  let out: Buffer[] = []
  let lines = 0
  const lineEnd = createLines(lineBytesMax + 1, line => {
    const { text: raw } = line
    if (lines++ < headerLines || isEmpty(line)) return
    if (mark.length > 0 && raw.subarray(0, mark.length).equals(mark)) return
    out.push(...written(line, before, after))
  })
  const target = await open(object.changed, 'wx')
  try {
    const flush = async () => {
      const all = Buffer.concat(out)
      out = []
      await writeAll(target, all)
    }
    const reason = await passText(object, async chunk => {
      lineEnd.push(chunk)
      await flush()
    })
    lineEnd.end()
    await flush()
    return reason === undefined ? { is: 'ready', file: object.changed } : { is: 'bad', reason }
  } finally {
    await target.close()
  }
}

const carriageReturn = 13

function isEmpty({ text: raw, bytes }: TakenText): boolean {
  return bytes === 0 || (bytes === 1 && raw[0] === carriageReturn)
}

/** One line for DuckDB. */
function written({ text: raw, bytes }: TakenText, before: Buffer, after: Buffer): readonly Buffer[] {
  const line = raw.at(-1) === carriageReturn && bytes === raw.length ? raw.subarray(0, -1) : raw
  if (bytes > raw.length || line.length > lineBytesMax || !isUtf8(line))
    return [Buffer.from(`x${Buffer.from(shown(line)).toString('hex')}${delimiter}`), after]
  const isPlain = !line.includes(delimiter) && !line.includes(quote) && !line.includes(carriageReturn)
  if (isPlain) return [before, line, after]
  const quoted = `${quote}${line.toString('utf8').replaceAll(quote, quote + quote)}${quote}`
  return [before, Buffer.from(quoted), after]
}
