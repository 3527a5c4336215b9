import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { csvExtensions } from '../../connectors/csv/format.ts'
import { jsonFormat, objectLines } from '../../connectors/json/format.ts'
import { parquetFormat } from '../../connectors/parquet/format.ts'
import { firstCharacter, plainText } from '../../connectors/text/plain-text.ts'
import { configError } from '../core/errors.ts'
import type { Executor } from '../core/ports.ts'
import { expectedName, type ParsedType, parseColumnType } from '../core/types.ts'
import type { Ready, SpooledObject } from '../plan/format.ts'
import { checkedCast } from '../plan/checked-cast.ts'
import { leavesOf, type OwnColumn } from '../plan/find-column.ts'
import { id, text } from '../plan/sql.ts'
import { parquetRows } from './channels.ts'
import { openSession } from './duckdb/session.ts'
import { reasonOf } from './marked-object.ts'
import { bringFile, type FileAsked, hasExtension, magicBytes } from './one-file.ts'

/** Physical types that a narrower declarable one than JSON or VARCHAR holds every value of. */
const wider: Readonly<Record<string, string>> = {
  UTINYINT: 'SMALLINT',
  USMALLINT: 'INTEGER',
  UINTEGER: 'BIGINT',
  HUGEINT: 'DECIMAL(38,0)',
  UHUGEINT: 'DECIMAL(38,0)',
  'TIMESTAMP WITH TIME ZONE': 'TIMESTAMPTZ',
  TIMESTAMP_S: 'TIMESTAMP',
  TIMESTAMP_MS: 'TIMESTAMP',
  TIMESTAMP_NS: 'TIMESTAMP',
  VARIANT: 'JSON',
}

const expected = 'a Parquet, JSON or CSV file'

export type Kind = 'parquet' | 'json' | 'csv'
const endings: readonly (readonly [Kind, readonly string[]])[] = [
  ['parquet', parquetFormat.extensions],
  ['json', jsonFormat.extensions],
  ['csv', csvExtensions],
]

/** What a file is by the end of its name. */
export function kindNamed(name: string): Kind | undefined {
  return endings.find(([, extensions]) => hasExtension(name, extensions))?.[0]
}

/** 'PAR1', or 'PARE' where the footer is encrypted. Of an object of S3 the beginning, which has it too, is not fetched. */
function isParquet(tail: Uint8Array): boolean {
  return /^PAR[1E]$/.test(Buffer.from(tail).toString('latin1'))
}

/** A column of a file, or a field of one that is a struct: the type to declare, null where none holds it. */
export interface InferredColumn {
  /** As it is declared: 'address.city' of a field. */
  readonly name: string
  readonly physical: string
  readonly type: string | null
  /** Of JSON: it is NULL wherever it is there, so any type would do. */
  readonly isNull?: true
  /** Why it cannot be declared, or not beside the columns before it. */
  readonly why?: string
}

interface OwnType extends Pick<OwnColumn, 'name' | 'twins'>, Pick<InferredColumn, 'physical' | 'isNull'> {}

/**
 * Reads the columns of one Parquet, JSON or CSV file, or object of S3. Of a Parquet object its footer is fetched, of the
 * others all. Where the name does not end as one of these formats does, the content tells which it is. Rows of JSON that are
 * broken are left out.
 *
 * @param records as in `json({ records })`
 * @throws MillraceError `user` for a file that cannot be read.
 */
export async function infer(path: string, records?: string): Promise<readonly InferredColumn[]> {
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const spooled = join(session.spool, '1')
    const key = await bringFile(path, spooled, fileAsked)
    return await columnsOfFile(executor, spooled, key, path, records)
  } finally {
    await session.close()
  }
}

/** What is fetched of a file, and how messages name it. */
export const fileAsked: FileAsked = {
  field: 'path',
  expected,
  formatOf: async (name, tail) => {
    const kind = kindNamed(name) ?? (isParquet(await tail()) ? 'parquet' : undefined)
    // Of all others the whole is fetched.
    return kind === 'parquet' ? parquetFormat : jsonFormat
  },
}

/**
 * The columns of a file that was brought here.
 *
 * @param path names it in errors
 * @throws MillraceError `user` for one that cannot be read
 */
export async function columnsOfFile(
  executor: Executor,
  spooled: string,
  key: string,
  path: string,
  records: string | undefined,
): Promise<readonly InferredColumn[]> {
  const object = { file: spooled, changed: `${spooled}.rows`, key, columns: [], signal: new AbortController().signal }
  const kind = kindNamed(key) ?? (await kindInside(object))
  if (records !== undefined && kind !== 'json')
    throw configError('records', records, `none for ${path}, which is no JSON`)
  const file =
    kind === 'json'
      ? await jsonFile(object, path, records)
      : kind === 'csv'
        ? fileOf(await plainText(object), path)
        : spooled
  const columns = await columnsIn[kind](executor, file).catch((error: unknown) => {
    throw configError('path', path, `${expected}; DuckDB says: ${reasonOf(error, path).replace(/[.\s]+$/, '')}`, error)
  })
  // A text of anything is a CSV file of one column.
  if (kind === 'csv' && columns.length < 2 && kindNamed(key) === undefined)
    throw configError('path', path, `${expected}; its content is none`)
  return declarations(columns)
}

async function kindInside(object: SpooledObject): Promise<Kind> {
  const file = await open(object.file)
  try {
    const { size } = await file.stat()
    const { buffer } = await file.read(Buffer.alloc(magicBytes), { position: Math.max(0, size - magicBytes) })
    if (isParquet(buffer)) return 'parquet'
  } finally {
    await file.close()
  }
  return ['{', '['].includes((await firstCharacter(object)) ?? '') ? 'json' : 'csv'
}

const columnsIn: Readonly<Record<Kind, (executor: Executor, file: string) => Promise<readonly OwnType[]>>> = {
  parquet: parquetColumns,
  json: jsonColumns,
  csv: csvColumns,
}

/** Lines that are looked at. */
const sample = 100_000

/**
 * DuckDB gives columns whose names differ only by case names of its own: theirs come from the text. What it cannot parse is
 * passed over, and of an object whose fields differ only by case it leaves one out, which is a struct all the same.
 */
async function jsonColumns(executor: Executor, file: string): Promise<readonly OwnType[]> {
  const from = `read_json(${text(file)}, format = 'newline_delimited', sample_size = ${sample}, ignore_errors = true, hive_partitioning = false)`
  const columns = await withNulls(executor, from, await described(executor, from))
  const [keys] = await executor.rows(
    `SELECT json_keys(json_group_structure(json)) AS names FROM (FROM read_ndjson_objects(${text(file)}, ignore_errors = true, hive_partitioning = false) LIMIT ${sample})`,
  )
  return named(columns, (keys?.names ?? []) as readonly string[])
}

/** DuckDB takes a field that is always null for JSON, as it does one of several types. */
async function withNulls(executor: Executor, from: string, columns: readonly OwnType[]): Promise<readonly OwnType[]> {
  const open = columns.filter(({ physical }) => physical === 'JSON')
  if (open.length === 0) return columns
  const [counts] = await executor.rows(
    `SELECT ${open.map(({ name }, index) => `count(nullif(CAST(${id(name)} AS VARCHAR), 'null')) AS c${index}`).join(', ')} FROM ${from}`,
  )
  return columns.map(column =>
    open.includes(column) && counts?.[`c${open.indexOf(column)}`] === 0n ? { ...column, isNull: true } : column,
  )
}

async function csvColumns(executor: Executor, file: string): Promise<readonly OwnType[]> {
  const columns = await described(
    executor,
    `read_csv(${text(file)}, sample_size = ${sample}, hive_partitioning = false)`,
  )
  const [sniffed] = await executor.rows(`SELECT HasHeader FROM sniff_csv(${text(file)}, sample_size = ${sample})`)
  if (sniffed?.HasHeader !== true) return columns
  const [first] = await executor.rows(
    `SELECT [*COLUMNS(*)] AS names FROM read_csv(${text(file)}, sample_size = ${sample}, header = false, all_varchar = true, hive_partitioning = false) LIMIT 1`,
  )
  return named(columns, (first?.names ?? []) as readonly string[])
}

/** A struct is its fields, each by its path. */
async function parquetColumns(executor: Executor, file: string): Promise<readonly OwnType[]> {
  const { signal } = new AbortController()
  const ready = await parquetFormat.ready({ file, changed: `${file}.rows`, key: file, columns: [], signal })
  if (ready.is === 'bad') throw new Error(ready.reason)
  const { columns: own = [] } = ready
  // DuckDB says what it is.
  if (own.length === 0) return described(executor, parquetRows([file]))
  const leaves = leavesOf(own)
  const type = parseColumnType('JSON', 'column')
  const scanned = leaves.map(({ name, at }) => ({ name, from: name, type, at }))
  const types = Object.values(await executor.describe(parquetFormat.types?.(file, scanned, own) ?? ''))
  return leaves.map(({ name, twins }, index) => ({ name, physical: types[index] ?? '', ...(twins ? { twins } : {}) }))
}

async function described(executor: Executor, from: string): Promise<readonly OwnType[]> {
  const columns = await executor.rows(`DESCRIBE FROM ${from}`)
  return columns.map(row => ({ name: String(row.column_name), physical: String(row.column_type) }))
}

/** The same columns by their own names, where they are known one for one. */
function named(columns: readonly OwnType[], names: readonly string[]): readonly OwnType[] {
  if (names.length !== columns.length) return columns
  return columns.map((column, index) => ({ ...column, name: names[index] ?? column.name }))
}

/** The JSON objects of a file, one on a line. */
async function jsonFile(object: SpooledObject, path: string, records: string | undefined): Promise<string> {
  const file = fileOf(await objectLines(object, records === undefined ? undefined : { records }), path)
  const { size } = await stat(file)
  if (size > 0) return file
  const where = records === undefined ? '' : ` in an array of a field '${records}'`
  throw configError('path', path, `a file with a JSON object${where}; it has none`)
}

function fileOf(ready: Ready, path: string): string {
  if (ready.is === 'bad') throw configError('path', path, `a file that can be read; ${ready.reason}`)
  return ready.file
}

/** What can be declared of each column, beside those before it. */
function declarations(columns: readonly OwnType[]): readonly InferredColumn[] {
  const declared = new Map<string, string>()
  return columns.map(column => {
    const { name, physical, isNull } = column
    const own = { name, physical, ...(isNull ? { isNull } : {}) }
    const why = whyNever(column, columns)
    if (why !== undefined) return { ...own, type: null, why }
    const type = declarable(physical)
    const twin = declared.get(name.toLowerCase())
    if (twin !== undefined) return { ...own, type, why: `differs from ${twin} only by case: declare one of them` }
    declared.set(name.toLowerCase(), name)
    return { ...own, type }
  })
}

function whyNever({ name, physical, twins }: OwnType, columns: readonly OwnType[]): string | undefined {
  if (declarable(physical) === null) return `${physical} cannot be declared`
  const expected = expectedName(name)
  if (expected !== undefined) return `cannot be declared: expected ${expected}`
  if (columns.filter(other => other.name === name).length > 1) return 'cannot be declared: it is there more than once'
  return twins && `cannot be declared: its fields ${twins.join(' and ')} have one name when case is ignored`
}

/** The narrowest type that holds every value of a physical one; null where none does. */
function declarable(physical: string): string | null {
  for (const candidate of [wider[physical] ?? physical, 'VARCHAR', 'JSON']) {
    const type = parsed(candidate)
    if (type && type.name !== 'STRUCT' && !('impossible' in checkedCast('c', physical, type, 'parquet')))
      return type.sql
  }
  return null
}

function parsed(type: string): ParsedType | undefined {
  try {
    return parseColumnType(type, 'column')
  } catch {
    return undefined
  }
}
