import type { TextRows } from '../src/core/text-rows.ts'
import type { Manifest, Part } from './types.ts'

type Columns = TextRows['columns']

/**
 * A manifest as it is written: columns that many parts with text share stand in it once, and each part has their
 * number.
 */
export interface PackedManifest extends Omit<Manifest, 'channels'> {
  readonly columns?: readonly Columns[]
  readonly channels: Readonly<Record<string, readonly PackedPart[]>>
}
type PackedPart = Omit<Part, 'text'> & { readonly text?: Omit<TextRows, 'columns'> & { readonly columns: number } }

/** The JSON of columns, which are the same object from one commit to the next. */
const keys = new WeakMap<Columns, string>()

function keyOf(columns: Columns): string {
  const known = keys.get(columns)
  if (known !== undefined) return known
  const key = JSON.stringify(columns)
  keys.set(columns, key)
  return key
}

export function packManifest(manifest: Manifest): PackedManifest {
  const columns: Columns[] = []
  const numbers = new Map<string, number>()
  const numberOf = (own: Columns): number => {
    const key = keyOf(own)
    const number = numbers.get(key) ?? columns.push(own) - 1
    numbers.set(key, number)
    return number
  }
  const packed = ({ text, ...part }: Part): PackedPart =>
    text === undefined ? part : { ...part, text: { columns: numberOf(text.columns), rows: text.rows } }
  const channels = Object.fromEntries(
    Object.entries(manifest.channels).map(([channel, parts]) => [channel, parts.map(packed)]),
  )
  return { ...manifest, channels, ...(columns.length === 0 ? {} : { columns }) }
}

/** Undefined where a part names columns that are not there. */
export function unpackManifest({ columns = [], ...manifest }: PackedManifest): Manifest | undefined {
  const channels: Record<string, readonly Part[]> = {}
  for (const [channel, parts] of Object.entries(manifest.channels)) {
    const unpacked: Part[] = []
    for (const { text, ...part } of parts) {
      const own = text && columns[text.columns]
      if (text && !own) return undefined
      unpacked.push(text && own ? { ...part, text: { columns: own, rows: text.rows } } : part)
    }
    channels[channel] = unpacked
  }
  return { ...manifest, channels }
}
