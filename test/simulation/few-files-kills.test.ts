import { readdirSync, readFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { stagedPrefix } from '../../checkpoints/paths.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { errorMessage, isMillraceError } from '../../src/core/errors.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { files, json, pipeline, source, to } from '../../src/index.ts'
import { keysOf } from '../checkpoints/fixtures.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { drawn } from '../golden/drawn.ts'
import { mortal, type MortalFileSystem, type Mortality } from './mortal-file-system.ts'
import { everyCall, isProbe, over } from './small-backfill.ts'

const objects = 14
/** One object of three has more rows than ride in HEAD as text. */
const sizes = Array.from({ length: objects }, (_, nth) => (nth % 3 === 2 ? 110 : 12))
const total = sizes.reduce((sum, size) => sum + size, 0)

/**
 * Rows of many epochs are held and written together: as files of some kilobytes, and in folders, of which each epoch has
 * several. Whoever looks into both outputs at any moment sees a beginning of the rows, each once, and no row goes again.
 */
describe('a backfill that holds rows until they are worth a file', () => {
  let lab: Lab
  let places = 0
  let calls: number
  /** Files that the first flow has. */
  let small: number
  beforeAll(async () => {
    lab = await openLab()
    let n = 0
    for (const [nth, size] of sizes.entries())
      await lab.lines(
        `object-${String(nth).padStart(2, '0')}.jsonl`,
        Array.from({ length: size }, () =>
          JSON.stringify({ t: '2024-05-01 00:00:00', zone: ['a', 'b'][n % 2], n: n++ }),
        ),
      )
    const watched = watch(at())
    await live(watched.folder, watched.fs({}))
    watched.expectAll('straight')
    calls = watched.calls()
    small = readdirSync(join(watched.folder, 'files')).filter(name => name.startsWith('part-')).length
  })
  afterAll(() => lab[Symbol.asyncDispose]())

  const counts = (path: string) => !isProbe(path)
  const at = () => join(lab.root, `place-${++places}`)

  async function live(folder: string, fs: MortalFileSystem): Promise<void> {
    const head = source('in', {
      objects: lab.input,
      format: json(),
      columns: { t: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', n: 'BIGINT' },
      time: 't',
      watermark: { delay: '0s' },
    })
    const both = pipeline(
      'both',
      { checkpoint: join(folder, 'checkpoint') },
      head.pipe(to(files(join(folder, 'files'), { format: 'json', targetSize: '8kB' }))),
      head.pipe(to(files(join(folder, 'folders'), { format: 'json', targetSize: '1MB', partitionBy: ['zone'] }))),
    )
    const parts: Components = {
      ...components,
      async openWritable(root) {
        await mkdir(root, { recursive: true })
        return over(fs)(root)
      },
    }
    await backfillWith(parts, both, { objectsPerEpoch: 1, threads: 1, memory: '300MB' })
  }

  /** What is visible below an output, file after file. */
  function visible(folder: string): readonly number[] {
    let names: readonly string[]
    try {
      names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
    } catch {
      return []
    }
    return names
      .filter(name => /^(?!_millrace\/)(.*\/)?part-[^/]*$/.test(name))
      .toSorted((a, b) => (a.replace(/.*\//, '') < b.replace(/.*\//, '') ? -1 : 1))
      .flatMap(name => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n'))
      .map(line => (JSON.parse(line) as { n: number }).n)
  }

  /** Looks at a place before every call that any process makes to the disk. */
  function watch(folder: string) {
    let made = 0
    const seen = { files: 0, folders: 0 }
    /** A process that dies anyhow would take it for its death. */
    let problem: { readonly error: unknown } | undefined
    const look = (where: string) => {
      try {
        expectBeginning(where)
      } catch (error) {
        problem ??= { error }
      }
      if (problem) throw problem.error
    }
    const expectBeginning = (where: string) => {
      const rows = visible(join(folder, 'files'))
      expect(rows, where).toEqual(Array.from({ length: rows.length }, (_, n) => n))
      expect(rows.length, where).toBeGreaterThanOrEqual(seen.files)
      seen.files = rows.length
      // Its files become visible one after the other; each has its rows once.
      const inFolders = visible(join(folder, 'folders'))
      expect(new Set(inFolders).size, where).toBe(inFolders.length)
      expect(inFolders.length, where).toBeGreaterThanOrEqual(seen.folders)
      seen.folders = inFolders.length
    }
    return {
      folder,
      calls: () => made,
      fs(mortality: Mortality, where = ''): MortalFileSystem {
        return mortal({
          counts,
          ...mortality,
          onCall(nth, name) {
            made++
            // Only these can have made something visible before.
            if (name !== 'stat' && name !== 'readRange') look(`${where} at call ${nth}, ${name}`)
          },
        })
      },
      look,
      expectAll(where: string) {
        look(where)
        expect(seen, where).toEqual({ files: total, folders: total })
      },
    }
  }

  async function expectTidy(folder: string, where: string): Promise<void> {
    const { manifest, released } = await lab.head({ checkpoint: join(folder, 'checkpoint'), output: '' })
    const held = Object.entries(manifest.channels).filter(
      ([name, parts]) => name.startsWith('held-') && parts.length > 0,
    )
    expect({ released, unpublished: manifest.unpublished, held }, where).toEqual({
      released: true,
      unpublished: [],
      held: [],
    })
    for (const output of ['files', 'folders'])
      expect(await keysOf(createDirectoryStore(join(folder, output)), stagedPrefix), where).toEqual([])
  }

  test('and dies at any call to the disk shows every row once, at any moment (P8, I2, I5, I6, I8, I10)', async () => {
    // They are of several epochs each, and more than one.
    expect(small).toBeGreaterThan(2)
    expect(small).toBeLessThan(objects / 2)
    const { random, label } = drawn()
    for (const killAt of everyCall(calls, 39, random)) {
      const where = `${label}, killed at call ${killAt} of ${calls}`
      const watched = watch(at())
      const fs = watched.fs({ killAt }, where)
      await live(watched.folder, fs).catch((error: unknown) => {
        if (fs.calls < killAt) throw new Error(where, { cause: error })
      })
      watched.look(where)
      await live(watched.folder, watched.fs({}, `${where}, afterwards`))
      watched.expectAll(where)
      await expectTidy(watched.folder, where)
    }
  }, 900_000)

  test('and sleeps at any call while another one does its work changes nothing afterwards (P6, P8, I3, I5)', async () => {
    const { random, label } = drawn()
    for (const nth of everyCall(calls, 123, random)) {
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
      watched.expectAll(where)
      wakeUp()
      await older
      await live(watched.folder, watched.fs({}, `${where}, afterwards`))
      watched.expectAll(where)
      await expectTidy(watched.folder, where)
    }
  }, 900_000)
})
