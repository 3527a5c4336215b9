import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SinkDuckdb } from '../../src/plan/sink.ts'
import { id, parquetRows } from '../../src/plan/sql.ts'
import type { CatalogDatabase } from './catalog.ts'
import { fieldIds, internalColumns, rowIdColumn, snapshotColumn } from './columns.ts'
import { addDataFile } from './commit.ts'
import { type DataFile, describeFile, fileName, parseFileName, upload } from './data-files.ts'
import { addDeleteFile, type PlacedDeletes, placeDeletes, scheduleDeletion } from './delete-files.ts'
import { addSnapshot } from './lake.ts'
import { type FetchedRows, fetchRows, goneColumn, type TableFile, tableFiles, type TableWork } from './table-files.ts'

/** So many small files are made one. */
export const mergeAt = 16
/** Files of this size stay as they are. */
const bytesMax = 128 * 1024 * 1024
/** One that is to stay is written anew once so many of its rows are gone: a third, and not only a few. */
const goneRowsMin = 1_000
const goneShare = 3

/**
 * The files that are to be one, in their order: once `mergeAt` are there that never were, the last ones, and those
 * before them that are not more than twice as large. So a row is written again each time the table has grown by half,
 * and few files are small. None where it is not worth it.
 *
 * @param hasKey rows have ids of their own and may be gone; else files must follow each other by the ids of their rows
 */
export function filesToMerge(files: readonly TableFile[], hasKey: boolean): readonly TableFile[] {
  const chosen: TableFile[] = []
  let [bytes, parts] = [0, 0]
  const order = hasKey ? files : files.toSorted((a, b) => Number((a.rowIdStart ?? -1n) - (b.rowIdStart ?? -1n)))
  for (const file of order.toReversed()) {
    const kind = parseFileName(file.path)?.kind
    const isOwn = file.isPlain && kind !== undefined
    if (!isOwn && hasKey) continue
    const isSmall = file.bytes < bytesMax && bytes < bytesMax && (kind === 'part' || file.bytes <= 2 * bytes)
    if (!isOwn || !isSmall || !(hasKey || isBefore(file, chosen[0]))) break
    if (kind === 'part') parts++
    bytes += file.bytes
    chosen.unshift(file)
  }
  if (parts >= mergeAt) return chosen
  return hasKey ? files.filter(isMostlyGone).slice(0, 1) : []
}

/** In the numbering of rows the file ends where the next one begins, and none of its rows is gone. */
function isBefore({ rowIdStart, rows, deletes }: TableFile, next: TableFile | undefined): boolean {
  if (rowIdStart === undefined || deletes) return false
  return next === undefined || rowIdStart + BigInt(rows) === next.rowIdStart
}

/** Each change of it writes again which rows are gone, and readers pass over them. */
function isMostlyGone({ isPlain, path, bytes, rows, deletes }: TableFile): boolean {
  const stays = parseFileName(path)?.kind === 'merged' || (parseFileName(path)?.kind === 'part' && bytes >= bytesMax)
  return isPlain && stays && deletes !== undefined && deletes.rows >= Math.max(goneRowsMin, rows / goneShare)
}

export interface MergeMeans extends TableWork {
  readonly key: readonly string[] | undefined
  /** The oldest snapshot that is kept. */
  readonly oldest: bigint
}

/** What takes the place of the sources, in their whole history. */
export interface Merged {
  readonly files: readonly MergedFile[]
}

interface MergedFile {
  readonly file: DataFile
  /** The first and the last snapshot that its rows came with. */
  readonly begin: bigint
  readonly partialMax: bigint
  readonly rowIdStart?: bigint
  /** The snapshot that took the last of its rows; absent where they are there. */
  readonly end?: bigint
  /** Those that went before. */
  readonly deletes?: { readonly placed: PlacedDeletes; readonly begin: bigint; readonly partialMax: bigint }
}

/**
 * Writes the rows of the sources, each with the snapshot that it came with, into files which no catalog names yet: one
 * of all that are there. Rows that are gone, and that kept snapshots have, lie apart, so that who reads the table as it
 * is now does not read them. Of those each row is in a file but once: DuckLake finds what took a row by its id.
 */
export async function mergeFiles(
  duckdb: SinkDuckdb,
  means: MergeMeans,
  sources: readonly TableFile[],
): Promise<Merged> {
  const fetched: FetchedRows[] = []
  try {
    for (const source of sources) fetched.push(await fetchRows(duckdb, means, source))
    const rows = `(${fetched.map(({ rows: of }) => `SELECT * FROM ${of}`).join(' UNION ALL ')})`
    const first = means.key ? undefined : sources[0]?.rowIdStart
    const there = `(SELECT * FROM ${rows} WHERE ${goneColumn} IS NULL)`
    const live = await placeMerged(duckdb, means, 'merged', there, first)
    return { files: [...(live ? [live] : []), ...(means.key ? await placeFormer(duckdb, means, rows) : [])] }
  } finally {
    await Promise.all(fetched.flatMap(({ local }) => local).map(path => rm(path, { force: true })))
  }
}

/** @param rowIdStart of rows that are numbered by their order; else they have their ids in the file */
async function placeMerged(
  { executor, folder }: SinkDuckdb,
  { store, table, columns, context, key, term, epoch }: MergeMeans,
  kind: 'merged' | 'former',
  relation: string,
  rowIdStart?: bigint,
): Promise<MergedFile | undefined> {
  const { _ducklake_internal_row_id, ...snapshotOnly } = internalColumns
  const own = rowIdStart === undefined ? internalColumns : snapshotOnly
  const names = columns.filter(({ parent }) => parent === undefined).map(({ name }) => name)
  const items = [...names, ...Object.keys(own)].map(id).join(', ')
  const file = join(folder, `${context.newId()}.parquet`)
  try {
    const order = kind === 'former' ? [rowIdColumn] : (key ?? [])
    const form = { format: 'parquet', fieldIds: fieldIds(columns, own) } as const
    const written = await executor.write(`SELECT ${items} FROM ${relation}`, file, order, form)
    if (written.rows === 0) return undefined
    const [of] = await executor.rows(
      `SELECT min(${id(snapshotColumn)}) AS least, max(${id(snapshotColumn)}) AS greatest FROM ${parquetRows([file])}`,
    )
    const path = fileName(kind, term, epoch, context.newId())
    await upload(store, `${table.prefix}${path}`, written, context.sleep)
    return {
      file: await describeFile(executor, written, path, columns),
      begin: of?.least as bigint,
      partialMax: of?.greatest as bigint,
      ...(rowIdStart !== undefined && { rowIdStart }),
    }
  } finally {
    await rm(file, { force: true })
  }
}

/** Rows that are gone: the last that went of each id in one file, those before them in the next one, and so on. */
async function placeFormer(duckdb: SinkDuckdb, means: MergeMeans, rows: string): Promise<readonly MergedFile[]> {
  const { executor, folder } = duckdb
  const file = join(folder, `${means.context.newId()}.parquet`)
  const nth = '_nth'
  try {
    const ranked = `row_number() OVER (PARTITION BY ${id(rowIdColumn)} ORDER BY ${goneColumn} DESC) AS ${nth}`
    const kept = `SELECT *, ${ranked} FROM ${rows} WHERE ${goneColumn} > ${means.oldest}`
    await executor.write(kept, file, [rowIdColumn, goneColumn])
    const ends = await executor.rows(
      `SELECT ${nth} AS nth, max(${goneColumn}) AS last, min(${goneColumn}) AS first,
         max(${goneColumn}) FILTER (${goneColumn} < last_of) AS before
       FROM (SELECT *, max(${goneColumn}) OVER (PARTITION BY ${nth}) AS last_of FROM ${parquetRows([file])})
       GROUP BY ALL ORDER BY ${nth}`,
    )
    const made: MergedFile[] = []
    for (const { nth: number, last, first, before } of ends) {
      const own = `(SELECT * FROM ${parquetRows([file])} WHERE ${nth} = ${String(number)})`
      const former = await placeMerged(duckdb, means, 'former', own)
      if (!former) continue
      const end = last as bigint
      const ended = { ...former, end }
      if (typeof before !== 'bigint') {
        made.push(ended)
        continue
      }
      const at = `CAST(row_number() OVER (ORDER BY ${id(rowIdColumn)}) - 1 AS BIGINT)`
      const gone = `(SELECT * FROM (SELECT ${at} AS _position, ${goneColumn} FROM ${own}) WHERE ${goneColumn} < ${end})`
      const placed = await placeDeletes(duckdb, means, former.file.path, gone)
      made.push({ ...ended, deletes: { placed, begin: first as bigint, partialMax: before } })
    }
    return made
  } finally {
    await rm(file, { force: true })
  }
}

/** Puts the files in the place of their sources, in their whole history. Whether they all are still as they were. */
export async function replaceFiles(
  database: CatalogDatabase,
  means: MergeMeans,
  sources: readonly TableFile[],
  { files }: Merged,
): Promise<boolean> {
  const { prefix, run } = database
  const { table, columns } = means
  const now = new Map((await tableFiles(database, table)).map(file => [file.fileId, file.deletes?.deleteId]))
  if (!sources.every(({ fileId, deletes }) => now.has(fileId) && now.get(fileId) === deletes?.deleteId)) return false
  const { fileId } = await addSnapshot(database, {
    changes: `merge_adjacent:${table.tableId}`,
    message: `merged ${sources.length} files`,
    fileIds: files.length + files.filter(({ deletes }) => deletes).length,
  })
  const ids = sources.map(source => source.fileId).join(', ')
  for (const name of ['data_file', 'file_column_stats', 'delete_file'])
    await run(`DELETE FROM ${prefix}${name} WHERE data_file_id IN (${ids})`)
  await scheduleDeletion(database, table, [
    ...sources,
    ...sources.flatMap(({ deletes }) => (deletes ? [{ fileId: deletes.deleteId, path: deletes.path }] : [])),
  ])
  let next = fileId
  for (const { file, deletes, ...place } of files) {
    const dataFileId = next++
    await addDataFile(database, { tableId: table.tableId, columns }, file, { fileId: dataFileId, ...place })
    if (!deletes) continue
    const { placed, begin, partialMax } = deletes
    const of = { deleteId: next++, dataFileId, begin, partialMax, ...(place.end !== undefined && { end: place.end }) }
    await addDeleteFile(database, table, placed, of)
  }
  const before = sources.reduce((sum, source) => sum + source.bytes, 0)
  const after = files.reduce((sum, { file, end }) => sum + (end === undefined ? file.bytes : 0), 0)
  await run(
    `UPDATE ${prefix}table_stats SET file_size_bytes = file_size_bytes + ${after - before}
     WHERE table_id = ${table.tableId}`,
  )
  return true
}
