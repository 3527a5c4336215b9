import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SinkDuckdb } from '../../src/plan/sink.ts'
import { id, text } from '../../src/plan/sql.ts'
import type { CatalogDatabase } from './catalog.ts'
import { internalColumns, snapshotColumn } from './columns.ts'
import { fileName, footerBytes, upload } from './data-files.ts'
import { insert } from './lake.ts'
import type { FoundTable } from './table.ts'
import { goneColumn, placeColumn, type TableWork } from './table-files.ts'

/** A file of deletes in its place, which no catalog names yet. */
export interface PlacedDeletes {
  readonly path: string
  readonly rows: number
  readonly bytes: number
  readonly footerBytes: number
}

/** Numbers of the columns, as Iceberg and DuckLake have them. */
const snapshotId = `${snapshotColumn}: ${internalColumns._ducklake_internal_snapshot_id}`
const fieldIds = `{file_path: 2147483646, pos: 2147483645, ${snapshotId}}`

/**
 * Writes which rows of a data file are gone.
 *
 * @param dataPath of the data file, below the folder of its table
 * @param gone a relation of `placeColumn` and `goneColumn`
 */
export async function placeDeletes(
  { executor, folder }: SinkDuckdb,
  { store, table, context, term, epoch }: TableWork,
  dataPath: string,
  gone: string,
): Promise<PlacedDeletes> {
  const file = join(folder, `${context.newId()}.parquet`)
  try {
    const rows =
      `SELECT ${text(`${table.prefix}${dataPath}`)} AS file_path, ${placeColumn} AS pos, ` +
      `${goneColumn} AS ${id(snapshotColumn)} FROM ${gone}`
    const written = await executor.write(rows, file, ['pos'], { format: 'parquet', fieldIds })
    const path = fileName('deletes', term, epoch, context.newId())
    await upload(store, `${table.prefix}${path}`, written, context.sleep)
    return { path, rows: written.rows, bytes: written.bytes, footerBytes: await footerBytes(file, written.bytes) }
  } finally {
    await rm(file, { force: true })
  }
}

/** How a file of deletes stands in the history of its table. */
export interface DeletesPlace {
  readonly deleteId: bigint
  readonly dataFileId: bigint
  /** The first and the last of its snapshots. */
  readonly begin: bigint
  readonly partialMax: bigint
  /** The snapshot that the data file ends with; undefined of one that the table has now. */
  readonly end?: bigint
}

export async function addDeleteFile(
  database: CatalogDatabase,
  { tableId }: Pick<FoundTable, 'tableId'>,
  { path, rows, bytes, footerBytes: footer_size }: PlacedDeletes,
  { deleteId, dataFileId, begin, partialMax, end }: DeletesPlace,
): Promise<void> {
  await insert(database, 'delete_file', [
    {
      delete_file_id: deleteId,
      table_id: tableId,
      begin_snapshot: begin,
      end_snapshot: end,
      data_file_id: dataFileId,
      path,
      path_is_relative: true,
      format: 'parquet',
      delete_count: rows,
      file_size_bytes: bytes,
      footer_size,
      partial_max: partialMax,
    },
  ])
}

/** Files that no snapshot needs any more: they stay a while for those who read with an older catalog. */
export async function scheduleDeletion(
  database: CatalogDatabase,
  { prefix }: Pick<FoundTable, 'prefix'>,
  files: readonly { readonly fileId: bigint; readonly path: string }[],
): Promise<void> {
  await insert(
    database,
    'files_scheduled_for_deletion',
    files.map(({ fileId, path }) => ({
      data_file_id: fileId,
      path: `${prefix}${path}`,
      path_is_relative: true,
      schedule_start: { sql: database.now },
    })),
  )
}
