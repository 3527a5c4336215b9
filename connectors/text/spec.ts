import { configError } from '../../src/core/errors.ts'
import { either, given, list, text as textKind, whole } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { Columns } from '../../src/core/types.ts'
import type { FormatSpec } from '../../src/plan/source-options.ts'
import type { TextSettings } from './settings.ts'
import { readPattern } from './pattern.ts'

export interface TextOptions {
  /**
   * A regular expression of RE2 that the whole line has to fit, with groups that have names: `(?P<status>[0-9]+)`. Each
   * of them is a column. RE2 takes time by the length of a line only, so it has no look ahead or behind, and no
   * references back.
   */
  readonly pattern: string
  /** What stands for NULL, such as '-'. Empty text, and a group that took no part, are NULL always. Default ''. */
  readonly nullText?: string
  /**
   * By group: how its text is a time. Formats are those of strptime, such as '%d/%b/%Y:%H:%M:%S %z' for
   * '06/Feb/2019:00:00:38 +0000', UTC where they have no %z; or 'epoch-seconds', 'epoch-milliseconds'. Times of ISO
   * 8601 need none.
   */
  readonly times?: Readonly<Record<string, string>>
  /** Lines that begin so are no rows: '#'. Default: there are none. */
  readonly comment?: string
  /** So many lines at the beginning of each object are no rows. Default 0. */
  readonly headerLines?: number
  /**
   * What keys end in, where the source's own `suffix` does not say. Default '.log' and '.txt', also with '.gz' or
   * '.zst'.
   */
  readonly suffix?: string | readonly string[]
  /** Types of the groups, for the source: `columns: albLogs.columns`. This format does not read them. */
  readonly columns?: Columns
}

/** Those of which no part depends on a place or a name of a zone (S24). */
const timeFormat = /^(epoch-(milli)?seconds|([^%]|%[YymdbBjHIpMSfzaA%])+)$/
const timeFormats =
  'a format of strptime with %Y %y %m %d %b %B %j %H %I %p %M %S %f %z %a %A, ' +
  "such as '%d/%b/%Y:%H:%M:%S %z', or 'epoch-seconds' or 'epoch-milliseconds'"
const suffixKind = textKind("what keys end in, such as '.log'; '' for any", value => !/[\0/]/.test(value))
const isRecord = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value)

export const textOptions = {
  pattern: {
    kind: textKind(
      'a regular expression of RE2, of at most 10,000 characters, on one line',
      value => value !== '' && value.length <= 10_000 && !/[\0\n\r]/.test(value),
    ),
    isRequired: true,
    about: 'What the whole line has to fit; groups with names are its columns.',
  },
  nullText: {
    kind: textKind('text on one line', value => !/[\0\n\r]/.test(value)),
    default: '',
    about: 'What stands for NULL, beside empty text.',
  },
  times: {
    kind: given<Readonly<Record<string, string>>>('an object of groups and formats of times', isRecord),
    otherwise: 'ISO 8601',
    about: 'How the text of a group is a time.',
  },
  comment: {
    kind: textKind('text on one line', value => !/[\0\n\r]/.test(value)),
    default: '',
    about: 'What lines that are no rows begin with.',
  },
  headerLines: { kind: whole(0, 1_000), default: 0, about: 'Lines at the beginning of an object that are no rows.' },
  suffix: {
    kind: either(suffixKind, list(suffixKind, 'a suffix, or a list of at least one')),
    otherwise: '.log and .txt, also compressed',
    about: "What keys end in, where the source's own suffix does not say.",
  },
  columns: {
    kind: given<Columns>('{ name: SQL type }', isRecord),
    about: 'Types of the groups, for the source to take.',
  },
} satisfies OptionTable<TextOptions>

/**
 * Lines of text (UTF-8), of which a regular expression with named groups makes columns: server logs. An empty line is
 * no row. A line that the pattern does not fit, that is no UTF-8 or longer than 1 MiB is a bad row. Values are cast by
 * value as those of CSV. Logs of AWS are there: `text(s3AccessLogs)`, `text(albLogs)`, `text(nlbLogs)`,
 * `text(cloudFrontLogs)`, `text(vpcFlowLogs)`, each with `columns` for the source.
 *
 * @throws MillraceError `user` that names the option, its value and what was expected.
 */
export function text(options: TextOptions): FormatSpec {
  const { pattern, nullText, times = {}, comment, headerLines, suffix } = readCall('text', textOptions, [], options)
  const found = readPattern(pattern)
  if ('expected' in found) throw configError('text: pattern', pattern, found.expected)
  for (const [group, format] of Object.entries(times)) {
    if (!found.groups.includes(group))
      throw configError('text: times', group, `a group of the pattern: ${found.groups.filter(Boolean).join(', ')}`)
    if (!timeFormat.test(format)) throw configError(`text: times.${group}`, format, timeFormats)
  }
  return {
    format: 'text',
    settings: { ...found, nullText, times: { ...times }, comment, headerLines } satisfies TextSettings,
    ...(suffix === undefined ? {} : { suffixes: [suffix].flat() }),
  }
}
