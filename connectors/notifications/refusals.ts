import type { Refusal, Reason } from './parse.ts'

export interface RefusalsContext {
  count(name: string, by: number): void
  warn(event: string, message: string, details: Readonly<Record<string, string>>): void
}

/** A message, as its refusals are told of. */
export interface RefusedMessage {
  readonly id: string
  /** 'Message 7 of https://...' */
  readonly name: string
  /** Its text, where it goes now and the log is the one place that keeps it. */
  readonly quarantined?: string | Uint8Array | null
}

/** Of a message that is quarantined, in the log. */
const loggedCharsMax = 8_192

/**
 * Counts what messages were refused for, and tells of it: once a malformed message, whatever number of its records are.
 * Other pipelines' objects may be many: the first one tells, the counter tells how many.
 */
export function createRefusals({ count, warn }: RefusalsContext) {
  const told = new Set<Reason>()
  return ({ id, name, quarantined }: RefusedMessage, refusals: readonly Refusal[]): void => {
    for (const { reason, detail, records } of refusals) {
      count(reason, records)
      const isForeign = reason === 'foreign-bucket' || reason === 'foreign-prefix'
      if (reason !== 'malformed' && (!isForeign || told.has(reason))) continue
      told.add(reason)
      const more = records > 1 ? ` (and ${records - 1} more records of it)` : ''
      const isKept = reason === 'malformed' && quarantined !== undefined
      warn(reason, `${name}: ${detail}${more}`, { id, ...(isKept ? { quarantined: logged(quarantined) } : {}) })
    }
  }
}

function logged(body: string | Uint8Array | null): string {
  if (body === null) return ''
  return Buffer.from(body.slice(0, loggedCharsMax)).toString()
}
