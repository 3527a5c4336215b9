import { createRowText, type TakenText } from './row-text.ts'

export interface Lines {
  /** Takes the next piece of the text; calls back for every line that ends in it. */
  push(chunk: Buffer): void
  /** The text ends here: the last line needs no line feed. */
  end(): void
}

/**
 * Cuts text at line feeds, and nowhere else.
 *
 * @param bytesMax of a longer line only the beginning is there
 * @param onLine gets each line without its line feed, an empty one at the end too
 */
export function createLines(bytesMax: number, onLine: (line: TakenText) => void): Lines {
  const line = createRowText(bytesMax)
  return {
    push(chunk) {
      let from = 0
      for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
        line.add(chunk.subarray(from, end))
        onLine(line.take())
        from = end + 1
      }
      line.add(chunk.subarray(from))
    },
    end: () => onLine(line.take()),
  }
}
