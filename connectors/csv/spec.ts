import { configError } from '../../src/core/errors.ts'
import { flag, text } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { CsvSettings } from './settings.ts'
import type { FormatSpec } from '../../src/plan/source-options.ts'

export interface CsvOptions {
  /** Whether the first record names the columns. Default true. Without, they are the declared ones, in their order. */
  readonly header?: boolean
  /** Between fields: one ASCII character that is no letter and no digit. Default ','. */
  readonly delimiter?: string
  /** Around fields that hold delimiters, quotes or line ends: one ASCII character. Default '"'; '' for no quoting. */
  readonly quote?: string
  /** Before a quote inside quotes that is meant as such. Default the quote itself, as in RFC 4180. */
  readonly escape?: string
  /** What stands for NULL where it is not quoted. Default '': `a,,b` has a NULL, `a,"",b` an empty text. */
  readonly nullText?: string
}

const delimiters = "one ASCII character that is no letter, digit or space, such as ';'"
const quotes = "one ASCII character that is no letter, digit or delimiter, or ''"
const escapes = "the quote, or one other ASCII character such as '\\\\'; none without a quote"
const nullTexts = "text without line ends, delimiters, quotes and escapes, such as 'NULL'"

export const csvOptions = {
  header: { kind: flag, default: true, about: 'Whether the first record names the columns.' },
  delimiter: { kind: text(delimiters, isCharacter), default: ',', about: 'The character between two fields.' },
  quote: {
    kind: text(quotes, value => value === '' || isCharacter(value)),
    default: '"',
    about: "The character around fields that hold delimiters, quotes or line ends; '' for no quoting.",
  },
  escape: {
    kind: text(escapes, value => value === '' || isCharacter(value)),
    otherwise: 'the quote itself',
    about: 'The character before a quote inside quotes that is meant as such.',
  },
  nullText: {
    kind: text(nullTexts, value => !/[\n\r]/.test(value)),
    default: '',
    about: 'What stands for NULL where it is not quoted.',
  },
} satisfies OptionTable<CsvOptions>

/**
 * CSV (RFC 4180, UTF-8): files that end in `.csv`, also with `.gz` or `.zst` behind, or as the source's `suffix` says.
 * Columns are matched by the header, whatever the order: by the exact name, else by the only one without regard to
 * case. Every field is text, and is cast by value; a list is written as JSON: `"[1,2]"`. Empty lines are skipped. A
 * record with too few or too many fields, with a quote inside an unquoted field or text behind a quoted one is a bad
 * row; a quote that is never closed makes a bad object.
 *
 * @throws MillraceError `user` that names the option, its value and what was expected.
 */
export function csv(options: CsvOptions = {}): FormatSpec {
  const { header, delimiter, quote, nullText, ...rest } = readCall('csv', csvOptions, [], options)
  const { escape = quote } = rest
  if (quote === delimiter) throw configError('csv: quote', quote, quotes)
  if (quote === '' ? escape !== '' : escape === '' || escape === delimiter)
    throw configError('csv: escape', escape, escapes)
  if ([delimiter, quote, escape].some(character => character !== '' && nullText.includes(character)))
    throw configError('csv: nullText', nullText, nullTexts)
  const settings: CsvSettings = { header, delimiter, quote, escape, nullText }
  return { format: 'csv', settings, ...(header ? {} : { isByPlace: true }) }
}

function isCharacter(value: string): boolean {
  return /^[\t!-~]$/.test(value) && !/[A-Za-z0-9]/.test(value)
}
