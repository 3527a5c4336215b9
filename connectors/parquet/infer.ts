import { parseColumnType } from '../../src/core/types.ts'
import { describeColumns } from '../../src/plan/file-columns.ts'
import { leavesOf } from '../../src/plan/find-column.ts'
import type { InferFormat } from '../../src/plan/format.ts'
import { text } from '../../src/plan/sql.ts'
import { parquetFormat } from './format.ts'
import { neededRanges } from './ranges.ts'

/** A struct is its fields, each by its path. */
export const inferParquet: InferFormat = {
  shown: 'Parquet',
  extensions: parquetFormat.extensions,
  needed: neededRanges,
  // 'PAR1', or 'PARE' where the footer is encrypted. Of an object of S3 the beginning, which has it too, is not
  // fetched.
  isTail: tail => /^PAR[1E]$/.test(Buffer.from(tail).toString('latin1')),
  async ready(object) {
    const ready = await parquetFormat.ready(object)
    // Its own types are asked for, not those of the copy that would be read.
    return ready.is === 'bad' ? ready : { ...ready, file: object.file }
  },
  async columns(executor, { file, columns: own = [] }) {
    // DuckDB says what it is.
    if (own.length === 0) return describeColumns(executor, `read_parquet(${text(file)}, hive_partitioning = false)`)
    const leaves = leavesOf(own)
    const type = parseColumnType('JSON', 'column')
    const scanned = leaves.map(({ name, at }) => ({ name, from: name, type, at }))
    const types = Object.values(await executor.describe(parquetFormat.types?.(file, scanned, own) ?? ''))
    return leaves.map(({ name, twins }, index) => ({ name, physical: types[index] ?? '', ...(twins ? { twins } : {}) }))
  },
}
