/** Of a text that is too long so many bytes are kept, for a message. */
const keptBytes = 4096

/** The text of one row, which comes in pieces. */
export interface RowText {
  readonly bytes: number
  add(piece: Buffer): void
  /** The text, of which only the beginning is there where it was too long; after that it is empty again. */
  take(): TakenText
}

export interface TakenText {
  readonly text: Buffer
  /** Of the whole text. */
  readonly bytes: number
}

export function createRowText(bytesMax: number): RowText {
  let pieces: Buffer[] = []
  let bytes = 0
  return {
    get bytes() {
      return bytes
    },
    add(piece) {
      const isCut = bytes > bytesMax
      bytes += piece.length
      if (bytes <= bytesMax) pieces.push(piece)
      else if (!isCut) pieces = [Buffer.concat([...pieces, piece], Math.min(bytes, keptBytes))]
    },
    take() {
      const [only] = pieces
      const taken = { text: pieces.length === 1 && only ? only : Buffer.concat(pieces), bytes }
      pieces = []
      bytes = 0
      return taken
    },
  }
}

/** Characters of a broken row that are kept. */
export const brokenMax = 1000

/** The beginning of a row's text for messages; what no eye sees is written out. */
export function shown(text: Buffer, charactersMax = brokenMax): string {
  return text
    .toString('utf8', 0, 4 * charactersMax)
    .slice(0, charactersMax)
    .replaceAll('\0', '\uFFFD')
    .replaceAll('\uFEFF', '\\uFEFF')
}
