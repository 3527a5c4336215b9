import { closeSync, createReadStream, fstatSync, openSync, readSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { createGunzip, createZstdDecompress, type Gunzip, type ZstdDecompress } from 'node:zlib'
import type { Ready, SpooledObject } from '../../src/plan/format.ts'

export interface ExpansionLimits {
  /** As much is always allowed. It is all that a small bomb costs. */
  readonly bytes: number
  /** Beyond that, at most so many times the object's own size: text of logs has some 40. */
  readonly times: number
}

const defaultLimits: ExpansionLimits = { bytes: 64 * 1024 ** 2, times: 200 }

/** Every extension, also with `.gz` and `.zst`. */
export function compressible(extensions: readonly string[]): readonly string[] {
  return ['', '.gz', '.zst'].flatMap(compression => extensions.map(extension => `${extension}${compression}`))
}

/** SQL of a row's place among the files that one call reads: DuckDB counts them itself. */
export function partOf(files: readonly string[]): string {
  return files.length > 1 ? 'CAST(file_index AS INTEGER)' : '0'
}

const byteOrderMark = Buffer.from([0xef, 0xbb, 0xbf])
const utf16: readonly (readonly number[])[] = [
  [0xff, 0xfe],
  [0xfe, 0xff],
]

type Compression = 'gz' | 'zst'
const names: Readonly<Record<Compression, string>> = { gz: 'gzip', zst: 'zstd' }

/** First bytes of a compressed object (RFC 1952, RFC 8878): no row of text in UTF-8 begins with them. */
const magic: readonly (readonly [compression: Compression, bytes: readonly number[]])[] = [
  ['gz', [0x1f, 0x8b]],
  ['zst', [0x28, 0xb5, 0x2f, 0xfd]],
  // Frames that are to be skipped: parallel writers put one first.
  ...Array.from({ length: 16 }, (_, n) => ['zst', [0x50 + n, 0x2a, 0x4d, 0x18]] as const),
]

/**
 * The text of an object as DuckDB shall read it: without gzip or zstd and without a byte order mark, which DuckDB would
 * take for a part of the first row. Other text is read where it lies.
 */
export async function plainText(object: SpooledObject, limits?: ExpansionLimits): Promise<Ready> {
  const kind = textKind(object)
  if (kind.is === 'bad') return kind
  if (kind.compression === undefined && !kind.isMarked) return { is: 'ready', file: object.file }
  const target = await open(object.changed, 'wx')
  try {
    const reason = await passText(object, chunk => writeAll(target, chunk), limits)
    return reason === undefined ? { is: 'ready', file: object.changed } : { is: 'bad', reason }
  } finally {
    await target.close()
  }
}

/**
 * Hands on the text of an object in pieces, without gzip (all members) or zstd (all frames), whatever its key ends in,
 * and without a byte order mark.
 *
 * @returns why the object is a bad one: a stream that is cut off or broken (DuckDB would read what is there and say
 * nothing), or one that expands beyond the limits
 */
export async function passText(
  object: SpooledObject,
  to: (chunk: Buffer) => Promise<void>,
  limits: ExpansionLimits = defaultLimits,
): Promise<string | undefined> {
  const kind = textKind(object)
  if (kind.is === 'bad') return kind.reason
  const { compression, size } = kind
  const bytesMax = Math.max(limits.bytes, size * limits.times)
  let passed = 0
  const pieces = textOf(object.file, size, compression)
  try {
    for (;;) {
      object.signal.throwIfAborted()
      const next = await pieces.next().catch((error: unknown) => {
        const code = String((error as NodeJS.ErrnoException).code ?? '')
        if (compression === undefined || !/^(Z_|ZSTD_|ERR_)/.test(code)) throw error
        return `its ${names[compression]} stream is broken: ${(error as Error).message}`
      })
      if (typeof next === 'string') return next
      if (next.done) return undefined
      passed += next.value.length
      if (compression !== undefined && passed > bytesMax)
        return `its ${size} bytes expand to more than ${bytesMax}; cut it into objects of less`
      await to(next.value)
    }
  } finally {
    // However it ended: what is read half keeps its file open.
    await pieces.return(undefined)
  }
}

/** The first character of the text that is not blank; undefined where there is none, or nothing can be read. */
export async function firstCharacter(object: SpooledObject): Promise<string | undefined> {
  const kind = textKind(object)
  if (kind.is === 'bad') return undefined
  const pieces = textOf(object.file, kind.size, kind.compression)
  try {
    for await (const piece of pieces) {
      const text = piece.toString('latin1').trimStart()
      if (text !== '') return text[0]
    }
    return undefined
  } catch {
    // Whoever reads all of it tells what is wrong.
    return undefined
  }
}

type Kind =
  | {
      readonly is: 'text'
      readonly compression: Compression | undefined
      readonly isMarked: boolean
      readonly size: number
    }
  | { readonly is: 'bad'; readonly reason: string }

function textKind({ file, key }: SpooledObject): Kind {
  // Synchronous: of a local file that is in memory this takes microseconds, and a turn of the thread pool each call
  // more.
  const source = openSync(file, 'r')
  try {
    const { size } = fstatSync(source)
    const buffer = Buffer.alloc(4)
    const head = buffer.subarray(0, readSync(source, buffer, 0, buffer.length, 0))
    if (utf16.some(bytes => startsWith(head, bytes))) return { is: 'bad', reason: 'it is UTF-16; expected UTF-8' }
    return { is: 'text', compression: compressionOf(head, key), isMarked: startsWith(head, [...byteOrderMark]), size }
  } finally {
    closeSync(source)
  }
}

/** By its first bytes. Where one is so short that they are cut off, its key tells what they began. */
function compressionOf(head: Buffer, key: string): Compression | undefined {
  const named = /\.(gz|zst)$/i.exec(key)?.[1]?.toLowerCase()
  return magic.find(
    ([compression, bytes]) =>
      startsWith(head, bytes) || (compression === named && startsWith(head, bytes.slice(0, head.length))),
  )?.[0]
}

function startsWith(head: Buffer, bytes: readonly number[]): boolean {
  return bytes.every((byte, index) => head[index] === byte)
}

/** The text in pieces, without its byte order mark. */
async function* textOf(
  file: string,
  size: number,
  compression: Compression | undefined,
): AsyncGenerator<Buffer, undefined> {
  let head: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of expanded(file, size, compression)) {
    if (head === undefined) {
      yield chunk
      continue
    }
    head = Buffer.concat([head, chunk])
    if (head.length < byteOrderMark.length) continue
    yield head.subarray(head.subarray(0, 3).equals(byteOrderMark) ? 3 : 0)
    head = undefined
  }
  if (head !== undefined && head.length > 0) yield head
  return undefined
}

async function* expanded(file: string, size: number, compression: Compression | undefined): AsyncGenerator<Buffer> {
  if (compression === undefined) {
    yield* createReadStream(file) as AsyncIterable<Buffer>
    return
  }
  let start = 0
  do {
    const source = createReadStream(file, { start })
    const decoder = compression === 'gz' ? createGunzip() : createZstdDecompress()
    feed(source, decoder).catch((error: Error) => decoder.destroy(error))
    try {
      yield* decoder as AsyncIterable<Buffer>
    } finally {
      source.destroy()
      decoder.destroy()
    }
    // gzip's decoder goes through all members; that of zstd ends with its frame.
    start += decoder.bytesWritten
  } while (compression === 'zst' && start < size)
}

/**
 * A decoder that ends inside a piece, as that of zstd does with its frame, gets no more of them: it would take the next
 * one for a beginning, as long as its reader has not come to the end.
 */
async function feed(source: AsyncIterable<Buffer>, decoder: Gunzip | ZstdDecompress): Promise<void> {
  let fed = 0
  for await (const chunk of source) {
    fed += chunk.length
    await new Promise<void>((resolve, reject) => decoder.write(chunk, error => (error ? reject(error) : resolve())))
    if (decoder.bytesWritten < fed) return
  }
  decoder.end()
}

export async function writeAll(target: FileHandle, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await target.write(chunk, at)).bytesWritten
}
