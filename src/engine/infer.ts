import { createReadStream } from 'node:fs'
import { copyFile, link, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { csvExtensions } from '../../connectors/csv/format.ts'
import { jsonFormat } from '../../connectors/json/format.ts'
import { parquetFormat } from '../../connectors/parquet/format.ts'
import { addressOf, isS3Address, parseS3Address } from '../../connectors/s3/spec.ts'
import { plainText } from '../../connectors/text/plain-text.ts'
import { configError } from '../core/errors.ts'
import type { Executor } from '../core/ports.ts'
import { checkColumnName, type ParsedType, parseColumnType } from '../core/types.ts'
import { checkedCast } from '../plan/checked-cast.ts'
import { id, text } from '../plan/sql.ts'
import { components } from './components.ts'
import { openSession } from './duckdb/session.ts'
import { reasonOf } from './marked-object.ts'
import { spoolObject } from './spool.ts'

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

const expected = 'a Parquet, JSON lines or CSV file'

/** A column of a file, or a field of one that is a struct: the type to declare, null where none holds it. */
export interface InferredColumn {
  /** As it is declared: 'address.city' of a field. */
  readonly name: string
  readonly physical: string
  readonly type: string | null
}

/**
 * Reads the columns of one Parquet, JSON lines or CSV file, or object of S3. Of a Parquet object its footer is fetched, of
 * the others all.
 *
 * @throws MillraceError `user` for a file that cannot be read.
 */
export async function infer(path: string): Promise<readonly InferredColumn[]> {
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const spooled = join(session.spool, '1')
    const key = isS3Address(path) ? await fetchObject(path, spooled) : await linkFile(path, spooled)
    const isNamed = (extensions: readonly string[]) => hasExtension(key, extensions)
    const isJson = isNamed(jsonFormat.extensions)
    const isText = isJson || isNamed(csvExtensions)
    const file = isText ? await textFile(spooled, key, path) : spooled
    if (isJson && (await beginsAsArray(file)))
      throw configError('path', path, 'JSON lines, one JSON object on a line; it begins with an array')
    const from = isJson
      ? `read_json(${text(file)}, format = 'newline_delimited', sample_size = 100000)`
      : isText
        ? `read_csv(${text(file)}, sample_size = 100000)`
        : `read_parquet(${text(file)}, hive_partitioning = false)`
    const columns = await executor.describe(`SELECT * FROM ${from}`).catch((error: unknown) => {
      throw configError(
        'path',
        path,
        `${expected}; DuckDB says: ${reasonOf(error, path).replace(/[.\s]+$/, '')}`,
        error,
      )
    })
    // A field is a column of its own where the format reads it by its path.
    const { fieldOf } = isText ? jsonFormat : parquetFormat
    const fields = async (path: readonly string[]) => fieldOf && namedFields(executor, fieldOf, path, from)
    const inferred: InferredColumn[] = []
    for (const [name, physical] of Object.entries(columns))
      inferred.push(...(await inferColumn([name], physical, fields)))
    return inferred
  } finally {
    await session.close()
  }
}

/** @returns its name */
async function linkFile(path: string, spooled: string): Promise<string> {
  const file = resolve(path)
  const found = await stat(file).catch(() => undefined)
  if (!found) throw configError('path', path, `${expected}; it does not exist`)
  if (!found.isFile())
    throw configError(
      'path',
      path,
      found.isDirectory() ? 'one file; it is a folder' : `${expected}; it is no regular file`,
    )
  await link(file, spooled).catch(() => copyFile(file, spooled))
  return basename(file)
}

/** @returns its name */
async function fetchObject(path: string, spooled: string): Promise<string> {
  const { path: key, ...place } = parseS3Address(path, 'path')
  const name = key.slice(key.lastIndexOf('/') + 1)
  const root = addressOf({ ...place, prefix: key.slice(0, key.length - name.length) })
  const store = await components.openInput(root, 'path')
  const version = name === '' ? 'missing' : await store.head?.(name)
  if (version === undefined || version === 'missing') throw configError('path', path, `${expected} that is there`)
  const format = hasExtension(name, [...jsonFormat.extensions, ...csvExtensions]) ? jsonFormat : parquetFormat
  const { signal } = new AbortController()
  const fetched = await spoolObject({ store, format, signal, columns: [] }, version, spooled)
  if (fetched === 'missing' || fetched === 'changed')
    throw configError(
      'path',
      path,
      `an object that stays as it is; it ${fetched === 'missing' ? 'is gone' : 'changed'}`,
    )
  return name
}

function hasExtension(name: string, extensions: readonly string[]): boolean {
  return extensions.some(end => name.toLowerCase().endsWith(end))
}

/** The text of a file that may be compressed. */
async function textFile(spooled: string, key: string, path: string): Promise<string> {
  const { signal } = new AbortController()
  const ready = await plainText({ file: spooled, changed: `${spooled}.rows`, key, columns: [], signal })
  if (ready.is === 'bad') throw configError('path', path, `a file that can be read; ${ready.reason}`)
  return ready.file
}

/** Whether the first character that is not blank is '['. */
async function beginsAsArray(file: string): Promise<boolean> {
  for await (const chunk of createReadStream(file, 'utf8')) {
    const [first] = (chunk as string).trimStart()
    if (first !== undefined) return first === '['
  }
  return false
}

/** A column, or each of the fields below it where it is a struct. */
async function inferColumn(
  path: readonly string[],
  physical: string,
  fieldsOf: (path: readonly string[]) => Promise<Readonly<Record<string, string>> | undefined>,
): Promise<readonly InferredColumn[]> {
  const fields = physical.startsWith('STRUCT(') ? await fieldsOf(path) : undefined
  if (fields === undefined) {
    const name = path.join('.')
    return [{ name, physical, type: isColumnName(name) ? declarable(physical) : null }]
  }
  const inferred: InferredColumn[] = []
  for (const [name, type] of Object.entries(fields))
    inferred.push(...(await inferColumn([...path, name], type, fieldsOf)))
  return inferred
}

/** Fields of a struct with their types; undefined where not all of them can be named by a path. */
async function namedFields(
  { describe }: Executor,
  fieldOf: (path: readonly string[]) => string,
  path: readonly string[],
  from: string,
): Promise<Readonly<Record<string, string>> | undefined> {
  const names = Object.keys(await describe(`SELECT unnest(${fieldOf(path)}) FROM ${from}`))
  if ([...path, ...names].some(name => name === '' || name.includes('.')) || names.length === 0) return undefined
  const fields = names.map(name => `${fieldOf([...path, name])} AS ${id(name)}`)
  // What has no names of its own is named by its place, and no path leads there.
  return describe(`SELECT ${fields.join(', ')} FROM ${from}`).catch(() => undefined)
}

function isColumnName(name: string): boolean {
  try {
    checkColumnName(name, 'column')
    return true
  } catch {
    return false
  }
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
