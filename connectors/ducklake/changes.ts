import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SinkDuckdb } from '../../src/plan/sink.ts'
import { id, parquetRows } from '../../src/plan/sql.ts'
import { filesThatMayHold, isSameKey, type KeyBounds, rowsWithKeys } from '../lake/key-files.ts'
import { opColumn, withChanges } from '../lake/keyed-rows.ts'
import { isBounded, type LakeColumn as KeyColumn } from '../lake/statistics.ts'
import type { CatalogDatabase } from './catalog.ts'
import { fieldIds, internalColumns, rowIdColumn } from './columns.ts'
import { addDataFile, countRows } from './commit.ts'
import { type DataFile, describeFile, fileName, upload } from './data-files.ts'
import { addDeleteFile, placeDeletes, scheduleDeletion } from './delete-files.ts'
import { addSnapshot, type NewSnapshot } from './lake.ts'
import { fetchRows, goneColumn, placeColumn, type TableFile, tableFiles, type TableWork } from './table-files.ts'

/** What changes are made with. */
export interface ChangeMeans extends TableWork {
  readonly key: readonly string[]
}

/** Rows of one data file that go. */
interface Goes {
  readonly file: TableFile
  /** Of the file's rows all that are gone now, and how many of them go only now. */
  readonly gone: number
  readonly going: number
  /** A local file of `placeColumn` and `goneColumn`, which is NULL of those that go now. */
  readonly local: string
}

/** What an epoch's changes come to in a table as it was found. */
export interface Changes {
  /** The state of the table that it was worked out for: it is that of no other one. */
  readonly state: string
  readonly goes: readonly Goes[]
  readonly added: DataFile | undefined
  /** So many of the rows are new; the others take the place of one, and have its id. */
  readonly newIds: number
}

/** The state of a table that changes are worked out for. */
export interface TableState {
  readonly files: readonly TableFile[]
  readonly bounds: readonly KeyBounds[]
  readonly nextRowId: bigint
}

export const keyColumns = ({ columns, key }: Pick<ChangeMeans, 'columns' | 'key'>): readonly KeyColumn[] =>
  key.map(name => ({ name, sql: columns.find(column => column.name === name)?.scalar?.sql ?? 'VARCHAR' }))

export async function tableState(database: CatalogDatabase, means: ChangeMeans): Promise<TableState> {
  const { prefix, rows } = database
  const { tableId } = means.table
  const files = await tableFiles(database, means.table)
  const [stats] = await rows(`SELECT next_row_id FROM ${prefix}table_stats WHERE table_id = ${tableId}`)
  const byFile = new Map<bigint, Record<string, KeyBounds[string]>>()
  for (const column of keyColumns(means)) {
    const number = means.columns.find(({ name }) => name === column.name)?.number
    const found = await rows(
      `SELECT data_file_id, min_value, max_value, null_count, contains_nan FROM ${prefix}file_column_stats
       WHERE table_id = ${tableId} AND column_id = ${String(number)}`,
    )
    for (const { data_file_id, min_value: min, max_value: max, null_count: nulls, contains_nan: nan } of found) {
      const of = byFile.get(data_file_id as bigint) ?? {}
      byFile.set(data_file_id as bigint, of)
      // NaN is above all bounds.
      const isTold = isBounded(column.sql) && (nan === false || !/^(FLOAT|DOUBLE)$/.test(column.sql))
      of[column.name] = {
        ...(isTold && typeof min === 'string' && { min }),
        ...(isTold && typeof max === 'string' && { max }),
        ...(typeof nulls === 'bigint' && { nulls: Number(nulls) }),
      }
    }
  }
  const nextRowId = (stats?.next_row_id as bigint | undefined) ?? 0n
  return { files, bounds: files.map(({ fileId }) => byFile.get(fileId) ?? {}), nextRowId }
}

export function stateName({ files, nextRowId }: TableState): string {
  return JSON.stringify([nextRowId, ...files.map(file => [file.fileId, file.deletes?.deleteId])].flat().map(String))
}

/**
 * Finds the rows whose keys an epoch changes, and puts a file of those that are there now in its place. No snapshot has
 * any of it yet.
 *
 * @param local Parquet files of changes
 * @param onPlaced is told the key of what is placed, before that is there
 */
export async function workOutChanges(
  duckdb: SinkDuckdb,
  means: ChangeMeans,
  state: TableState,
  local: readonly string[],
  onPlaced: (key: string) => void,
): Promise<Changes> {
  const { executor } = duckdb
  const key = keyColumns(means)
  const keys = key.map(({ name }) => id(name)).join(', ')
  return withChanges(executor, local, means.key, async changes => {
    const none = `SELECT ${keys}, CAST(NULL AS BIGINT) AS ${id(rowIdColumn)} FROM ${changes} LIMIT 0`
    await executor.run(`CREATE OR REPLACE TEMP TABLE ${met} AS ${none}`)
    const goes: Goes[] = []
    try {
      for (const index of await filesThatMayHold(executor, state.bounds, changes, key)) {
        const found = await rowsThatGo(duckdb, means, state.files[index] as TableFile, changes)
        if (found) goes.push(found)
      }
      return { state: stateName(state), goes, ...(await placeRows(duckdb, means, state, changes, onPlaced)) }
    } catch (error) {
      await dropChanges({ goes })
      throw error
    } finally {
      await executor.run(`DROP TABLE ${met}`)
    }
  })
}

/** Deletes what lies here of changes. */
export async function dropChanges({ goes }: Pick<Changes, 'goes'>): Promise<void> {
  await Promise.all(goes.map(({ local }) => rm(local, { force: true })))
}

/** A table of the keys that were met, with the ids of their rows. */
const met = '_met'

/** Undefined where the file has none of the keys. */
async function rowsThatGo(
  duckdb: SinkDuckdb,
  means: ChangeMeans,
  file: TableFile,
  changes: string,
): Promise<Goes | undefined> {
  const { executor, folder } = duckdb
  const key = keyColumns(means)
  const { rows, gone, local } = await fetchRows(duckdb, means, file)
  const to = join(folder, `${means.context.newId()}.parquet`)
  try {
    const going = `(${rowsWithKeys(`(SELECT * FROM ${rows} WHERE ${goneColumn} IS NULL)`, changes, key)})`
    await executor.run(`INSERT INTO ${met} SELECT ${[...means.key, rowIdColumn].map(id).join(', ')} FROM ${going}`)
    const before = gone ? ` UNION ALL SELECT ${placeColumn}, ${goneColumn} FROM ${gone}` : ''
    const written = await executor.write(`SELECT ${placeColumn}, ${goneColumn} FROM ${going}${before}`, to, [
      placeColumn,
    ])
    const count = written.rows - (file.deletes?.rows ?? 0)
    if (count > 0) return { file, gone: written.rows, going: count, local: to }
    await rm(to, { force: true })
    return undefined
  } finally {
    await Promise.all(local.map(path => rm(path, { force: true })))
  }
}

/** Rows that are there now, with ids: those of the rows whose place they take, and new ones. */
async function placeRows(
  { executor, folder }: SinkDuckdb,
  means: ChangeMeans,
  { nextRowId }: TableState,
  changes: string,
  onPlaced: (key: string) => void,
): Promise<Pick<Changes, 'added' | 'newIds'>> {
  const { store, table, columns, context, term, epoch } = means
  const names = columns.filter(({ parent }) => parent === undefined).map(({ name }) => `a.${id(name)}`)
  const [keys, ordered] = ['', 'a.'].map(of => means.key.map(name => `${of}${id(name)}`).join(', '))
  const rowId = id(rowIdColumn)
  const next = `${nextRowId} + row_number() OVER (PARTITION BY b.${rowId} IS NULL ORDER BY ${ordered}) - 1`
  const ids = `(SELECT ${keys}, min(${rowId}) AS ${rowId} FROM ${met} GROUP BY ALL)`
  const rows =
    `SELECT ${names.join(', ')}, CAST(coalesce(b.${rowId}, ${next}) AS BIGINT) AS ${rowId} FROM ${changes} AS a ` +
    `LEFT JOIN ${ids} AS b ON ${isSameKey(keyColumns(means), 'a', 'b')} WHERE a.${id(opColumn)} = 'upsert'`
  const file = join(folder, `${context.newId()}.parquet`)
  try {
    const form = { format: 'parquet', fieldIds: fieldIds(columns, rowIds) } as const
    const written = await executor.write(rows, file, means.key, form)
    if (written.rows === 0) return { added: undefined, newIds: 0 }
    const [count] = await executor.rows(
      `SELECT count(*) AS new FROM ${parquetRows([file])} WHERE ${id(rowIdColumn)} >= ${nextRowId}`,
    )
    const path = fileName('part', term, epoch, context.newId())
    onPlaced(`${table.prefix}${path}`)
    await upload(store, `${table.prefix}${path}`, written, context.sleep)
    return { added: await describeFile(executor, written, path, columns), newIds: Number(count?.new) }
  } finally {
    await rm(file, { force: true })
  }
}

const { _ducklake_internal_row_id } = internalColumns
const rowIds = { _ducklake_internal_row_id }

/** Puts changes into the catalog, as a snapshot; none where they change nothing. */
export async function applyChanges(
  database: CatalogDatabase,
  duckdb: SinkDuckdb,
  means: ChangeMeans,
  { goes, added, newIds }: Changes,
  { message, extra }: Pick<NewSnapshot, 'message' | 'extra'>,
  onPlaced: (key: string) => void,
): Promise<void> {
  if (goes.length === 0 && !added) return
  const { table, columns } = means
  const { tableId, prefix } = table
  const partly = goes.filter(({ file, gone }) => gone < file.rows)
  const changes = [added && `inserted_into_table:${tableId}`, goes.length > 0 && `deleted_from_table:${tableId}`]
  const { snapshot, fileId } = await addSnapshot(database, {
    changes: changes.filter(Boolean).join(','),
    message,
    ...(extra !== undefined && { extra }),
    fileIds: partly.length + (added ? 1 : 0),
  })
  for (const [index, { file, local }] of partly.entries()) {
    const now = `coalesce(${goneColumn}, ${snapshot}) AS ${goneColumn}`
    const gone = `(SELECT ${placeColumn}, ${now} FROM ${parquetRows([local])})`
    const placed = await placeDeletes(duckdb, means, file.path, gone)
    onPlaced(`${prefix}${placed.path}`)
    if (file.deletes) {
      await database.run(`DELETE FROM ${database.prefix}delete_file WHERE delete_file_id = ${file.deletes.deleteId}`)
      await scheduleDeletion(database, table, [{ fileId: file.deletes.deleteId, path: file.deletes.path }])
    }
    await addDeleteFile(database, table, placed, {
      deleteId: fileId + BigInt(index),
      dataFileId: file.fileId,
      begin: file.deletes?.begin ?? snapshot,
      partialMax: snapshot,
    })
  }
  const over = goes.filter(({ file, gone }) => gone === file.rows)
  for (const { file } of over)
    for (const name of ['data_file', 'delete_file'])
      await database.run(
        `UPDATE ${database.prefix}${name} SET end_snapshot = ${snapshot}
         WHERE data_file_id = ${file.fileId} AND end_snapshot IS NULL`,
      )
  await countRows(database, { tableId, columns }, added ? [added] : [], {
    newIds,
    rowsGone: goes.reduce((sum, { going }) => sum + going, 0),
    bytesGone: over.reduce((sum, { file }) => sum + file.bytes, 0),
  })
  if (added)
    await addDataFile(database, { tableId, columns }, added, {
      fileId: fileId + BigInt(partly.length),
      begin: snapshot,
    })
}
