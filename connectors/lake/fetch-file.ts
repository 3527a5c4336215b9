import { open, rm } from 'node:fs/promises'
import { corrupt } from '../../checkpoints/codec.ts'
import { nameOf, readObject } from '../../checkpoints/objects.ts'
import { retrying, type Sleep } from '../../checkpoints/retry.ts'
import type { ObjectStore } from '../../src/core/ports.ts'

/** Brings a data file of a table here, to be read only. @throws MillraceError `corrupt-object` unless it is so long */
export async function fetchFile(
  store: ObjectStore,
  key: string,
  bytes: number,
  to: string,
  sleep: Sleep,
): Promise<void> {
  // A link that a former reader has left: writing into it would damage the table's own file.
  await rm(to, { force: true })
  if (await isLinked(store, key, bytes, to, sleep)) return
  const file = await open(to, 'wx')
  try {
    const found = await readObject(store, key, bytes, sleep, async piece => {
      await file.writeFile(piece)
    })
    if (found === 'missing' || found.bytes !== bytes)
      throw corrupt(nameOf(store, key), `${bytes} bytes`, found === 'missing' ? 'no object' : `${found.bytes} bytes`)
  } finally {
    await file.close()
  }
}

async function isLinked(store: ObjectStore, key: string, bytes: number, to: string, sleep: Sleep): Promise<boolean> {
  if (!store.link) return false
  const first = await retrying(sleep, () => store.get(key, { range: [0, 1] }))
  if (typeof first === 'string' || first.sizeBytes !== bytes) return false
  const version = { bucket: '', key, eTag: first.eTag, sizeBytes: bytes, lastModifiedMs: 0 }
  return typeof (await store.link(version, to)) !== 'string'
}
