import type { ObjectStore } from '../src/core/ports.ts'
import { corrupt, decodeHead, decodeManifest, encodeHead, encodeManifest, sha256 } from './codec.ts'
import { headBytesMax } from './decide.ts'
import { createObject, describe, isSameContent, nameOf } from './objects.ts'
import { filePath, manifestsKind } from './paths.ts'
import { retrying, type Sleep } from './retry.ts'
import type { Head } from './types.ts'

/**
 * The HEAD that may be written, with its bytes: at most `headBytesMax`, however many channels there are. A manifest
 * that would not fit is a file that HEAD names; it is written before HEAD, so that HEAD never names what does not exist
 * (I2).
 *
 * @param head with the file of its manifest where that is there already
 */
export async function fittedHead(
  store: ObjectStore,
  head: Head,
  newId: () => string,
  sleep: Sleep,
): Promise<{ readonly head: Head; readonly bytes: Uint8Array }> {
  const bytes = encodeHead(head)
  if (bytes.length <= headBytesMax) return { head, bytes }
  const { term, manifest } = head
  const name = filePath({ kind: manifestsKind, term, epoch: manifest.epoch }, newId(), 'json')
  const body = encodeManifest(manifest)
  const content = { bytes: body.length, sha256: sha256(body) }
  await createObject(store, name, content, () => store.put(name, body, 'absent'), sleep)
  const named = { ...head, manifestFile: { name, ...content } }
  return { head: named, bytes: encodeHead(named) }
}

/** HEAD out of its bytes, with its manifest, which may be a file; that is verified (P10). */
export async function completeHead(store: ObjectStore, body: Uint8Array, object: string, sleep: Sleep): Promise<Head> {
  const { manifest, manifestFile, ...head } = decodeHead(body, object)
  if (manifestFile === undefined) return { ...head, manifest }
  const file = nameOf(store, manifestFile.name)
  const found = await retrying(sleep, () => store.get(manifestFile.name))
  if (typeof found === 'string') throw corrupt(file, describe(manifestFile), 'no object')
  const content = { bytes: found.body.length, sha256: sha256(found.body) }
  if (!isSameContent(content, manifestFile)) throw corrupt(file, describe(manifestFile), describe(content))
  return { ...head, manifest: decodeManifest(found.body, file), manifestFile }
}
