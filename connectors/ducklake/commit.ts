import { id } from '../../src/plan/sql.ts'
import type { CatalogDatabase } from './catalog.ts'
import type { LakeColumn } from './columns.ts'
import type { DataFile } from './data-files.ts'
import { insert, literal } from './lake.ts'

/** Where files of a snapshot go. */
export interface FilesOf {
  readonly tableId: bigint
  readonly columns: readonly LakeColumn[]
}

/** How a file stands in its table's history. */
export interface FilePlace {
  readonly fileId: bigint
  /** The first snapshot that has rows of it. */
  readonly begin: bigint
  /** Absent: the file itself says the id of each row. */
  readonly rowIdStart?: bigint
  /** The last one, where its rows are of several. */
  readonly partialMax?: bigint
  /** The first snapshot that has none of its rows any more. */
  readonly end?: bigint
}

/** Puts a data file and its statistics into the catalog. */
export async function addDataFile(
  database: CatalogDatabase,
  { tableId, columns }: FilesOf,
  file: DataFile,
  { fileId, begin, rowIdStart, partialMax, end }: FilePlace,
): Promise<void> {
  const { path, rows, bytes, footerBytes, statistics } = file
  await insert(database, 'data_file', [
    {
      data_file_id: fileId,
      table_id: tableId,
      begin_snapshot: begin,
      end_snapshot: end,
      path,
      path_is_relative: true,
      file_format: 'parquet',
      record_count: rows,
      file_size_bytes: bytes,
      footer_size: footerBytes,
      row_id_start: rowIdStart,
      partial_max: partialMax,
    },
  ])
  const types = new Map(columns.map(({ number, scalar }) => [number, scalar?.name]))
  await insert(
    database,
    'file_column_stats',
    statistics.map(([column, min, max, nulls]) => ({
      data_file_id: fileId,
      table_id: tableId,
      column_id: column,
      value_count: nulls === null ? null : rows - nulls,
      null_count: nulls,
      min_value: min,
      max_value: max,
      contains_nan: hasNan(types.get(column), min),
    })),
  )
}

/** The footer of a file with NaN tells no bounds. */
function hasNan(type: string | undefined, min: string | null): boolean | null {
  return (type === 'FLOAT' || type === 'DOUBLE') && min !== null ? false : null
}

/** What a snapshot does besides to the numbers of a table. */
export interface Counted {
  /** So many of the rows get an id of their own. Default: all. */
  readonly newIds?: number
  readonly rowsGone?: number
  readonly bytesGone?: number
}

/** Counts rows that a snapshot adds. The first of the ids that they get. */
export async function countRows(
  database: CatalogDatabase,
  of: FilesOf,
  files: readonly DataFile[],
  { newIds, rowsGone = 0, bytesGone = 0 }: Counted = {},
): Promise<bigint> {
  const { prefix } = database
  const { tableId } = of
  const [stats] = await database.rows(
    `SELECT next_row_id, record_count FROM ${prefix}table_stats WHERE table_id = ${tableId}`,
  )
  const rows = files.reduce((sum, file) => sum + file.rows, 0)
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  const ids = newIds ?? rows
  if (!stats)
    await insert(database, 'table_stats', [
      { table_id: tableId, record_count: rows, next_row_id: ids, file_size_bytes: bytes },
    ])
  else
    await database.run(
      `UPDATE ${prefix}table_stats SET record_count = record_count + ${rows - rowsGone},
       next_row_id = next_row_id + ${ids}, file_size_bytes = file_size_bytes + ${bytes - bytesGone}
       WHERE table_id = ${tableId}`,
    )
  for (const [index, file] of files.entries())
    await widenBounds(database, of, file, index === 0 && (stats === undefined || stats.next_row_id === 0n))
  return (stats?.next_row_id as bigint | undefined) ?? 0n
}

/**
 * What is known of all values that the table has ever had. A bound that is not known of one file is never known again.
 *
 * @param isFirst whether the table had no rows before
 */
async function widenBounds(
  database: CatalogDatabase,
  { tableId, columns }: FilesOf,
  { statistics }: DataFile,
  isFirst: boolean,
): Promise<void> {
  const { prefix } = database
  for (const [column, min, max, nulls] of statistics) {
    const scalar = columns.find(({ number }) => number === column)?.scalar
    if (!scalar) continue
    const nan = hasNan(scalar.name, min)
    const there = `table_id = ${tableId} AND column_id = ${column}`
    if (isFirst) {
      await database.run(`DELETE FROM ${prefix}table_column_stats WHERE ${there}`)
      const contains_null = nulls !== 0
      await insert(database, 'table_column_stats', [
        { table_id: tableId, column_id: column, contains_null, contains_nan: nan, min_value: min, max_value: max },
      ])
      continue
    }
    const wider = (of: string, own: string, value: string | null) =>
      `${own} = CASE WHEN ${own} IS NULL OR ${literal(value)} IS NULL THEN NULL ` +
      `ELSE CAST(${of}(CAST(${own} AS ${scalar.sql}), CAST(${literal(value)} AS ${scalar.sql})) AS VARCHAR) END`
    await database.run(
      `UPDATE ${prefix}table_column_stats SET contains_null = contains_null OR ${nulls !== 0},
       contains_nan = CASE WHEN ${literal(nan)} IS NULL THEN NULL ELSE contains_nan OR ${literal(nan)} END,
       ${wider('least', id('min_value'), min)}, ${wider('greatest', id('max_value'), max)} WHERE ${there}`,
    )
  }
}
