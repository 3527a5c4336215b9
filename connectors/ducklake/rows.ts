import { join } from 'node:path'
import { MillraceError } from '../../src/core/errors.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import { id, parquetRows, text } from '../../src/plan/sql.ts'
import { fetchFile } from '../lake/fetch-file.ts'
import { type FieldColumn, rowsByField } from '../lake/rows-by-field.ts'
import type { CatalogDatabase } from './catalog.ts'
import { type LakeColumn, tableColumns } from './columns.ts'
import type { FoundTable } from './table.ts'

/** A file of a table as the catalog has it now. */
export interface ListedFile {
  /** In the folder of the lake. */
  readonly key: string
  readonly bytes: number
  /** Files that tell which of its rows are deleted. */
  readonly deletes: readonly Omit<ListedFile, 'deletes'>[]
}

/**
 * The files that hold the rows of a table as it is now.
 *
 * @throws MillraceError `user` where rows lie elsewhere, or in the catalog itself: only others write them so
 */
export async function listFiles(
  database: CatalogDatabase,
  { tableId, prefix }: FoundTable,
  address: string,
): Promise<readonly ListedFile[]> {
  const unread = (what: string) =>
    new MillraceError('user', 'output-unfit', `${address}: ${what} Or ask the table with the extension ducklake.`)
  const inlined = await database.rows(
    `SELECT table_name FROM duckdb_tables() WHERE database_name = ${text(database.name)} AND estimated_size > 0
     AND regexp_matches(table_name, '^ducklake_inlined_(data|delete)_${tableId}(_|$)')`,
  )
  for (const { table_name: name } of inlined) {
    const [held] = await database.rows(`SELECT count(*) AS n FROM ${id(database.name)}.main.${id(String(name))}`)
    if (Number(held?.n) > 0)
      throw unread(
        'another writer has put rows or deletes of the table into the catalog, which are not read here. Call ' +
          'ducklake_flush_inlined_data.',
      )
  }
  const now = `table_id = ${tableId} AND end_snapshot IS NULL ORDER BY data_file_id`
  const listed = 'data_file_id, path, path_is_relative, file_size_bytes'
  const key = ({ path, path_is_relative: isInside }: Readonly<Record<string, unknown>>) => {
    if (isInside !== true) throw unread(`its file ${String(path)} lies outside of the folder of the lake.`)
    return `${prefix}${String(path)}`
  }
  const file = (row: Readonly<Record<string, unknown>>) => ({ key: key(row), bytes: Number(row.file_size_bytes) })
  const deletes = await database.rows(`SELECT ${listed} FROM ${database.prefix}delete_file WHERE ${now}`)
  const files = await database.rows(`SELECT ${listed} FROM ${database.prefix}data_file WHERE ${now}`)
  return files.map(row => ({
    ...file(row),
    deletes: deletes.filter(each => each.data_file_id === row.data_file_id).map(file),
  }))
}

/** Brings them here, and gives a relation of their rows. */
export function relationOf(
  store: ObjectStore,
  { duckdb, sleep, columns }: Pick<SinkContext, 'duckdb' | 'sleep' | 'columns'>,
  lakeColumns: readonly LakeColumn[],
  files: readonly ListedFile[],
): Promise<string> {
  return duckdb(async ({ folder }) => {
    let count = 0
    const fetched = async ({ key, bytes }: Pick<ListedFile, 'key' | 'bytes'>) => {
      const to = join(folder, `${count++}.parquet`)
      await fetchFile(store, key, bytes, to, sleep)
      return to
    }
    const fields = tableColumns(columns).map(({ name, type }): FieldColumn => {
      const { number } = lakeColumns.find(each => each.parent === undefined && each.name === name) as LakeColumn
      return { field: number, name, type: type.sql }
    })
    const names = fields.map(({ name }) => id(name)).join(', ')
    const whole: string[] = []
    const parts: string[] = []
    for (const file of files) {
      const local = await fetched(file)
      if (file.deletes.length === 0) {
        whole.push(local)
        continue
      }
      const gone: string[] = []
      for (const deletes of file.deletes) gone.push(await fetched(deletes))
      const rows = rowsByField([local], fields, ', file_row_number = true')
      const isGone = `file_row_number IN (SELECT pos FROM ${parquetRows(gone)})`
      parts.push(`SELECT ${names} FROM ${rows} WHERE NOT ${isGone}`)
    }
    return `(${[`SELECT ${names} FROM ${rowsByField(whole, fields)}`, ...parts].join(' UNION ALL ')})`
  })
}

/** The snapshots that the catalog still has of epochs of a flow. */
export async function epochSnapshots(
  database: CatalogDatabase,
  checkpointId: string,
  flow: string,
): Promise<ReadonlyMap<number, string>> {
  const rows = await database.rows(
    `SELECT snapshot_id, commit_extra_info AS extra FROM ${database.prefix}snapshot_changes
     WHERE author = 'millrace' AND contains(commit_extra_info, ${text(checkpointId)}) ORDER BY snapshot_id`,
  )
  const told = rows.map(row => ({ id: String(row.snapshot_id), ...extraOf(String(row.extra)) }))
  const own = told.filter(each => each.checkpoint === checkpointId && each.flow === flow)
  return new Map(own.map(each => [Number(each.epoch), each.id]))
}

interface Extra {
  readonly checkpoint?: unknown
  readonly flow?: unknown
  readonly epoch?: unknown
}

/** Whoever else writes to the lake may say anything there. */
function extraOf(extra: string): Extra {
  try {
    return (JSON.parse(extra) ?? {}) as Extra
  } catch {
    return {}
  }
}
