import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FileSystem } from '../../connectors/directory/file-system.ts'
import { parseDirectoryAddress } from '../../connectors/directory/spec.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { isMillraceError } from '../../src/core/errors.ts'
import { type Components, components } from '../../src/engine/components.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { count, verify } from '../../src/index.ts'
import { withFaults } from '../../src/testing/faulty-store.ts'
import { type Lab, openLab, runs, windowed } from '../engine/harness.ts'
import { drawn } from '../golden/drawn.ts'
import { mortal } from './mortal-file-system.ts'
import { everyCall, isProbe } from './small-backfill.ts'

// A backfill that moves or deletes what it has committed is killed between any two calls from the first deed on, while a
// producer writes one of the keys anew. The next process must end the work: nothing lost, nothing overwritten, and no
// version touched that was not committed.

const days = ['2022-01-01', '2022-01-02', '2022-01-03']
const contested = `${days[1]}.jsonl`
const newer = '{"t":"2022-02-01 00:00:00","k":9}\n'

interface World {
  readonly input: string
  readonly done: string
  readonly place: { readonly checkpoint: string; readonly output: string }
}

describe('what becomes of committed objects, in a process that dies', () => {
  let lab: Lab
  let worlds = 0
  beforeAll(async () => {
    lab = await openLab()
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  async function world(): Promise<World> {
    const root = join(lab.root, `world-${++worlds}`)
    const input = join(root, 'in')
    await mkdir(input, { recursive: true })
    for (const day of days) await writeFile(join(input, `${day}.jsonl`), linesOf(day))
    return { input, done: join(root, 'done'), place: { checkpoint: join(root, 'ck'), output: join(root, 'out') } }
  }

  const linesOf = (day: string) => `{"t":"${day} 01:00:00","k":1}\n{"t":"${day} 02:00:00","k":2}\n`

  const pipelineOf = ({ input, done, place }: World, isMove: boolean) =>
    windowed({ input }, place, {
      columns: { t: 'TIMESTAMP', k: 'BIGINT' },
      format: 'json',
      delay: '1 hour',
      aggregates: { n: count() },
      after: isMove ? { moveTo: done } : 'delete',
    })

  /** One process over this file system. */
  function live(at: World, isMove: boolean, fs: FileSystem) {
    const open = (address: string, links?: 'files' | 'inside' | 'all') =>
      createDirectoryStore(parseDirectoryAddress(address, 'test'), { fs, ...(links && { links }) })
    return backfillWith(
      {
        ...components,
        openInput: async (address, _field, links) => open(address, links),
        async openWritable(address) {
          await mkdir(parseDirectoryAddress(address, 'test'), { recursive: true })
          return open(address)
        },
      },
      pipelineOf(at, isMove),
      { objectsPerEpoch: 2, threads: 1, memory: '300MB' },
    )
  }

  const visible = async (folder: string) =>
    (await readdir(folder).catch(() => [])).filter(name => !name.startsWith('.'))

  /** Counts calls from the first one that looks at the new place or moves a file aside. */
  function fromFirstDeed({ done }: World): (path: string) => boolean {
    let hasBegun = false
    return path => {
      hasBegun ||= (path.startsWith(`${done}/`) && !path.includes('probe')) || path.includes('.millrace-removed-')
      return hasBegun && !isProbe(path)
    }
  }

  test.each([
    ['moves', true],
    ['deletes', false],
  ])(
    'that %s them ends right, whenever it died and whatever was written meanwhile',
    async (_name, isMove) => {
      const { random, label } = drawn()
      const straight = await world()
      const counted = mortal({ counts: fromFirstDeed(straight) })
      await live(straight, isMove, counted)
      expect(counted.calls).toBeGreaterThan(20)
      let overwritten = 0
      for (const [i, k] of everyCall(counted.calls, 7, random).entries()) {
        const at = await world()
        const where = `${label}, killed at call ${k} of ${counted.calls}`
        // In every other trial the key is written anew at some call before that, in one step, as a careful producer does.
        const writeAt = i % 2 === 0 ? 1 + Math.floor(random() * k) : undefined
        const draft = join(at.input, '..', 'draft')
        await writeFile(draft, newer)
        const onCall = mortal({ killAt: k, counts: fromFirstDeed(at) })
        let isWritten = false
        const racing: FileSystem = Object.fromEntries(
          Object.entries(onCall).map(([name, call]) => [
            name,
            async (...args: unknown[]) => {
              if (writeAt !== undefined && onCall.calls >= writeAt - 1 && !isWritten && onCall.calls > 0) {
                isWritten = true
                await rename(draft, join(at.input, contested))
              }
              return (call as (...args: unknown[]) => unknown)(...args)
            },
          ]),
        ) as unknown as FileSystem
        await live(at, isMove, racing).catch((error: unknown) => {
          if (onCall.calls < k) throw new Error(`${where}: ${String(error)}`, { cause: error })
        })
        await live(at, isMove, mortal({}))

        const left = await visible(at.input)
        if (isWritten) {
          overwritten++
          expect(left, where).toEqual([contested])
          expect(await readFile(join(at.input, contested), 'utf8'), where).toBe(newer)
        } else expect(left, where).toEqual([])
        const moved = await visible(at.done)
        for (const name of moved) {
          expect(name, where).toMatch(/^\d{4}-\d\d-\d\d\.jsonl$/)
          expect(await readFile(join(at.done, name), 'utf8'), where).toBe(linesOf(name.slice(0, 10)))
        }
        const others = days.map(day => `${day}.jsonl`).filter(name => name !== contested || !isWritten)
        expect(moved.filter(name => name !== contested || !isWritten).toSorted(), where).toEqual(isMove ? others : [])
        if (isMove && !isWritten && i % 3 === 1)
          expect(await verify(pipelineOf(at, true), { threads: 1, memory: '300MB' }), where).toMatchObject({
            gone: [],
            changed: [],
            differences: [],
          })
      }
      expect(overwritten, label).toBeGreaterThan(0)
    },
    600_000,
  )

  test.each([
    ['moves', true],
    ['deletes', false],
  ])(
    'that %s them comes to the right end once requests no longer fail, applied or not (I10)',
    async (_name, isMove) => {
      let failed = 0
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 31 - 1 }), async seed => {
          const at = await world()
          const rates = { error: 0.05, 'unknown-before': 0.1, 'unknown-after': 0.2 }
          const open = (address: string, links?: 'files' | 'inside' | 'all') =>
            createDirectoryStore(parseDirectoryAddress(address, 'test'), { ...(links && { links }) })
          const faulty: Components = {
            ...components,
            openInput: async (address, _field, links) => withFaults(open(address, links), { seed, rates }),
            async openWritable(address, field) {
              const store = await components.openWritable(address, field)
              return address === at.done ? withFaults(store, { seed: seed ^ 1, rates }) : store
            },
          }
          const onEvent = (event: RunEvent) => void (failed += event.is === 'afterwards' ? event.failed : 0)
          const options = { objectsPerEpoch: 2, threads: 1, memory: '300MB', onEvent }
          await backfillWith(faulty, pipelineOf(at, isMove), options).catch((error: unknown) => {
            // A listing or a read that failed: the next start goes on.
            if (!isMillraceError(error) || error.kind !== 'retry') throw error
          })
          await live(at, isMove, mortal({}))
          expect(await visible(at.input)).toEqual([])
          const moved = await visible(at.done)
          expect(moved.toSorted()).toEqual(isMove ? days.map(day => `${day}.jsonl`) : [])
          for (const name of moved) expect(await readFile(join(at.done, name), 'utf8')).toBe(linesOf(name.slice(0, 10)))
        }),
        runs(6),
      )
      expect(failed).toBeGreaterThan(0)
    },
    300_000,
  )
})
