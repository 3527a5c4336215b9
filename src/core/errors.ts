/**
 * What a caller can do about an error.
 * - `retry`: the same call may succeed later; nothing was changed for good.
 * - `user`: configuration or usage is wrong; the message names the field, the value and what was expected.
 * - `fenced`: another writer has claimed the checkpoint; this process must stop.
 * - `fatal`: everything else, bad data under a `fail` policy included.
 */
export type ErrorKind = 'retry' | 'user' | 'fenced' | 'fatal'

/** The one error class. `code` is stable and kebab-case; the message ends with what to do next. */
export class MillraceError extends Error {
  override readonly name = 'MillraceError'
  readonly kind: ErrorKind
  readonly code: string

  constructor(kind: ErrorKind, code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.kind = kind
    this.code = code
  }
}

export function isMillraceError(error: unknown): error is MillraceError {
  return error instanceof MillraceError
}

/** A mistake in configuration or usage: names the field, the value and what was expected. Exit code 2. */
export function configError(field: string, value: unknown, expected: string, cause?: unknown): MillraceError {
  return new MillraceError(
    'user',
    'configuration',
    `${field}: ${display(value)} is not valid; expected ${expected}.`,
    cause,
  )
}

function display(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`
  if (typeof value === 'bigint') return `${value}`
  return value === undefined ? 'undefined' : JSON.stringify(value)
}

/** The error as one line for a person. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
