import type { StandBy } from '../../../checkpoints/checkpoint-store.ts'
import type { Clock } from '../../core/clock.ts'
import { isOwnerGone } from '../../core/owner.ts'
import type { RunEvent } from '../report/events.ts'

/** What whoever claims is told. */
export interface Impatience {
  /** true: claims from a live owner at once. */
  readonly takeover?: boolean
  readonly onEvent?: (event: RunEvent) => void
}

/** How a start behaves before a live owner (P5); undefined where it does not wait. @param signal it gives up */
export function standBy(
  { takeover, onEvent }: Impatience,
  clock: Clock,
  owner: string,
  signal: AbortSignal,
): StandBy | undefined {
  if (takeover === true) return undefined
  return {
    nowMs: clock.nowMs,
    sleep: ms => clock.sleep(ms, signal),
    isGone: other => isOwnerGone(other, owner),
    onWait: other => onEvent?.({ is: 'waiting', owner: other }),
    signal,
  }
}
