import { join } from 'node:path'
import type { ObjectStore } from '../../src/core/ports.ts'
import type { SinkContext } from '../../src/plan/sink.ts'
import { id, parquetRows, text } from '../../src/plan/sql.ts'
import { fetchFile } from '../lake/fetch-file.ts'
import { type FieldColumn, rowsByField } from '../lake/rows-by-field.ts'
import type { CatalogDatabase } from './catalog.ts'
import { type LakeColumn, tableColumns } from './columns.ts'
import { checkInlined, type FoundTable } from './table.ts'
import { type TableFile, tableFiles, unfitFile, unknownForm } from './table-files.ts'

/**
 * The files that hold the rows of a table as it is now.
 *
 * @throws MillraceError `user` where rows lie elsewhere, or in the catalog itself: only others write them so
 */
export async function readableFiles(
  database: CatalogDatabase,
  table: FoundTable,
  address: string,
): Promise<readonly TableFile[]> {
  await checkInlined(database, address, table)
  const files = await tableFiles(database, table)
  const odd = files.find(({ isPlain }) => !isPlain)
  if (odd) throw unfitFile(address, odd, unknownForm)
  return files
}

/** Brings them here, and gives a relation of their rows. */
export function relationOf(
  store: ObjectStore,
  { duckdb, sleep, columns }: Pick<SinkContext, 'duckdb' | 'sleep' | 'columns'>,
  lakeColumns: readonly LakeColumn[],
  { prefix }: Pick<FoundTable, 'prefix'>,
  files: readonly TableFile[],
): Promise<string> {
  return duckdb(async ({ folder }) => {
    let count = 0
    const fetched = async ({ path, bytes }: Pick<TableFile, 'path' | 'bytes'>) => {
      const to = join(folder, `${count++}.parquet`)
      await fetchFile(store, `${prefix}${path}`, bytes, to, sleep)
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
      if (!file.deletes) {
        whole.push(local)
        continue
      }
      const gone = [await fetched(file.deletes)]
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
