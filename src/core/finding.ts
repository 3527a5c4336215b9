import type { Fact } from './fact.ts'

/** What one check found. Problems keep a run from working; warnings are worth a thought. */
export interface Finding {
  /** 'pipeline', 'input', 'queue' ... */
  readonly check: string
  readonly is: 'ok' | 'warning' | 'problem' | 'unknown'
  /** With what to change. */
  readonly message: string
}

export type Judge = (is: Finding['is'], message: string) => Finding

export const about =
  (check: string): Judge =>
  (is, message) => ({ check, is, message })

/** A fact that nobody tells is no failure. */
export function judged<T>(
  judge: Judge,
  what: string,
  fact: Fact<T>,
  known: (value: T) => readonly Finding[],
): readonly Finding[] {
  if (fact.is === 'known') return known(fact.value)
  return [judge('unknown', `${what}: ${fact.is === 'denied' ? `needs ${fact.action}` : fact.why}`)]
}
