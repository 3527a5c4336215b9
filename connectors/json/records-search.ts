import { closeObject, colon, comma, isBlank, isStructure, openArray, openObject, quote } from './bytes.ts'
import { createExtent } from './extent.ts'
import { createRowText } from '../text/row-text.ts'

/** Longer names of fields are none of a path's. */
const nameBytesMax = 64 * 1024

/** Looks for the array of rows in one object after the other. */
export interface RecordsSearch {
  /** An object begins with the next byte. */
  begin(): void
  /**
   * Reads on in the object, and returns the place where it stops: behind it, or behind the bracket that opens the rows.
   */
  read(chunk: Buffer, from: number): number
  /** 'at rows': the caller reads up to the bracket that closes them, and goes on behind it. */
  readonly is: 'open' | 'at rows' | 'closed' | 'broken'
  /** Whether the object had the array. Of two the first counts. */
  readonly isFound: boolean
}

/** @param path fields down to the array: ['detail', 'records'] */
// oxlint-disable-next-line max-lines-per-function -- a state machine over bytes, whose variables stay locals
export function createRecordsSearch(path: readonly string[]): RecordsSearch {
  const value = createExtent()
  const name = createRowText(nameBytesMax)
  let is: RecordsSearch['is'] = 'closed'
  let isFound = false
  let expected: 'object' | 'first name' | 'name' | 'colon' | 'value' | 'end of value' = 'object'
  /** Fields of the path that are open. */
  let level = 0
  let isOnPath = false

  const isOpen = () => is === 'open'
  const isInValue = () => value.is === 'open'

  /** @returns whether the byte may stand here; a bracket or quote that begins a value is left to `value` */
  function take(byte: number): boolean {
    switch (expected) {
      case 'object':
        expected = 'first name'
        return byte === openObject
      case 'first name':
      case 'name':
        if (byte === quote) value.begin()
        return byte === quote || (byte === closeObject && expected === 'first name' && leave())
      case 'colon':
        expected = 'value'
        return byte === colon
      case 'value':
        return takeValue(byte)
      case 'end of value':
        if (byte === comma) expected = 'name'
        return byte === comma || (byte === closeObject ? leave() : !isStructure(byte))
    }
  }

  function takeValue(byte: number): boolean {
    expected = 'end of value'
    if (isOnPath && level === path.length - 1 && byte === openArray) {
      isFound = true
      is = 'at rows'
    } else if (isOnPath && level < path.length - 1 && byte === openObject) {
      level++
      expected = 'first name'
    } else if (byte === openObject || byte === openArray || byte === quote) value.begin()
    else return !isStructure(byte)
    return true
  }

  /** Leaves the object at hand for the one around. */
  function leave(): true {
    if (level === 0) is = 'closed'
    else level--
    expected = 'end of value'
    return true
  }

  function inValue(chunk: Buffer, at: number): number {
    const isName = expected === 'first name' || expected === 'name'
    const end = value.read(chunk, at, chunk.length)
    if (isName) name.add(chunk.subarray(at, end))
    if (value.is === 'broken') is = 'broken'
    if (isName && value.is === 'closed') {
      isOnPath = !isFound && nameOf(name.take().text) === path[level]
      expected = 'colon'
    }
    return end
  }

  return {
    get is() {
      return is
    },
    get isFound() {
      return isFound
    },
    begin() {
      is = 'open'
      isFound = isOnPath = false
      expected = 'object'
      level = 0
    },
    read(chunk, from) {
      is = 'open'
      for (let at = from; at < chunk.length; ) {
        const byte = chunk[at] as number
        if (isInValue()) at = inValue(chunk, at)
        else if (isBlank(byte)) at++
        else if (!take(byte)) is = 'broken'
        else if (!isInValue()) at++
        if (!isOpen()) return at
      }
      return chunk.length
    },
  }
}

/** The text of a name in quotes; undefined where it is no JSON. */
function nameOf(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'))
  } catch {
    return undefined
  }
}
