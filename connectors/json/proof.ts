import { isUtf8 } from 'node:buffer'
import type { ProvenColumn } from '../../src/plan/format.ts'
import type { ParsedType } from '../../src/core/types.ts'

/**
 * Shows of pieces of text, which end where lines end, that DuckDB's typed reader reads them as the checked casts do.
 * See docs/decisions/0057.
 */
export interface Proof {
  /** False: nothing is known. Each piece is shown by itself, in the order of the file. */
  shows(lines: Buffer): boolean
  /** Of the fields that every line has that was shown. */
  readonly names: readonly string[]
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

/** Proofs for objects of the same declared columns. Lines that were learnt of one serve the next ones. */
export type Prover = () => Proof

/** So many are remembered: objects of one source are mostly written by one program. */
const learntMax = 8

/** What a line may be: the same fields in the same order, with the same space between them, bytes as characters. */
interface LearntLine {
  readonly expression: RegExp
  readonly names: readonly string[]
}

/** Undefined where no column is declared, or one has a type or a name of which nothing is shown. */
export function createProver(columns: readonly ProvenColumn[]): Prover | undefined {
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
  const learnt: LearntLine[] = []
  /** One that the first line of a text is like, or that is learnt of it. */
  function lineLike(text: string): LearntLine | undefined {
    const known = learnt.find(({ expression }) => isAt(expression, text, 0))
    if (known) return known
    const end = text.indexOf('\n')
    const line = learnLine(end === -1 ? text : text.slice(0, end), fields, names)
    if (line && learnt.unshift(line) > learntMax) learnt.pop()
    return line
  }
  return () => {
    let line: LearntLine | undefined
    return {
      shows(lines) {
        if (lines.length > pieceBytesMax || !isUtf8(lines)) return false
        const text = lines.toString('latin1')
        line ??= lineLike(text)
        if (line === undefined) return false
        const { expression } = line
        for (let at = 0; at < text.length; at = expression.lastIndex) if (!isAt(expression, text, at)) return false
        return true
      },
      get names() {
        return line?.names ?? []
      },
    }
  }
}

function isAt(expression: RegExp, text: string, at: number): boolean {
  expression.lastIndex = at
  return expression.test(text)
}

/** The name of a field of a first line, with what is behind it. */
const nameOfFirst = new RegExp(String.raw`"([^"\\\x00-\x1f]*)"([ \t]*:[ \t]*)`, 'y')
/** What follows a value of a first line. */
const behindValue = String.raw`([ \t]*)([,}])([ \t]*)`

/** A line like this one. Undefined where it is none that could be shown. */
function learnLine(
  first: string,
  fields: ReadonlyMap<string, Field>,
  names: ReadonlySet<string>,
): LearntLine | undefined {
  const opens = /^[ \t]*\{[ \t]*/.exec(first)
  if (!opens) return undefined
  const found = new Map<string, string>()
  let source = escaped(opens[0])
  let at = opens[0].length
  for (let isLast = false; !isLast; ) {
    nameOfFirst.lastIndex = at
    const named = nameOfFirst.exec(first)
    if (!named || found.size === fieldsMax) return undefined
    const [, key = '', colon = ''] = named
    const name = Buffer.from(key, 'latin1').toString('utf8')
    const declared = fields.get(name)
    const folded = name.toLowerCase()
    // DuckDB may hold names to be the same that differ in case alone.
    if (found.has(folded) || (declared === undefined && names.has(folded))) return undefined
    found.set(folded, name)
    const form = declared?.form ?? anything
    const value = new RegExp(`(?:${form})${behindValue}`, 'y')
    value.lastIndex = nameOfFirst.lastIndex
    const valued = value.exec(first)
    if (!valued) return undefined
    const [, before = '', end = '', after = ''] = valued
    source += `"${escaped(key)}"${colon}(?:${form})${before}${escaped(end)}${after}`
    at = value.lastIndex
    isLast = end === '}'
  }
  for (const [name, { mayLack }] of fields) if (!mayLack && !found.has(name.toLowerCase())) return undefined
  const rest = first.slice(at)
  if (rest !== '' && rest !== '\r') return undefined
  return { expression: new RegExp(`${source}(?:\\r?\\n|$)`, 'y'), names: [...found.values()] }
}

const escaped = (text: string) => text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
