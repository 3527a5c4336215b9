import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeManifest } from '../../checkpoints/codec.ts'
import { decideInlineWaiting, inlineFileBytesMax } from '../../checkpoints/decide.ts'
import { dropParts, dropPublished, garbageKey } from '../../checkpoints/manifest.ts'
import { headKey, outputPrefix } from '../../checkpoints/paths.ts'
import type { Head, Manifest } from '../../checkpoints/types.ts'
import { type FileSystem, nodeFileSystem } from '../../connectors/directory/file-system.ts'
import { createOutbox, type Outbox } from '../../connectors/files/outbox.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { seededRandom } from '../../src/testing/index.ts'
import {
  committed,
  counter,
  initial,
  keysOf,
  noSleep,
  openCheckpoint,
  readRows,
  rowsOf,
  waitsThere,
  withRows,
  writeRows,
} from '../checkpoints/fixtures.ts'

// A small pipeline runs over directories while the process is killed at every call that touches the disk; then another
// process takes over, is killed too, and a third one ends the work. What it writes must not depend on any of that.

const BIG = inlineFileBytesMax + 1000
const EPOCHS = 4
/** Clean stops on the way, so that retained manifests and their collection take part. */
const STOPS = [2, EPOCHS]
/** Rows of each epoch: some ride inline in HEAD, some are files, for state and output alike. */
const stateRows = (epoch: number): string[] => rowsOf(`state ${epoch}`, epoch % 2 === 1 ? BIG : 100)
const outputRows = (epoch: number): string[] => rowsOf(`output ${epoch}`, epoch >= 2 ? BIG : 100)

let base: string
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'millrace-kills-'))
})
afterAll(() => rm(base, { recursive: true }))

class Killed extends Error {}

interface Mortal {
  readonly fs: FileSystem
  readonly calls: () => number
}

/** A file system that works until the given call; that call and all later ones fail. A killed write leaves half a file. */
function mortal(killAt: number): Mortal {
  let calls = 0
  const fs: FileSystem = {
    ...nodeFileSystem,
    // Flushing matters to power failures, which are not simulated here; it is counted all the same.
    syncFolder: async () => {},
    async write(path, body) {
      if (body instanceof Uint8Array) await writeFile(path, body, { flag: 'wx' })
      else await copyFile(body.file, path)
      return nodeFileSystem.stat(path)
    },
  }
  const counted = Object.fromEntries(
    Object.entries(fs).map(([name, call]) => [
      name,
      async (...args: unknown[]) => {
        calls++
        if (calls === killAt && name === 'write' && args[1] instanceof Uint8Array) {
          await writeFile(String(args[0]), args[1].subarray(0, args[1].length >> 1))
        }
        if (calls >= killAt) throw new Killed(`killed at call ${killAt}`)
        return (call as (...args: unknown[]) => unknown)(...args)
      },
    ]),
  ) as unknown as FileSystem
  return { fs: counted, calls: () => calls }
}

interface Site {
  readonly folder: string
  readonly checkpointRoot: string
  readonly outputRoot: string
}

async function newSite(name: string): Promise<Site> {
  const folder = join(base, name)
  await mkdir(folder)
  return { folder, checkpointRoot: join(folder, 'checkpoint'), outputRoot: join(folder, 'output') }
}

/** One process, from its claim to the end of the work. Calls `told` when it would acknowledge an epoch. */
async function work(site: Site, fs: FileSystem, id: string, told: (epoch: number) => void): Promise<void> {
  const store = createDirectoryStore(site.checkpointRoot, { fs, newId: counter(`${id}c`) })
  const output = createDirectoryStore(site.outputRoot, { fs, newId: counter(`${id}o`) })
  for (let life = 0; ; life++) {
    const checkpoint = openCheckpoint(store, site.folder, `${id}-${life}`)
    const head = await checkpoint.claim(initial)
    let { manifest } = head
    const newId = counter(`${id}-${life}-out`)
    const outbox = createOutbox({
      store: output,
      checkpointId: manifest.checkpointId,
      pipeline: 'kills',
      newId,
      sleep: noSleep,
    })
    await outbox.own(manifest.epoch === 0)
    await checkpoint.orphans()
    const reachable = await checkpoint.reachable()
    await outbox.orphans(head.term, name => reachable.has(garbageKey({ store: 'out', name })))
    manifest = await publishAll(outbox, manifest)
    const isDone = manifest.epoch >= EPOCHS && head.manifest.unpublished.length === 0
    while (!isDone && manifest.epoch < EPOCHS) {
      const epoch = manifest.epoch + 1
      let next = await withRows(checkpoint, manifest, 'segment-n', stateRows(epoch), site.folder)
      next = dropParts(next, 'segment-n', part => Number(part.aliveToUs) <= epoch - 2)
      const rows = outputRows(epoch)
      const file = await writeRows(site.folder, rows)
      const to = `part-${epoch}-${newId()}`
      const inlineBytesMax = decideInlineWaiting(next.unpublished, 'sink')
      const staged = await outbox.stage({ term: head.term, epoch, file, rows: rows.length, to, inlineBytesMax })
      next = { ...next, unpublished: [...next.unpublished, { ...waitsThere('out', epoch, staged), receipt: to }] }
      manifest = committed(await checkpoint.commit(next)).manifest
      told(epoch)
      manifest = await publishAll(outbox, manifest)
      manifest = await checkpoint.collect(manifest, { out: output })
      if (STOPS.includes(epoch)) break
    }
    await checkpoint.beat()
    manifest = committed(await checkpoint.release(manifest)).manifest
    if (manifest.epoch >= EPOCHS) return
  }
}

async function publishAll(outbox: Outbox, manifest: Manifest): Promise<Manifest> {
  for (const { files, receipt } of manifest.unpublished)
    for (const file of files) await outbox.publish(file, receipt as string)
  return dropPublished(manifest, manifest.unpublished)
}

interface Seen {
  readonly head: Head | undefined
  readonly visible: ReadonlyMap<string, readonly string[]>
}

/** What anybody can see from outside, checked against the invariants that hold at every moment. */
async function observe(site: Site, before: Seen | undefined, where: string): Promise<Seen> {
  const store = createDirectoryStore(site.checkpointRoot)
  const output = createDirectoryStore(site.outputRoot)
  const head = await openCheckpoint(store, site.folder, 'observer').readHead()
  if (head) {
    // I2: all that HEAD and the copies reach exists and hashes.
    await assertReaches(site, store, output, head.manifest)
    for (const { name } of head.manifest.retained) {
      const copy = await store.get(name)
      if (typeof copy === 'string') throw new Error(`${where}: ${name} is ${copy}`)
      await assertReaches(site, store, output, decodeManifest(copy.body, name))
    }
    const alive = [1, 2, 3, 4].filter(epoch => epoch <= head.manifest.epoch && epoch > head.manifest.epoch - 2)
    const rows = await readRows(store, site.folder, head.manifest.channels['segment-n'] ?? [])
    expect(rows, where).toEqual(alive.flatMap(stateRows).toSorted())
  }
  const visible = new Map<string, readonly string[]>()
  for (const key of await keysOf(output)) {
    if (key.startsWith(outputPrefix)) continue
    const found = await output.get(key)
    visible.set(key, typeof found === 'string' ? [found] : Buffer.from(found.body).toString().trimEnd().split('\n'))
  }
  // I6: nothing is visible that is not committed, nothing in part, nothing twice.
  for (const [key, rows] of visible) {
    const epoch = Number(/^part-(\d+)-/.exec(key)?.[1])
    expect(epoch, where).toBeLessThanOrEqual(head?.manifest.epoch ?? 0)
    expect(rows, where).toEqual(outputRows(epoch))
  }
  const epochs = [...visible.keys()].map(key => key.split('-')[1])
  expect(new Set(epochs).size, where).toBe(epochs.length)
  if (before) {
    // I1, and what was visible stays as it was.
    expect(head?.term ?? 0, where).toBeGreaterThanOrEqual(before.head?.term ?? 0)
    expect(head?.manifest.epoch ?? 0, where).toBeGreaterThanOrEqual(before.head?.manifest.epoch ?? 0)
    for (const [key, rows] of before.visible) expect(visible.get(key), where).toEqual(rows)
  }
  return { head, visible }
}

async function assertReaches(site: Site, store: ObjectStore, output: ObjectStore, manifest: Manifest): Promise<void> {
  await readRows(store, site.folder, Object.values(manifest.channels).flat())
  await readRows(
    output,
    site.folder,
    manifest.unpublished.flatMap(({ files }) => files),
  )
}

describe('a process killed at every call that touches the disk', () => {
  const run = async (
    name: string,
    kills: readonly number[],
  ): Promise<{ calls: number; told: readonly number[]; final: Seen }> => {
    const site = await newSite(name)
    const told: number[] = []
    let seen: Seen | undefined
    let calls = 0
    for (const [i, killAt] of [...kills, Number.POSITIVE_INFINITY].entries()) {
      const { fs, calls: count } = mortal(killAt)
      const where = `${name}, process ${i}`
      try {
        await work(site, fs, `p${i}`, epoch => told.push(epoch))
        expect(count(), where).toBeLessThan(killAt)
      } catch (error) {
        // Whatever it says in its last moment, it died of the kill.
        if (count() < killAt) throw error
      }
      calls = count()
      seen = await observe(site, seen, where)
      // What was told to be committed is (P6).
      expect(Math.max(0, ...told), where).toBeLessThanOrEqual(seen.head?.manifest.epoch ?? 0)
    }
    // I10: all is committed, published and tidy.
    if (!seen?.head) throw new Error('no HEAD')
    expect(seen.head, name).toMatchObject({
      released: true,
      manifest: { epoch: EPOCHS, unpublished: [] },
    })
    expect(seen.visible.size, name).toBe(EPOCHS)
    expect(new Set(told).size, name).toBe(told.length)

    // I8: recovering once more changes nothing but the term.
    await work(site, mortal(Number.POSITIVE_INFINITY).fs, 'again', epoch => told.push(epoch))
    const after = await observe(site, seen, `${name}, again`)
    expect(after.visible, name).toEqual(seen.visible)
    expect(after.head?.manifest, name).toMatchObject({ epoch: EPOCHS, channels: seen.head.manifest.channels })
    await assertTidy(site)
    await rm(site.folder, { recursive: true })
    return { calls, told, final: after }
  }

  /** I7 the other way round: nothing is left that no manifest reaches or lists as garbage. */
  async function assertTidy(site: Site): Promise<void> {
    const store = createDirectoryStore(site.checkpointRoot)
    const output = createDirectoryStore(site.outputRoot)
    const last = openCheckpoint(store, site.folder, 'last')
    const { manifest, term } = await last.claim(initial)
    const known = new Set([...(await last.reachable()), ...manifest.garbage.map(garbageKey)])
    const files = (await keysOf(store)).filter(key => key !== headKey).map(name => ({ store: 'checkpoint', name }))
    const staged = (await keysOf(output, `${outputPrefix}staged/`)).map(name => ({ store: 'out', name }))
    for (const file of [...files, ...staged]) expect(known, `term ${term}`).toContain(garbageKey(file))
  }

  test('loses nothing, doubles nothing and converges (I1, I2, I6, I8, I10)', async () => {
    const { calls, told } = await run('straight', [])
    expect(told).toEqual([1, 2, 3, 4])
    expect(calls).toBeGreaterThan(100)
    const random = seededRandom(20_260_101)
    const lost: number[] = []
    for (let k = 1; k <= calls; k++) {
      // The second process is killed too, anywhere; it may have less left to do than that.
      const second = 1 + Math.floor(random() * calls)
      const { told } = await run(`kill-${k}-${second}`, [k, second])
      lost.push(EPOCHS - told.length)
    }
    // The kills hit commits on both sides of the commit point: some epochs were committed but never told.
    expect(Math.max(...lost)).toBeGreaterThan(0)
    expect(Math.min(...lost)).toBe(0)
  }, 300_000)
})
