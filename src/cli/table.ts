import { padText, widthOf } from './text-width.ts'

/** A table of text with aligned columns: numbers to the right, the rest to the left. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const isNumber = (cell: string) => /^-?[\d,]+(\.\d+)?$/.test(cell)
  const columns = head.map((name, i) => {
    const cells = rows.map(row => row[i] ?? '')
    return {
      width: cells.reduce((most, cell) => Math.max(most, widthOf(cell)), widthOf(name)),
      right: cells.length > 0 && cells.every(isNumber),
    }
  })
  const line = (cells: readonly string[]) =>
    columns
      .map(({ width, right }, i) => padText(cells[i] ?? '', width, right ? 'left' : 'right'))
      .join('  ')
      .trimEnd()
  return [line(head), columns.map(({ width }) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')
}
