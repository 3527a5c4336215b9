import { createChange } from '../../core/change.ts'
import type { Clock } from '../../core/clock.ts'

/** Those who wait for outputs. */
export interface Waits {
  /** Whoever waits looks again. */
  changed(): void
  /** Whoever waits fails; the first error counts. */
  fail(error: unknown): void
  readonly hasFailed: boolean
  /** Nothing more is taken, so there is nothing to wait for. */
  end(): void
  /** @throws what an output failed by */
  until(isSo: () => boolean): Promise<void>
  /** Waits for this work. @throws what an output failed by, without waiting any longer */
  beside<T>(work: Promise<T>): Promise<T>
  /** As `until`, and counts as being made to wait. */
  hold(isSo: () => boolean): Promise<void>
  /** When somebody was last made to wait; now, as long as they are. Of the monotonic clock; 0: never. */
  readonly lastHeldMs: number
}

/** @param stopped the error of those who wait when nothing more is taken */
export function createWaits(clock: Pick<Clock, 'nowMs'>, stopped: () => unknown): Waits {
  const change = createChange()
  let failure: { readonly error: unknown } | undefined
  let isOver = false
  let lastHeldMs = 0
  let holding = 0

  async function until(isSo: () => boolean): Promise<void> {
    for (;;) {
      if (failure) throw failure.error
      if (isSo()) return
      if (isOver) throw stopped()
      await change.next()
    }
  }

  return {
    changed: change.notify,
    fail(error) {
      failure ??= { error }
    },
    get hasFailed() {
      return failure !== undefined
    },
    end() {
      isOver = true
      change.notify()
    },
    until,
    async beside(work) {
      let isDone = false
      const ended = () => {
        isDone = true
        change.notify()
      }
      work.then(ended, ended)
      await until(() => isDone)
      return work
    },
    async hold(isSo) {
      holding++
      try {
        await until(isSo)
      } finally {
        holding--
        lastHeldMs = clock.nowMs()
      }
    },
    get lastHeldMs() {
      return holding > 0 ? clock.nowMs() : lastHeldMs
    },
  }
}
