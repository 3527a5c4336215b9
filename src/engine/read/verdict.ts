import type { SourcePolicies } from '../../plan/source-settings.ts'

/** What is known of an object whose rows were counted. */
export interface BadRowFacts {
  /** Rows that are broken, or of which a value does not fit. */
  readonly bad: number
  /** Its file, a hard link, was written to since it was made ready. */
  readonly isWrittenTo: boolean
  /** It was made ready quickly: what its broken rows are another reading has to tell. */
  readonly isQuick: boolean
  readonly hasBroken: boolean
  /** An object before it waits for such a reading. */
  readonly isBehind: boolean
}

/** What becomes of an object: it is read, with its bad rows aside; or one of its bad rows decides otherwise. */
export type Verdict = 'read' | 'written-to' | 'doubtful' | 'fail'

export function verdictOf(facts: BadRowFacts, { onBadRow }: Pick<SourcePolicies, 'onBadRow'>): Verdict {
  if (facts.bad === 0) return 'read'
  // Half a line is no bad row of an object that is still being written; read again, it may be whole.
  if (facts.isWrittenTo) return 'written-to'
  // Of several bad objects the first in order is told: one behind a doubtful object waits for that one's end.
  if (facts.isQuick && (facts.isBehind || facts.hasBroken)) return 'doubtful'
  return onBadRow === 'fail' ? 'fail' : 'read'
}
