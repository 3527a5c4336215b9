/** When a place is listed again, by what listings and looks cost: on a clock of the test, counted in calls. */
import { describe, expect, test } from 'vitest'
import type { Clock } from '../../src/core/clock.ts'
import { createPace } from '../../src/engine/intake/pace.ts'

/** A place that is followed for so long, and how often it was listed and looked at. */
async function follow(
  place: {
    readonly tookMs: number
    readonly lookMs?: number
    /** News of the nth listing, counted from 0. Default: none. */
    readonly news?: (nth: number) => number
    /** Whether that has keys of its own, or is written into files that were there. */
    readonly hasNewKeys?: boolean
    /** What the nth look tells. Default: nothing has changed. Null: the place cannot tell. */
    readonly isUnchanged?: ((nth: number) => boolean) | null
  },
  forMs: number,
) {
  const { tookMs, lookMs = 0, news = () => 0, hasNewKeys = true, isUnchanged = () => true } = place
  const stop = new AbortController()
  let now = 0
  let listings = 0
  let looks = 0
  const pass = (ms: number) => {
    now += ms
    if (now >= forMs) stop.abort()
  }
  const clock: Clock = { startedAtMs: 0, nowMs: () => now, sleep: async ms => pass(ms) }
  const pace = createPace({
    everyMs: 1_000,
    clock,
    isUnchanged:
      isUnchanged === null
        ? undefined
        : async () => {
            pass(lookMs)
            return isUnchanged(looks++)
          },
  })
  while (!stop.signal.aborted) {
    pass(tookMs)
    const objects = news(listings++)
    pace.listed(tookMs, { objects, newKeys: hasNewKeys ? objects : 0 })
    await pace.wait(stop.signal)
  }
  return { listings, looks }
}

const hourMs = 3_600_000

describe('a place that is followed', () => {
  test('is listed a hundredth of the time at most while nothing comes, and asked every second', async () => {
    // Four seconds each, every 400: nine in an hour.
    const { listings, looks } = await follow({ tookMs: 4_000 }, hourMs)
    expect(listings).toBe(9)
    expect(looks).toBeGreaterThan(3_500)
  })

  test('is listed every second where a listing takes no time', async () => {
    expect((await follow({ tookMs: 0 }, hourMs)).listings).toBe(3_600)
    expect((await follow({ tookMs: 10 }, hourMs)).listings).toBe(Math.ceil(hourMs / 1_010))
  })

  test('is asked less often where asking takes long: a hundredth of the time', async () => {
    const { looks } = await follow({ tookMs: 100_000, lookMs: 500 }, hourMs)
    expect(looks).toBeLessThanOrEqual(hourMs / (100 * 500) + 1)
  })

  test('is listed soon when it says that something has changed', async () => {
    const changedAt = 5
    // Look 5 says so, and the listing behind it finds something: it is listed again until nothing is new.
    const { listings } = await follow(
      { tookMs: 4_000, isUnchanged: nth => nth !== changedAt, news: nth => (nth === 1 ? 1 : 0) },
      60_000,
    )
    expect(listings).toBe(3)
  })

  test('is listed a fifth of the time at most while what comes is nothing that is read', async () => {
    const { listings } = await follow({ tookMs: 4_000, isUnchanged: () => false }, hourMs)
    expect(listings).toBe(hourMs / 20_000)
  })

  test('is listed a fifth of the time at most while something comes', async () => {
    const { listings, looks } = await follow({ tookMs: 4_000, news: () => 1 }, hourMs)
    expect(listings).toBe(hourMs / 20_000)
    expect(looks).toBe(0)
  })

  test('is asked no more once it has been wrong: not all file systems keep the times of folders', async () => {
    // The second listing is made although nothing was said to have changed, and finds something.
    const { listings } = await follow({ tookMs: 4_000, news: nth => (nth === 1 ? 1 : 0) }, hourMs)
    expect(listings).toBe(1 + Math.ceil((hourMs - 400_000) / 20_000))
  })

  test('is asked all the same where something is written into a file that was there', async () => {
    const { listings } = await follow({ tookMs: 4_000, news: nth => (nth === 1 ? 1 : 0), hasNewKeys: false }, hourMs)
    // One more behind the news, then one in 400 seconds.
    expect(listings).toBe(10)
  })

  test('is listed as often as it is asked for where it cannot tell', async () => {
    const { listings } = await follow({ tookMs: 4_000, isUnchanged: null }, hourMs)
    expect(listings).toBe(hourMs / 5_000)
  })
})
