import { corrupt, decodeManifest, encodeManifest, sha256 } from './codec.ts'
import { retainedMax } from './decide.ts'
import { addRetained, asRetained, checkpoint, garbageKey, reach } from './manifest.ts'
import { createObject, nameOf } from './objects.ts'
import { filePath, manifestsKind } from './paths.ts'
import type { CheckpointIo } from './read-head.ts'
import { retrying } from './retry.ts'
import type { Head, Manifest, RetainedManifest } from './types.ts'

/** What retained manifests need, by their names. They never change, so what was read once is known. */
export type KnownReach = Map<string, ReadonlySet<string>>

/** Writes a copy of the manifest before the HEAD that lists it, so that HEAD never names what does not exist (I2). */
export async function retain(io: CheckpointIo, known: KnownReach, manifest: Manifest, term: number): Promise<Manifest> {
  const { store, newId, sleep } = io
  const name = filePath({ kind: manifestsKind, term, epoch: manifest.epoch }, newId(), 'json')
  const copy = asRetained(manifest)
  const body = encodeManifest(copy)
  const content = { bytes: body.length, sha256: sha256(body) }
  await createObject(store, name, content, () => store.put(name, body, 'absent'), sleep)
  known.set(name, reach(copy))
  return addRetained(manifest, { name, epoch: manifest.epoch }, retainedMax)
}

/** What HEAD and the retained manifests need. */
export async function reachableFrom(
  io: CheckpointIo,
  known: KnownReach,
  { manifest, manifestFile }: Head,
): Promise<ReadonlySet<string>> {
  const keys = new Set(reach(manifest))
  if (manifestFile) keys.add(garbageKey({ store: checkpoint, name: manifestFile.name }))
  for (const retained of manifest.retained) {
    for (const key of await reachOf(io, known, retained)) keys.add(key)
  }
  for (const name of known.keys()) {
    if (!manifest.retained.some(retained => retained.name === name)) known.delete(name)
  }
  return keys
}

async function reachOf(
  { store, sleep }: CheckpointIo,
  known: KnownReach,
  { name }: RetainedManifest,
): Promise<ReadonlySet<string>> {
  const before = known.get(name)
  if (before !== undefined) return before
  const found = await retrying(sleep, () => store.get(name))
  // What a lost manifest needed is unknown: then nothing may be deleted.
  if (typeof found === 'string') throw corrupt(nameOf(store, name), 'a retained manifest', 'no object')
  const keys = reach(decodeManifest(found.body, nameOf(store, name)))
  known.set(name, keys)
  return keys
}
