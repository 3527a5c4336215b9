import { parse } from 'csv-parse/sync'
import { createCsvFormat } from '../../../connectors/csv/format.ts'
import { csv } from '../../../src/index.ts'
import type { CsvSettings } from '../../../connectors/csv/settings.ts'
import { type FormatRow, formatColumns, formatContract } from '../../contracts/format.ts'
import { cellsOfTexts, isoText, numberText } from '../format-values.ts'

const names = Object.keys(formatColumns)

formatContract('CSV', {
  format: createCsvFormat(csv().settings as CsvSettings),
  extension: '.csv',
  lines: { broken: 'x,1,2', expected: 'a CSV record of 5 fields, as the header has, and not of 3' },
  write: async (rows, columns) =>
    Buffer.from([columns, ...rows.map(row => columns.map(name => written(row, name)))].map(line).join('')),
  readIndependently: async body => {
    try {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body)
      const [header, ...records] = parse(text, {
        cast: (value, { quoting }) => (value === '' && !quoting ? null : value),
      })
      if (JSON.stringify(header) !== JSON.stringify(names)) return undefined
      return (records as (string | null)[][]).map(record =>
        cellsOfTexts(Object.fromEntries(record.map((value, index) => [names[index] as string, value]))),
      )
    } catch {
      return undefined
    }
  },
})

const line = (fields: readonly string[]) => `${fields.join(',')}\n`

/** Text is quoted, so that an empty one is not NULL. */
function written(row: FormatRow, name: keyof FormatRow): string {
  const value = row[name]
  if (value === null) return ''
  if (typeof value === 'number') return numberText(value)
  if (typeof value === 'string') return `"${value.replaceAll('"', '""')}"`
  return name === 't' ? isoText(value as bigint) : String(value)
}
