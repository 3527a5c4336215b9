import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stagedPrefix } from '../../checkpoints/paths.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { keysOf } from '../checkpoints/fixtures.ts'
import { drawn } from '../golden/drawn.ts'
import { expectSame, expectWhole, type Glimpse, lookAt, type Place, type Seen } from '../golden/seen.ts'
import { Killed, type MortalFileSystem, mortal, volatileFileSystem } from './mortal-file-system.ts'
import { everyCall, isProbe, objects, openSmallBackfill, over, type SmallBackfill } from './small-backfill.ts'

// A whole backfill through the engine, over directories, while the process is killed between any two calls that touch
// the checkpoint or the output. The next process must end the work as if nothing had been.

describe('a backfill whose process dies between any two calls to the disk', () => {
  let small: SmallBackfill
  let straight: Seen
  /** Calls of an undisturbed run, without those of the probe. */
  let calls: number
  const outsideProbe = (path: string) => !isProbe(path)

  beforeAll(async () => {
    small = await openSmallBackfill()
    const place = small.place()
    const fs = mortal({ counts: outsideProbe })
    await small.run(place, over(fs))
    straight = await lookAt(small.lab, place)
    calls = fs.calls
  })
  afterAll(() => small[Symbol.asyncDispose]())

  /** One process that must die of its kill, or end well when it has less left to do. */
  async function live(place: Place, fs: MortalFileSystem, killAt: number, where: string): Promise<number> {
    let told = 0
    try {
      await small.run(place, over(fs), epoch => {
        told = epoch
      })
    } catch (error) {
      // Whatever it says in its last moment, it died of the kill.
      if (fs.calls < killAt) throw new Error(`${where}: ${String(error)}`, { cause: error })
    }
    return told
  }

  async function glimpse(place: Place, before: Glimpse | undefined, where: string): Promise<Glimpse> {
    return expectWhole(small.lab, place, straight, before, where)
  }

  async function expectEnds(place: Place, before: Glimpse | undefined, where: string): Promise<void> {
    await small.run(place, root => createDirectoryStore(root, { fs: mortal({}) }))
    await glimpse(place, before, where)
    expectSame(await lookAt(small.lab, place), straight, where)
  }

  function isPublish(name: string, paths: readonly string[]): boolean {
    return name === 'link' && /part-\d+-flow-\d\.\w+$/.test(paths[1] ?? '')
  }

  async function staged(place: Place): Promise<number> {
    const keys = await Promise.all(place.outputs.map(output => keysOf(createDirectoryStore(output), stagedPrefix)))
    return keys.flat().length
  }

  test('has files and inline files, in state and output, so that all ways of a commit are tried', async () => {
    expect(calls).toBeGreaterThan(100)
    expect(straight.epoch).toBe(objects + 1)
    expect(straight.late.length).toBeGreaterThan(5)
    const place = small.place()
    const keys: string[] = []
    await small.run(place, root => {
      const store = createDirectoryStore(root)
      return {
        ...store,
        put(key, body, ifMatch, signal) {
          keys.push(key)
          return store.put(key, body, ifMatch, signal)
        },
      }
    })
    for (const kind of [/^segment-[^/]+\/1-1-/, /^manifests\/1-4-/, /^_millrace\/staged\/1-3-/, /^part-00000002-/]) {
      expect(
        keys.some(key => kind.test(key)),
        `${kind}: ${keys.join(', ')}`,
      ).toBe(true)
    }
  })

  test('ends with the bytes of a run that nobody killed, whatever was half done (I1, I2, I5, I6, I8, I10)', async () => {
    const { random, label } = drawn()
    const found = { unpublished: 0, staged: 0, epochs: new Set<number>() }
    for (const [i, k] of everyCall(calls, 9, random).entries()) {
      const place = small.place()
      const where = `${label}, killed at call ${k} of ${calls}`
      // One in three publishes so slowly that the next epoch is ready before.
      const slow = i % 3 === 1 ? { slow: isPublish } : {}
      await live(place, mortal({ killAt: k, counts: outsideProbe, ...slow }), k, where)
      let seen = await glimpse(place, undefined, where)
      found.epochs.add(seen.head?.manifest.epoch ?? 0)
      found.unpublished += seen.head?.manifest.unpublished.length ?? 0
      found.staged += await staged(place)
      if (i % 3 === 0) {
        // Its successor dies too.
        const second = 1 + Math.floor(random() * calls)
        const then = `${where}, then at call ${second}`
        await live(place, mortal({ killAt: second, counts: outsideProbe }), second, then)
        seen = await glimpse(place, seen, then)
      }
      await expectEnds(place, seen, where)
      if (i % 4 === 0) {
        // I8: once more changes nothing but the term.
        const summary = await small.run(place, over(mortal({})))
        expect(summary.nothingToDo, where).toBe(true)
        expectSame(await lookAt(small.lab, place), straight, where)
      }
    }
    // The kills hit commits on both sides of the commit point, and files on their way.
    expect(
      [...found.epochs].toSorted((a, b) => a - b),
      label,
    ).toEqual([0, 1, 2, 3, 4])
    expect(found.unpublished, label).toBeGreaterThan(0)
    expect(found.staged, label).toBeGreaterThan(0)
  }, 900_000)

  test('starts again after a death in the middle of the probe (P4, I10)', async () => {
    const { random, label } = drawn()
    const counted = mortal({ counts: isProbe })
    await small.run(small.place(), over(counted))
    for (const k of everyCall(counted.calls, 60, random)) {
      const place = small.place()
      const where = `${label}, killed at call ${k} of the probe`
      await live(place, mortal({ killAt: k, counts: isProbe }), k, where)
      await expectEnds(place, undefined, where)
    }
  }, 300_000)

  test('keeps all that it told to be committed when the power goes and names that were not flushed vanish (P6, P7, I1, I2, I10)', async () => {
    const { random, label } = drawn()
    for (const k of everyCall(calls, 18, random)) {
      const place = small.place()
      const where = `${label}, power lost at call ${k} of ${calls}`
      const graveyard = join(place.checkpoint, '..', 'graveyard')
      await mkdir(graveyard, { recursive: true })
      const disk = volatileFileSystem(graveyard)
      const told = await live(place, mortal({ killAt: k, counts: outsideProbe }, disk.fs), k, where)
      await disk.lose(random)
      const seen = await glimpse(place, undefined, where)
      expect(seen.head?.manifest.epoch ?? 0, where).toBeGreaterThanOrEqual(told)
      await expectEnds(place, seen, where)
    }
  }, 600_000)

  test('dies of the kill and of nothing else, as this test can see', async () => {
    await expect(small.run(small.place(), over(mortal({ killAt: 1 })))).rejects.toThrow(Killed)
  })
})
