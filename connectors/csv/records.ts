import { isUtf8 } from 'node:buffer'
import type { CsvSettings } from './settings.ts'

export interface CsvRecord {
  /** Without its line end. */
  readonly raw: Buffer
  readonly fields: number
  /** What is wrong with it; null where nothing is. */
  readonly fault: CsvFault | null
}

/** It is too long, its text is not UTF-8, or its quotes or line ends are not those of CSV. */
export type CsvFault = 'length' | 'encoding' | 'quotes'

export interface CsvRecords {
  /** Takes the next piece of the text; calls back for every record that ends in it. */
  push(chunk: Buffer): void
  /** The text ends here. Returns what is wrong with the whole of it. */
  end(): string | undefined
}

/** DuckDB reads lines of two million bytes. */
export const recordBytesMax = 1024 * 1024
/** Of a record that is too long so much is kept, for the message. */
const keptBytes = 4096

const lineFeed = 10
const carriageReturn = 13

type State = 'start' | 'bare' | 'quoted' | 'escaped' | 'closed' | 'return'

/**
 * Cuts text into CSV records (RFC 4180), byte by byte: what DuckDB's own reader takes for broken depends on its buffers
 * and on the file's other line ends, and it numbers good rows without the broken ones between them.
 */
// oxlint-disable-next-line max-lines-per-function -- a state machine over bytes, whose variables stay locals
export function createCsvRecords(
  { delimiter, quote, escape }: CsvSettings,
  onRecord: (record: CsvRecord) => void,
): CsvRecords {
  const [delimiterByte, quoteByte, escapeByte] = [delimiter, quote, escape].map(text =>
    text === '' ? -1 : text.charCodeAt(0),
  ) as [number, number, number]
  let state: State = 'start'
  let fields = 1
  let isWhole = true
  let isCut = false
  let records = 0
  let pending: Buffer = Buffer.alloc(0)

  const faultOf = (raw: Buffer): CsvFault | null => {
    if (isCut || raw.length > recordBytesMax) return 'length'
    if (!isUtf8(raw)) return 'encoding'
    return isWhole ? null : 'quotes'
  }
  const finish = (raw: Buffer) => {
    // An empty line is no record.
    if (raw.length > 0 || fields > 1) {
      records++
      onRecord({ raw, fields, fault: faultOf(raw) })
    }
    state = 'start'
    fields = 1
    isWhole = true
    isCut = false
  }

  return {
    push(chunk) {
      const text = pending.length === 0 ? chunk : Buffer.concat([pending, chunk])
      let from = 0
      for (let at = pending.length; at < text.length; at++) {
        const byte = text[at]
        switch (state) {
          case 'quoted':
            if (byte === escapeByte && escapeByte !== quoteByte) state = 'escaped'
            else if (byte === quoteByte) state = 'closed'
            continue
          case 'escaped':
            if (byte !== quoteByte && byte !== escapeByte) isWhole = false
            state = 'quoted'
            continue
          case 'closed':
            if (byte === quoteByte && escapeByte === quoteByte) {
              state = 'quoted'
              continue
            }
            if (byte !== delimiterByte && byte !== lineFeed && byte !== carriageReturn) isWhole = false
            break
          case 'return':
            if (byte !== lineFeed) isWhole = false
            break
          case 'start':
            if (byte === quoteByte) {
              state = 'quoted'
              continue
            }
            break
          case 'bare':
            break
        }
        if (byte === delimiterByte) {
          fields++
          state = 'start'
        } else if (byte === lineFeed) {
          finish(text.subarray(from, text[at - 1] === carriageReturn && at > from ? at - 1 : at))
          from = at + 1
        } else if (byte === carriageReturn) {
          if (state === 'return') isWhole = false
          state = 'return'
        } else {
          if (byte === quoteByte) isWhole = false
          state = 'bare'
        }
      }
      pending = text.subarray(from)
      // What is cut already stays short, or every piece would be put behind a million bytes.
      if (isCut || pending.length > recordBytesMax) {
        isCut = true
        // The last byte stays, for a carriage return before the line feed to come.
        pending = Buffer.concat([pending.subarray(0, keptBytes), pending.subarray(-1)])
      } else pending = Buffer.from(pending)
    },
    end() {
      if (state === 'quoted' || state === 'escaped')
        return `the quote that opens in record ${records + 1} is never closed`
      if (pending.length > 0 || fields > 1)
        finish(pending.at(-1) === carriageReturn ? pending.subarray(0, -1) : pending)
      return undefined
    },
  }
}

/** The fields of one whole record, as text. */
export function fieldsOf(raw: Buffer, { delimiter, quote, escape }: CsvSettings): readonly string[] {
  const text = raw.toString('utf8')
  const fields: string[] = []
  let field = ''
  let isQuoted = false
  for (let at = 0; at < text.length; at++) {
    const character = text[at] as string
    if (isQuoted && character === escape && (text[at + 1] === quote || (escape !== quote && text[at + 1] === escape))) {
      at++
      field += text[at]
    } else if (quote !== '' && character === quote) isQuoted = !isQuoted
    else if (!isQuoted && character === delimiter) {
      fields.push(field)
      field = ''
    } else field += character
  }
  return [...fields, field]
}
