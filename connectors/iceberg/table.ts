import { join } from 'node:path'
import { MillraceError } from '../../src/core/errors.ts'
import type { SinkTable } from '../../src/core/sink-port.ts'
import { rowsByField } from '../lake/rows-by-field.ts'
import { fetchDataFile } from './data-files.ts'
import type { DataFile } from './manifests.ts'
import { currentSchema, currentSnapshot, type SchemaField, type TableMetadata } from './metadata.ts'
import { entriesOf, manifestsOf } from './snapshot.ts'
import type { TableFiles } from './table-files.ts'
import { filesOf, type IcebergTable, judge } from './target.ts'
import { epochOf } from './token.ts'
import { duckdbType } from './types.ts'

/** The table for whoever only reads it. */
export function readableTable(table: IcebergTable): SinkTable {
  return {
    async rows() {
      // Without one, `judge` throws.
      const found = (await judge(table, false)) as TableMetadata
      return rowsOf(table, found)
    },
    async versions() {
      const snapshots = (await table.catalog.load())?.snapshots ?? []
      return new Map(
        snapshots.flatMap(snapshot => {
          const epoch = epochOf(snapshot, table.owner.checkpointId)
          return epoch === undefined ? [] : [[epoch, String(snapshot['snapshot-id'])] as const]
        }),
      )
    },
  }
}

async function rowsOf(table: IcebergTable, found: TableMetadata): Promise<string> {
  const { wanted, context } = table
  const { fields } = currentSchema(found)
  const columns = wanted.columns.map(({ name }) => {
    const field = fields.find(each => each.name === name) as SchemaField
    return { field: field.id, name, type: duckdbType(field.type) }
  })
  const files = await filesOf(table, found)
  const data = await dataFiles(files, found)
  return context.duckdb(async ({ folder }) => {
    const local = data.map((_, index) => join(folder, `${index}.parquet`))
    for (const [index, file] of data.entries()) await fetchDataFile(files, file, local[index] as string)
    return rowsByField(local, columns)
  })
}

/** @throws MillraceError `user` where rows are taken back by files of deletes, which only others write */
async function dataFiles(files: TableFiles, found: TableMetadata): Promise<readonly DataFile[]> {
  const snapshot = currentSnapshot(found)
  const data: DataFile[] = []
  for (const manifest of snapshot ? await manifestsOf(files, snapshot) : []) {
    if (manifest.added_files_count + manifest.existing_files_count === 0) continue
    if (manifest.content !== 0)
      throw new MillraceError(
        'user',
        'output-unfit',
        `${found.location}: another writer has left files of deletes in the table, which are not read here. Rewrite ` +
          "the table's data files (rewrite_data_files of Spark), or ask it with another reader of Iceberg.",
      )
    data.push(...(await entriesOf(files, manifest)).map(({ data_file: file }) => file))
  }
  return data
}
