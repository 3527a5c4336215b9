import { configError } from '../../src/core/errors.ts'
import type { CsvSettings } from '../../src/plan/csv-settings.ts'
import type { FormatSpec } from '../../src/plan/source.ts'

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

/**
 * CSV (RFC 4180, UTF-8): files that end in `.csv`, also with `.gz` or `.zst` behind. Columns are matched by the header,
 * whatever the case and the order. Every field is text, and is cast by value; a list is written as JSON: `"[1,2]"`.
 * Empty lines are skipped. A record with too few or too many fields, with a quote inside an unquoted field or text behind
 * a quoted one is a bad row; a quote that is never closed makes a bad object.
 *
 * @throws MillraceError `user` that names the option, its value and what was expected.
 */
export function csv(options: CsvOptions = {}): FormatSpec {
  if (typeof options !== 'object' || options === null)
    throw configError('csv', options, 'an object of options: csv({ header: false })')
  const known = ['header', 'delimiter', 'quote', 'escape', 'nullText']
  for (const [name, value] of Object.entries(options))
    if (!known.includes(name)) throw configError(`csv: ${name}`, value, `one of ${known.join(', ')}`)
  const { header = true, delimiter = ',', quote = '"', nullText = '' } = options
  const { escape = quote } = options
  if (typeof header !== 'boolean') throw configError('csv: header', header, 'true or false')
  if (!isCharacter(delimiter) || delimiter === ' ')
    throw configError('csv: delimiter', delimiter, "one ASCII character that is no letter, digit or space, such as ';'")
  if (quote !== '' && (!isCharacter(quote) || quote === ' ' || quote === delimiter))
    throw configError('csv: quote', quote, "one ASCII character that is no letter, digit or delimiter, or ''")
  if (quote === '' ? escape !== '' : !isCharacter(escape) || escape === ' ' || escape === delimiter)
    throw configError(
      'csv: escape',
      escape,
      "the quote, or one other ASCII character such as '\\\\'; none without a quote",
    )
  const forbidden = ['\n', '\r', delimiter, quote, escape].filter(character => character !== '')
  if (typeof nullText !== 'string' || forbidden.some(character => nullText.includes(character)))
    throw configError(
      'csv: nullText',
      nullText,
      "text without line ends, delimiters, quotes and escapes, such as 'NULL'",
    )
  return { format: 'csv', csv: { header, delimiter, quote, escape, nullText } satisfies CsvSettings }
}

function isCharacter(value: unknown): value is string {
  return typeof value === 'string' && /^[\t -~]$/.test(value) && !/[A-Za-z0-9]/.test(value)
}
