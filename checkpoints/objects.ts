import { createHash } from 'node:crypto'
import { MillraceError } from '../src/core/errors.ts'
import { objectAddress } from '../src/core/object-address.ts'
import type { ObjectStore, Put } from '../src/core/ports.ts'
import { corrupt } from './codec.ts'
import { attemptsMax, isRetryable, pauseMs, retrying, type Sleep, unavailable } from './retry.ts'

/** Bytes of one ranged get: no object is ever one buffer. */
export const getBytesMax = 8 * 1024 * 1024

export interface Content {
  readonly bytes: number
  readonly sha256: string
}

/** The address of an object, as messages name it. */
export function nameOf(store: ObjectStore, key: string): string {
  return objectAddress(store.address, key)
}

/** Reads an immutable object that should have this many bytes, piece by piece; also one that is shorter or longer. */
export async function readObject(
  store: ObjectStore,
  key: string,
  expectedBytes: number,
  sleep: Sleep,
  onPiece: (piece: Uint8Array) => Promise<void> = async () => {},
): Promise<Content | 'missing'> {
  const hash = createHash('sha256')
  let bytes = 0
  let eTag: string | undefined
  for (;;) {
    // The last piece asks for one byte too many, so that a longer object shows; a range that begins at the end would be
    // an error in S3.
    const end = Math.min(bytes + getBytesMax, expectedBytes)
    const range = [bytes, end === expectedBytes ? end + 1 : end] as const
    const options = eTag === undefined ? { range } : { range, ifMatch: eTag }
    const read = await retrying(sleep, () => store.get(key, options))
    if (read === 'missing' && bytes === 0) return 'missing'
    if (read === 'missing' || read === 'changed') {
      throw corrupt(nameOf(store, key), 'an object that never changes', `it ${read} while it was read`)
    }
    eTag = read.eTag
    hash.update(read.body)
    bytes += read.body.length
    await onPiece(read.body)
    if (bytes >= expectedBytes || read.body.length < range[1] - range[0]) break
  }
  return { bytes, sha256: hash.digest('hex') }
}

export function isSameContent(a: Content, b: Content): boolean {
  return a.bytes === b.bytes && a.sha256 === b.sha256
}

/**
 * Creates an object under a name used once, whatever happens to single calls: a write that is answered by a conflict or
 * not at all is settled by reading the object. Repeating it is safe (I8).
 *
 * @throws MillraceError 'object-exists' when other bytes have the name.
 */
export async function createObject(
  store: ObjectStore,
  key: string,
  content: Content,
  write: () => Promise<Put>,
  sleep: Sleep,
): Promise<void> {
  let cause: unknown
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    try {
      const put = await write()
      if (put.is === 'stored') return
      cause = put.is === 'unknown' ? put.cause : undefined
    } catch (error) {
      if (!isRetryable(error)) throw error
      cause = error
    }
    const found = await readObject(store, key, content.bytes, sleep)
    if (found !== 'missing') {
      if (isSameContent(found, content)) return
      throw new MillraceError(
        'fatal',
        'object-exists',
        `${nameOf(store, key)} exists with other bytes: expected ${describe(content)}, found ${describe(found)}.` +
          ' Nothing was overwritten; move the object away and start again.',
      )
    }
    await sleep(pauseMs(attempt))
  }
  throw unavailable(`Creating ${nameOf(store, key)}`, cause)
}

export function describe(content: Content): string {
  return `${content.bytes} bytes with SHA-256 ${content.sha256}`
}
