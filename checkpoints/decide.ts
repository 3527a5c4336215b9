import { garbageKey, isInHead } from './manifest.ts'
import type { WaitingFile } from '../src/core/sink-port.ts'
import type { Garbage, Head, Manifest, Part, Unpublished } from './types.ts'

/** Files up to this size ride in HEAD (P3). */
export const inlineFileBytesMax = 16 * 1024
/**
 * Of rows that wait to be taken at most so many bytes ride in HEAD together: they cannot merge, as each epoch is taken
 * by itself.
 */
export const inlineDeliveriesBytesMax = 64 * 1024
/** So many of output that waits to be published. */
export const inlineOutputBytesMax = 48 * 1024
/** So many of the channels' files: base64 of them fills HEAD, and then they merge. */
export const inlineFilesBytesMax = 192 * 1024
/** So many of the channels' files ride in HEAD again once they are merged. */
export const inlineMergedBytesMax = 48 * 1024
/** The largest HEAD, at any number of channels (P3). A manifest that does not fit is a file that HEAD names. */
export const headBytesMax = 256 * 1024
/** The manifest from which rows in it become files, where it is a file anyhow: it names so many channels and files. */
export const manifestBytesMax = 1024 * 1024
/** Epochs between two copies of the manifest (P3). */
export const retainEveryEpochs = 100
/** Copies of manifests kept: the newest, and one to fall back on. */
export const retainedMax = 2
/** Parts of one tier that are merged into one (P3). */
export const tierPartsMax = 10

/** Without a change of HEAD for so long its owner counts as gone (P5): three missed beats. */
export const takeoverMs = 30_000

/** What a start knows of the owner that HEAD names. Safety never depends on any of it: a claim fences (I3). */
export interface OwnerSeen {
  /** The owner's process ended, as far as this host can tell. */
  readonly isGone: boolean
  /** How long HEAD has not changed, by this process's own monotonic clock. */
  readonly unchangedMs: number
}

/** What a start may do about the HEAD it read. */
export type ClaimDecision =
  | { readonly is: 'birth'; readonly term: 1 }
  | { readonly is: 'claim'; readonly term: number; readonly from: Head }
  | { readonly is: 'wait'; readonly owner: string }

/** P5. `seen` undefined: claim without waiting. */
export function decideClaim(head: Head | undefined, seen: OwnerSeen | undefined): ClaimDecision {
  if (head === undefined) return { is: 'birth', term: 1 }
  if (seen === undefined || head.released || seen.isGone || seen.unchangedMs >= takeoverMs)
    return { is: 'claim', term: head.term + 1, from: head }
  return { is: 'wait', owner: head.owner }
}

/** HEAD as read after a write whose outcome is in doubt. */
export interface HeadSeen {
  readonly head: Head
  readonly eTag: string
}

export interface HeadWrite {
  readonly putId: string
  readonly term: number
  /** The eTag that the write required. */
  readonly ifMatch: string
}

export type Settlement =
  | { readonly is: 'committed'; readonly eTag: string }
  | { readonly is: 'fenced'; readonly by: Head }
  | { readonly is: 'resend' }
  /** HEAD went back or vanished: somebody other than millrace changed it (I1). */
  | { readonly is: 'regressed'; readonly found: string }

/**
 * P6: what HEAD says about a write in doubt. The answer to the write itself does not matter: a 412 may be about a retry
 * of our own write, and an error may hide one that was applied.
 */
export function settleWrite(write: HeadWrite, seen: HeadSeen | undefined): Settlement {
  if (seen === undefined) return { is: 'regressed', found: 'no HEAD' }
  if (seen.head.putId === write.putId) return { is: 'committed', eTag: seen.eTag }
  if (seen.head.term > write.term) return { is: 'fenced', by: seen.head }
  // A write given up on may still arrive. It then meets our resent one under the same condition, with the same bytes.
  if (seen.eTag === write.ifMatch) return { is: 'resend' }
  return { is: 'regressed', found: `term ${seen.head.term}, put ${seen.head.putId}` }
}

/**
 * Channels whose rows in HEAD become files before this commit; none while HEAD fits. Those with the most bytes first,
 * and only so many that HEAD is half full afterwards: each costs a write.
 */
export function decideInlineMerge({ channels }: Manifest, headBytes: number): readonly string[] {
  const sizes = Object.entries(channels)
    .map(([channel, parts]) => ({ channel, bytes: bytesInHead(parts) }))
    .filter(({ bytes }) => bytes > 0)
    .toSorted((a, b) => b.bytes - a.bytes)
  const rest = headBytes - sizes.reduce((sum, { bytes }) => sum + bytes, 0)
  const bytesMax = rest > headBytesMax / 2 ? manifestBytesMax : headBytesMax
  if (headBytes <= bytesMax) return []
  const chosen: string[] = []
  let left = headBytes
  for (const { channel, bytes } of sizes) {
    if (left <= bytesMax / 2) break
    chosen.push(channel)
    left -= bytes
  }
  return chosen
}

/** What rows in HEAD take there above the name of the file that they may become. */
function bytesInHead(parts: readonly Part[]): number {
  const inside = parts.filter(isInHead)
  return Math.max(0, inside.reduce((sum, part) => sum + textLength(part), 0) - partBytes)
}

/** Parts are never changed, and ride in HEAD for many epochs. */
const textLengths = new WeakMap<Part, number>()

function textLength(part: Part): number {
  const length = textLengths.get(part) ?? JSON.stringify(part).length
  textLengths.set(part, length)
  return length
}

/** About what a file takes in HEAD. */
const partBytes = 300

/** What is left of so many bytes beside the files that ride in HEAD already. */
function decideRest(files: readonly WaitingFile[], bytesMax: number): number {
  const inside = files.reduce((sum, { inline, bytes }) => sum + (inline === undefined ? 0 : bytes), 0)
  return Math.max(0, bytesMax - inside)
}

/** So many bytes of rows that wait may still ride in HEAD, beside those that wait at the same place. */
export function decideInlineWaiting(unpublished: readonly Unpublished[], at: Unpublished['at']): number {
  const waiting = unpublished.filter(found => found.at === at).flatMap(({ files }) => files)
  return decideRest(waiting, at === 'sink' ? inlineOutputBytesMax : inlineDeliveriesBytesMax)
}

/** The largest file of a channel that may ride in HEAD beside those that do already. */
export const decideInlineFile = ({ channels }: Pick<Manifest, 'channels'>, bytesMax = inlineFilesBytesMax): number =>
  Math.min(inlineFileBytesMax, decideRest(Object.values(channels).flat(), bytesMax))

/** Whether the commit of this manifest is preceded by a copy of it. */
export function decideRetain(manifest: Manifest, released: boolean): boolean {
  const last = manifest.retained.at(-1)?.epoch ?? 0
  if (released) return manifest.epoch > last
  return manifest.epoch - last >= retainEveryEpochs
}

/**
 * P12: garbage that may be deleted now. `committed` is the manifest that HEAD is known to hold: what only a manifest
 * still to be committed has dropped is not garbage yet.
 */
export function decideCollection(
  committed: Manifest,
  reachable: ReadonlySet<string>,
  stores: ReadonlySet<string>,
): readonly Garbage[] {
  return committed.garbage.filter(g => stores.has(g.store) && !reachable.has(garbageKey(g)))
}

/**
 * Parts of one channel to merge, or none. A tier holds sizes of one order of magnitude, so a row is rewritten once a
 * tier and the number of parts grows with the logarithm of the bytes (the size-tiered compaction of LSM trees).
 */
export function decideCompaction(parts: readonly Part[]): readonly Part[] {
  const tiers = new Map<number, Part[]>()
  for (const part of parts) {
    // Inline files are merged when HEAD is full.
    if (isInHead(part)) continue
    const tier = Math.max(0, Math.floor(Math.log(part.bytes / inlineFileBytesMax) / Math.log(tierPartsMax)))
    tiers.set(tier, [...(tiers.get(tier) ?? []), part])
  }
  // The lowest full tier first: it is the cheapest, and its result may fill the next.
  const full = [...tiers.entries()].sort(([a], [b]) => a - b).find(([, members]) => members.length >= tierPartsMax)
  return full?.[1] ?? []
}

/** The description of a file that holds the rows of all these parts. */
export function mergedSpan(parts: readonly Part[]): Pick<Part, 'epochs' | 'aliveToUs'> {
  const epochs = [Math.min(...parts.map(p => p.epochs[0])), Math.max(...parts.map(p => p.epochs[1]))] as const
  const alive = parts.map(p => p.aliveToUs)
  // Microseconds since 1970 pass 2^53 within range of TIMESTAMP, so they are compared as bigint.
  const latest = alive.every(a => a !== undefined) ? alive.reduce((a, b) => (BigInt(a) > BigInt(b) ? a : b)) : undefined
  return latest === undefined ? { epochs } : { epochs, aliveToUs: latest }
}
