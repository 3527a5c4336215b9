import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { errorMessage, isMillraceError } from '../../src/core/errors.ts'
import type { Summary } from '../../src/engine/report/summary.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { expectSame, expectWhole, lookAt, type Place, type Seen } from '../golden/seen.ts'
import { mortal } from './mortal-file-system.ts'
import { everyCall, isProbe, openSmallBackfill, over, type SmallBackfill } from './small-backfill.ts'

// A process stands still at some call to the disk while another one claims, does all the work and stops. Then it wakes up
// and believes that nothing has happened.

describe('a process that sleeps at any call while another one does its work', () => {
  let small: SmallBackfill
  let straight: Seen
  let calls: number
  /** The call that claims the checkpoint: before it lie those of the probe. */
  let claim: number
  /** Calls that look for orphans, and those that are commits. */
  const orphanLists: number[] = []
  const commits: number[] = []
  const counts = (path: string) => !isProbe(path)
  beforeAll(async () => {
    small = await openSmallBackfill()
    const place = small.place()
    const fs = mortal({
      counts,
      onCall(nth, name, [path = '', to = '']) {
        if (name === 'rename' && to === join(place.checkpoint, 'head')) claim = nth
        // A listing below a prefix looks first whether that leads out of the store.
        if (name === 'realPath') orphanLists.push(nth)
        if (name === 'rename' && path.includes('HEAD@')) commits.push(nth)
      },
    })
    await small.run(place, over(fs))
    straight = await lookAt(small.lab, place)
    calls = fs.calls
  })
  afterAll(() => small[Symbol.asyncDispose]())

  test('finds itself fenced or has nothing to do, and changes nothing (P6, P8, I2, I3, I5, I6)', async () => {
    const { random, label } = drawn()
    const ends = { fenced: 0, done: 0 }
    const before = everyCall(claim, 30, random)
    const after = everyCall(calls - claim, 9, random).map(nth => claim + nth)
    for (const at of [...before, ...after]) {
      const place = small.place()
      const where = `${label}, asleep at call ${at} of ${calls}`
      const zombie = startSleeper(place, at)
      await zombie.asleep
      await small.run(place, over(mortal({})))
      const seen = await expectWhole(small.lab, place, straight, undefined, where)
      zombie.wakeUp()
      const { summary, error } = await zombie.ended
      ends[expectOver(error, where)]++
      if (summary) expect(summary.totals, where).toEqual(straight.totals)
      await expectWhole(small.lab, place, straight, seen, where)
      // What it staged in its sleep goes at the next claim (P12).
      await small.run(place, over(mortal({})))
      expectSame(await lookAt(small.lab, place), straight, where)
    }
    // Who sleeps before the claim, or after the last commit, has nothing to do afterwards.
    expect(ends.fenced, label).toBeGreaterThan(ends.done)
  }, 900_000)

  test("and when it wakes in the middle of the other one's work, one of both ends it (P6, P12, I3, I7, I10)", async () => {
    const { random, label } = drawn()
    const pairs = wholeFromEnvironment('MILLRACE_PAIRS', 8)
    for (let pair = 0; pair < pairs; pair++) {
      const place = small.place()
      // Every second time where it can do most harm: the older one is about to delete orphans, the newer one has staged
      // and is about to commit.
      const anywhere = [1 + Math.floor(random() * calls), 1 + Math.floor(random() * calls)] as const
      const pick = (from: readonly number[]) => from[Math.floor(random() * from.length)] as number
      const [first, second] = pair % 2 === 0 ? anywhere : ([pick(orphanLists), pick(commits)] as const)
      const where = `${label}, pair ${pair}: the older one asleep at call ${first}, the newer one at ${second} of ${calls}`
      const older = startSleeper(place, first)
      await older.asleep
      const newer = startSleeper(place, second)
      await newer.asleep
      older.wakeUp()
      const olderEnd = expectOver((await older.ended).error, where)
      const seen = await expectWhole(small.lab, place, straight, undefined, where)
      newer.wakeUp()
      const newerEnd = expectOver((await newer.ended).error, where)
      expect([olderEnd, newerEnd], where).toContain('done')
      await expectWhole(small.lab, place, straight, seen, where)
      await small.run(place, over(mortal({})))
      expectSame(await lookAt(small.lab, place), straight, where)
    }
  }, 900_000)

  interface Sleeper {
    /** Resolves when it sleeps, or has ended before it came to that call. */
    readonly asleep: Promise<unknown>
    readonly ended: Promise<{ readonly summary: Summary | undefined; readonly error: unknown }>
    wakeUp(): void
  }

  function startSleeper(place: Place, at: number): Sleeper {
    let [fallAsleep, wakeUp] = [() => {}, () => {}]
    const asleep = new Promise<void>(resolve => (fallAsleep = resolve))
    const awake = new Promise<void>(resolve => (wakeUp = resolve))
    const fs = mortal({ counts, stall: { at, until: awake, onStall: fallAsleep } })
    const ended = small.run(place, over(fs)).then(
      summary => ({ summary, error: undefined }),
      (error: unknown) => ({ summary: undefined, error }),
    )
    return { asleep: Promise.race([asleep, ended]), ended, wakeUp }
  }

  /** A process ends well, or stops because another one has claimed. */
  function expectOver(error: unknown, where: string): 'done' | 'fenced' {
    if (error === undefined) return 'done'
    if (isMillraceError(error) && error.kind === 'fenced') return 'fenced'
    throw new Error(`${where}: ${errorMessage(error)}`, { cause: error })
  }
})
