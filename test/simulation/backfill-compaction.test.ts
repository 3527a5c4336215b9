import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeHead } from '../../checkpoints/codec.ts'
import { tierPartsMax } from '../../checkpoints/decide.ts'
import { headKey } from '../../checkpoints/paths.ts'
import type { Manifest } from '../../checkpoints/types.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { errorMessage, isMillraceError } from '../../src/core/errors.ts'
import { drawn } from '../golden/drawn.ts'
import { expectSame, expectWhole, lookAt, type Seen } from '../golden/seen.ts'
import { mortal } from './mortal-file-system.ts'
import { everyCall, isProbe, openSmallBackfill, over, type Shape, type SmallBackfill } from './small-backfill.ts'

// State that lives over more epochs than a tier has segments: the checkpoint merges them beside the commits.

describe.each<{ name: string; shape: Shape }>([
  { name: 'a window that stays open', shape: { window: '40 days' } },
  // Those of one epoch end in later ones, while segments that hold them are merged.
  { name: 'sessions, of which some end', shape: { gap: '120 hours' } },
])('a backfill that merges segments beside its epochs: $name', ({ shape }) => {
  const epochs = tierPartsMax + 4
  let small: SmallBackfill
  let straight: Seen
  let calls: number
  /** The first call that may be part of a merge. */
  let full: number
  const counts = (path: string) => !isProbe(path)

  beforeAll(async () => {
    small = await openSmallBackfill({ days: Array.from({ length: epochs }, () => 1200), ...shape })
    const place = small.place()
    const commits: number[] = []
    const fs = mortal({
      counts,
      onCall(nth, name, [path = '']) {
        if (name === 'rename' && path.includes('HEAD@')) commits.push(nth)
      },
    })
    await small.run(place, over(fs))
    straight = await lookAt(small.lab, place)
    calls = fs.calls
    full = commits[tierPartsMax - 1] as number
  })
  afterAll(() => small[Symbol.asyncDispose]())

  const segments = ({ channels }: Manifest) =>
    Object.entries(channels).flatMap(([name, parts]) => (name.startsWith('segment-') ? parts : []))

  test('holds fewer segments than epochs while their window is open (P3, P11)', async () => {
    const place = small.place()
    const manifests: Manifest[] = []
    // Epochs are faster than a merge: those after a full tier wait for it, so that one takes its result.
    let merge = () => {}
    const isMerged = new Promise<void>(resolve => (merge = resolve))
    let tenth = 0
    await small.run(place, root => {
      const store = createDirectoryStore(root, { fs: mortal({}) })
      return {
        ...store,
        async put(key, body, ifMatch, signal) {
          if (key === headKey && body instanceof Uint8Array) {
            const { manifest } = decodeHead(body, key)
            if (!manifest) throw new Error('its manifest is a file')
            manifests.push(manifest)
            if (manifest.epoch === tierPartsMax + 2) await isMerged
          }
          const put = await store.put(key, body, ifMatch, signal)
          // The segment of its epoch, and the one that ten are merged to.
          if (key.startsWith('segment-') && key.includes(`/1-${tierPartsMax}-`) && ++tenth === 2) merge()
          return put
        },
      }
    })
    const merged = manifests.filter(manifest => segments(manifest).some(({ epochs: [first, last] }) => last > first))
    expect(merged.length).toBeGreaterThan(0)
    for (const manifest of merged) {
      const spans = segments(manifest).map(({ epochs: [first, last] }) => last - first + 1)
      const span = spans.reduce((a, b) => a + b)
      if (shape.gap === undefined) expect(span, 'no epoch is lost or there twice').toBe(manifest.epoch)
      else expect(span, 'no epoch is there twice').toBeLessThanOrEqual(manifest.epoch)
      expect(segments(manifest).length).toBeLessThan(manifest.epoch)
    }
    expectSame(await lookAt(small.lab, place), straight, 'a run with a merge')
  })

  test('ends the same when it is killed while or after it merges (I2, I6, I7, I8, I10)', async () => {
    const { random, label } = drawn()
    for (const offset of everyCall(calls - full, Math.ceil((calls - full) / 5), random)) {
      const killAt = full + offset
      const place = small.place()
      const where = `${label}, killed at call ${killAt} of ${calls}`
      const fs = mortal({ killAt, counts })
      const error = await small.run(place, over(fs)).then(
        () => undefined,
        (cause: unknown) => cause,
      )
      if (error !== undefined && fs.calls < killAt)
        throw new Error(`${where}: ${errorMessage(error)}`, { cause: error })
      const seen = await expectWhole(small.lab, place, straight, undefined, where)
      await small.run(place, over(mortal({})))
      await expectWhole(small.lab, place, straight, seen, where)
      expectSame(await lookAt(small.lab, place), straight, where)
    }
  }, 600_000)

  test('and what a merge of an older process leaves changes nothing (P12, I3)', async () => {
    const { random, label } = drawn()
    for (const offset of everyCall(calls - full, Math.ceil((calls - full) / 3), random)) {
      const at = full + offset
      const place = small.place()
      const where = `${label}, asleep at call ${at} of ${calls}`
      let [fallAsleep, wakeUp] = [() => {}, () => {}]
      const asleep = new Promise<void>(resolve => (fallAsleep = resolve))
      const awake = new Promise<void>(resolve => (wakeUp = resolve))
      const fs = mortal({ counts, stall: { at, until: awake, onStall: fallAsleep } })
      const ended = small.run(place, over(fs)).then(
        () => undefined,
        (cause: unknown) => cause,
      )
      await Promise.race([asleep, ended])
      await small.run(place, over(mortal({})))
      const seen = await expectWhole(small.lab, place, straight, undefined, where)
      wakeUp()
      const error = await ended
      if (error !== undefined && !(isMillraceError(error) && error.kind === 'fenced'))
        throw new Error(`${where}: ${errorMessage(error)}`, { cause: error })
      await expectWhole(small.lab, place, straight, seen, where)
      await small.run(place, over(mortal({})))
      expectSame(await lookAt(small.lab, place), straight, where)
    }
  }, 600_000)
})
