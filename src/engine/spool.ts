import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import { type FileHandle, open, writeFile } from 'node:fs/promises'
import { MillraceError } from '../core/errors.ts'
import type { ObjectVersion } from '../core/object-version.ts'
import type { ObjectStore } from '../core/ports.ts'
import type { ByteRange, Format } from '../plan/format.ts'

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
/** Objects up to this are one get and one write: each further call takes the event loop a turn, which small objects wait for. */
export const smallBytesMax = 64 * 1024
/** Gets under way for one object: with `chunkBytes` what it holds in memory. */
const getsMax = 4
/** A body that came short is asked for again so often in all. */
const attemptsMax = 3

export type Spooled = 'linked' | 'copied' | 'missing' | 'changed'

export interface SpoolContext {
  readonly store: ObjectStore
  readonly format: Format
  readonly signal: AbortSignal
  /** Names of the declared columns. */
  readonly columns: readonly string[]
  readonly limits?: SpoolLimits
}

/**
 * Brings an object to a local file: a hard link where the store and the spool share a file system; else in ranged gets,
 * no object being one buffer. Of a large object of a format that knows where its columns lie only the needed ranges are
 * fetched, into a sparse file of the object's size.
 *
 * @param file where nothing lies; or a `spare`, for a small object of a store without links
 * @param isSpare whether the file is the copy of another small object, which nobody wants any more: it is written over
 * @throws MillraceError `retry` for a body that is not as long as was asked for
 */
export async function spoolObject(
  context: SpoolContext,
  version: ObjectVersion,
  file: string,
  isSpare = false,
): Promise<Spooled> {
  const { store, format, columns, limits = defaultLimits } = context
  const linked = (await store.link?.(version, file)) ?? 'unsupported'
  if (linked !== 'unsupported') return linked
  const size = version.sizeBytes
  if (size > 0 && size <= smallBytesMax) {
    const body = await get(context, version, [0, size])
    if (typeof body === 'string') return body
    if (isSpare) writeOver(file, body)
    else await writeFile(file, body, { flag: 'wx' })
    return 'copied'
  }
  const handle = await open(file, 'wx')
  try {
    // Absent ranges read as zeros: nothing but `needed` may be read of it.
    await handle.truncate(size)
    const needed = format.needed
    if (needed === undefined || size < limits.wholeBytesMax)
      return await fetchRanges(context, version, handle, [[0, size]])

    let start = Math.max(0, size - limits.tailBytes)
    let tail = await get(context, version, [start, size])
    for (;;) {
      if (typeof tail === 'string') return tail
      const plan = needed(tail, size, columns)
      if (plan.is === 'ranges') {
        await handle.write(tail, 0, tail.length, start)
        return await fetchRanges(context, version, handle, coalesced(plan.ranges, start, limits.gapBytesMax))
      }
      const more = await getAll(context, version, [plan.start, start])
      tail = typeof more === 'string' ? more : Buffer.concat([more, tail])
      start = plan.start
    }
  } finally {
    await handle.close()
  }
}

/** Synchronous: in memory of the file system it takes 15 microseconds, of which a turn of the thread pool costs more. */
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

function pieces([start, end]: ByteRange, { chunkBytes } = defaultLimits): readonly ByteRange[] {
  const count = Math.ceil((end - start) / chunkBytes)
  return Array.from({ length: count }, (_, i) => [start + i * chunkBytes, Math.min(end, start + (i + 1) * chunkBytes)])
}

async function fetchRanges(
  context: SpoolContext,
  version: ObjectVersion,
  handle: FileHandle,
  ranges: readonly ByteRange[],
): Promise<'copied' | 'missing' | 'changed'> {
  const waiting = ranges.flatMap(range => pieces(range, context.limits))
  let failed: 'missing' | 'changed' | undefined
  const lane = async () => {
    try {
      for (let next = waiting.shift(); next !== undefined && failed === undefined; next = waiting.shift()) {
        const body = await get(context, version, next)
        if (typeof body === 'string') failed = body
        else await handle.write(body, 0, body.length, next[0])
      }
    } catch (error) {
      waiting.length = 0
      throw error
    }
  }
  const lanes = await Promise.allSettled(Array.from({ length: Math.min(getsMax, waiting.length) }, lane))
  // Every lane has ended before the file is closed under it.
  for (const ended of lanes) if (ended.status === 'rejected') throw ended.reason
  return failed ?? 'copied'
}

/** A range of any length as one buffer: for a footer. */
async function getAll(context: SpoolContext, version: ObjectVersion, range: ByteRange) {
  const bodies: Uint8Array[] = []
  for (const piece of pieces(range, context.limits)) {
    const body = await get(context, version, piece)
    if (typeof body === 'string') return body
    bodies.push(body)
  }
  return Buffer.concat(bodies)
}

/** One get of one version, whole: a short body would leave zeros in the file, which DuckDB might read as values. */
async function get(
  { store, signal }: SpoolContext,
  { key, eTag, versionId, sizeBytes }: ObjectVersion,
  [start, end]: ByteRange,
): Promise<Uint8Array | 'missing' | 'changed'> {
  let found = 0
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const got = await store.get(key, {
      ifMatch: eTag,
      ...(versionId === undefined ? {} : { versionId }),
      range: [start, end],
      signal,
    })
    if (typeof got === 'string') return got
    // A server that ignores If-Match still says what it sent.
    if (got.eTag !== eTag) return 'changed'
    if (got.body.length === end - start) return got.body
    found = got.body.length
  }
  throw new MillraceError(
    'retry',
    'short-body',
    `object '${key}' in ${store.address}: bytes ${start} to ${end} of ${sizeBytes} were asked for ${attemptsMax} times, and the last answer had ` +
      `${found} bytes instead of ${end - start}. Nothing of it was counted. Run again; if it stays so, look at the server or proxy between.`,
  )
}
