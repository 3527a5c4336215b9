import { describeColumns, named, rowsLookedAt } from '../../src/plan/file-columns.ts'
import type { InferFormat } from '../../src/plan/format.ts'
import { text } from '../../src/plan/sql.ts'
import { plainText } from '../text/plain-text.ts'
import { csvExtensions } from './format.ts'

export const inferCsv: InferFormat = {
  shown: 'CSV',
  extensions: csvExtensions,
  ready: object => plainText(object),
  async columns(executor, { file }) {
    const read = (more: string) =>
      `read_csv(${text(file)}, sample_size = ${rowsLookedAt}, ${more}hive_partitioning = false)`
    const columns = await describeColumns(executor, read(''))
    const [sniffed] = await executor.rows(
      `SELECT HasHeader FROM sniff_csv(${text(file)}, sample_size = ${rowsLookedAt})`,
    )
    if (sniffed?.HasHeader !== true) return columns
    const [first] = await executor.rows(
      `SELECT [*COLUMNS(*)] AS names FROM ${read('header = false, all_varchar = true, ')} LIMIT 1`,
    )
    return named(columns, (first?.names ?? []) as readonly string[])
  },
}
