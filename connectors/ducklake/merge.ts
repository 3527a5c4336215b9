import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { SinkContext, SinkDuckdb } from '../../src/plan/sink.ts'
import { id, parquetRows } from '../../src/plan/sql.ts'
import type { CatalogDatabase } from './catalog.ts'
import { fieldIds, type LakeColumn } from './columns.ts'
import { addDataFile } from './commit.ts'
import { fetchFile } from '../lake/fetch-file.ts'
import { type DataFile, describeFile, fileName, parseFileName, upload } from './data-files.ts'
import { addSnapshot, insert } from './lake.ts'
import type { FoundTable } from './table.ts'

/** So many small files are made one. */
export const mergeAt = 16
/** Files of this size stay as they are. */
const bytesMax = 128 * 1024 * 1024
/** Column of a merged file, and its number: the snapshot that a row came with (DuckLake). */
const snapshotColumn = '_ducklake_internal_snapshot_id'
const snapshotFieldId = 2_147_483_539

/** A file of the table that may be merged. */
export interface Source {
  readonly fileId: bigint
  readonly path: string
  readonly rows: number
  readonly bytes: number
  readonly begin: bigint
  readonly rowIdStart: bigint
  readonly partialMax: bigint | undefined
}

/**
 * The files that are to be one, in their order: once `mergeAt` are there that never were, the last ones, and those
 * before them that are not more than twice as large. So a row is written again each time the table has grown by half,
 * and few files are small. None where it is not worth it.
 */
export async function filesToMerge(
  { prefix, rows }: CatalogDatabase,
  { tableId }: FoundTable,
): Promise<readonly Source[]> {
  const found = await rows(
    `SELECT data_file_id, path, record_count, file_size_bytes, begin_snapshot, row_id_start, partial_max,
       end_snapshot IS NULL AND path_is_relative AND mapping_id IS NULL AND encryption_key IS NULL
         AND data_file_id NOT IN (SELECT data_file_id FROM ${prefix}delete_file WHERE table_id = ${tableId}) AS is_plain
     FROM ${prefix}data_file WHERE table_id = ${tableId} ORDER BY row_id_start DESC`,
  )
  const chosen: Source[] = []
  let [bytes, parts] = [0, 0]
  for (const row of found) {
    const file: Source = {
      fileId: row.data_file_id as bigint,
      path: String(row.path),
      rows: Number(row.record_count),
      bytes: Number(row.file_size_bytes),
      begin: row.begin_snapshot as bigint,
      rowIdStart: row.row_id_start as bigint,
      partialMax: (row.partial_max as bigint | null) ?? undefined,
    }
    const next = chosen[0]
    const isAdjacent = next === undefined || file.rowIdStart + BigInt(file.rows) === next.rowIdStart
    const isPart = parseFileName(file.path)?.kind === 'part'
    const isSmall = file.bytes < bytesMax && bytes < bytesMax && (isPart || file.bytes <= 2 * bytes)
    if (row.is_plain !== true || !parseFileName(file.path) || !isAdjacent || !isSmall) break
    if (isPart) parts++
    bytes += file.bytes
    chosen.unshift(file)
  }
  return parts < mergeAt ? [] : chosen
}

export interface MergeMeans {
  readonly store: ObjectStore
  readonly columns: readonly LakeColumn[]
  readonly table: FoundTable
  readonly context: Pick<SinkContext, 'newId' | 'sleep'>
  readonly term: number
  readonly epoch: number
}

/** Makes one file of them, with the snapshot of each row, which no catalog names yet. */
export async function mergeFiles(
  { executor, folder }: SinkDuckdb,
  { store, columns, table, context, term, epoch }: MergeMeans,
  sources: readonly Source[],
): Promise<DataFile> {
  const { newId, sleep } = context
  const local = sources.map(() => join(folder, `${newId()}.parquet`))
  const file = join(folder, `${newId()}.parquet`)
  const names = columns.filter(({ parent }) => parent === undefined).map(({ name }) => id(name))
  try {
    for (const [index, { path, bytes }] of sources.entries())
      await fetchFile(store, `${table.prefix}${path}`, bytes, local[index] as string, sleep)
    const rows = sources.map(({ begin, partialMax }, index) => {
      const snapshot = partialMax === undefined ? `CAST(${begin} AS BIGINT)` : id(snapshotColumn)
      const from = parquetRows([local[index] as string])
      return `SELECT ${[...names, `${snapshot} AS ${id(snapshotColumn)}`].join(', ')} FROM ${from}`
    })
    const ids = fieldIds(columns, { [snapshotColumn]: snapshotFieldId })
    const written = await executor.write(rows.join(' UNION ALL '), file, [], { format: 'parquet', fieldIds: ids })
    const path = fileName('merged', term, epoch, newId())
    await upload(store, `${table.prefix}${path}`, written, sleep)
    return await describeFile(executor, written, path, columns)
  } finally {
    for (const path of [...local, file]) await rm(path, { force: true })
  }
}

/** Puts the file in the place of its sources, in their whole history. Whether they all are still there. */
export async function replaceFiles(
  database: CatalogDatabase,
  of: FoundTable & { readonly columns: readonly LakeColumn[] },
  sources: readonly Source[],
  merged: DataFile,
): Promise<boolean> {
  const { prefix, run, rows } = database
  const ids = sources.map(({ fileId }) => fileId).join(', ')
  const [there] = await rows(
    `SELECT count(*) AS files FROM ${prefix}data_file WHERE data_file_id IN (${ids}) AND end_snapshot IS NULL
     AND data_file_id NOT IN (SELECT data_file_id FROM ${prefix}delete_file)`,
  )
  const [first] = sources
  if (!first || Number(there?.files) < sources.length) return false
  const { fileId } = await addSnapshot(database, {
    changes: `merge_adjacent:${of.tableId}`,
    message: `merged ${sources.length} files`,
    fileIds: 1,
  })
  for (const table of ['data_file', 'file_column_stats'])
    await run(`DELETE FROM ${prefix}${table} WHERE data_file_id IN (${ids})`)
  await insert(
    database,
    'files_scheduled_for_deletion',
    sources.map(source => ({
      data_file_id: source.fileId,
      path: `${of.prefix}${source.path}`,
      path_is_relative: true,
      schedule_start: { sql: database.now },
    })),
  )
  const last = sources.map(({ begin, partialMax }) => partialMax ?? begin).reduce((a, b) => (a > b ? a : b))
  const begin = sources.map(source => source.begin).reduce((a, b) => (a < b ? a : b))
  await addDataFile(database, of, merged, { fileId, begin, rowIdStart: first.rowIdStart, partialMax: last })
  const bytes = sources.reduce((sum, source) => sum + source.bytes, 0)
  await run(
    `UPDATE ${prefix}table_stats SET file_size_bytes = file_size_bytes + ${merged.bytes - bytes}
     WHERE table_id = ${of.tableId}`,
  )
  return true
}
