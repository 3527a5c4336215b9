import { join } from 'node:path'
import { MillraceError } from '../../src/core/errors.ts'
import type { Executor, ObjectStore } from '../../src/core/ports.ts'
import type { SinkContext, SinkDuckdb } from '../../src/plan/sink.ts'
import { id, parquetRows } from '../../src/plan/sql.ts'
import { fetchFile } from '../lake/fetch-file.ts'
import type { CatalogDatabase } from './catalog.ts'
import { type LakeColumn, rowIdColumn, snapshotColumn } from './columns.ts'
import type { FoundTable } from './table.ts'

/** Which rows of a data file are gone: positions, each with the snapshot that took it. */
export interface DeleteFile {
  readonly deleteId: bigint
  readonly path: string
  readonly rows: number
  readonly bytes: number
  /** The first of those snapshots. */
  readonly begin: bigint
}

/** A data file that the table has now. */
export interface TableFile {
  readonly fileId: bigint
  readonly path: string
  readonly rows: number
  readonly bytes: number
  /** The first snapshot that has rows of it. */
  readonly begin: bigint
  /** The last one, where its rows are of several. */
  readonly partialMax: bigint | undefined
  /** Undefined where the file itself says the id of each row. */
  readonly rowIdStart: bigint | undefined
  readonly deletes: DeleteFile | undefined
  /** Nothing about it is unknown here: encryption, other names of columns, a place elsewhere. */
  readonly isPlain: boolean
}

/** In the order in which they came to the table. */
export async function tableFiles(
  { prefix, rows }: CatalogDatabase,
  { tableId }: Pick<FoundTable, 'tableId'>,
): Promise<readonly TableFile[]> {
  const found = await rows(
    `SELECT f.data_file_id, f.path, f.record_count, f.file_size_bytes, f.begin_snapshot, f.row_id_start, f.partial_max,
       f.path_is_relative AND f.mapping_id IS NULL AND f.encryption_key IS NULL AND (d.delete_file_id IS NULL
         OR (d.path_is_relative AND d.format = 'parquet' AND d.encryption_key IS NULL)) AS is_plain,
       d.delete_file_id, d.path AS delete_path, d.delete_count, d.file_size_bytes AS delete_bytes,
       d.begin_snapshot AS delete_begin
     FROM ${prefix}data_file f
     LEFT JOIN ${prefix}delete_file d ON d.data_file_id = f.data_file_id AND d.end_snapshot IS NULL
     WHERE f.table_id = ${tableId} AND f.end_snapshot IS NULL ORDER BY f.data_file_id`,
  )
  return found.map(row => ({
    fileId: row.data_file_id as bigint,
    path: String(row.path),
    rows: Number(row.record_count),
    bytes: Number(row.file_size_bytes),
    begin: row.begin_snapshot as bigint,
    partialMax: (row.partial_max as bigint | null) ?? undefined,
    rowIdStart: (row.row_id_start as bigint | null) ?? undefined,
    deletes:
      row.delete_file_id === null
        ? undefined
        : {
            deleteId: row.delete_file_id as bigint,
            path: String(row.delete_path),
            rows: Number(row.delete_count),
            bytes: Number(row.delete_bytes),
            begin: row.delete_begin as bigint,
          },
    isPlain: row.is_plain === true,
  }))
}

/** Of a file that is not plain. */
export const unknownForm = 'which is encrypted, lies elsewhere, or has names or deletes that are not known here'

export function unfitFile(address: string, { path }: Pick<TableFile, 'path'>, what: string): MillraceError {
  return new MillraceError(
    'user',
    'output-unfit',
    `${address} does not fit: another writer has left ${path} in it, ${what}. Write the rows anew with DuckDB ` +
      '(CREATE TABLE ... AS SELECT), or take another table.',
  )
}

/** Whose work on the files of a table it is, and with what. */
export interface TableWork {
  readonly store: ObjectStore
  readonly table: FoundTable
  readonly columns: readonly LakeColumn[]
  /** Names the table in errors. */
  readonly address: string
  readonly context: Pick<SinkContext, 'newId' | 'sleep'>
  readonly term: number
  readonly epoch: number
}

/** Names of what `fetchRows` tells of each row beside its columns. */
export const placeColumn = '_position'
/** The snapshot that took the row; NULL of one that is there. */
export const goneColumn = '_gone'

/** A data file here, with what is known of its rows. */
export interface FetchedRows {
  /**
   * A relation: the columns of the flow, `rowIdColumn`, `snapshotColumn`, `placeColumn` and `goneColumn`.
   */
  readonly rows: string
  /** A relation of `placeColumn` and `goneColumn` of the rows that are gone; undefined where all are there. */
  readonly gone: string | undefined
  /** Local files, to be deleted. */
  readonly local: readonly string[]
}

/** Brings a data file here, and its file of deletes. @throws MillraceError `user` for one that cannot be read here */
export async function fetchRows(
  { executor, folder }: SinkDuckdb,
  { store, table, columns, context, address }: TableWork,
  file: TableFile,
): Promise<FetchedRows> {
  if (!file.isPlain) throw unfitFile(address, file, unknownForm)
  const { deletes } = file
  const local: string[] = []
  const fetch = async (path: string, bytes: number) => {
    const to = join(folder, `${context.newId()}.parquet`)
    local.push(to)
    await fetchFile(store, `${table.prefix}${path}`, bytes, to, context.sleep)
    return to
  }
  const data = await fetch(file.path, file.bytes)
  const there = await executor.describe(`SELECT * FROM ${parquetRows([data])}`)
  const names = columns.filter(({ parent }) => parent === undefined).map(({ name }) => name)
  const missing = names.find(name => there[name] === undefined)
  if (missing !== undefined) throw unfitFile(address, file, `which has no column "${missing}"`)
  const gone = deletes && (await goneRows(executor, await fetch(deletes.path, deletes.bytes), deletes))
  const rowId =
    there[rowIdColumn] === undefined
      ? `CAST(f.file_row_number + ${String(file.rowIdStart)} AS BIGINT)`
      : `f.${id(rowIdColumn)}`
  const snapshot = there[snapshotColumn] === undefined ? `CAST(${file.begin} AS BIGINT)` : `f.${id(snapshotColumn)}`
  const items = [
    ...names.map(name => `f.${id(name)}`),
    `${rowId} AS ${id(rowIdColumn)}`,
    `${snapshot} AS ${id(snapshotColumn)}`,
    `f.file_row_number AS ${placeColumn}`,
    `${gone ? `d.${goneColumn}` : 'CAST(NULL AS BIGINT)'} AS ${goneColumn}`,
  ]
  const from = `${parquetRows([data], ', file_row_number = true')} AS f`
  const join_ = gone ? ` LEFT JOIN ${gone} AS d ON d.${placeColumn} = f.file_row_number` : ''
  return { rows: `(SELECT ${items.join(', ')} FROM ${from}${join_})`, gone, local }
}

async function goneRows(executor: Executor, file: string, { begin }: DeleteFile): Promise<string> {
  const from = parquetRows([file])
  const there = await executor.describe(`SELECT * FROM ${from}`)
  // The first deletes of a file, as the extension writes them, are all of one snapshot.
  const snapshot = there[snapshotColumn] === undefined ? `CAST(${begin} AS BIGINT)` : id(snapshotColumn)
  return `(SELECT pos AS ${placeColumn}, ${snapshot} AS ${goneColumn} FROM ${from})`
}
