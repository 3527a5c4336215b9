/** A table of text with aligned columns: numbers to the right, the rest to the left. */
export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const isNumber = (cell: string) => /^-?[\d,]+(\.\d+)?$/.test(cell)
  const columns = head.map((name, i) => {
    const cells = rows.map(row => row[i] ?? '')
    return {
      width: Math.max(name.length, ...cells.map(cell => cell.length)),
      right: cells.length > 0 && cells.every(isNumber),
    }
  })
  const line = (cells: readonly string[]) =>
    columns
      .map(({ width, right }, i) => (right ? (cells[i] ?? '').padStart(width) : (cells[i] ?? '').padEnd(width)))
      .join('  ')
      .trimEnd()
  return [line(head), columns.map(({ width }) => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')
}
