import type { CheckpointStore, CommitOutcome } from '../../../checkpoints/checkpoint-store.ts'
import type { Manifest } from '../../../checkpoints/types.ts'
import type { Clock } from '../../core/clock.ts'
import { toError } from '../../core/errors.ts'

/** An owner that has committed nothing for so long rewrites HEAD, so that others see it live (P5). */
export const heartbeatMs = 10_000

export interface Heartbeat {
  /** HEAD was written, which shows the same as a beat. That none is written beside a commit, the checkpoint sees to. */
  wrote(): void
  /** From now on beats record this as well. */
  carry(amend: (manifest: Manifest) => Manifest): void
  stop(): Promise<void>
}

/** Beats until stopped. `onLost` is told once, when a beat finds that the checkpoint has another owner or fails. */
export function startHeartbeat(
  checkpoint: Pick<CheckpointStore, 'beat'>,
  clock: Clock,
  onLost: (outcome: CommitOutcome | Error) => void,
): Heartbeat {
  const stopped = new AbortController()
  let hasWritten = false
  let amend: ((manifest: Manifest) => Manifest) | undefined

  const beat = async () => {
    try {
      const outcome = await checkpoint.beat(amend)
      if (outcome.is === 'fenced') onLost(outcome)
    } catch (error) {
      onLost(toError(error))
    }
  }
  const loop = async () => {
    for (;;) {
      await clock.sleep(heartbeatMs, stopped.signal)
      if (stopped.signal.aborted) return
      if (!hasWritten) await beat()
      hasWritten = false
    }
  }
  const looping = loop()
  return {
    wrote() {
      hasWritten = true
    },
    carry(given) {
      amend = given
    },
    async stop() {
      stopped.abort()
      await looping
    },
  }
}
