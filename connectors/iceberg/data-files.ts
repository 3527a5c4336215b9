import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { sha256OfFile } from '../../checkpoints/codec.ts'
import { createObject } from '../../checkpoints/objects.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { Json } from '../../src/core/json.ts'
import type { SinkContext, SinkDuckdb } from '../../src/plan/sink.ts'
import { id, parquetRows, text } from '../../src/plan/sql.ts'
import { fetchFile } from '../lake/fetch-file.ts'
import { type Statistics, statisticsOf } from './bounds.ts'
import type { DataFile } from './manifests.ts'
import { dataFile } from './manifests.ts'
import { currentSchema, type SchemaField, specById, type TableMetadata } from './metadata.ts'
import { type Partition, partitionType, textSql } from './partitions.ts'
import type { TableFiles } from './table-files.ts'
import { castSql, type Column, fieldIdsSql } from './types.ts'

/** Epochs have a width, so that names are in their order: what is later than one of them is found by a listing. */
const epochDigits = 12
const folder = 'data/'

/** The first part of the names of all data files of an epoch. */
export function dataPrefix(epoch: number): string {
  return `${folder}millrace-${String(epoch).padStart(epochDigits, '0')}`
}

/** Which term and epoch has written a file; undefined for what somebody else has. */
export function parseDataKey(key: string): { readonly epoch: number; readonly term: number } | undefined {
  const found = /^data\/millrace-(\d{12})-(\d+)-[^/]+\.parquet$/.exec(key)
  return found ? { epoch: Number(found[1]), term: Number(found[2]) } : undefined
}

/** A data file of this sink in its place, before a snapshot names it. As JSON it waits in HEAD. */
export interface PlacedFile {
  readonly key: string
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
  /** Values of its parts as text, in the order of the spec. */
  readonly parts: readonly (string | null)[]
  readonly statistics: Statistics
}

export interface DataWriter {
  readonly files: TableFiles
  readonly table: TableMetadata
  readonly columns: readonly Column[]
  readonly partitions: readonly Partition[]
  readonly duckdb: SinkDuckdb
  readonly newId: SinkContext['newId']
}

/**
 * Writes rows into data files, one for each combination of parts, and puts them in their place.
 *
 * @param relation with the columns of the flow
 * @param of whose they are
 */
export async function placeRows(
  writer: DataWriter,
  relation: string,
  of: { readonly term: number; readonly epoch: number },
): Promise<readonly PlacedFile[]> {
  const { partitions, columns, duckdb } = writer
  const texts = partitions.map((partition, index) => `${textSql(partition, columns)} AS ${id(`_${index}`)}`)
  const parts =
    texts.length === 0
      ? [[]]
      : (await duckdb.executor.rows(`SELECT DISTINCT ${texts.join(', ')} FROM ${relation} ORDER BY ALL`)).map(row =>
          partitions.map((_, index) => (row[`_${index}`] ?? null) as string | null),
        )
  const placed: PlacedFile[] = []
  for (const values of parts) {
    const own = values.map((value, index) => {
      const sql = textSql(partitions[index] as Partition, columns)
      return `${sql} IS NOT DISTINCT FROM ${value === null ? 'NULL' : text(value)}`
    })
    const rows = own.length === 0 ? relation : `(SELECT * FROM ${relation} WHERE ${own.join(' AND ')})`
    const file = await placeFile(writer, rows, values, of)
    if (file) placed.push(file)
  }
  return placed
}

/** Writes rows of one part. Undefined where there are none. */
export async function placeFile(
  { files, table, columns, duckdb, newId }: DataWriter,
  relation: string,
  parts: readonly (string | null)[],
  { term, epoch }: { readonly term: number; readonly epoch: number },
): Promise<PlacedFile | undefined> {
  const { executor, folder: scratch } = duckdb
  const { fields } = currentSchema(table)
  const own = columns.map(({ name }) => fieldNamed(fields, name))
  const items = own.map(({ name, type }) => `${castSql(id(name), type)} AS ${id(name)}`)
  const file = join(scratch, `${newId()}.parquet`)
  try {
    await executor.run(
      `COPY (SELECT ${items.join(', ')} FROM ${relation}) TO ${text(file)} ` +
        `(FORMAT parquet, COMPRESSION zstd, FIELD_IDS ${fieldIdsSql(own)})`,
    )
    const [counted] = await executor.rows(`SELECT count(*) AS n FROM ${parquetRows([file])}`)
    const rows = Number(counted?.n)
    if (rows === 0) return undefined
    const statistics = await statisticsOf(executor, file, own)
    const content = await sha256OfFile(file)
    const key = `${dataPrefix(epoch)}-${term}-${newId()}.parquet`
    await createObject(files.store, key, content, () => files.store.put(key, { file }, 'absent'), files.sleep)
    return { key, rows, ...content, parts, statistics }
  } finally {
    await rm(file, { force: true })
  }
}

function fieldNamed(fields: readonly SchemaField[], name: string): SchemaField {
  return fields.find(field => field.name === name) as SchemaField
}

/** A placed file as a manifest names it. */
export function namedFile({ files, table }: Pick<DataWriter, 'files' | 'table'>, placed: PlacedFile): DataFile {
  const schema = currentSchema(table)
  const { fields = [] } = specById(table, table['default-spec-id']) ?? {}
  const parts = fields.filter(({ transform }) => transform !== 'void')
  const values = parts.map((field, index) => {
    const value = placed.parts[index] ?? null
    return [field.name, value === null ? null : partitionType(field, schema).fromText(value)]
  })
  const { key, rows, bytes, statistics } = placed
  return dataFile(files.addressOf(key), rows, bytes, Object.fromEntries(values), statistics)
}

/** Brings a data file of the table here. */
export async function fetchDataFile(files: TableFiles, data: DataFile, to: string): Promise<void> {
  if (data.file_format.toUpperCase() !== 'PARQUET')
    throw new MillraceError('user', 'output-unfit', `${data.file_path} is ${data.file_format}; expected Parquet.`)
  const key = files.keyOf(data.file_path)
  await fetchFile(files.store, key, Number(data.file_size_in_bytes), to, files.sleep)
}

/** Bounds are bytes: base64 in HEAD. */
export function placedJson(files: readonly PlacedFile[]): Json {
  return files.map(({ statistics: { lower, upper, ...counts }, ...file }) => ({
    ...file,
    statistics: {
      ...counts,
      lower: lower.map(([column, bound]) => [column, bound.toString('base64')]),
      upper: upper.map(([column, bound]) => [column, bound.toString('base64')]),
    },
  })) as unknown as Json
}

export function placedFrom(json: Json): readonly PlacedFile[] {
  type Stored = Omit<PlacedFile, 'statistics'> & {
    readonly statistics: Omit<Statistics, 'lower' | 'upper'> &
      Record<'lower' | 'upper', readonly (readonly [number, string])[]>
  }
  return (json as unknown as readonly Stored[]).map(({ statistics: { lower, upper, ...counts }, ...file }) => ({
    ...file,
    statistics: {
      ...counts,
      lower: lower.map(([column, bound]) => [column, Buffer.from(bound, 'base64')] as const),
      upper: upper.map(([column, bound]) => [column, Buffer.from(bound, 'base64')] as const),
    },
  }))
}
