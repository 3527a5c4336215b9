import { mkdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { isMillraceError, MillraceError } from '../../src/core/errors.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { retryWith } from '../../src/engine/retry.ts'
import { inspect } from '../../src/index.ts'
import { type Lab, openLab, windowed } from '../engine/harness.ts'
import { drawn } from '../golden/drawn.ts'
import { expectSame, lookAt, type Place, type Seen } from '../golden/seen.ts'
import { Killed, type MortalFileSystem, mortal } from './mortal-file-system.ts'
import { everyCall, isProbe, over } from './small-backfill.ts'

// Objects that a first run could not read are put back by `retry`, and read by a further run, while either process is killed
// between any two calls that touch the checkpoint or the output.

const denied = ['b.jsonl', 'c.jsonl', 'e.jsonl']
const keys = ['a.jsonl', ...denied, 'd.jsonl', 'f.jsonl'].toSorted()

describe('a retry, and the run after it, whose processes die at any call', () => {
  let lab: Lab
  let places = 0
  beforeAll(async () => {
    lab = await openLab()
    for (const [hour, key] of keys.entries()) {
      const lines = Array.from({ length: 3 }, (_, n) => `{"t":"2024-05-01T0${hour}:${10 * n + 15}:00Z","k":"${n}"}`)
      const file = await lab.lines(key, lines)
      await utimes(file, 1_000_000, 1_000_000)
    }
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  function place(): Place {
    const folder = join(lab.root, `place-${++places}`)
    return { checkpoint: join(folder, 'checkpoint'), outputs: [join(folder, 'output')] }
  }

  const partsOver = (open: (root: string) => ObjectStore, refused: readonly string[] = []): Components => ({
    ...components,
    async openInput(root) {
      const store = createDirectoryStore(root)
      return {
        ...store,
        async link(version, file) {
          if (refused.includes(version.key)) throw new MillraceError('user', 'object-archived', 'It is archived.')
          return (await store.link?.(version, file)) ?? 'unsupported'
        },
      }
    },
    openWritable: async root => {
      await mkdir(root, { recursive: true })
      return open(root)
    },
  })

  async function backfill(at: Place, open: (root: string) => ObjectStore, refused: readonly string[] = []) {
    const flow = windowed(
      lab,
      { checkpoint: at.checkpoint, output: at.outputs[0] as string },
      {
        columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' },
        format: 'json',
        output: 'json',
        delay: '90 minutes',
        keys: ['k'],
      },
    )
    return backfillWith(partsOver(open, refused), flow, {
      objectsPerEpoch: 1,
      threads: 1,
      memory: '300MB',
      flush: false,
    })
  }

  const retry = (at: Place, open: (root: string) => ObjectStore) => retryWith(partsOver(open), at.checkpoint, {})

  const counts = (path: string) => !isProbe(path)
  const clean = over(mortal({}))

  /** Both processes, over one file system: the second one may die as well as the first. */
  async function live(at: Place, fs: MortalFileSystem, killAt: number, where: string): Promise<void> {
    try {
      await retry(at, over(fs))
      await backfill(at, over(fs))
    } catch (error) {
      if (fs.calls < killAt) throw new Error(`${where}: ${String(error)}`, { cause: error })
    }
  }

  async function prepared(): Promise<Place> {
    const at = place()
    await backfill(at, clean, denied)
    return at
  }

  /** An undisturbed life: its calls, and those of them that are commits. */
  async function straightRun(): Promise<{ straight: Seen; calls: number; commits: readonly number[] }> {
    const at = await prepared()
    const commits: number[] = []
    const fs = mortal({
      counts,
      onCall: (nth, name, [path = '']) => void (name === 'rename' && path.includes('HEAD@') && commits.push(nth)),
    })
    await live(at, fs, Infinity, 'straight')
    return { straight: await lookAt(lab, at), calls: fs.calls, commits }
  }

  test('reads each of them once, in the same places, whoever died when (I2, I5, I8, I10)', async () => {
    const { random, label } = drawn()
    const { straight, calls, commits } = await straightRun()
    const objects = straight.ledger.map(({ key, outcome }) => `${key} ${outcome}`)
    expect(objects).toEqual([
      ...keys.map(key => `${key} ${denied.includes(key) ? 'quarantined' : 'read'}`),
      ...denied.map(key => `${key} read`),
    ])
    expect(straight.late.length).toBeGreaterThan(0)
    expect(calls).toBeGreaterThan(60)
    const left = new Set<number>()
    // Before and after every commit, and here and there between them.
    const kills = new Set([...commits.flatMap(nth => [nth, nth + 1]), ...everyCall(calls, 30, random)])
    for (const k of kills) {
      const at = await prepared()
      const where = `${label}, killed at call ${k} of ${calls}`
      await live(at, mortal({ killAt: k, counts }), k, where)
      left.add((await inspect(at.checkpoint)).retried)
      // Nobody knows whether it was written, so it is asked for again.
      await retry(at, clean)
      await backfill(at, clean)
      expectSame(await lookAt(lab, at), straight, where)
      expect((await retry(at, clean)).count, where).toBe(0)
    }
    // Kills met the request before it was written, while it waited, half-way through it and after it.
    expect(
      [...left].toSorted((a, b) => a - b),
      label,
    ).toEqual([0, 1, 2, 3])
  }, 600_000)

  test('a retry that sleeps while a run does its work is fenced when it wakes, and leaves no request behind (I3)', async () => {
    const { random, label } = drawn()
    const counted = mortal({ counts })
    await retry(await prepared(), over(counted))
    const ends = { fenced: 0, done: 0 }
    for (const nth of everyCall(counted.calls, 6, random)) {
      const at = await prepared()
      let [fallAsleep, wakeUp] = [() => {}, () => {}]
      const asleep = new Promise<void>(resolve => (fallAsleep = resolve))
      const awake = new Promise<void>(resolve => (wakeUp = resolve))
      const fs = mortal({ counts, stall: { at: nth, until: awake, onStall: fallAsleep } })
      const ended = retry(at, over(fs)).then(
        () => 'done' as const,
        (error: unknown) => {
          if (isMillraceError(error) && error.kind === 'fenced') return 'fenced' as const
          throw error
        },
      )
      await Promise.race([asleep, ended])
      await backfill(at, clean)
      wakeUp()
      ends[await ended]++
      // What it wrote before is read by then, or by the next run: each once.
      await backfill(at, clean)
      const { ledger, totals } = await lookAt(lab, at)
      const read = ledger.filter(({ outcome }) => outcome === 'read')
      expect(totals, `${label}, asleep at call ${nth}`).toMatchObject({ objects: keys.length, rows: 3 * read.length })
      await retry(at, clean)
      await backfill(at, clean)
      expect((await lookAt(lab, at)).totals).toMatchObject({
        objects: keys.length,
        rows: 3 * keys.length,
        quarantined: 0,
      })
    }
    expect(ends.fenced, label).toBeGreaterThan(0)
    expect(ends.done, label).toBeGreaterThan(0)
  }, 600_000)

  test('dies of the kill and of nothing else, as this test can see', async () => {
    await expect(retry(await prepared(), over(mortal({ killAt: 1, counts })))).rejects.toThrow(Killed)
  })
})
