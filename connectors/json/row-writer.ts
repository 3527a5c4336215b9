import { brokenMax, shown, type TakenText } from '../text/row-text.ts'
import { isBlank, lineFeed, quote } from './bytes.ts'

/** Takes rows one after the other. */
export interface RowWriter {
  /** @param isObject whether its brackets are those of one object; whether it is JSON, DuckDB tells */
  write(row: TakenText, isObject: boolean): void
}

/**
 * Rows as lines for DuckDB: an object as it is, and a broken row as a JSON string of its text, which is no object.
 *
 * @param onLine gets lines without their ends
 */
export function createRowWriter(bytesMax: number, onLine: (line: Buffer) => void): RowWriter {
  const writeText = (text: string) => onLine(Buffer.from(JSON.stringify(text)))
  return {
    write({ text, bytes }, isObject) {
      if (bytes > bytesMax)
        writeText(`${shown(text, brokenMax - 100)}... (${bytes} bytes; json({ rowBytesMax }) allows ${bytesMax})`)
      else if (isObject) onLine(onOneLine(trimmed(text)))
      else writeText(shown(trimmed(text)))
    },
  }
}

/** The text of a broken row: its line, or what `createRowWriter` wrote for it. */
export function brokenText(line: Buffer): string {
  return line[0] === quote ? String(JSON.parse(line.toString('utf8'))) : shown(line)
}

function trimmed(text: Buffer): Buffer {
  let [start, end] = [0, text.length]
  while (isBlank(text[start])) start++
  while (end > start && isBlank(text[end - 1])) end--
  return text.subarray(start, end)
}

/** Outside of strings a line end is blank, and inside there is none. */
function onOneLine(text: Buffer): Buffer {
  let at = text.indexOf(lineFeed)
  if (at === -1) return text
  const line = Buffer.from(text)
  for (; at !== -1; at = line.indexOf(lineFeed, at)) line[at] = 32
  return line
}

/** Cuts text into rows. */
export interface JsonRows {
  /** Takes the next piece of the text. */
  push(chunk: Buffer): void
  /** The text ends here. Returns what is wrong with the whole of it. */
  end(): string | undefined
}
