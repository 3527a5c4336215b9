import { performance } from 'node:perf_hooks'
import { setTimeout } from 'node:timers/promises'

/** The one place that reads a clock or waits. No answer depends on either (I9). */
export interface Clock {
  /** When this process began, milliseconds since 1970: tells owners of one host apart, nothing else. */
  readonly startedAtMs: number
  /** Milliseconds of this process's monotonic clock. */
  nowMs(): number
  /** Ends early, without an error, when the signal is aborted. With a signal it keeps no process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  startedAtMs: Math.trunc(performance.timeOrigin),
  nowMs: () => performance.now(),
  sleep: async (ms, signal) => {
    // With a signal it is somebody's background work; without one the caller has nothing else to do.
    await setTimeout(ms, undefined, signal ? { signal, ref: false } : {}).catch((error: unknown) => {
      if (!signal?.aborted) throw error
    })
  },
}
