/** Values of the formats' contract as text that a writer of text writes and a reader of text finds. */
import { cellsOf, type FormatRow, formatColumns } from '../contracts/format.ts'

/** '2022-01-01T00:00:00.000000' of microseconds. */
export function isoText(us: bigint): string {
  const ms = Number(us / 1000n) - (us % 1000n < 0n ? 1 : 0)
  return `${new Date(ms).toISOString().slice(0, -1)}${String(us - BigInt(ms) * 1000n).padStart(3, '0')}`
}

/** As every number is written: -0 too keeps its sign. */
export function numberText(value: number): string {
  return Object.is(value, -0) ? '-0.0' : String(value)
}

/**
 * The values of a row by their texts, as `cellsOf` gives them. Strict: only forms that the writers here use.
 *
 * @param texts null for NULL
 * @throws where one of them is no value of its column
 */
export function cellsOfTexts(texts: Readonly<Record<string, string | null>>): readonly (string | null)[] {
  const parsed = Object.fromEntries(
    Object.keys(formatColumns).map(name => [name, valueOf(name as keyof FormatRow, texts[name] ?? null)]),
  )
  return cellsOf(parsed as unknown as FormatRow)
}

const forms: Readonly<Record<keyof FormatRow, RegExp>> = {
  k: /^/,
  n: /^-?\d+$/,
  x: /^-?\d+(\.\d+)?(e[+-]?\d+)?$/,
  b: /^(true|false)$/,
  t: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/,
}

function valueOf(name: keyof FormatRow, text: string | null): FormatRow[keyof FormatRow] {
  if (text === null) return null
  const refused = new Error(`${name}: ${text}`)
  if (!forms[name].test(text)) throw refused
  if (name === 'n') return BigInt(text)
  if (name === 'x') return Number(text)
  if (name === 'b') return text === 'true'
  if (name === 'k') return text
  const ms = Date.parse(`${text.slice(0, -3)}Z`)
  // 30 February is 1 March to JavaScript.
  if (Number.isNaN(ms) || isoText(BigInt(ms) * 1000n).slice(0, -3) !== text.slice(0, -3)) throw refused
  return BigInt(ms) * 1000n + BigInt(text.slice(-3))
}
