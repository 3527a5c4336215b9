import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { createMemoryStore, type FaultyStore, withFaults } from '../../src/testing/index.ts'
import { keysOf, openCheckpoint } from '../checkpoints/fixtures.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { expectSame, lookAt, type Place, type Seen } from '../golden/seen.ts'
import { isProbe, openSmallBackfill, type SmallBackfill } from './small-backfill.ts'

/** Seeds of each kind; MILLRACE_FAULTS=1000 searches longer. */
const seeds = wholeFromEnvironment('MILLRACE_FAULTS', 2)

// The pauses between attempts are real here, so the rates are such that every run meets some faults and few meet many.
const rates = {
  'unknown-before': 0.05,
  'unknown-after': 0.05,
  'unknown-late': 0.02,
  'conflict-after': 0.05,
  error: 0.03,
}

describe('a backfill over stores that lose answers, answer twice and fail for a while', () => {
  let small: SmallBackfill
  let straight: Seen
  beforeAll(async () => {
    small = await openSmallBackfill()
    const place = small.place()
    await small.run(place, root => createDirectoryStore(root))
    straight = await lookAt(small.lab, place)
  })
  afterAll(() => small[Symbol.asyncDispose]())

  test('gives the bytes of a run without faults, over directories (P6, P8, I5, I6, I10)', async () => {
    const { seed, label } = drawn()
    for (let i = 0; i < seeds; i++) {
      const place = small.place()
      await small.run(
        place,
        faulty(root => createDirectoryStore(root), seed + i),
      )
      await expectSettled(place, `${label} + ${i}`)
    }
  }, 600_000)

  test('gives the same over stores in memory, whose eTags tell equal bytes apart from nothing (P6, P8, I5, I6, I10)', async () => {
    const { seed, label } = drawn()
    for (let i = 0; i < seeds; i++) {
      const place = small.place()
      const stores = new Map<string, ObjectStore>()
      const memory = (root: string): ObjectStore => {
        const store = stores.get(root) ?? createMemoryStore(`memory:${root}`)
        stores.set(root, store)
        return store
      }
      await runTold(place, faulty(memory, seed + i), `${label} + ${i}`, memory)
      // The look at it reads directories.
      for (const [root, store] of stores) await copyAll(store, createDirectoryStore(root))
      await expectSettled(place, `${label} + ${i}`)
    }
  }, 600_000)

  test('settles every write of HEAD, whatever became of it: lost, applied, late, or refused by its own success (P6)', async () => {
    const faults = ['unknown-before', 'unknown-after', 'unknown-late', 'conflict-after'] as const
    for (const fault of faults) {
      for (let nth = 1; ; nth++) {
        const place = small.place()
        let writes = 0
        const open = (root: string): ObjectStore => {
          const store = createDirectoryStore(root)
          const bad = withFaults(store, { seed: nth, rates: {} })
          bad.faultAt(nth, fault)
          return {
            ...store,
            put(key, body, ifMatch) {
              if (root !== place.checkpoint || key !== 'HEAD') return store.put(key, body, ifMatch)
              writes++
              return bad.put(key, body, ifMatch)
            },
          }
        }
        await runTold(place, open, `${fault} at write ${nth} of HEAD`)
        await expectSettled(place, `${fault} at write ${nth} of HEAD`)
        if (writes < nth) break
      }
    }
  }, 300_000)

  /** Runs over faults; what it tells to be committed must be in HEAD, whatever the answers to its writes were. */
  async function runTold(
    place: Place,
    open: (root: string) => ObjectStore,
    where: string,
    look: (root: string) => ObjectStore = root => createDirectoryStore(root),
  ): Promise<void> {
    const observer = openCheckpoint(look(place.checkpoint), small.lab.root, 'observer')
    const checks: Promise<void>[] = []
    const epochs: number[] = []
    await small.run(place, open, epoch => {
      epochs.push(epoch)
      const head = observer.readHead()
      checks.push(head.then(found => expect(found?.manifest.epoch, `${where}, epoch ${epoch}`).toBe(epoch)))
    })
    await Promise.all(checks)
    expect(epochs, where).toEqual([1, 2, 3, 4])
    expect(await observer.readHead(), where).toMatchObject({
      released: true,
      manifest: { epoch: 4, unpublished: [] },
    })
  }

  async function expectSettled(place: Place, where: string): Promise<void> {
    // A write given up on may have arrived after its file was collected: the next claim removes it (P12).
    await small.run(place, root => createDirectoryStore(root))
    expectSame(await lookAt(small.lab, place), straight, where)
  }
})

/** Faults in everything but the probe, which gives up after three doubtful answers by design (P4). */
function faulty(open: (root: string) => ObjectStore, seed: number): (root: string) => ObjectStore {
  let opened = 0
  return root => {
    const store = open(root)
    const bad: FaultyStore = withFaults(store, { seed: seed * 10 + opened++, rates })
    const by = (key: string): ObjectStore => (isProbe(key) ? store : bad)
    return {
      address: store.address,
      get: (key, options) => by(key).get(key, options),
      put: (key, body, ifMatch, signal) => by(key).put(key, body, ifMatch, signal),
      copy: (from, to, signal) => by(from).copy(from, to, signal),
      list: (prefix, after) => bad.list(prefix, after),
      delete: keys => by(keys[0] ?? '').delete(keys),
    }
  }
}

async function copyAll(from: ObjectStore, to: ObjectStore): Promise<void> {
  for (const key of await keysOf(from)) {
    const found = await from.get(key)
    if (typeof found === 'string') throw new Error(`${key} is ${found}`)
    await to.put(key, found.body, 'absent')
  }
}
