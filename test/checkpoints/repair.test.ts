import { mkdir, mkdtemp, readdir, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { encodeManifest } from '../../checkpoints/codec.ts'
import { inlineFileBytesMax } from '../../checkpoints/decide.ts'
import { headKey, manifestsKind } from '../../checkpoints/paths.ts'
import { planRepair, writeRepaired } from '../../checkpoints/repair.ts'
import type { Manifest } from '../../checkpoints/types.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { createMemoryStore } from '../../src/testing/index.ts'
import {
  committed,
  counter,
  keysOf,
  noSleep,
  openCheckpoint,
  readRows,
  rowsOf,
  start,
  withRows,
  withWaiting,
} from './fixtures.ts'

const BIG = inlineFileBytesMax + 1000

let base: string
let folder: string
let count = 0
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'millrace-repair-'))
})
afterAll(() => rm(base, { recursive: true }))
beforeEach(async () => {
  folder = join(base, `${count++}`)
  await mkdir(folder)
})

const stores = [
  ['memory', () => createMemoryStore()],
  ['a directory', () => createDirectoryStore(join(folder, 'checkpoint'))],
] as const

/** Every object's bytes: what is there before and after. */
async function bytesOf(store: ObjectStore): Promise<Record<string, string>> {
  const bytes: Record<string, string> = {}
  for (const key of await keysOf(store)) {
    const found = await store.get(key)
    if (typeof found !== 'string') bytes[key] = Buffer.from(found.body).toString('base64')
  }
  return bytes
}

/** Epochs of one big file each, by owners of which each but the last stops cleanly. The manifest of each of them. */
async function epochs(store: ObjectStore, ...owners: readonly number[]): Promise<readonly Manifest[]> {
  const manifests: Manifest[] = []
  for (const [index, epochsOf] of owners.entries()) {
    const { checkpoint, head } = await start(store, folder, `owner-${index}`)
    let { manifest } = head
    for (let n = 0; n < epochsOf; n++) {
      const rows = rowsOf(`epoch ${manifest.epoch + 1}`, BIG)
      manifest = committed(
        await checkpoint.commit(await withRows(checkpoint, manifest, 'ledger', rows, folder)),
      ).manifest
    }
    if (index < owners.length - 1) manifest = committed(await checkpoint.release(manifest)).manifest
    manifests.push(manifest)
  }
  return manifests
}

describe.each(stores)('a checkpoint in %s that has lost HEAD', (_, create) => {
  test('is refused, whatever asks for it, and nothing of it changes (I7)', async () => {
    const store = create()
    await epochs(store, 2, 1)
    await store.delete([headKey])
    const before = await bytesOf(store)
    expect(Object.keys(before).length).toBeGreaterThan(3)
    const checkpoint = openCheckpoint(store, folder, 'next')
    const lost = { kind: 'user', code: 'head-lost', message: expect.stringMatching(/no HEAD.*millrace repair/s) }
    await expect(checkpoint.readHead()).rejects.toMatchObject(lost)
    await expect(start(store, folder, 'next')).rejects.toMatchObject(lost)
    expect(await bytesOf(store)).toEqual(before)
  })

  test('goes back to the newest copy of the manifest, which a start then goes on from', async () => {
    const store = create()
    const [kept] = await epochs(store, 2, 2)
    await store.delete([headKey])
    const plan = await planRepair(store, noSleep)
    expect(plan).toMatchObject({ manifest: { epoch: 2 }, seen: { term: 2, epoch: 4 }, files: 2, refused: [] })
    expect(plan.from).toMatch(/^manifests\/1-2-/)
    const head = await writeRepaired(store, plan.manifest, plan.seen, 'mender', counter('mender'), noSleep)
    // Names of files are used once: what comes next is neither of a term nor of an epoch that was.
    expect(head).toMatchObject({ term: 3, released: true, manifest: { epoch: 4 } })
    const next = await start(store, folder, 'next')
    expect(next.head).toMatchObject({ term: 4, manifest: { checkpointId: kept?.checkpointId, epoch: 4 } })
    expect(await readRows(store, folder, next.head.manifest.channels['ledger'] ?? [])).toEqual(
      [...rowsOf('epoch 1', BIG), ...rowsOf('epoch 2', BIG)].toSorted(),
    )
    // Files of lost epochs are orphans from then on; the copy that was gone back to stays, to be gone back to again.
    await next.checkpoint.orphans()
    expect((await keysOf(store, 'ledger/')).map(key => key.slice(0, 'ledger/1-1-'.length))).toEqual([
      'ledger/1-1-',
      'ledger/1-2-',
    ])
    await store.delete([headKey])
    expect((await planRepair(store, noSleep)).from).toBe(plan.from)
  })

  test('passes by what is damaged, and says so', async () => {
    const store = create()
    const [first, second] = await epochs(store, 1, 1, 0)
    await store.delete([headKey])
    const lost = second?.channels['ledger']?.at(-1)?.name as string
    await store.delete([lost])
    const plan = await planRepair(store, noSleep)
    expect(plan).toMatchObject({ manifest: { epoch: 1 }, seen: { epoch: 2 } })
    expect(plan.refused).toEqual([expect.stringMatching(/^epoch 2 \(manifests\/2-2-.*no object/)])
    await store.delete([first?.channels['ledger']?.[0]?.name as string])
    await expect(planRepair(store, noSleep)).rejects.toMatchObject({
      kind: 'user',
      code: 'no-manifest',
      message: expect.stringMatching(/epoch 2 .*epoch 1 /),
    })
  })

  test('takes rows that wait to be taken for files of the checkpoint: they must be there and hash', async () => {
    const store = create()
    await epochs(store, 1, 0)
    const { checkpoint, head } = await start(store, folder, 'waiting')
    const rows = rowsOf('waiting', BIG)
    const next = { ...head.manifest, epoch: 2 }
    const waiting = await withWaiting(checkpoint, next, 'flow-1', rows, folder)
    committed(await checkpoint.release(waiting))
    await store.delete([headKey])
    expect(await planRepair(store, noSleep)).toMatchObject({ manifest: { epoch: 2 }, files: 2 })
    await store.delete([waiting.unpublished[0]?.files[0]?.name as string])
    const plan = await planRepair(store, noSleep)
    expect(plan).toMatchObject({ manifest: { epoch: 1 }, seen: { epoch: 2 } })
    expect(plan.refused[0]).toContain('deliveries/3-2-')
  })

  test('a copy that a fenced writer left comes after those of later terms', async () => {
    const store = create()
    const [kept] = await epochs(store, 1, 1, 0)
    const stray = { ...(kept as Manifest), epoch: 7 }
    await store.put(`${manifestsKind}/1-7-stray.json`, encodeManifest(stray), 'absent')
    await store.delete([headKey])
    const plan = await planRepair(store, noSleep)
    expect(plan.from).toMatch(/^manifests\/2-2-/)
    expect(plan.seen).toEqual({ term: 2, epoch: 7 })
  })

  test('does not come to life under an owner that is alive: it stops, and commits nothing after the repair (I3)', async () => {
    const store = create()
    await epochs(store, 1, 0)
    const zombie = await start(store, folder, 'zombie')
    const next = await withRows(zombie.checkpoint, zombie.head.manifest, 'ledger', ['late'], folder)
    await store.delete([headKey])
    const plan = await planRepair(store, noSleep)
    const repaired = await writeRepaired(store, plan.manifest, plan.seen, 'mender', counter('mender'), noSleep)
    await expect(
      zombie.checkpoint.commit(next).then(outcome => {
        if (outcome.is === 'fenced') throw new Error('fenced')
      }),
    ).rejects.toThrow(/fenced|damaged/)
    expect(await openCheckpoint(store, folder, 'reader').readHead()).toEqual(repaired)
  })

  test('a repair does not replace a HEAD that has come back', async () => {
    const store = create()
    await epochs(store, 1, 0)
    const plan = await planRepair(store, noSleep)
    await expect(
      writeRepaired(store, plan.manifest, plan.seen, 'mender', counter('mender'), noSleep),
    ).rejects.toMatchObject({ code: 'object-exists' })
  })
})

test('a HEAD that is born between two looks is no lost one', async () => {
  const store = createMemoryStore()
  await epochs(store, 1)
  let looks = 0
  const late: ObjectStore = {
    ...store,
    get: async (key, options) => (key === headKey && ++looks === 1 ? 'missing' : store.get(key, options)),
  }
  expect(await openCheckpoint(late, folder, 'reader').readHead()).toMatchObject({ manifest: { epoch: 1 } })
})

describe('a directory', () => {
  const root = () => join(folder, 'checkpoint')

  test('that has lost the pointer alone still holds what HEAD was: nothing is lost', async () => {
    const store = createDirectoryStore(root())
    const [, last] = await epochs(store, 2, 3)
    await rm(join(root(), 'head'), { recursive: true })
    await expect(start(store, folder, 'next')).rejects.toMatchObject({ code: 'head-lost' })
    const plan = await planRepair(store, noSleep)
    expect(plan).toMatchObject({ from: headKey, seen: { term: 2, epoch: 5 } })
    expect(plan.manifest).toEqual(last)
    const head = await writeRepaired(store, plan.manifest, plan.seen, 'mender', counter('mender'), noSleep)
    expect(head).toMatchObject({ term: 3, manifest: last })
    expect((await start(store, folder, 'next')).head.manifest).toEqual(last)

    // The older body, of a higher generation, lies there still: a second loss goes back to the newer term.
    await rm(join(root(), 'head'), { recursive: true })
    expect((await planRepair(store, noSleep)).seen.term).toBe(4)
  })

  test('of an inline checkpoint is known by the bodies of its HEAD, and damaged ones are passed by', async () => {
    const store = createDirectoryStore(root())
    const { checkpoint, head } = await start(store, folder, 'a')
    committed(await checkpoint.commit(await withRows(checkpoint, head.manifest, 'ledger', ['one'], folder)))
    await unlink(join(root(), 'head', (await readdir(join(root(), 'head')))[0] as string))
    await writeFile(join(root(), 'head-bodies', '9@half'), 'millrace-head/1 sha256=')
    await expect(start(store, folder, 'next')).rejects.toMatchObject({ code: 'head-lost' })
    expect((await planRepair(store, noSleep)).manifest.epoch).toBe(1)
  })

  test('whose birth was broken off is born again', async () => {
    const store = createDirectoryStore(root())
    await start(store, folder, 'a')
    await rm(join(root(), 'head'), { recursive: true })
    expect((await start(store, folder, 'b')).head).toMatchObject({ term: 1, manifest: { epoch: 0 } })
  })
})
