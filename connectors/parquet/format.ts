import type { OwnColumn } from '../../src/plan/find-column.ts'
import type { Format } from '../../src/plan/format.ts'
import { id, text } from '../../src/plan/sql.ts'
import { checkPages } from './pages.ts'
import { neededRanges } from './ranges.ts'
import { copyWithLocalNanos } from './utc-nanos.ts'

// Hive partitioning would add columns out of the spool file's path.
const options = 'hive_partitioning = false, union_by_name = false'

/** A file may have a column of this name, which then hides DuckDB's own. */
const rowNumber = 'file_row_number'

export const parquetFormat: Format = {
  name: 'parquet',
  extensions: ['.parquet'],
  needed: neededRanges,
  async ready({ file, changed, columns, signal }) {
    const checked = await checkPages(file, columns, signal)
    if (checked.is === 'bad') return checked
    const found = checked.columns ? { columns: checked.columns } : {}
    if (!checked.hasUtcNanos) return { is: 'ready', file, ...found }
    const reason = await copyWithLocalNanos(file, changed)
    return reason === undefined ? { is: 'ready', file: changed, ...found } : { is: 'bad', reason }
  },
  isShared: false,
  read: () => null,
  types: (file, columns, own) =>
    `SELECT ${columns.map(({ at }, index) => `${valueOf(at, own)} AS c${index}`).join(', ')} ` +
    `FROM read_parquet(${text(file)}, ${options})`,
  scan(file, columns, own) {
    const values = columns.map(({ name, at }) => `, ${valueOf(at, own)} AS ${id(name)}`).join('')
    const isHidden = own.some(({ name }) => name.toLowerCase() === rowNumber)
    // A window without an order counts rows as they are scanned, and the session keeps their order.
    const [row, option] = isHidden ? ['row_number() OVER () - 1', ''] : [rowNumber, `${rowNumber} = true, `]
    return (
      `SELECT ${row} AS _row, 0 AS _part, FALSE AS _broken${values} ` +
      `FROM read_parquet(${text(file)}, ${option}${options})`
    )
  },
  rowIs: 'a Parquet row',
}

/** SQL of a column, or of a field of a struct: NULL where the struct is. */
function valueOf([index = 0, ...fields]: readonly number[], own: readonly OwnColumn[]): string {
  let column = own[index]
  let value = id(nameIn(column))
  for (const field of fields) {
    column = column?.fields?.[field]
    value = `struct_extract(${value}, ${text(nameIn(column))})`
  }
  return value
}

/** DuckDB's name of a column. */
function nameIn(column: OwnColumn | undefined): string {
  return column?.sqlName ?? column?.name ?? ''
}
