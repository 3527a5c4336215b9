import { createReadStream } from 'node:fs'
import { copyFile, link, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { csvExtensions } from '../../connectors/csv/format.ts'
import { jsonFormat } from '../../connectors/json/format.ts'
import { parquetFormat } from '../../connectors/parquet/format.ts'
import { addressOf, isS3Address, parseS3Address } from '../../connectors/s3/spec.ts'
import { plainText } from '../../connectors/text/plain-text.ts'
import { configError } from '../core/errors.ts'
import { parseColumnType } from '../core/types.ts'
import { text } from '../plan/sql.ts'
import { components } from './components.ts'
import { openSession } from './duckdb/session.ts'
import { reasonOf } from './marked-object.ts'
import { spoolObject } from './spool.ts'

/** Physical types without a declarable one of the same name, and the declarable type that holds every value. */
const wider: Readonly<Record<string, string>> = {
  UTINYINT: 'SMALLINT',
  USMALLINT: 'INTEGER',
  UINTEGER: 'BIGINT',
  HUGEINT: 'DECIMAL(38,0)',
  'TIMESTAMP WITH TIME ZONE': 'TIMESTAMPTZ',
  TIMESTAMP_S: 'TIMESTAMP',
  TIMESTAMP_MS: 'TIMESTAMP',
  TIMESTAMP_NS: 'TIMESTAMP',
  TIME: 'VARCHAR',
  TIME_NS: 'VARCHAR',
  INTERVAL: 'VARCHAR',
}

const expected = 'a Parquet, JSON lines or CSV file'

/** A column of a file: the type to declare, or why none fits. */
export interface InferredColumn {
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
    return Object.entries(columns).map(([name, physical]) => ({ name, physical, type: declarable(physical) }))
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

function declarable(physical: string): string | null {
  const type = wider[physical] ?? (physical.startsWith('ENUM') ? 'VARCHAR' : physical)
  try {
    const { name, sql } = parseColumnType(type, 'column')
    return name === 'STRUCT' ? 'JSON' : sql
  } catch {
    return /^(STRUCT|MAP)\(|\]$/.test(type) ? 'JSON' : null
  }
}
