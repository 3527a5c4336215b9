import { type FileHandle, open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { deserializeTCompactProtocol } from 'hyparquet/src/thrift.js'
import { type ColumnChunk, footerStart, readFooter } from './footer.ts'
import { namesRead, type OwnColumn } from '../../src/plan/find-column.ts'

/** A page's header is some 30 bytes, or more where it holds long statistics; small pages are read many at a time. */
const headerBytes = 4 * 1024
const windowBytes = 32 * 1024
const headerBytesMax = 16 * 1024 * 1024
const pieceBytes = 1024 * 1024
const footerGuessBytes = 64 * 1024

/** What is wrong with a file, or what of it DuckDB would read wrong without a word. */
export type Checked =
  | { readonly is: 'bad'; readonly reason: string }
  | {
      readonly is: 'good'
      /** Absent where it is no Parquet file. */
      readonly columns?: readonly OwnColumn[]
      readonly hasUtcNanos: boolean
    }

/**
 * Checks of a local file what DuckDB does not: that the pages of the declared columns lie where the footer says, and
 * that those with a checksum have it (parquet.thrift, PageHeader.crc: CRC-32 of the page as stored). Pages without one
 * cost the read of their header.
 */
export async function checkPages(file: string, declared: readonly string[], signal: AbortSignal): Promise<Checked> {
  const handle = await open(file)
  try {
    const { size } = await handle.stat()
    const guess = await bytes(handle, Math.max(0, size - footerGuessBytes), size)
    const start = footerStart(guess, size)
    // No Parquet at all: DuckDB says why.
    if (start === undefined) return { is: 'good', hasUtcNanos: false }
    const footer = readFooter(await bytes(handle, start, size), start)
    const wanted = namesRead(declared, footer.columns)
    const columns = footer.columns.filter(({ name }) => wanted.has(name))
    const hidden = columns.find(({ name }) => footer.encrypted.has(name))
    if (hidden)
      throw new PageError(
        `column '${hidden.name}' is encrypted, and no key for it can be given here; leave it out, or write it in plain`,
      )
    const wide = columns.find(({ wideDecimal }) => wideDecimal !== undefined)
    if (wide)
      throw new PageError(
        `column '${wide.name}' is ${wide.wideDecimal}; ` +
          'DECIMAL has at most 38 digits here, so it would have to be written as one of those, or as text',
      )
    const read = windowed(handle, size)
    for (const chunk of footer.chunks) if (wanted.has(chunk.column)) await checkChunk(read, chunk, signal)
    return { is: 'good', columns: footer.columns, hasUtcNanos: columns.some(column => column.isUtcNanos) }
  } catch (error) {
    if (signal.aborted || isSystemError(error)) throw error
    return { is: 'bad', reason: (error as Error).message }
  } finally {
    await handle.close()
  }
}

/** What is wrong with a page. */
class PageError extends Error {}

/** Disks fail with a code, decoders of broken bytes without one. */
function isSystemError(error: unknown): boolean {
  return /^E[A-Z]+$/.test(String((error as NodeJS.ErrnoException).code ?? ''))
}

async function checkChunk(read: Read, chunk: ColumnChunk, signal: AbortSignal): Promise<void> {
  let at = chunk.start
  let values = 0
  while (values < chunk.values) {
    signal.throwIfAborted()
    const where = `column '${chunk.path}', page at byte ${at}`
    const header = await readHeader(read, at, chunk.end, where)
    const end = header.dataStart + header.sizeBytes
    if (header.sizeBytes < 0 || end > chunk.end)
      throw new PageError(`${where}: it does not lie inside its column chunk, which ends at byte ${chunk.end}`)
    if (header.crc !== undefined) {
      const found = await checksum(read, header.dataStart, end)
      if (found !== header.crc)
        throw new PageError(`${where}: its checksum is ${hex(found)}, its header says ${hex(header.crc)}`)
    }
    values += header.values
    at = end
  }
}

interface PageHeader {
  readonly dataStart: number
  readonly sizeBytes: number
  readonly values: number
  readonly crc: number | undefined
}

async function readHeader(read: Read, at: number, end: number, where: string): Promise<PageHeader> {
  for (let wanted = headerBytes; ; wanted *= 8) {
    const found = await read(at, Math.min(end, at + wanted))
    const reader = { view: new DataView(found.buffer, found.byteOffset, found.length), offset: 0 }
    try {
      const header = deserializeTCompactProtocol(reader) as Readonly<Record<string, unknown>>
      const { field_1: type, field_3: sizeBytes, field_4: crc } = header
      const data = (header.field_5 ?? header.field_8) as { readonly field_1?: unknown } | undefined
      const values = data === undefined ? 0 : data.field_1
      if (typeof type !== 'number' || typeof sizeBytes !== 'number' || typeof values !== 'number')
        throw new PageError(`${where}: there is no page header`)
      return {
        dataStart: at + reader.offset,
        sizeBytes,
        values,
        crc: typeof crc === 'number' ? crc >>> 0 : undefined,
      }
    } catch (error) {
      if (error instanceof PageError) throw error
      // Cut off, or no header: only more of it tells.
      if (at + wanted >= end || wanted >= headerBytesMax)
        throw new PageError(`${where}: its header cannot be decoded: it is broken, or no header of a page`)
    }
  }
}

async function checksum(read: Read, start: number, end: number): Promise<number> {
  let crc = 0
  for (let at = start; at < end; at += pieceBytes) crc = crc32(await read(at, Math.min(end, at + pieceBytes)), crc)
  return crc
}

/** Bytes [start, end) of the file, good until the next call. */
type Read = (start: number, end: number) => Promise<Buffer>

/** Reads ahead: a page of a few bytes costs no call of its own. */
function windowed(handle: FileHandle, size: number): Read {
  let from = 0
  let window: Buffer = Buffer.alloc(0)
  return async (start, end) => {
    if (start < from || end > from + window.length) {
      from = start
      window = await bytes(handle, start, Math.min(size, Math.max(end, start + windowBytes)))
    }
    return window.subarray(start - from, end - from)
  }
}

/** Bytes [start, end) of the file. @throws Error where it ends before them */
async function bytes(handle: FileHandle, start: number, end: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(Math.max(0, end - start))
  for (let got = 0; got < buffer.length; ) {
    const { bytesRead } = await handle.read(buffer, got, buffer.length - got, start + got)
    if (bytesRead === 0) throw new PageError(`the file ends before byte ${end}`)
    got += bytesRead
  }
  return buffer
}

const hex = (crc: number) => crc.toString(16).padStart(8, '0')
