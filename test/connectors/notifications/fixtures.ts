import type { NotificationContext, NotificationEvent } from '../../../connectors/notifications/context.ts'
import type { Clock } from '../../../src/core/clock.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { seededRandom } from '../../../src/testing/random.ts'

export const place = { bucket: 'landed', prefix: 'in/' }

/** A message as S3 sends it, of objects of `place`. */
export const messageOf = (...keys: readonly string[]): string =>
  JSON.stringify({ Records: keys.map(key => recordOf('landed', `in/${key}`)) })

export const recordOf = (bucket: string, key: string) => ({
  eventVersion: '2.1',
  eventName: 'ObjectCreated:Put',
  eventTime: '2022-01-02T03:04:05.678Z',
  s3: { bucket: { name: bucket }, object: { key: encodeURIComponent(key), size: 5, eTag: 'e1' } },
})

export interface TestContext extends NotificationContext {
  readonly events: NotificationEvent[]
}

export function contextOf(given: Partial<NotificationContext> = {}): TestContext {
  const events: NotificationEvent[] = []
  return {
    clock: systemClock,
    random: seededRandom(1),
    place,
    positions: null,
    term: 1,
    events,
    onEvent: event => events.push(event),
    ...given,
  }
}

export interface ManualClock extends Clock {
  /** Lets time pass, and all that wait for it run in its order. */
  advance(ms: number): Promise<void>
}

/** Time that passes only when a test says so. */
export function manualClock(): ManualClock {
  let nowMs = 0
  const sleepers = new Set<{ readonly atMs: number; wake(): void }>()
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await Promise.resolve()
  }
  return {
    startedAtMs: 1_700_000_000_000,
    nowMs: () => nowMs,
    sleep: (ms, signal) =>
      new Promise(resolve => {
        if (signal?.aborted) return resolve()
        const sleeper = {
          atMs: nowMs + ms,
          wake: () => {
            sleepers.delete(sleeper)
            signal?.removeEventListener('abort', sleeper.wake)
            resolve()
          },
        }
        signal?.addEventListener('abort', sleeper.wake)
        sleepers.add(sleeper)
      }),
    async advance(ms) {
      const endMs = nowMs + ms
      await settle()
      for (;;) {
        const next = [...sleepers].toSorted((a, b) => a.atMs - b.atMs)[0]
        if (!next || next.atMs > endMs) break
        nowMs = next.atMs
        next.wake()
        await settle()
      }
      nowMs = endMs
    },
  }
}
