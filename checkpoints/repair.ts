import { errorMessage, MillraceError } from '../src/core/errors.ts'
import type { ObjectStore } from '../src/core/ports.ts'
import { corrupt, decodeManifest, currentFormat, currentMinReader, sha256 } from './codec.ts'
import { inlineBytes, textOf } from './files.ts'
import { fittedHead } from './head.ts'
import { formerHeads, listFiles } from './lost-head.ts'
import { addRetained, ownFiles } from './manifest.ts'
import { createObject, describe, isSameContent, nameOf, readObject } from './objects.ts'
import { headKey, manifestsKind } from './paths.ts'
import { retrying, type Sleep } from './retry.ts'
import { retainedMax } from './decide.ts'
import type { FileRef, Head, Manifest } from './types.ts'

/** A manifest that HEAD may go back to, with all that it reaches in the checkpoint verified. */
export interface RepairPlan {
  readonly manifest: Manifest
  /** The object that it came from: a copy under `manifests/`, or a former body of HEAD. */
  readonly from: string
  /** The highest that any name of a file tells, of files that nothing reaches as well. */
  readonly seen: Seen
  readonly files: number
  readonly bytes: number
  /** Newer manifests that cannot be gone back to, and why. */
  readonly refused: readonly string[]
}

export interface Seen {
  readonly term: number
  readonly epoch: number
}

export const highest = (a: Seen, b: Seen): Seen => ({
  term: Math.max(a.term, b.term),
  epoch: Math.max(a.epoch, b.epoch),
})

interface Candidate {
  readonly from: string
  readonly term: number
  readonly epoch: number
  load(): Promise<Manifest>
}

/**
 * Finds the newest manifest that a checkpoint without HEAD can go back to. A copy, or a body of HEAD, whose commit was
 * never confirmed may be it: that is a write that arrives late, as nothing was committed after it.
 *
 * @throws MillraceError `user` where there is none; it tells why each was refused.
 */
export async function planRepair(store: ObjectStore, sleep: Sleep): Promise<RepairPlan> {
  const candidates: Candidate[] = (await formerHeads(store, sleep)).map(head => ({
    from: headKey,
    term: head.term,
    epoch: head.manifest.epoch,
    load: async () => head.manifest,
  }))
  const copies = new Set<string>()
  const names: Seen[] = [...candidates]
  for await (const name of listFiles(store)) {
    const { kind, term, epoch, key } = name
    names.push(name)
    if (kind !== manifestsKind) continue
    copies.add(key)
    candidates.push({
      from: key,
      term,
      epoch,
      load: async () => addRetained(await readManifest(store, key, sleep), { name: key, epoch }, retainedMax),
    })
  }
  const seen = names.reduce(highest, { term: 0, epoch: 0 })
  // Terms first: a fenced writer may have left a copy of an epoch that a later owner committed otherwise.
  candidates.sort((a, b) => b.term - a.term || b.epoch - a.epoch)
  const refused: string[] = []
  for (const { from, epoch, load } of candidates) {
    try {
      const loaded = await load()
      const found = await verifyReach(store, loaded, sleep)
      // An older body of HEAD may name copies that were collected since.
      const manifest = { ...loaded, retained: loaded.retained.filter(({ name }) => copies.has(name)) }
      return { ...found, manifest, from, seen, refused }
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== 'corrupt-object') throw error
      refused.push(`epoch ${epoch} (${from}): ${errorMessage(error)}`)
    }
  }
  throw new MillraceError(
    'user',
    'no-manifest',
    `${store.address} holds no manifest to go back to${refused.length > 0 ? `: ${refused.join(' ')}` : '.'}` +
      ' Bring its files back from a copy, or begin anew with another checkpoint and output.',
  )
}

/**
 * Writes HEAD anew, released, under a term above all that were seen. Its epoch goes on after the last that any file's
 * name tells, so that every name stays used once (I1, P8). Terms and epochs that left nothing but HEAD are not seen:
 * they used no name, and an owner that is still alive finds a HEAD that it did not write, and stops (P6).
 *
 * @throws MillraceError 'object-exists' where HEAD has come back meanwhile.
 */
export async function writeRepaired(
  store: ObjectStore,
  manifest: Manifest,
  seen: Seen,
  owner: string,
  newId: () => string,
  sleep: Sleep,
): Promise<Head> {
  const repaired: Head = {
    format: currentFormat,
    minReader: currentMinReader,
    term: seen.term + 1,
    putId: newId(),
    owner,
    beat: 0,
    released: true,
    manifest: { ...manifest, epoch: Math.max(manifest.epoch, seen.epoch) },
  }
  const { head, bytes: body } = await fittedHead(store, repaired, newId, sleep)
  const content = { bytes: body.length, sha256: sha256(body) }
  await createObject(store, headKey, content, () => store.put(headKey, body, 'absent'), sleep)
  return head
}

async function readManifest(store: ObjectStore, key: string, sleep: Sleep): Promise<Manifest> {
  const found = await retrying(sleep, () => store.get(key))
  if (typeof found === 'string') throw corrupt(nameOf(store, key), 'a copy of a manifest', 'no object')
  return decodeManifest(found.body, nameOf(store, key))
}

/** Reads and hashes every file of the checkpoint that the manifest names (I2). */
async function verifyReach(
  store: ObjectStore,
  manifest: Manifest,
  sleep: Sleep,
): Promise<{ readonly files: number; readonly bytes: number }> {
  let bytes = 0
  const files = ownFiles(manifest)
  for (const file of files) {
    const name = nameOf(store, file.name)
    if (file.inline !== undefined) inlineBytes(file, name)
    else if (textOf(file, name) === undefined) await verifyFile(store, file.name, file, sleep)
    bytes += file.bytes
  }
  return { files: files.length, bytes }
}

/** @throws MillraceError 'corrupt-object' unless the object has these bytes. */
export async function verifyFile(store: ObjectStore, key: string, ref: FileRef, sleep: Sleep): Promise<void> {
  const found = await readObject(store, key, ref.bytes, sleep)
  if (found !== 'missing' && isSameContent(found, ref)) return
  throw corrupt(nameOf(store, key), describe(ref), found === 'missing' ? 'no object' : describe(found))
}
