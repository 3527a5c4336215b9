import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'

/** The one place that reads a clock or waits. No answer depends on either (I9). */
export interface Clock {
  /** When this process began, milliseconds since 1970: tells owners of one host apart, nothing else. */
  readonly startedAtMs: number
  /** Milliseconds of this process's monotonic clock. */
  nowMs(): number
  /** Ends early, without an error, when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  startedAtMs: Math.trunc(performance.timeOrigin),
  nowMs: () => performance.now(),
  sleep: async (ms, signal) => {
    await setTimeout(ms, undefined, signal ? { signal } : {}).catch((error: unknown) => {
      if (!signal?.aborted) throw error
    })
  },
}

/** The time by this clock, in ms since 1970: of the start and what has passed since, so it never goes back. */
export function wallMs(clock: Pick<Clock, 'startedAtMs' | 'nowMs'>): number {
  return clock.startedAtMs + clock.nowMs()
}

/** The same in whole ms, as HEAD keeps times. */
export function wholeWallMs(clock: Parameters<typeof wallMs>[0]): number {
  return Math.floor(wallMs(clock))
}
