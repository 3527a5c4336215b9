import { wholeFromEnvironment } from '../golden/drawn.ts'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { applyCompaction } from '../../checkpoints/compact.ts'
import { encodeManifest } from '../../checkpoints/codec.ts'
import { headBytesMax, manifestBytesMax, retainedMax, tierPartsMax } from '../../checkpoints/decide.ts'
import { addPart } from '../../checkpoints/manifest.ts'
import { headKey, manifestsKind } from '../../checkpoints/paths.ts'
import type { Manifest } from '../../checkpoints/types.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { createMemoryStore } from '../../src/testing/memory-store.ts'
import { committed, initial, keysOf, openCheckpoint, readRows } from './fixtures.ts'

/** MILLRACE_EPOCHS=1000 makes more. So few pass the bound with 10 channels without merging, with 100 without the manifest's file. */
const epochs = wholeFromEnvironment('MILLRACE_EPOCHS', 40)

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-head-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** What the plan of so many flows takes: 1 kB each, as of `hopping`, `groupBy` and two aggregates. */
const engineOf = (channels: number) => ({
  ...initial,
  settings: Array.from({ length: channels }, () => 'x'.repeat(1_000)),
})

/** A row of about 450 bytes in each channel an epoch, as of segments of ten rows. */
const rowOf = (channel: string, epoch: number) => `${channel} ${epoch} ${'x'.repeat(450)}`

async function simulate(store: ObjectStore, channels: number) {
  const checkpoint = openCheckpoint(store, folder, 'a')
  let { manifest } = await checkpoint.claim(engineOf(channels))
  const names = Array.from({ length: channels }, (_, index) => `segment-${index}`)
  let [headMax, manifestMax, filesMax, copies] = [0, 0, 0, 0]
  for (let epoch = 1; epoch <= epochs; epoch++) {
    let next: Manifest = { ...manifest, epoch }
    for (const channel of names) {
      const text = { columns: { line: 'VARCHAR' }, rows: [[rowOf(channel, epoch)]] }
      next = addPart(next, channel, { ...checkpoint.stageText(channel, epoch, text), epochs: [epoch, epoch] })
    }
    manifest = committed(await checkpoint.commit(next)).manifest
    for (const channel of names) {
      const compaction = await checkpoint.compact(manifest, channel)
      if (compaction) manifest = applyCompaction(manifest, compaction)
    }
    if (manifest.garbage.length >= 64) manifest = await checkpoint.collect(manifest, {})
    const head = await store.get(headKey)
    if (typeof head === 'string') throw new Error(head)
    expect(head.body.length).toBe(checkpoint.headBytes)
    headMax = Math.max(headMax, head.body.length)
    manifestMax = Math.max(manifestMax, encodeManifest(manifest).length)
    const files = names.map(name => manifest.channels[name]?.filter(({ text, inline }) => !text && !inline).length ?? 0)
    filesMax = Math.max(filesMax, ...files)
    copies = Math.max(copies, (await keysOf(store, `${manifestsKind}/`)).length)
  }
  manifest = committed(await checkpoint.release(manifest)).manifest
  return { manifest, names, headMax, manifestMax, filesMax, copies }
}

describe('the size of HEAD (P3)', () => {
  test.each([1, 10, 100])(
    'with %i channels never passes its bound, and no row is lost or doubled',
    async channels => {
      const store = createMemoryStore()
      const { manifest, names, headMax, manifestMax, filesMax, copies } = await simulate(store, channels)
      expect(headMax).toBeLessThanOrEqual(headBytesMax)
      expect(manifestMax).toBeLessThanOrEqual(channels === 100 ? manifestBytesMax : headBytesMax)
      expect(filesMax).toBeLessThanOrEqual(4 * tierPartsMax)
      // Only with 100 the manifest is a file, and those that HEAD names no more are collected.
      if (channels === 100) expect(copies).toBeGreaterThan(retainedMax + 1)
      expect(copies).toBeLessThan(channels === 100 ? 80 : retainedMax + 2)
      const next = openCheckpoint(store, folder, 'b')
      const { manifest: found } = await next.claim(initial)
      expect(found).toEqual(manifest)
      // What a claim finds of lower terms that nothing names goes, and what HEAD needs stays (I2, I7).
      await next.orphans()
      for (const name of names) {
        const texts = (found.channels[name] ?? []).flatMap(
          part => next.textOf(part)?.rows.map(([line]) => line as string) ?? [],
        )
        const files = (found.channels[name] ?? []).filter(({ text }) => !text)
        const rows = [...texts, ...(await readRows(store, folder, files))]
        expect(rows.toSorted()).toEqual(Array.from({ length: epochs }, (_, i) => rowOf(name, i + 1)).toSorted())
      }
      expect((await next.readHead())?.manifest).toEqual(manifest)
    },
    900_000,
  )
})

describe('a manifest that HEAD has no room for (P3)', () => {
  const large = (epoch: number, from: Manifest): Manifest => ({ ...from, epoch, engine: engineOf(300) })
  const copiesOf = (store: ObjectStore) => keysOf(store, `${manifestsKind}/`)

  test('is a file that HEAD names; a claim, a beat and a small one after it go on from there, and it is collected', async () => {
    const store = createMemoryStore()
    const first = openCheckpoint(store, folder, 'a')
    const { manifest: born } = await first.claim(initial)
    let { manifest } = committed(await first.commit(large(1, born)))
    expect(await copiesOf(store)).toHaveLength(1)
    await first.beat()
    expect(await copiesOf(store)).toHaveLength(1)
    const second = openCheckpoint(store, folder, 'b')
    const claimed = await second.claim(initial)
    expect(claimed.manifest).toEqual(manifest)
    expect(await second.orphans()).toBe(0)
    manifest = committed(await second.commit(large(2, claimed.manifest))).manifest
    manifest = committed(await second.commit({ ...manifest, epoch: 3, engine: initial })).manifest
    manifest = committed(await second.commit({ ...manifest, epoch: 4 })).manifest
    expect(await copiesOf(store)).toHaveLength(2)
    manifest = await second.collect(manifest, {})
    expect(await copiesOf(store)).toEqual([])
    expect((await second.readHead())?.manifest.epoch).toBe(4)
  })

  test('is refused by name when its file is damaged or gone (P10)', async () => {
    const store = createMemoryStore()
    const checkpoint = openCheckpoint(store, folder, 'a')
    const { manifest } = await checkpoint.claim(initial)
    await checkpoint.commit(large(1, manifest))
    const [key = ''] = await copiesOf(store)
    const whole = await store.get(key)
    if (typeof whole === 'string') throw new Error(whole)
    const reader = openCheckpoint(store, folder, 'b')
    for (const damaged of [whole.body.slice(0, -1), Uint8Array.from([...whole.body, 10]), undefined]) {
      await store.delete([key])
      if (damaged) await store.put(key, damaged, 'absent')
      await expect(reader.readHead()).rejects.toMatchObject({
        code: 'corrupt-object',
        message: expect.stringContaining(key),
      })
    }
  })

  test('that was collected while a reader was on its way is looked for by the new HEAD (P12)', async () => {
    const store = createMemoryStore()
    const checkpoint = openCheckpoint(store, folder, 'a')
    const { manifest } = await checkpoint.claim(initial)
    const seen = committed(await checkpoint.commit(large(1, manifest))).manifest
    const [key = ''] = await copiesOf(store)
    const reader = openCheckpoint(
      {
        ...store,
        async get(name, options) {
          if (name === key) {
            await store.delete([key])
            if (checkpoint.headBytes < 10_000) await checkpoint.commit(large(2, seen))
          }
          return store.get(name, options)
        },
      },
      folder,
      'b',
    )
    expect((await reader.readHead())?.manifest.epoch).toBe(2)
  })
})
