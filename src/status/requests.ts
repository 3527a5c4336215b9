import type { Clock } from '../core/clock.ts'
import { type OnRequest, type RequestKind, requestKinds } from '../core/requests.ts'

/** Counts the requests of a process. */
export interface RequestMeter {
  readonly count: OnRequest
  /** Since the process began. */
  readonly totals: Readonly<Record<RequestKind, number>>
  /** So many would be sent in a day, by the last hour; null in the first minute. */
  perDay(): Readonly<Record<RequestKind, number>> | null
}

/** Of 1,000 requests, in any currency. */
export type RequestPrices = Readonly<Partial<Record<RequestKind, number>>>

const minuteMs = 60_000
const minutesMax = 60
const dayMs = 86_400_000

export function createRequestMeter(clock: Pick<Clock, 'nowMs'>): RequestMeter {
  const begunMs = clock.nowMs()
  const totals = none()
  /** By the minute: the last hour. */
  const minutes = new Map<number, Record<RequestKind, number>>()
  const minuteNow = () => Math.floor((clock.nowMs() - begunMs) / minuteMs)
  const forget = () => {
    for (const minute of minutes.keys()) if (minute <= minuteNow() - minutesMax) minutes.delete(minute)
  }
  return {
    totals,
    count(kind) {
      const minute = minuteNow()
      let counts = minutes.get(minute)
      if (!counts) {
        forget()
        minutes.set(minute, (counts = none()))
      }
      counts[kind]++
      totals[kind]++
    },
    perDay() {
      forget()
      const sinceMs = Math.max(0, minuteNow() - minutesMax + 1) * minuteMs
      const overMs = clock.nowMs() - begunMs - sinceMs
      if (overMs < minuteMs) return null
      const sums = none()
      for (const counts of minutes.values()) for (const kind of requestKinds) sums[kind] += counts[kind]
      for (const kind of requestKinds) sums[kind] *= dayMs / overMs
      return sums
    },
  }
}

function none(): Record<RequestKind, number> {
  return { put: 0, list: 0, get: 0, delete: 0, queue: 0 }
}
