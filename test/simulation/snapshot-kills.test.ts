import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stagedPrefix } from '../../checkpoints/paths.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { errorMessage, isMillraceError } from '../../src/core/errors.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { aggregate, count, files, groupBy, json, pipeline, source, sum, to, tumbling, where } from '../../src/index.ts'
import { keysOf } from '../checkpoints/fixtures.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { drawn } from '../golden/drawn.ts'
import { Killed, mortal, type MortalFileSystem, type Mortality } from './mortal-file-system.ts'
import { everyCall, isProbe, over } from './small-backfill.ts'

const objects = 7
const hour = 3_600_000
const zero = Date.parse('2024-05-01T00:00:00Z')
const textOf = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')

interface InputRow {
  readonly t: number
  readonly k: string
  readonly n: number
}

/** All rows are of the same day, so that results go on to change. One object has groups that make files too large for HEAD. */
const rowsOf = (object: number): readonly InputRow[] =>
  Array.from({ length: object === 3 ? 600 : 12 }, (_, row) => ({
    t: zero + object * hour + row * 1_000,
    k: createHash('md5')
      .update(object === 3 ? `many-${row % 500}` : `few-${(object + row) % 5}`)
      .digest('hex'),
    n: ((object * 5 + row * 3) % 9) - 4,
  }))

/** The results after so many objects, by plain arrays. */
function resultsAfter(count: number): readonly string[] {
  const groups = new Map<string, { rows: number; n: number }>()
  for (const { k, n } of Array.from({ length: count }, (_, object) => rowsOf(object)).flat()) {
    const group = groups.get(k) ?? { rows: 0, n: 0 }
    groups.set(k, { rows: group.rows + 1, n: group.n + n })
  }
  return [...groups]
    .filter(([, { n }]) => n % 2 === 0)
    .map(([k, { rows, n }]) =>
      JSON.stringify({ window_start: textOf(zero), window_end: textOf(zero + 24 * hour), k, rows, n }),
    )
    .toSorted()
}

/**
 * All results in one file, every two epochs. Whoever looks at any moment sees none, or whole ones that say what the results
 * were after their epoch; a newer one than before, and never none again.
 */
describe('a backfill that writes snapshots of results that change', () => {
  let lab: Lab
  let places = 0
  let calls: number
  /** What an undisturbed run leaves: names of snapshots and changes, and hashes of their bytes. */
  let straight: Readonly<Record<string, string>>
  /** The calls of it that make a snapshot visible. */
  let publishing: readonly number[]
  beforeAll(async () => {
    lab = await openLab()
    for (let object = 0; object < objects; object++)
      await lab.lines(
        `object-${object}.jsonl`,
        rowsOf(object).map(({ t, ...row }) => JSON.stringify({ t: textOf(t), ...row })),
      )
    const watched = watch(at())
    const fs = watched.fs({})
    await live(watched.folder, fs)
    watched.look('straight')
    calls = fs.calls
    straight = visible(watched.folder)
    publishing = watched.publishing
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  const counts = (path: string) => !isProbe(path)
  const at = () => join(lab.root, `place-${++places}`)

  async function live(folder: string, fs: MortalFileSystem): Promise<void> {
    const flows = pipeline(
      'snapshots',
      { checkpoint: join(folder, 'checkpoint') },
      source('in', {
        objects: lab.input,
        format: json(),
        columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', n: 'BIGINT' },
        time: 't',
        watermark: { delay: '0s' },
      }).pipe(
        tumbling('1 day'),
        groupBy('k'),
        aggregate({ rows: count(), n: sum('n') }),
        where('n % 2 = 0'),
        to(files(join(folder, 'out'), { format: 'json', snapshot: { every: 2 } }), { emit: 'update' }),
      ),
    )
    const parts: Components = {
      ...components,
      async openWritable(root) {
        mkdirSync(root, { recursive: true })
        return over(fs)(root)
      },
    }
    await backfillWith(parts, flows, { objectsPerEpoch: 1, threads: 1, memory: '300MB', flush: false })
  }

  function namesIn(folder: string): readonly string[] {
    // Not all folders at once: one that others just remove would hide the rest.
    return ['', 'snapshot/'].flatMap(below => {
      try {
        return readdirSync(join(folder, 'out', below))
          .filter(name => name.startsWith('part-'))
          .map(name => `${below}${name}`)
          .toSorted()
      } catch (error) {
        // Its process died before it came to its output.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
        throw error
      }
    })
  }

  function visible(folder: string): Readonly<Record<string, string>> {
    const hash = (name: string) =>
      createHash('sha256')
        .update(readFileSync(join(folder, 'out', name)))
        .digest('hex')
    return Object.fromEntries(namesIn(folder).map(name => [name, hash(name)]))
  }

  /** Looks at a place before every call that any process makes to the disk. */
  function watch(folder: string) {
    let newest = 0
    const seen = new Set<number>()
    const publishing: number[] = []
    /** A process that dies anyhow would take it for its death. */
    let problem: { readonly error: unknown } | undefined
    const expectRight = (where: string) => {
      const epochs: number[] = []
      for (const name of namesIn(folder).filter(name => name.startsWith('snapshot/'))) {
        const epoch = Number(/part-(\d+)-/.exec(name)?.[1])
        epochs.push(epoch)
        if (!seen.has(epoch)) {
          const lines = readFileSync(join(folder, 'out', name), 'utf8')
            .trimEnd()
            .split('\n')
          expect(lines.toSorted(), `${where}: ${name}`).toEqual(resultsAfter(epoch))
          seen.add(epoch)
        }
      }
      expect(Math.max(0, ...epochs), where).toBeGreaterThanOrEqual(newest)
      newest = Math.max(0, ...epochs)
    }
    const look = (where: string) => {
      try {
        expectRight(where)
      } catch (error) {
        problem ??= { error }
      }
      if (problem) throw problem.error
    }
    return {
      folder,
      look,
      seen,
      publishing,
      fs(mortality: Mortality, where = ''): MortalFileSystem {
        return mortal({
          counts,
          ...mortality,
          onCall(nth, name, paths) {
            if (name === 'link' && paths[1]?.includes('/snapshot/')) publishing.push(nth)
            // Only these can have made something visible before.
            if (name !== 'stat' && name !== 'readRange') look(`${where} at call ${nth}, ${name}`)
          },
        })
      },
    }
  }

  async function expectTidy(folder: string, where: string): Promise<void> {
    const { manifest, released } = await lab.head({ checkpoint: join(folder, 'checkpoint'), output: '' })
    expect({ released, unpublished: manifest.unpublished, garbage: manifest.garbage }, where).toMatchObject({
      released: true,
      unpublished: [],
    })
    expect(await keysOf(createDirectoryStore(join(folder, 'out')), stagedPrefix), where).toEqual([])
    expect(visible(folder), where).toEqual(straight)
  }

  test('leaves the last two, and one that is a file and others that ride in HEAD', () => {
    expect(calls).toBeGreaterThan(100)
    const snapshots = Object.keys(straight).filter(name => name.startsWith('snapshot/'))
    expect(snapshots).toEqual(['snapshot/part-00000004-flow-1.jsonl', 'snapshot/part-00000006-flow-1.jsonl'])
    expect(resultsAfter(2).join('\n').length).toBeLessThan(16_384)
    expect(resultsAfter(4).join('\n').length).toBeGreaterThan(16_384)
  })

  test('and dies at any call to the disk shows whole ones at any moment, and ends alike (P8, I2, I6, I7, I8, I10)', async () => {
    const { random, label } = drawn()
    const seen = new Set<number>()
    for (const killAt of everyCall(calls, 35, random)) {
      const where = `${label}, killed at call ${killAt} of ${calls}`
      const watched = watch(at())
      const fs = watched.fs({ killAt }, where)
      await live(watched.folder, fs).catch((error: unknown) => {
        if (fs.calls < killAt) throw new Error(where, { cause: error })
      })
      watched.look(where)
      await live(watched.folder, watched.fs({}, `${where}, afterwards`))
      watched.look(where)
      await expectTidy(watched.folder, where)
      for (const epoch of watched.seen) seen.add(epoch)
    }
    expect(seen, label).toEqual(new Set([2, 4, 6]))
  }, 900_000)

  test('and sleeps at any call while another one does its work changes nothing afterwards (P6, P8, I3)', async () => {
    const { random, label } = drawn()
    expect(publishing.length).toBeGreaterThan(2)
    // Who sleeps when it is to publish one makes it visible again when others have removed it: the next claim removes it.
    for (const nth of [...publishing, ...everyCall(calls, 107, random)]) {
      const where = `${label}, asleep at call ${nth} of ${calls}`
      const watched = watch(at())
      let [fallAsleep, wakeUp] = [() => {}, () => {}]
      const asleep = new Promise<void>(resolve => (fallAsleep = resolve))
      const until = new Promise<void>(resolve => (wakeUp = resolve))
      const older = live(watched.folder, watched.fs({ stall: { at: nth, until, onStall: fallAsleep } }, where)).catch(
        (error: unknown) => {
          if (!isMillraceError(error) || error.kind !== 'fenced')
            throw new Error(`${where}: ${errorMessage(error)}`, { cause: error })
        },
      )
      await Promise.race([asleep, older])
      await live(watched.folder, watched.fs({}, `${where}, the other one`))
      wakeUp()
      await older
      await live(watched.folder, watched.fs({}, `${where}, afterwards`))
      watched.look(where)
      await expectTidy(watched.folder, where)
    }
  }, 900_000)

  test('dies of the kill and of nothing else, as this test can see', async () => {
    await expect(live(at(), mortal({ killAt: 1 }))).rejects.toThrow(Killed)
  })
})
