import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MillraceError } from '../../src/core/errors.ts'
import { id, parquetRows } from '../../src/plan/sql.ts'
import { filesThatMayHold, rowsWithKeys, rowsWithoutKeys } from '../lake/key-files.ts'
import { opColumn, withChanges } from '../lake/keyed-rows.ts'
import type { ColumnStatistics, LakeColumn } from '../lake/statistics.ts'
import { boundText } from './bounds.ts'
import { type DataWriter, fetchDataFile, namedFile, placeFile, type PlacedFile, placeRows } from './data-files.ts'
import type { DataFile, ManifestFile } from './manifests.ts'
import { currentSchema, currentSnapshot, specById } from './metadata.ts'
import { partitionType } from './partitions.ts'
import { entriesOf, manifestsOf } from './snapshot.ts'
import type { Column } from './types.ts'

/** What changes do to the files of a table. */
export interface ChangedFiles {
  readonly added: readonly DataFile[]
  readonly removed: ReadonlyMap<string, ReadonlySet<string>>
  /** Keys of the files that were placed for it. */
  readonly placed: readonly string[]
}

interface Candidate {
  readonly manifest: ManifestFile
  readonly file: DataFile
}

/**
 * Writes the files anew that hold keys of the changes, without those rows, and the rows that are there now.
 *
 * @param local Parquet files of changes; of two rows of a key the later one counts
 */
export async function changeFiles(
  writer: DataWriter,
  local: readonly string[],
  key: readonly string[],
  of: { readonly term: number; readonly epoch: number },
): Promise<ChangedFiles> {
  return withChanges(writer.duckdb.executor, local, key, async changes => {
    const keyColumns = key.map(name => lakeColumn(writer.columns, name))
    const removed = new Map<string, Set<string>>()
    const placed: PlacedFile[] = []
    for (const { manifest, file } of await candidates(writer, changes, keyColumns)) {
      const left = await withoutKeys(writer, file, changes, keyColumns, of)
      if (left === 'untouched') continue
      const gone = removed.get(manifest.manifest_path) ?? new Set()
      removed.set(manifest.manifest_path, gone.add(file.file_path))
      if (left) placed.push(left)
    }
    const upserts = `(SELECT * FROM ${changes} WHERE ${id(opColumn)} = 'upsert')`
    placed.push(...(await placeRows(writer, upserts, of)))
    return { added: placed.map(file => namedFile(writer, file)), removed, placed: placed.map(file => file.key) }
  })
}

function lakeColumn(columns: readonly Column[], name: string): LakeColumn {
  return { name, sql: (columns.find(column => column.name === name) as Column).type.sql }
}

/** Files of the table that may hold a key of the changes, by their bounds. */
async function candidates(
  { files, table, duckdb }: DataWriter,
  changes: string,
  key: readonly LakeColumn[],
): Promise<readonly Candidate[]> {
  const snapshot = currentSnapshot(table)
  const manifests = snapshot ? await manifestsOf(files, snapshot) : []
  const all: Candidate[] = []
  for (const manifest of manifests) {
    if (manifest.added_files_count + manifest.existing_files_count === 0) continue
    // Deletes that lie beside rows, and rows that are parted otherwise, are another writer's.
    if (manifest.content !== 0 || manifest.partition_spec_id !== table['default-spec-id'])
      throw unfit(table.location, manifest.content === 0 ? 'files that are parted otherwise' : 'files of deletes')
    for (const { data_file: file } of await entriesOf(files, manifest)) all.push({ manifest, file })
  }
  const { fields } = currentSchema(table)
  const bounds = all.map(({ file }) =>
    Object.fromEntries(
      key.flatMap(({ name }) => {
        const field = fields.find(each => each.name === name)
        return field && typeof field.type === 'string' ? [[name, columnBounds(file, field.id, field.type)]] : []
      }),
    ),
  )
  const found = await filesThatMayHold(duckdb.executor, bounds, changes, key)
  return found.map(index => all[index] as Candidate)
}

function unfit(address: string, what: string): MillraceError {
  return new MillraceError(
    'user',
    'output-unfit',
    `${address}: another writer has left ${what} in the table, which this sink does not change. Rewrite the table's ` +
      'data files (rewrite_data_files of Spark) and start again.',
  )
}

function columnBounds(file: DataFile, column: number, type: string): ColumnStatistics {
  const bound = (all: DataFile['lower_bounds']) => {
    const value = all?.find(each => each.key === column)?.value
    return value === undefined ? undefined : boundText(type, value)
  }
  // NaN is above all bounds.
  const hasNaN = (file.nan_value_counts?.find(each => each.key === column)?.value ?? 0n) > 0n
  const [min, max] = hasNaN ? [] : [bound(file.lower_bounds), bound(file.upper_bounds)]
  const nulls = file.null_value_counts?.find(each => each.key === column)?.value
  return {
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    ...(nulls !== undefined && { nulls: Number(nulls) }),
  }
}

/** The file without the rows of these keys; undefined where none are left. */
async function withoutKeys(
  writer: DataWriter,
  file: DataFile,
  changes: string,
  key: readonly LakeColumn[],
  of: { readonly term: number; readonly epoch: number },
): Promise<PlacedFile | 'untouched' | undefined> {
  const { files, table, duckdb, newId } = writer
  const local = join(duckdb.folder, `${newId()}.parquet`)
  try {
    await fetchDataFile(files, file, local)
    const rows = parquetRows([local])
    const [held] = await duckdb.executor.rows(`SELECT count(*) AS n FROM (${rowsWithKeys(rows, changes, key)})`)
    if (Number(held?.n) === 0) return 'untouched'
    const schema = currentSchema(table)
    const { fields = [] } = specById(table, table['default-spec-id']) ?? {}
    const parts = fields
      .filter(({ transform }) => transform !== 'void')
      .map(field => partitionType(field, schema).toText(file.partition[field.name] ?? null))
    return await placeFile(writer, `(${rowsWithoutKeys(rows, changes, key)})`, parts, of)
  } finally {
    await rm(local, { force: true })
  }
}
