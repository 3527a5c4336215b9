// What JSON is made of.
export const [lineFeed, quote, comma, colon, backslash] = [10, 34, 44, 58, 92]
export const [openArray, closeArray, openObject, closeObject] = [91, 93, 123, 125]

/** JSON's own white space, and what else DuckDB passes over at the ends of a line. */
export function isBlank(byte: number | undefined): boolean {
  return byte === 32 || (byte !== undefined && byte >= 9 && byte <= 13)
}

/** Brackets, quotes, commas and colons. */
export function isStructure(byte: number): boolean {
  return (
    byte === quote ||
    byte === comma ||
    byte === colon ||
    byte === openArray ||
    byte === closeArray ||
    byte === openObject ||
    byte === closeObject
  )
}
