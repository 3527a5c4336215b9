import type { Format } from '../../src/plan/format.ts'
import { id, text } from '../../src/plan/sql.ts'

// Hive partitioning would add columns out of the spool file's path.
const options = 'hive_partitioning = false, union_by_name = false'

export const parquetFormat: Format = {
  name: 'parquet',
  extensions: ['.parquet'],
  spool: () => null,
  physical: file => `SELECT * FROM read_parquet(${text(file)}, ${options})`,
  scan: (file, columns) =>
    `SELECT file_row_number AS _row, FALSE AS _broken${columns.map(({ name }) => `, ${id(name)}`).join('')} ` +
    `FROM read_parquet(${text(file)}, file_row_number = true, ${options})`,
  // SQL names ignore case: Airport_fee and airport_fee are one column of two months.
  find: (declared, physical) =>
    physical.find(name => name === declared) ?? physical.find(name => name.toLowerCase() === declared.toLowerCase()),
  rowIs: 'a Parquet row',
}
