import {
  closeArray,
  closeObject,
  comma,
  isBlank,
  isStructure,
  lineFeed,
  openArray,
  openObject,
  quote,
} from './bytes.ts'
import { createExtent } from './extent.ts'
import { createRecordsSearch } from './records-search.ts'
import type { RowWriter, JsonRows } from './row-writer.ts'
import { createRowText } from '../text/row-text.ts'

type Place = 'between values' | 'no value' | 'array of rows' | 'envelope' | 'lost'

export interface ValueRowsSettings {
  /** What may follow the first row: another one on the line or on the next one, or anywhere. */
  readonly layout: 'lines' | 'free'
  /** Fields of each object down to the array of its rows. */
  readonly path?: readonly string[]
  readonly rowBytesMax: number
}

/**
 * Rows one after the other. On lines: objects, as many as there are, and what is broken spoils the rest of its line.
 * Free: objects and elements of arrays, whatever the lines; or elements of the arrays that a path of fields leads to in
 * each object, which is then their envelope. Where brackets do not match there, or an array or envelope is cut off, the
 * text is wrong as a whole. No more than one row is held.
 */
// oxlint-disable-next-line max-lines-per-function -- a state machine over bytes, whose variables stay locals
export function createValueRows({ layout, path, rowBytesMax }: ValueRowsSettings, { write }: RowWriter): JsonRows {
  /** What is at hand: a row, or an element of an array or a part of one. */
  const value = createExtent()
  const row = createRowText(rowBytesMax)
  const envelope = createRecordsSearch(path ?? [])
  let place: Place = 'between values'
  /** Whether the row is one object as it should be. */
  let isObject = true
  /** Objects in the element at hand. */
  let objects = 0
  let isAfterComma = false
  let rows = 0
  let bytesBefore = 0
  let lostAt = 0
  /** Of the chunk at hand: a line feed at or behind the last place that asked. */
  let lineEnd = -1

  function finish(): void {
    write(row.take(), isObject)
    rows++
    isObject = true
    objects = 0
  }

  function lose(at: number): number {
    lostAt = bytesBefore + at
    place = 'lost'
    return at
  }

  function endOfLine(chunk: Buffer, at: number): number {
    if (lineEnd < at) {
      const found = chunk.indexOf(lineFeed, at)
      lineEnd = found === -1 ? chunk.length : found
    }
    return lineEnd
  }

  /** Each takes what lies at a place of the chunk, and returns the next place. */
  const places: Readonly<Record<Place, (chunk: Buffer, at: number) => number>> = {
    'between values'(chunk, at) {
      const byte = chunk[at] as number
      if (isBlank(byte)) return at + 1
      if (byte === openObject && path) {
        envelope.begin()
        place = 'envelope'
      } else if (byte === openArray && layout === 'free' && !path) {
        place = 'array of rows'
        return at + 1
      } else if (byte === openObject || byte === openArray) {
        isObject = byte === openObject
        value.begin()
      } else place = 'no value'
      return at
    },

    // It goes as far as its line.
    'no value'(chunk, at) {
      const end = endOfLine(chunk, at)
      row.add(chunk.subarray(at, end))
      isObject = false
      if (end < chunk.length) {
        finish()
        place = 'between values'
      }
      return end
    },

    'array of rows'(chunk, at) {
      const byte = chunk[at] as number
      if (byte === comma || byte === closeArray) {
        if (byte === comma || isAfterComma || row.bytes > 0) {
          isObject &&= objects === 1
          finish()
        }
        isAfterComma = byte === comma
        if (byte === closeArray) place = path ? 'envelope' : 'between values'
        return at + 1
      }
      if (byte === closeObject) return lose(at)
      if (byte === openObject || byte === openArray || byte === quote) {
        if (byte === openObject) objects++
        else isObject = false
        value.begin()
        return at
      }
      if (isBlank(byte) && row.bytes === 0) return at + 1
      let end = at + 1
      while (end < chunk.length && !isStructure(chunk[end] as number)) end++
      const text = chunk.subarray(at, end)
      if (!text.every(isBlank)) isObject = false
      row.add(text)
      return end
    },

    envelope(chunk, at) {
      const end = envelope.read(chunk, at)
      if (!envelope.isFound) row.add(chunk.subarray(at, end))
      if (envelope.is === 'broken') return lose(end)
      if (envelope.is === 'at rows') {
        row.take()
        place = 'array of rows'
      } else if (envelope.is === 'closed') {
        if (!envelope.isFound) {
          isObject = false
          finish()
        }
        place = 'between values'
      }
      return end
    },

    lost: chunk => chunk.length,
  }

  function inValue(chunk: Buffer, at: number): number {
    const to = layout === 'lines' ? endOfLine(chunk, at) : chunk.length
    const end = value.read(chunk, at, to)
    row.add(chunk.subarray(at, end))
    if (end < chunk.length && end === to) value.stop()
    if (value.is === 'broken') {
      if (layout === 'free') return lose(end)
      place = 'no value'
      return end
    }
    if (value.isLoose) isObject = false
    if (value.is === 'closed' && place === 'between values') finish()
    return end
  }

  return {
    push(chunk) {
      lineEnd = -1
      for (let at = 0; at < chunk.length; ) at = value.is === 'open' ? inValue(chunk, at) : places[place](chunk, at)
      bytesBefore += chunk.length
    },
    end() {
      const after = `after ${rows} row${rows === 1 ? '' : 's'}`
      if (place === 'lost') return `its brackets do not match at byte ${lostAt}, ${after}`
      if (place === 'array of rows' || place === 'envelope')
        return `it ends inside an array or object that is never closed, ${after}`
      if (row.bytes > 0) {
        isObject = false
        finish()
      }
      return undefined
    },
  }
}
