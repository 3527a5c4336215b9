import type { JsonRows } from './row-writer.ts'
import { isBlank, lineFeed, openArray, openObject } from './bytes.ts'
import { createExtent } from './extent.ts'
import { createRowWriter } from './row-writer.ts'
import { createValueRows } from './value-rows.ts'

export interface JsonRowsSettings {
  /** Fields of each object down to the array of its rows; undefined where the objects are the rows. */
  readonly path?: readonly string[]
  /** A longer row is a broken one. */
  readonly rowBytesMax: number
}

/**
 * Cuts JSON text into rows, whether they are objects on lines, objects over many lines or elements of arrays. Without a
 * path the beginning tells: a '[' begins an array; an object goes over many lines where the first one does, unless its
 * brackets do not match there, which makes its line a broken one. Where a row ends its brackets and quotes tell alone:
 * what is wrong inside it spoils no other.
 *
 * @param onLine gets each row as a line for DuckDB, see `createRowWriter`
 */
export function createJsonRows({ path, rowBytesMax }: JsonRowsSettings, onLine: (line: Buffer) => void): JsonRows {
  const writer = createRowWriter(rowBytesMax, onLine)
  if (path !== undefined) return createValueRows({ layout: 'free', path, rowBytesMax }, writer)
  const first = createExtent()
  let head: Buffer[] = []
  let headBytes = 0
  let isOverLines = false
  let rows: JsonRows | undefined

  function decide(layout: 'lines' | 'free'): JsonRows {
    const made = createValueRows({ layout, rowBytesMax }, writer)
    for (const chunk of head) made.push(chunk)
    head = []
    rows = made
    return made
  }

  return {
    push(chunk) {
      if (rows !== undefined) return rows.push(chunk)
      let at = 0
      if (first.is === 'closed') {
        while (isBlank(chunk[at])) at++
        if (at === chunk.length) return
      }
      head.push(chunk.subarray(at))
      headBytes += chunk.length - at
      if (first.is === 'closed') {
        if (chunk[at] !== openObject) return void decide(chunk[at] === openArray ? 'free' : 'lines')
        first.begin()
      }
      const end = first.read(chunk, at, chunk.length)
      isOverLines ||= chunk.subarray(at, end).includes(lineFeed)
      if (first.is === 'broken') decide('lines')
      else if (first.is === 'closed' || headBytes > rowBytesMax) decide(isOverLines ? 'free' : 'lines')
    },
    end: () => (rows ?? decide(isOverLines ? 'free' : 'lines')).end(),
  }
}
