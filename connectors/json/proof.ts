import { isUtf8 } from 'node:buffer'
import type { ProvenColumn } from '../../src/plan/format.ts'
import type { ParsedType } from '../../src/core/types.ts'
import { lineFeed } from './bytes.ts'

/**
 * Shows of pieces of text, which end where lines end, that DuckDB's typed reader reads them as the checked casts do.
 * See docs/decisions/0057.
 */
export interface Proof {
  /** False: nothing is known. Each piece is shown by itself, in the order of the file. */
  shows(lines: Buffer): boolean
}

/** Longer pieces are not looked at: a regular expression remembers a place for each character of a text. */
const pieceBytesMax = 1024 * 1024

/** The expression of more fields costs much to make, and of some thousands there can be none. */
const fieldsMax = 200

const string = String.raw`"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt])*"`
/** A number without an exponent. No -0, which is 0 in some types. */
const fraction = (digits: number, scale: number) =>
  scale === 0 ? whole(digits) : `(?!-0(?:\\.0+)?[^0-9.])-?${unsigned(digits)}(?:\\.[0-9]{1,${scale}})?`
const unsigned = (digits: number) => `(?:0|[1-9][0-9]{0,${digits - 1}})`
const whole = (digits: number) => `-?[1-9][0-9]{0,${digits - 1}}|0`
/** Of fields that nobody declared, which DuckDB only has to understand. */
const anything = `${string}|-?${unsigned(15)}(?:\\.[0-9]{1,15})?|true|false|null`

/** Years with four digits, without 29 February. */
const day =
  '[1-9][0-9]{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)'
const instant = `${day}[T ](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,6})?Z?`

/** Digits of which every number fits. */
const wholeDigits: Readonly<Record<string, number>> = { TINYINT: 2, SMALLINT: 4, INTEGER: 9, BIGINT: 18 }

/** The forms of a value that both readers take for the same; undefined for a type that has none. */
function formOf({ name, list, precision = 0, scale = 0 }: ParsedType): string | undefined {
  if (list) return undefined
  const digits = wholeDigits[name]
  if (digits !== undefined) return whole(digits)
  switch (name) {
    case 'DOUBLE':
      // Both read the nearest one.
      return fraction(15, 17)
    case 'DECIMAL':
      // By way of a DOUBLE, which is exact up to fifteen digits.
      return precision > scale && scale < 15 ? fraction(Math.min(precision - scale, 15 - scale), scale) : undefined
    case 'BOOLEAN':
      return 'true|false'
    case 'VARCHAR':
      return string
    case 'DATE':
      return `"${day}"`
    case 'TIMESTAMP':
    case 'TIMESTAMPTZ':
      return `"${instant}"`
    default:
      return undefined
  }
}

/** Names that mean something else to DuckDB's reader. */
const reserved = new Set(['filename', 'file_index', 'file_row_number', '*', ''])

interface Field {
  readonly form: string
  readonly mayLack: boolean
}

/**
 * Undefined where no column is declared, or one has a type or a name of which nothing is shown.
 *
 * What a line may be is learnt from the first one: the same fields in the same order, with the same space between them.
 */
export function createProof(columns: readonly ProvenColumn[]): Proof | undefined {
  if (columns.length === 0) return undefined
  const fields = new Map<string, Field>()
  const names = new Set<string>()
  for (const { from, type, ifMissing } of columns) {
    const form = formOf(type)
    if (form === undefined || reserved.has(from.toLowerCase()) || names.has(from.toLowerCase())) return undefined
    names.add(from.toLowerCase())
    fields.set(from, {
      form: type.nullable ? `${form}|null` : form,
      mayLack: type.nullable && typeof ifMissing !== 'string',
    })
  }
  let line: RegExp | undefined
  return {
    shows(lines) {
      if (lines.length > pieceBytesMax || !isUtf8(lines)) return false
      const text = lines.toString('latin1')
      line ??= learnLine(firstLine(lines), fields, names)
      if (line === undefined) return false
      for (let at = 0; at < text.length; at = line.lastIndex) {
        line.lastIndex = at
        if (!line.test(text)) return false
      }
      return true
    },
  }
}

function firstLine(lines: Buffer): string {
  const end = lines.indexOf(lineFeed)
  return lines.toString('latin1', 0, end === -1 ? lines.length : end)
}

/** A field of a first line, with what is around it. */
const fieldOfFirst = new RegExp(`"([^"\\\\\\x00-\\x1f]*)"([ \\t]*:[ \\t]*)(?:${anything})([ \\t]*)([,}])([ \\t]*)`, 'y')

/** A line like this one, bytes as characters. Undefined where it is none that could be shown. */
function learnLine(first: string, fields: ReadonlyMap<string, Field>, names: ReadonlySet<string>): RegExp | undefined {
  const opens = /^[ \t]*\{[ \t]*/.exec(first)
  if (!opens) return undefined
  const found = new Set<string>()
  let source = escaped(opens[0])
  let isLast = false
  fieldOfFirst.lastIndex = opens[0].length
  while (!isLast) {
    const field = fieldOfFirst.exec(first)
    if (!field || found.size === fieldsMax) return undefined
    const [, key = '', colon = '', before = '', end = '', after = ''] = field
    const name = Buffer.from(key, 'latin1').toString('utf8')
    const declared = fields.get(name)
    const folded = name.toLowerCase()
    // DuckDB may hold names to be the same that differ in case alone.
    if (found.has(folded) || (declared === undefined && names.has(folded))) return undefined
    found.add(folded)
    source += `"${escaped(key)}"${colon}(?:${declared?.form ?? anything})${before}${escaped(end)}${after}`
    isLast = end === '}'
  }
  for (const [name, { mayLack }] of fields) if (!mayLack && !found.has(name.toLowerCase())) return undefined
  const rest = first.slice(fieldOfFirst.lastIndex)
  return rest === '' || rest === '\r' ? new RegExp(`${source}(?:\\r?\\n|$)`, 'y') : undefined
}

const escaped = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
