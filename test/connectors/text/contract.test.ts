import { createTextFormat } from '../../../connectors/text/format.ts'
import { text } from '../../../src/index.ts'
import type { TextSettings } from '../../../connectors/text/settings.ts'
import { type FormatRow, formatColumns, formatContract } from '../../contracts/format.ts'
import { cellsOfTexts, isoText, numberText } from '../format-values.ts'

const names = Object.keys(formatColumns)
const pattern = names.map(name => `(?P<${name}>[^\\t]*)`).join('\\t')

formatContract('text', {
  format: createTextFormat(text({ pattern }).settings as TextSettings),
  extension: '.log',
  // Empty text is NULL, and a line has no line within.
  lines: {
    broken: 'nothing',
    expected: 'a line of UTF-8, of at most 1 MiB, that the pattern fits',
    texts: ['a', 'é😀', 'x,y', '"q"', '{"a":1}', '0'],
  },
  write: async (rows, columns) =>
    Buffer.from(
      rows
        .map(
          row =>
            `${names.map(name => (columns.includes(name as never) ? written(row, name as never) : '')).join('\t')}\n`,
        )
        .join(''),
    ),
  readIndependently: async body => {
    try {
      const whole = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
      // Carriage returns and a byte order mark have tests of their own.
      if (/^\uFEFF|\r/.test(whole)) return undefined
      return whole
        .split('\n')
        .filter(line => line !== '')
        .map(line => cellsOfTexts(textsOf(line)))
    } catch {
      return undefined
    }
  },
})

function textsOf(line: string): Record<string, string | null> {
  const fields = line.split('\t')
  if (fields.length !== names.length) throw new Error('the pattern does not fit')
  return Object.fromEntries(fields.map((field, index) => [names[index] as string, field === '' ? null : field]))
}

function written(row: FormatRow, name: keyof FormatRow): string {
  const value = row[name]
  if (value === null) return ''
  if (typeof value === 'number') return numberText(value)
  return name === 't' ? isoText(value as bigint) : String(value)
}
