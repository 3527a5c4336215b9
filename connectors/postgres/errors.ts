import { errorMessage, isMillraceError, MillraceError } from '../../src/core/errors.ts'

/** What a server says of an error, as `pg` gives it. */
interface ServerError extends Error {
  /** SQLSTATE. */
  readonly code: string
  readonly severity: string
  readonly detail?: string
  /** 'COPY revenue, line 3, column zone'. */
  readonly where?: string
}

function isServerError(error: unknown): error is ServerError {
  return error instanceof Error && 'severity' in error && 'code' in error
}

/**
 * Classes and codes of SQLSTATE that pass: connections that break, servers that start, stop or are replicas for now,
 * lack of disk, memory or connections, deadlocks and time-outs.
 */
const passing = /^(08|40|53|57P0|58)|^(55P03|55006|57014|25006|25P03|25P04|XX001)$/

/** Of Node and of TLS: nothing that a pause would change. */
const lasting = /^(ERR_TLS_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_OSSL|ERR_SSL)/

/**
 * An error of the database or of the way to it, as what can be done about it.
 *
 * @param address names the target
 */
export function databaseError(error: unknown, address: string): unknown {
  if (isMillraceError(error)) return error
  if (isServerError(error)) {
    const more = [error.detail, error.where].flatMap(text => (text ? [text.split('\n')[0]] : []))
    const said = [`${error.message} (SQLSTATE ${error.code})`, ...more].join('; ')
    const kind = passing.test(error.code) ? 'retry' : 'user'
    const [code, advice] =
      kind === 'retry' ? (['postgres-away', ''] as const) : (['postgres-refused', adviceFor(error.code)] as const)
    return new MillraceError(kind, code, `${address}: ${said}.${advice}`, error)
  }
  // A file of ours that cannot be read.
  if (error instanceof Error && 'path' in error) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const message = errorMessage(error)
  if (lasting.test(code) || /does not support SSL|^SASL|password must be a string/.test(message))
    return new MillraceError(
      'user',
      'postgres-refused',
      `${address}: ${message}. Look at the url of postgres(...), its sslmode or tls, and at PGPASSWORD.`,
      error,
    )
  return new MillraceError('retry', 'postgres-away', `${address} does not answer: ${message || code}.`, error)
}

function adviceFor(code: string): string {
  if (code === '42501') return ' Grant it, and start again: what is committed waits.'
  if (code.startsWith('28') || code === '3D000') return ' Look at the url of postgres(...), and at PGPASSWORD.'
  return ' What is committed waits; start again when the table takes it.'
}
