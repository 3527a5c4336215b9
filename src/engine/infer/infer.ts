import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { formats } from '../../../connectors/registry.ts'
import { configError, MillraceError } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import { expectedName, type ParsedType, parseColumnType } from '../../core/types.ts'
import { checkedCast } from '../../plan/checked-cast.ts'
import type { FileColumn, SpooledObject } from '../../plan/format.ts'
import { openSession } from '../duckdb/session.ts'
import { reasonOf } from '../read/marked-object.ts'
import { bringFile, type FileAsked, hasExtension, magicBytes } from '../read/one-file.ts'

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

/** The formats that tell what columns there are. */
export const inferable = formats.flatMap(({ kind, infer }) => (infer ? [{ ...infer, kind }] : []))
type Inferable = (typeof inferable)[number]

/** What a file is taken for that no content tells. */
const whatever = inferable.find(({ isTail, isContent }) => !isTail && !isContent) as Inferable

/** 'Parquet, JSON or CSV' */
export const inferableNames = inferable
  .map(({ shown }) => shown)
  .join(', ')
  .replace(/, ([^,]*)$/, ' or $1')
const expected = `a ${inferableNames} file`

/** What a file is by the end of its name. */
export function formatNamed(name: string): Inferable | undefined {
  return inferable.find(({ extensions }) => hasExtension(name, extensions))
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

/**
 * Reads the columns of one Parquet, JSON or CSV file, or object of S3. Of a Parquet object its footer is fetched, of
 * the others all. Where the name does not end as one of these formats does, the content tells which it is. Rows of JSON
 * that are broken are left out.
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
    const found = formatNamed(name)
    if (found) return found
    // Of an object of S3 the end is cheap: what is not known by it is fetched whole.
    const end = await tail()
    return inferable.find(format => format.isTail?.(end)) ?? {}
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
  const isNamed = formatNamed(key) !== undefined
  const format = formatNamed(key) ?? (await formatInside(object))
  if (records !== undefined && !format.takesRecords)
    throw configError('records', records, `none for ${path}, which is no JSON`)
  const ready = await format.ready(object, records)
  if (ready.is === 'bad') throw new MillraceError('user', 'unreadable', `${path} cannot be read: ${ready.reason}.`)
  if (ready.is === 'empty') throw configError('path', path, `${ready.expected}; it has none`)
  const columns = await format.columns(executor, ready).catch((error: unknown) => {
    throw configError('path', path, `${expected}; DuckDB says: ${reasonOf(error, path).replace(/[.\s]+$/, '')}`, error)
  })
  // A text of anything has one column.
  if (format === whatever && columns.length < 2 && !isNamed)
    throw configError('path', path, `${expected}; its content is none`)
  return declarations(columns)
}

async function formatInside(object: SpooledObject): Promise<Inferable> {
  const tail = await tailOf(object.file)
  const found = inferable.find(format => format.isTail?.(tail))
  if (found) return found
  for (const format of inferable) if (await format.isContent?.(object)) return format
  return whatever
}

async function tailOf(path: string): Promise<Uint8Array> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read(Buffer.alloc(magicBytes), {
      position: Math.max(0, size - magicBytes),
    })
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/** What can be declared of each column, beside those before it. */
function declarations(columns: readonly FileColumn[]): readonly InferredColumn[] {
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

function whyNever({ name, physical, twins }: FileColumn, columns: readonly FileColumn[]): string | undefined {
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
    if (type && type.name !== 'STRUCT' && !('impossible' in checkedCast('c', physical, type, 'typed'))) return type.sql
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
