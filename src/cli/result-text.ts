import type { SqlRow } from '../core/ports.ts'
import { renderTable } from './table.ts'

/** The rows of a query as text, with a line break at its end where there is one. */
export function resultText(
  format: 'table' | 'csv' | 'json',
  columns: readonly string[],
  rows: readonly SqlRow[],
): string {
  if (format === 'json') return rows.map(row => `${JSON.stringify(row, asText)}\n`).join('')
  if (format === 'csv')
    return [columns.map(field), ...rows.map(row => columns.map(name => csvField(row[name])))]
      .map(fields => `${fields.join(',')}\n`)
      .join('')
  const cells = rows.map(row => columns.map(name => cell(row[name])))
  return `${renderTable(columns, cells)}\n`
}

/** BIGINT as digits: JSON numbers lose them. */
function asText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return 'NULL'
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value, asText) : String(value as string | number | bigint | boolean)
}

/** NULL is an empty field, and an empty text is `""`, as in the files of `files(...)`. */
function csvField(value: unknown): string {
  return value === null || value === undefined ? '' : field(cell(value))
}

function field(text: string): string {
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
