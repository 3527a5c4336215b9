import type { Clock } from '../../src/core/clock.ts'
import { isMillraceError } from '../../src/core/errors.ts'
import type { Announced } from '../../src/core/object-version.ts'
import type { EntryOutcome, Queue } from './queue.ts'
import type { SqsSpec } from './spec.ts'

/** SQS takes ten entries a call. */
export const batchMax = 10

/** A message that was received and is not settled yet. */
export interface HeldMessage {
  readonly id: string
  readonly receipt: string
  readonly objects: readonly Announced[]
  /** Whether acknowledging deletes it: a message with a malformed record is left to the redrive policy. */
  readonly isDeleted: boolean
  readonly receivedAtMs: number
  /** When its time must be extended. */
  dueAtMs: number
  settled?: Promise<void>
}

/** What the parts of a source share. */
export interface SqsContext {
  readonly queue: Queue
  readonly spec: Pick<SqsSpec, 'queueUrl' | 'visibilityTimeoutS' | 'onMalformed' | 'onForeign'>
  readonly clock: Clock
  /** Numbers in [0, 1), to spread retries. */
  readonly random: () => number
  readonly held: Set<HeldMessage>
  /** Aborted when the source is closed. */
  readonly closing: AbortSignal
  count(name: string, by?: number): void
  warn(event: string, message: string, details?: Readonly<Record<string, string | number>>): void
  /** What only a person can mend: it ends the next pull. */
  fail(error: Error): void
  /** Something has changed: who waits in `pull` looks again. */
  notify(): void
}

export const visibilityMsOf = ({ spec }: Pick<SqsContext, 'spec'>): number => spec.visibilityTimeoutS * 1_000

/** A call whose failure as a whole is that of each entry. */
export async function outcomesOf(
  { count, fail }: Pick<SqsContext, 'count' | 'fail'>,
  size: number,
  call: () => Promise<readonly EntryOutcome[]>,
): Promise<readonly EntryOutcome[]> {
  try {
    return await call()
  } catch (error) {
    const isRetried = isMillraceError(error) && error.kind === 'retry'
    if (isRetried) count('retries')
    else fail(error as Error)
    return Array.from({ length: size }, () => (isRetried ? 'failed' : 'stale'))
  }
}

export function numberOf(outcomes: readonly EntryOutcome[], wanted: EntryOutcome): number {
  return outcomes.filter(outcome => outcome === wanted).length
}
