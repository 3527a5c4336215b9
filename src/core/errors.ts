import type { ErrorCode } from './error-codes/index.ts'
import { type CallSite, showCallSite } from './call-site.ts'

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
  readonly code: ErrorCode
  /** Of a mistake in a pipeline: where its file calls the operator or factory that is wrong. */
  readonly at: CallSite | undefined

  constructor(kind: ErrorKind, code: ErrorCode, message: string, cause?: unknown, at?: CallSite) {
    super(message, cause === undefined ? undefined : { cause })
    this.kind = kind
    this.code = code
    this.at = at
  }
}

/** The error with the place of the mistake, where it is a mistake of the user's that has none yet. */
export function withCallSite(error: unknown, at: CallSite | undefined): unknown {
  if (!isMillraceError(error) || error.kind !== 'user' || error.at || !at) return error
  const placed = new MillraceError(error.kind, error.code, error.message, error.cause, at)
  if (error.stack !== undefined) placed.stack = error.stack
  return placed
}

export function isMillraceError(error: unknown): error is MillraceError {
  return error instanceof MillraceError
}

/** A mistake in configuration or usage: names the field, the value and what was expected. Exit code 2. */
export function configError(field: string, value: unknown, expected: string, cause?: unknown): MillraceError {
  return new MillraceError(
    'user',
    'configuration',
    `${field}: ${showValue(value)} is not valid; expected ${expected}.`,
    cause,
  )
}

const shownMax = 200

/** A value as messages show it: short, and without the logins of addresses, whatever it is. */
export function showValue(value: unknown): string {
  if (typeof value === 'string') return `'${cut(value)}'`
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  try {
    return cut(JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? String(inner) : inner)))
  } catch {
    // It holds itself.
    return Array.isArray(value) ? 'a list' : 'an object'
  }
}

function cut(given: string): string {
  const text = given.replace(/([a-z][a-z0-9+.-]*:\/\/)[^\s/?#'"]*@/gi, '$1')
  return text.length > shownMax ? `${text.slice(0, shownMax)}...` : text
}

/** The error as one line for a person; of a mistake in a pipeline with its place, 'pipeline.ts:12:5: where: ...'. */
export function errorMessage(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return isMillraceError(error) && error.at ? `${showCallSite(error.at)}: ${error.message}` : error.message
}

/** What was thrown, which may be anything, as an error. */
export function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
