import { readFileSync } from 'node:fs'
import { codeFrameColumns } from '@babel/code-frame'
import type { CallSite } from '../core/call-site.ts'
import { helpOfCode } from '../core/error-codes/index.ts'
import { errorMessage, isMillraceError } from '../core/errors.ts'
import { withoutSecrets } from '../core/without-secrets.ts'

/** Of what ended a command that was asked for JSON. Its names are a public format. */
export function errorJson(error: unknown) {
  const message = errorMessage(error)
  if (!isMillraceError(error)) return { kind: 'fatal', code: 'unexpected', message }
  const { kind, code, at } = error
  return { kind, code, message, ...(at && { at: { file: at.file, line: at.line, column: at.column } }) }
}

/**
 * One line for a person, a frame of the file where a mistake is one in a file, and where to read more.
 *
 * The stack, causes included, is shown only on request.
 */
export function describeError(error: unknown): string {
  if (process.env.MILLRACE_DEBUG === '1' && error instanceof Error) {
    const cause = error.cause instanceof Error ? `\ncaused by: ${error.cause.stack}` : ''
    return `${error.stack}${cause}`
  }
  const line = errorMessage(error)
    .trim()
    .replaceAll(/\s*\n\s*/g, ' ')
  if (!isMillraceError(error)) return `${line} (unexpected; MILLRACE_DEBUG=1 shows where)`
  const frame = error.at && frameOf(error.at)
  // A wrong command line points to the command's own help.
  const more = error.code === 'usage' ? [] : [`'millrace help ${error.code}' tells more.`]
  return frame === undefined ? [line, ...more].join('\n') : [line, frame, ...more].join('\n\n')
}

const linesAround = 2
const frameCharsMax = 4_000

/** The lines around the place, with a caret below it. Undefined where the file cannot be read as it was. */
function frameOf({ file, line, column, frame }: CallSite): string | undefined {
  if (frame !== undefined) return frame
  const text = textOf(file)
  // A frame shows what a person may send on, and literals may be logins.
  const lines = text?.split(/\r?\n/).map(withoutSecrets)
  if (lines?.[line - 1] === undefined) return undefined
  const drawn = codeFrameColumns(
    lines.join('\n'),
    // Its columns are counted from 0.
    { start: { line, column: column - 1 } },
    { linesAbove: linesAround, linesBelow: linesAround, highlightCode: false },
  )
  return drawn.length > frameCharsMax ? undefined : drawn
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    // A file that is gone has no frame; the message has its place.
    return undefined
  }
}

/** What `millrace help CODE` says. Undefined for what is no code. */
export function helpForCode(code: string): string | undefined {
  const help = helpOfCode(code)
  return help && `${code}: ${help.means}\n\n${help.todo}\n`
}
