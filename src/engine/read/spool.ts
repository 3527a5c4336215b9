import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { type FileHandle, open, writeFile } from 'node:fs/promises'
import { MillraceError } from '../../core/errors.ts'
import { askedAs, type ObjectVersion, type Wanted } from '../../core/object-version.ts'
import type { LinkedFile, ObjectStore, StoredBody } from '../../core/ports.ts'
import type { ByteRange, Format } from '../../plan/format.ts'

export interface SpoolLimits {
  /** One get asks for at most this much. */
  readonly chunkBytes: number
  /** Objects below this are fetched whole: a second request costs more than the bytes. */
  readonly wholeBytesMax: number
  /** The end of an object that is read first: the footer of most Parquet files lies in it. */
  readonly tailBytes: number
  /** Ranges that lie nearer than this are one: what S3 sends in the time that a request of its own takes to begin. */
  readonly gapBytesMax: number
}

const defaultLimits: SpoolLimits = {
  chunkBytes: 8 * 1024 * 1024,
  wholeBytesMax: 1024 * 1024,
  tailBytes: 64 * 1024,
  gapBytesMax: 256 * 1024,
}
/**
 * Objects up to this are one get and one write: each further call takes the event loop a turn, which small objects wait
 * for.
 */
export const smallBytesMax = 64 * 1024
/** Gets under way for one object: with `chunkBytes` what it holds in memory. */
const getsMax = 4
/** A body that came short is asked for again so often in all. */
const attemptsMax = 3

export type Spooled =
  /** The version as the store has it. */
  | { readonly is: 'copied'; readonly version: ObjectVersion }
  | (LinkedFile & { readonly version: ObjectVersion })
  | { readonly is: 'missing' }
  | { readonly is: 'changed' }
  /** It is not as large as was said. Nothing of it is there: it is to be spooled anew, by its true size. */
  | { readonly is: 'other-size'; readonly sizeBytes: number }

export interface SpoolContext {
  readonly store: ObjectStore
  readonly format: Pick<Format, 'needed'>
  readonly signal: AbortSignal
  /** The object's names of the declared columns. */
  readonly columns: readonly string[]
  readonly limits?: SpoolLimits
}

/**
 * Brings an object to a local file: a hard link where the store and the spool share a file system; else in ranged gets,
 * no object being one buffer. Of a large object of a format that knows where its columns lie only the needed ranges are
 * fetched, into a sparse file of the object's size. Each answer of the store tells the object's size, and no other is
 * believed: what was said of it before only decides what is asked for first.
 *
 * @param file where nothing lies; or a `spare`, for a small object of a store without links
 * @param isSpare whether the file is the copy of another small object, which nobody wants any more: it is written over
 * @throws MillraceError `retry` for a body that is not as long as was asked for
 */
export async function spoolObject(
  context: SpoolContext,
  wanted: Wanted,
  file: string,
  isSpare = false,
): Promise<Spooled> {
  const { store, format, columns, limits = defaultLimits } = context
  const linked = (await store.link?.(wanted, file)) ?? 'unsupported'
  if (typeof linked !== 'string') return { ...linked, version: wanted }
  if (linked !== 'unsupported') return { is: linked }
  const { sizeBytes: size, isAnnounced } = wanted
  if (isOneGet(wanted)) {
    const got = await get(context, wanted, [0, isAnnounced ? smallBytesMax : size])
    if (typeof got === 'string') return { is: got }
    if (got.body.length < got.sizeBytes) return { is: 'other-size', sizeBytes: got.sizeBytes }
    if (isSpare) writeOver(file, got.body)
    else await writeFile(file, got.body, { flag: 'wx' })
    return { is: 'copied', version: confirmed(wanted, got) }
  }
  const handle = await open(file, 'wx')
  try {
    // The listing tells that it is empty.
    if (size === 0) return { is: 'copied', version: wanted }
    const needed = format.needed
    if (needed === undefined || size < limits.wholeBytesMax)
      return await fetchRanges(context, wanted, handle, [[0, size]])

    let start = Math.max(0, size - limits.tailBytes)
    const got = await get(context, wanted, [start, size])
    if (typeof got === 'string') return { is: got }
    if (got.sizeBytes !== size) return { is: 'other-size', sizeBytes: got.sizeBytes }
    // Absent ranges read as zeros: nothing but `needed` may be read of it.
    await handle.truncate(size)
    for (let tail = got.body; ; ) {
      const plan = needed(tail, size, columns)
      if (plan.is === 'ranges') {
        await handle.write(tail, 0, tail.length, start)
        return await fetchRanges(context, wanted, handle, coalesced(plan.ranges, start, limits.gapBytesMax), got)
      }
      const more = await getAll(context, wanted, [plan.start, start])
      if ('is' in more) return more
      tail = Buffer.concat([more, tail])
      start = plan.start
    }
  } finally {
    await handle.close()
  }
}

/** Whether all of the object comes in the first get, if it is as large as was said. */
export function isOneGet({ sizeBytes, isAnnounced }: Wanted): boolean {
  // A message that names no size says 0, and a small object needs no more to be known than this get tells.
  return sizeBytes <= smallBytesMax && (sizeBytes > 0 || isAnnounced === true)
}

/** The version that was asked for, by what the store says of it. */
function confirmed({ isAnnounced, versionId, ...version }: Wanted, got: StoredBody): ObjectVersion {
  const { sizeBytes } = got
  if (!isAnnounced) return { ...version, ...(versionId === undefined ? {} : { versionId }), sizeBytes }
  // A server that keeps no versions gives what it has for any.
  const isVersion = versionId !== undefined && got.versionId === versionId
  return { ...version, ...(isVersion ? { versionId } : {}), sizeBytes, lastModifiedMs: got.lastModifiedMs }
}

/**
 * Synchronous: in memory of the file system it takes 15 microseconds, of which a turn of the thread pool costs more.
 */
function writeOver(file: string, body: Uint8Array): void {
  const handle = openSync(file, 'r+')
  try {
    for (let at = 0; at < body.length; ) at += writeSync(handle, body, at, body.length - at, at)
    ftruncateSync(handle, body.length)
  } finally {
    closeSync(handle)
  }
}

/** Sorted, neighbours as one, without what lies at or after `end`, which is there already. */
function coalesced(ranges: readonly ByteRange[], end: number, gapBytesMax: number): readonly ByteRange[] {
  const merged: [number, number][] = []
  for (const [from, to] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1)
    const cut = Math.min(to, end)
    if (cut <= from) continue
    if (last && from <= last[1] + gapBytesMax) last[1] = Math.max(last[1], cut)
    else merged.push([from, cut])
  }
  return merged
}

function* pieces(ranges: readonly ByteRange[], { chunkBytes } = defaultLimits): Generator<ByteRange> {
  for (const [from, to] of ranges)
    for (let start = from; start < to; start += chunkBytes) yield [start, Math.min(to, start + chunkBytes)]
}

/** @param first what the store has said of the object before, if anything */
async function fetchRanges(
  context: SpoolContext,
  wanted: Wanted,
  handle: FileHandle,
  ranges: readonly ByteRange[],
  first?: StoredBody,
): Promise<Spooled> {
  const waiting = pieces(ranges, context.limits)
  let last = first
  let failed: Spooled | undefined
  const lane = async () => {
    try {
      for (let next = waiting.next(); !next.done && failed === undefined; next = waiting.next()) {
        const got = await get(context, wanted, next.value)
        if (typeof got === 'string') failed ??= { is: got }
        else if (got.sizeBytes !== wanted.sizeBytes) failed ??= { is: 'other-size', sizeBytes: got.sizeBytes }
        else {
          await handle.write(got.body, 0, got.body.length, next.value[0])
          last = got
        }
      }
    } catch (error) {
      waiting.return(undefined)
      throw error
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: getsMax }, lane))
  // Every lane has ended before the file is closed under it.
  for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason
  return failed ?? { is: 'copied', version: confirmed(wanted, last as StoredBody) }
}

/** A range of any length as one buffer: for a footer. */
async function getAll(context: SpoolContext, wanted: Wanted, range: ByteRange): Promise<Uint8Array | Spooled> {
  const bodies: Uint8Array[] = []
  for (const piece of pieces([range], context.limits)) {
    const got = await get(context, wanted, piece)
    if (typeof got === 'string') return { is: got }
    if (got.sizeBytes !== wanted.sizeBytes) return { is: 'other-size', sizeBytes: got.sizeBytes }
    bodies.push(got.body)
  }
  return Buffer.concat(bodies)
}

/** One get of one version, whole: a short body would leave zeros in the file, which DuckDB might read as values. */
async function get(
  { store, signal }: SpoolContext,
  version: Wanted,
  [start, end]: ByteRange,
): Promise<StoredBody | 'missing' | 'changed'> {
  for (let attempt = 1; ; attempt++) {
    const got = await store.get(version.key, { ...askedAs(version), range: [start, end], signal })
    if (typeof got === 'string') return got
    // A server that ignores If-Match still says what it sent.
    if (got.eTag !== version.eTag) return 'changed'
    const { body, sizeBytes } = got
    const expected = Math.max(0, Math.min(end, sizeBytes) - start)
    if (body.length === expected) return got
    if (attempt < attemptsMax) continue
    throw new MillraceError(
      'retry',
      'short-body',
      `object '${version.key}' in ${store.address}: bytes ${start} to ${end} of ${sizeBytes} were asked for ` +
        `${attemptsMax} times, and the last answer had ` +
        `${body.length} bytes instead of ${expected}. Nothing of it was counted. ` +
        'Run again; if it stays so, look at the server or proxy between.',
    )
  }
}
