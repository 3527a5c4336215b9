/** A directory that is listed again and again: what it asks the disk for, counted in calls. */
import { appendFile, mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type FileSystem, nodeFileSystem } from '../../../connectors/directory/file-system.ts'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import type { ListingWatch, ObjectStore } from '../../../src/core/ports.ts'

let root: string
let now = 0
let stats = 0
let atOnce = 0
let most = 0
let store: ObjectStore
let watch: ListingWatch

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'millrace-watch-'))
  now = 0
  const fs: FileSystem = {
    ...nodeFileSystem,
    async stat(path) {
      stats++
      most = Math.max(most, ++atOnce)
      try {
        return await nodeFileSystem.stat(path)
      } finally {
        atOnce--
      }
    },
  }
  store = createDirectoryStore(root, { fs })
  watch = store.watch?.(() => now) as ListingWatch
  for (const folder of ['a', 'b', 'b/c']) await mkdir(join(root, folder))
  for (let i = 0; i < 100; i++) await writeFile(join(root, 'b', `${String(i).padStart(3, '0')}.jsonl`), '{}\n')
  await writeFile(join(root, 'b/c/last.jsonl'), '{}\n')
})
afterEach(() => rm(root, { recursive: true }))

/** Lists all of it, some seconds after what was done before. */
async function listed(afterMs = 5_000): Promise<readonly string[]> {
  now += afterMs
  const keys: string[] = []
  for await (const { key } of store.list('', undefined, undefined, undefined, watch)) keys.push(key)
  return keys
}

describe('a directory that is listed again', () => {
  test('asks for a folder each, and no file, while nothing comes', async () => {
    expect(await listed()).toHaveLength(101)
    expect(await listed()).toHaveLength(101)
    stats = 0
    expect(await watch.isUnchanged()).toBe(true)
    expect(stats).toBe(4)
  })

  test('looks at many files together, and keeps their order', async () => {
    most = 0
    const keys = await listed()
    expect(keys).toEqual(keys.toSorted())
    expect(most).toBe(32)
  })

  test('does not trust a time that it has not seen for two seconds', async () => {
    expect(await watch.isUnchanged()).toBe(false)
    await listed()
    expect(await watch.isUnchanged()).toBe(false)
    await listed(1_999)
    expect(await watch.isUnchanged()).toBe(false)
    await listed(1)
    expect(await watch.isUnchanged()).toBe(true)
  })

  test.each<[string, () => Promise<unknown>, boolean]>([
    ['a file that comes', () => writeFile(join(root, 'b/c/new.jsonl'), ''), false],
    ['a folder that comes', () => mkdir(join(root, 'a/new')), false],
    ['a file that goes', () => rm(join(root, 'b/c/last.jsonl')), false],
    [
      'a file that takes the name of another',
      () => rename(join(root, 'b/000.jsonl'), join(root, 'b/001.jsonl')),
      false,
    ],
    ['a folder that goes with all that it has', () => rm(join(root, 'b/c'), { recursive: true }), false],
    ['not what is written into a file under its old name', () => appendFile(join(root, 'b/000.jsonl'), '{}\n'), true],
  ])('sees %s', async (_what, change, isUnchanged) => {
    await listed()
    await listed()
    expect(await watch.isUnchanged()).toBe(true)
    await change()
    expect(await watch.isUnchanged()).toBe(isUnchanged)
  })

  test('does not count on a listing that was left before its end', async () => {
    await listed()
    await listed()
    for await (const { key } of watch.list()) if (key !== '') break
    expect(await watch.isUnchanged()).toBe(false)
    await listed()
    expect(await watch.isUnchanged()).toBe(true)
  })

  test('never says so of a place that is not there', async () => {
    const nowhere = createDirectoryStore(join(root, 'nowhere')).watch?.(() => now)
    for (let i = 0; i < 3; i++) for await (const _ of nowhere?.list() ?? []) now += 5_000
    expect(await nowhere?.isUnchanged()).toBe(false)
  })
})
