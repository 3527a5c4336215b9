import { jsonFormat } from '../../../connectors/json/format.ts'
import { type FormatRow, formatColumns, formatContract } from '../../contracts/format.ts'
import { cellsOfTexts, isoText, numberText } from '../format-values.ts'

formatContract('JSON', {
  format: jsonFormat,
  extension: '.json',
  lines: { broken: '{"k":', expected: 'a JSON object (RFC 8259)' },
  write: async (rows, columns) =>
    Buffer.from(rows.map(row => `{${columns.map(name => `"${name}":${written(row, name)}`).join(',')}}\n`).join('')),
  // Objects by line only: arrays, and objects over many lines, have tests of their own.
  readIndependently: async body => {
    try {
      const lines = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body).split('\n')
      return lines.filter(line => line.trim() !== '').map(line => cellsOfTexts(textsOf(line)))
    } catch {
      return undefined
    }
  },
})

function written(row: FormatRow, name: keyof FormatRow): string {
  const value = row[name]
  if (typeof value === 'number') return numberText(value)
  if (typeof value !== 'bigint') return JSON.stringify(value)
  return name === 't' ? `"${isoText(value)}"` : String(value)
}

/** JavaScript's own parser; numbers as they stand in the text. */
function textsOf(line: string): Record<string, string | null> {
  const sourceOf = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' || typeof value === 'boolean' ? { source: context?.source } : value
  const parsed = JSON.parse(line, sourceOf as never) as Record<string, unknown>
  if (Object.getPrototypeOf(parsed) !== Object.prototype) throw new Error('no object')
  return Object.fromEntries(
    Object.entries(parsed).map(([name, value]) => {
      const isText = name === 'k' || name === 't'
      // A name that differs by case may stand for a column; a number may be read as text.
      if (!(name in formatColumns) || (value !== null && isText !== (typeof value === 'string')))
        throw new Error(`another form: ${name}`)
      return [name, isText || value === null ? (value as string | null) : String((value as { source: string }).source)]
    }),
  )
}
