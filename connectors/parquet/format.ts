import type { Format } from '../../src/plan/format.ts'
import { id, text } from '../../src/plan/sql.ts'
import { checkPages } from './pages.ts'
import { neededRanges } from './ranges.ts'
import { copyWithLocalNanos } from './utc-nanos.ts'
import { findColumn } from '../../src/plan/find-column.ts'

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
    if (!checked.hasUtcNanos) return { is: 'ready', file }
    const reason = await copyWithLocalNanos(file, changed)
    return reason === undefined ? { is: 'ready', file: changed } : { is: 'bad', reason }
  },
  isShared: false,
  read: () => null,
  physical: file => `SELECT * FROM read_parquet(${text(file)}, ${options})`,
  scan(file, columns, physical) {
    const names = columns.map(({ name, path }) => `, ${path ? `${fieldOf(path)} AS ${id(name)}` : id(name)}`).join('')
    const isHidden = physical.some(name => name.toLowerCase() === rowNumber)
    // A window without an order counts rows as they are scanned, and the session keeps their order.
    const [row, option] = isHidden ? ['row_number() OVER () - 1', ''] : [rowNumber, `${rowNumber} = true, `]
    return `SELECT ${row} AS _row, 0 AS _part, FALSE AS _broken${names} FROM read_parquet(${text(file)}, ${option}${options})`
  },
  find: findColumn,
  fieldOf,
  rowIs: 'a Parquet row',
}

/** SQL of a field of a struct: ['address', 'city']. NULL where the struct is. */
function fieldOf([column = '', ...fields]: readonly string[]): string {
  return fields.reduce((struct, field) => `struct_extract(${struct}, ${text(field)})`, id(column))
}
