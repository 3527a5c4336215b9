import { MillraceError } from '../src/core/errors.ts'
import { encodeHead } from './codec.ts'
import { decideInlineFile, decideInlineMerge, decideRetain, inlineMergedBytesMax } from './decide.ts'
import { addPart, dropParts, isInHead } from './manifest.ts'
import { type MergeIo, mergeParts } from './merge-parts.ts'
import { type KnownReach, retain } from './retained.ts'
import type { Garbage, Head, Manifest } from './types.ts'

export interface Commit {
  readonly next: Manifest
  /** The last one of a clean stop. */
  readonly released: boolean
  /** Garbage beside that of the manifest. */
  readonly garbage: readonly Garbage[]
}

/** The HEAD that commits a manifest; all that it will name is durable when this returns (I2). */
export async function prepareHead(io: MergeIo, known: KnownReach, from: Head, commit: Commit): Promise<Head> {
  const { next, released, garbage } = commit
  const manifest = { ...next, garbage: [...next.garbage, ...garbage] }
  const { manifestFile: _, ...head }: Head = { ...from, putId: io.newId(), beat: 0, released, manifest }
  const merged = await mergeInline(io, manifest, from.term, encodeHead(head).length)
  const kept = decideRetain(merged, released) ? await retain(io, known, merged, from.term) : merged
  return kept === manifest ? head : { ...head, manifest: kept }
}

/** @throws MillraceError where it cannot follow what HEAD holds (I1) */
export function checkFollows(next: Manifest, { manifest }: Head): void {
  if (next.checkpointId === manifest.checkpointId && next.epoch >= manifest.epoch) return
  const message = `Epoch ${next.epoch} of ${next.checkpointId} cannot follow epoch ${manifest.epoch} of`
  throw new MillraceError('fatal', 'epoch-regressed', `${message} ${manifest.checkpointId}. This is a bug.`)
}

/** One file a channel instead of many rows and small files, once HEAD is full (P3). */
async function mergeInline(io: MergeIo, manifest: Manifest, term: number, headBytes: number): Promise<Manifest> {
  const chosen = decideInlineMerge(manifest, headBytes)
  let result = chosen.reduce((rest, channel) => dropParts(rest, channel, isInHead), manifest)
  for (const channel of chosen) {
    const parts = (manifest.channels[channel] ?? []).filter(isInHead)
    const inlineBytesMax = decideInlineFile(result, inlineMergedBytesMax)
    result = addPart(result, channel, await mergeParts(io, { channel, parts, term, manifest, inlineBytesMax }))
  }
  return result
}
