import { type Backoff, backoffMs } from '../src/core/backoff.ts'
import { systemClock } from '../src/core/clock.ts'
import { isMillraceError, MillraceError } from '../src/core/errors.ts'

/** Injected, so that tests do not wait. */
export type Sleep = (ms: number) => Promise<void>

export const realSleep: Sleep = systemClock.sleep

/** Attempts at one call of the store: with the pauses below about half a minute, longer than a server's restart. */
export const attemptsMax = 10
const pauses: Backoff = { firstMs: 50, mostMs: 10_000 }

export function pauseMs(attempt: number): number {
  return backoffMs(pauses, attempt)
}

export function isRetryable(error: unknown): boolean {
  return isMillraceError(error) && error.kind === 'retry'
}

/** Repeats a call that changes nothing, or nothing twice, while its error says that it may succeed later. */
export async function retrying<T>(sleep: Sleep, work: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isRetryable(error) || attempt + 1 >= attemptsMax) throw error
    }
    await sleep(pauseMs(attempt))
  }
}

export function unavailable(what: string, cause: unknown): MillraceError {
  const message = `${what} got no clear answer ${attemptsMax} times; check the store and start again.`
  return new MillraceError('retry', 'store-unavailable', message, cause)
}
