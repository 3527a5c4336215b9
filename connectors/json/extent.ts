import { backslash, closeArray, closeObject, colon, comma, lineFeed, openArray, openObject, quote } from './bytes.ts'

/** How far one JSON value goes, told by its brackets and quotes alone. */
export interface Extent {
  /** A value begins with the next byte: a bracket or a quote. */
  begin(): void
  /** Reads on, and returns the place after the value, or `to` where it goes on. */
  read(chunk: Uint8Array, from: number, to: number): number
  /** Nothing more of the value comes. */
  stop(): void
  /** 'broken': it stops before its end, or its brackets do not match, so that nothing tells where it ends. */
  readonly is: 'closed' | 'open' | 'broken'
  /** Whether it has something that RFC 8259 forbids and DuckDB's parser would take for JSON on one line. */
  readonly isLoose: boolean
}

const [a, f, n] = [97, 102, 110]
/** The last one of the control characters and the space, and the bit that tells small letters from capital ones. */
const [blank, small] = [32, 32]

/**
 * Goes through brackets and quotes byte by byte, whatever pieces the text comes in. A string ends at the end of its
 * line at the latest: an unclosed one swallows no more than that.
 */
// oxlint-disable-next-line max-lines-per-function -- a state machine over bytes, whose variables stay locals
export function createExtent(): Extent {
  let is: Extent['is'] = 'closed'
  let isLoose = false
  let isString = false
  let isEscaped = false
  let depth = 0
  /** The opening brackets around, one a level. */
  let around = new Uint8Array(64)
  /** The last byte outside of strings that is not blank. */
  let last = 0

  /** Takes what is inside a string, and the quote that closes it. */
  function inString(chunk: Uint8Array, from: number, to: number): number {
    let at = from
    if (isEscaped && chunk[at] !== lineFeed) at++
    isEscaped = false
    for (; at < to; at++) {
      const byte = chunk[at]
      if (byte === quote || byte === lineFeed) {
        if (byte === lineFeed) isLoose = true
        isString = false
        last = quote
        if (depth === 0) is = 'closed'
        return at + 1
      }
      if (byte === backslash && chunk[at + 1] !== lineFeed) at++
    }
    isEscaped = at > to
    return to
  }

  /** Takes what is outside of strings, and the quote that opens one. */
  function outside(chunk: Uint8Array, from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const byte = chunk[at] as number
      if (byte <= blank) continue
      if (byte === quote) {
        isString = true
        return at + 1
      }
      if (byte === openObject || byte === openArray || byte === closeObject || byte === closeArray) {
        const mayBe = byte === openObject || byte === openArray ? open(byte) : close(byte)
        if (!mayBe) is = 'broken'
        else if (depth === 0) is = 'closed'
        if (is !== 'open') return mayBe ? at + 1 : at
      } else if ((last | small) === n && ((byte | small) === a || (byte | small) === f))
        // NaN, Infinity and inf in any case; true, false and null have no such pair of letters.
        isLoose = true
      last = byte
    }
    return to
  }

  /** @returns whether the bracket may stand here */
  function open(bracket: number): boolean {
    const isMember = around[depth - 1] === openObject
    if (depth > 0 && !(isMember ? last === colon : last === openArray || last === comma)) return false
    if (depth === around.length) {
      const wider = new Uint8Array(2 * depth)
      wider.set(around)
      around = wider
    }
    around[depth++] = bracket
    return true
  }

  /** @returns whether the bracket may stand here */
  function close(bracket: number): boolean {
    if (depth === 0 || around[depth - 1] !== (bracket === closeObject ? openObject : openArray)) return false
    if (last === comma) isLoose = true
    depth--
    return true
  }

  return {
    get is() {
      return is
    },
    get isLoose() {
      return isLoose
    },
    begin() {
      is = 'open'
      isLoose = isString = isEscaped = false
      depth = last = 0
    },
    read(chunk, from, to) {
      let at = from
      while (at < to && is === 'open') at = isString ? inString(chunk, at, to) : outside(chunk, at, to)
      return at
    },
    stop() {
      if (is === 'open') is = 'broken'
    },
  }
}
