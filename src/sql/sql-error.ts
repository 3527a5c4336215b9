import type { CallSite } from '../core/call-site.ts'
import { isMillraceError, MillraceError, withCallSite } from '../core/errors.ts'
import { acting } from '../core/visible.ts'
import { withoutSecrets } from '../core/without-secrets.ts'

/** A SQL text and where it was read. */
export interface SqlFile {
  /** Absolute path. */
  readonly file: string
  readonly text: string
  /** Where a file of TypeScript has the text. Absent: it is a file by itself. */
  readonly at?: CallSite | undefined
}

/** A mistake in the text. @param at UTF-16 units from its start */
export function sqlError(file: SqlFile, at: number, message: string, cause?: unknown): MillraceError {
  return new MillraceError('user', 'sql', file.at ? `sql: ${message}` : message, cause, siteOf(file, at))
}

/** An error of a step with the place of the statement that asks for the step. */
export function placed(file: SqlFile, at: number, error: unknown): unknown {
  return isMillraceError(error) ? withCallSite(error, siteOf(file, at)) : error
}

/** The place of an offset, with a frame of the text; of a text in TypeScript where that has the whole of it. */
export function siteOf({ file, text, at: call }: SqlFile, at: number): CallSite {
  const before = text.slice(0, at).split('\n')
  const lead = before.at(-1) ?? ''
  const line = lead + (text.slice(at).split('\n')[0] ?? '')
  const column = [...lead].length + 1
  if (call) return { ...call, frame: frameOf(line, text.includes('\n') ? `sql:${before.length}` : 'sql', column) }
  return { file, line: before.length, column, frame: frameOf(line, String(before.length), column) }
}

const shownMax = 120

/** @param number of the line, or what stands in its place */
function frameOf(written: string, number: string, column: number): string {
  const characters = [...withoutSecrets(written.replace(/\r$/, '')).replaceAll(acting, ' ')]
  const from =
    characters.length <= shownMax ? 0 : Math.max(0, Math.min(column - 1 - shownMax / 2, characters.length - shownMax))
  const shown = characters.slice(from, from + shownMax).join('')
  return `  ${number} | ${shown}\n  ${' '.repeat(number.length)} | ${' '.repeat(column - 1 - from)}^`
}
