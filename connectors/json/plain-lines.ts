import { closeSync, openSync, read, readSync } from 'node:fs'
import { promisify } from 'node:util'
import { closeObject, isBlank, lineFeed, openObject } from './bytes.ts'
import type { Proof } from './proof.ts'
import { createExtent, type Extent } from './extent.ts'

const blockBytes = 1024 * 1024
/** Text of so many bytes is young when it is dropped, which makes it cheap. */
const pieceBytes = 64 * 1024

/**
 * What DuckDB reads otherwise than `createJsonRows` does, as far as a glance tells: a comma before what closes, NaN or
 * Infinity before what ends a value, a second object behind the first. In strings they mean nothing.
 */
const suspect = /,[ \t\r]*[}\]]|[nN](?:[aA][nN]|[fF](?:[iI][nN][iI][tT][yY])?)[ \t\r]*[,}\]]|\}[ \t\r]*\{/

/**
 * Whether DuckDB may read a file as it is: the first line looks like one object, no line is longer than a row may be,
 * and none has what DuckDB takes for JSON though it is none. What DuckDB refuses by itself is not looked for. 'proven':
 * the proof, where there is one, has shown all of it; such lines are plain.
 *
 * @param rowBytesMax at least 1 MiB
 */
export async function plainLines(
  file: string,
  rowBytesMax: number,
  signal: AbortSignal,
  proof?: Proof,
): Promise<'proven' | 'plain' | 'other'> {
  let isFirst = true
  let open = proof
  for await (const lines of wholeLines(file, rowBytesMax)) {
    signal.throwIfAborted()
    if (lines !== 'too long' && open?.shows(lines)) {
      isFirst = false
      continue
    }
    open = undefined
    if (lines === 'too long' || (isFirst && !isLikeObject(firstLine(lines))) || !arePlain(lines)) return 'other'
    isFirst = false
  }
  return open && !isFirst ? 'proven' : 'plain'
}

const readAside = promisify(read)

/**
 * A file in pieces that end where a line ends, up to one that is too long. Each is good until the next one is asked
 * for.
 */
async function* wholeLines(file: string, lineBytesMax: number): AsyncGenerator<Buffer | 'too long'> {
  const source = openSync(file, 'r')
  try {
    let block = Buffer.allocUnsafe(pieceBytes)
    let filled = 0
    for (;;) {
      const room = block.length - filled
      // A small object is not worth a turn of the event loop.
      const bytesRead =
        block.length === pieceBytes
          ? readSync(source, block, filled, room, null)
          : (await readAside(source, block, filled, room, null)).bytesRead
      if (bytesRead === 0) break
      filled += bytesRead
      if (filled < block.length) continue
      const end = block.lastIndexOf(lineFeed) + 1
      if (end > 0) yield block.subarray(0, end)
      else if (block.length > lineBytesMax) return yield 'too long'
      // A line of the greatest length fits, with its line feed.
      const size = end > 0 ? Math.max(blockBytes, block.length) : Math.min(2 * block.length, lineBytesMax + 1)
      const next = size === block.length ? block : Buffer.allocUnsafe(size)
      filled = block.copy(next, 0, end)
      block = next
    }
    if (filled > 0) yield block.subarray(0, filled)
  } finally {
    closeSync(source)
  }
}

/** The first line that is not blank. */
function firstLine(lines: Buffer): Buffer {
  let start = 0
  while (isBlank(lines[start])) start++
  const end = lines.indexOf(lineFeed, start)
  return lines.subarray(start, end === -1 ? lines.length : end)
}

function isLikeObject(line: Buffer): boolean {
  let end = line.length
  while (isBlank(line[end - 1])) end--
  return line[0] === openObject && line[end - 1] === closeObject
}

function arePlain(lines: Buffer): boolean {
  for (let from = 0; from < lines.length; ) {
    const before = lines.lastIndexOf(lineFeed, from + pieceBytes) + 1
    const to = before > from ? before : lineEnd(lines, from) + 1
    const piece = lines.subarray(from, to)
    if (suspect.test(piece.toString('latin1')) && !areObjects(piece)) return false
    from = to
  }
  return true
}

function areObjects(lines: Buffer): boolean {
  const extent = createExtent()
  for (let from = 0; from < lines.length; ) {
    const to = lineEnd(lines, from)
    const line = lines.subarray(from, to)
    if (suspect.test(line.toString('latin1')) && !isOneObject(line, extent)) return false
    from = to + 1
  }
  return true
}

function lineEnd(lines: Buffer, from: number): number {
  const end = lines.indexOf(lineFeed, from)
  return end === -1 ? lines.length : end
}

function isOneObject(line: Buffer, extent: Extent): boolean {
  let start = 0
  while (isBlank(line[start])) start++
  extent.begin()
  let end = line[start] === openObject ? extent.read(line, start, line.length) : start
  while (isBlank(line[end])) end++
  return extent.is === 'closed' && !extent.isLoose && end === line.length
}
