import type { Clock } from '../../core/clock.ts'
import { isMillraceError } from '../../core/errors.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import type { ObjectStore } from '../../core/ports.ts'

/** Half a minute: a partition of a store that is moved, or a prefix that is throttled, is back by then. */
const pausesMs = [1_000, 2_000, 4_000, 8_000, 16_000] as const

/** What to do about an object that the store fails at: where it gives others, that is no reason to stop the run for. */
export interface Patience {
  /** The store gave this object. */
  gave(version: ObjectVersion): void
  /**
   * Reads an object, again after pauses while the store gives others. At last it is given up, and the next time sooner.
   *
   * @throws MillraceError `retry` where the store gives others no more, or has given none yet
   */
  read<T>(
    version: Pick<ObjectVersion, 'bucket' | 'key' | 'eTag'>,
    work: () => Promise<T>,
    giveUp: (reason: string) => T,
  ): Promise<T>
}

export function createPatience(store: ObjectStore, clock: Clock, signal: AbortSignal): Patience {
  let last: ObjectVersion | undefined
  const givenUp = new Set<string>()

  /** Whether the store answers for another object: whatever it says. */
  async function answers(): Promise<boolean> {
    if (last === undefined) return false
    try {
      await store.get(last.key, { range: [0, 1], signal })
      return true
    } catch {
      signal.throwIfAborted()
      return false
    }
  }

  return {
    gave(version) {
      last = version
    },
    async read(version, work, giveUp) {
      const { bucket, key, eTag } = version
      const id = JSON.stringify([bucket, key, eTag])
      for (let tries = 0; ; tries++) {
        try {
          return await work()
        } catch (error) {
          if (!isMillraceError(error) || error.kind !== 'retry' || !(await answers())) throw error
          const pauseMs = givenUp.has(id) ? undefined : pausesMs[tries]
          if (pauseMs === undefined) {
            givenUp.add(id)
            return giveUp(`the store fails at it, and not at others: ${error.message}`)
          }
          await clock.sleep(pauseMs, signal)
          signal.throwIfAborted()
        }
      }
    },
  }
}
