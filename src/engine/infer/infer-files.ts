import { rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isS3Address } from '../../../connectors/s3/spec.ts'
import { configError, isMillraceError } from '../../core/errors.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import type { ObjectStore } from '../../core/ports.ts'
import { expectedName } from '../../core/types.ts'
import { commonType } from '../../plan/common-type.ts'
import { folderValues } from '../../plan/object-facts.ts'
import { components } from '../components.ts'
import { openSession } from '../duckdb/session.ts'
import { createKindOf } from '../intake/key-kind.ts'
import { bringVersion } from '../read/one-file.ts'
import {
  columnsOfFile,
  fileAsked,
  type InferredColumn,
  formatNamed,
  infer,
  inferable,
  inferableNames,
} from './infer.ts'

/** A column of several files, as it is declared. */
export interface InferredAcross extends InferredColumn {
  /** The type, with DEFAULT NULL where a file lacks the column; null where no type holds it. */
  readonly declaration: string | null
  /** In which file it begins, ends or changes its type. */
  readonly changes: readonly string[]
}

/** What several files have. */
export interface InferredFiles {
  readonly columns: readonly InferredAcross[]
  /** How many were read. */
  readonly files: number
  readonly unreadable: readonly { readonly key: string; readonly reason: string }[]
}

/** The columns of one file, in the order of the files. */
export interface FileColumns {
  readonly key: string
  readonly columns: readonly InferredColumn[]
}

/** Files that are looked at; more are a data set to sample. */
const filesMax = 1_000

/**
 * The columns of one file, or of all files of a folder or a glob, in the order of their keys: the type that holds what
 * each of them has, DEFAULT NULL where one lacks it, and where it begins, ends or changes.
 *
 * @param path as the `objects` of a source: a file, a folder, a glob, or such a place in S3
 * @throws MillraceError `user` for files that cannot be read, where none can
 */
export async function inferFiles(path: string, records?: string): Promise<InferredFiles> {
  if (!(await isPlace(path))) {
    const columns = await infer(path, records)
    return {
      columns: columns.map(column => ({ ...column, declaration: column.type, changes: [] })),
      files: 1,
      unreadable: [],
    }
  }
  const { root, matches } = await components.findInput(path, 'path')
  const store = await components.openInput(root, 'path')
  const kindOf = createKindOf({ matches }, { extensions: [''] }, { hidden: 'ignore' })
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const read: FileColumns[] = []
    const { files, others } = await filesOf(store, key => kindOf(key) === 'object', path)
    const unreadable = [...others]
    for (const version of files) {
      const { key } = version
      const spooled = join(session.spool, `${read.length + unreadable.length}`)
      try {
        await bringVersion(store, version, spooled, key, fileAsked)
        read.push({ key, columns: await columnsOfFile(executor, spooled, key, key, records) })
      } catch (error) {
        if (!isMillraceError(error) || error.kind !== 'user') throw error
        unreadable.push({ key, reason: error.message })
      } finally {
        for (const file of [spooled, `${spooled}.rows`]) await rm(file, { force: true })
      }
    }
    const [bad] = unreadable
    if (read.length === 0)
      throw configError('path', path, `${inferableNames} files${bad ? `; ${bad.reason}` : '; there are none'}`)
    const columns = across(read)
    return { columns: [...columns, ...keyColumns(read, columns)], files: read.length, unreadable }
  } finally {
    await session.close()
  }
}

/** The files of one format, which most of them have: a source reads one. */
async function filesOf(store: ObjectStore, isObject: (key: string) => boolean, path: string) {
  const all: (readonly [string, ObjectVersion])[] = []
  for await (const version of store.list('', undefined, new AbortController().signal)) {
    const kind = isObject(version.key) ? formatNamed(version.key)?.kind : undefined
    if (kind === undefined) continue
    if (all.length === filesMax)
      throw configError('path', path, `${filesMax} files at most; name fewer, such as those of one year`)
    all.push([kind, version])
  }
  const countOf = (asked: string) => all.filter(([kind]) => kind === asked).length
  const [most] = inferable.map(format => format.kind).toSorted((a, b) => countOf(b) - countOf(a))
  const reason = `most files here are ${most}, and a source reads one format`
  return {
    files: all.flatMap(([kind, version]) => (kind === most ? [version] : [])),
    others: all.flatMap(([kind, { key }]) => (kind === most ? [] : [{ key, reason }])),
  }
}

/** A folder or a glob. What is there by this very name is meant as it is. */
async function isPlace(path: string): Promise<boolean> {
  const isPattern = /[*?[\]{}]/.test(path.replace(/\?(?=[^/]*=).*$/, '')) || path.endsWith('/')
  if (isS3Address(path)) return isPattern
  const found = await stat(resolve(path)).catch(() => undefined)
  return found === undefined ? isPattern : found.isDirectory()
}

/** Columns of files put together. Those whose names differ by case only are one where no file has both. */
export function across(files: readonly FileColumns[]): readonly InferredAcross[] {
  const hasTwins = new Set(
    files.flatMap(({ columns }) => {
      const names = columns.map(({ name }) => name.toLowerCase())
      return names.filter((name, index) => names.indexOf(name) !== index)
    }),
  )
  const idOf = (name: string) => (hasTwins.has(name.toLowerCase()) ? name : name.toLowerCase())
  const ids = new Set(files.flatMap(({ columns }) => columns.map(({ name }) => idOf(name))))
  return [...ids].map(id =>
    together(files.map(({ key, columns }) => ({ key, column: columns.find(({ name }) => idOf(name) === id) }))),
  )
}

interface InFile {
  readonly key: string
  readonly column: InferredColumn | undefined
}

function together(files: readonly InFile[]): InferredAcross {
  const having = files.flatMap(({ key, column }) => (column === undefined ? [] : [{ key, column }]))
  const last = having.at(-1)?.column as InferredColumn
  const known = having.filter(({ column }) => !column.isNull)
  const type = (known.length > 0 ? known : having)
    .map(({ column }) => column.type)
    .reduce((common, next) => (common === null || next === null ? null : commonType(common, next)))
  const changes = [...comesAndGoes(files), ...changesOfType(known)]
  const isEverywhere = having.length === files.length
  const why = having.find(({ column }) => column.why !== undefined)?.column.why
  const noType = type === null && why === undefined ? 'no type holds what these files have' : why
  return {
    name: last.name,
    physical: last.physical,
    type,
    ...(noType === undefined ? {} : { why: noType }),
    declaration: type === null || isEverywhere ? type : `${type} DEFAULT NULL`,
    changes,
  }
}

/** Columns that folders such as dt=2024-03-31/ give, which the files themselves do not have. */
function keyColumns(files: readonly FileColumns[], columns: readonly InferredAcross[]): readonly InferredAcross[] {
  const values = files.map(({ key }) => new Map(folderValues(key)))
  const names = new Set(values.flatMap(own => [...own.keys()]))
  const isFree = (name: string) =>
    expectedName(name) === undefined && columns.every(column => column.name.toLowerCase() !== name.toLowerCase())
  return [...names].filter(isFree).map(name => {
    const texts = values.flatMap(own => own.get(name) ?? [])
    const has = (pattern: RegExp) => texts.length > 0 && texts.every(value => pattern.test(value))
    const type = has(/^\d{4}-\d{2}-\d{2}$/) ? 'DATE' : has(/^\d{1,18}$/) ? 'BIGINT' : 'VARCHAR'
    const isEverywhere = values.every(own => own.has(name))
    const declaration = `${type}${isEverywhere ? '' : ' DEFAULT NULL'} FROM KEY`
    return { name, physical: 'VARCHAR', type, declaration, changes: [] }
  })
}

/** Gaps that are named. */
const gapsMax = 3

function comesAndGoes(files: readonly InFile[]): readonly string[] {
  const has = files.map(({ column }) => column !== undefined)
  const [first, last] = [has.indexOf(true), has.lastIndexOf(true)]
  const gaps = files.slice(first, last).filter(({ column }) => column === undefined)
  const named = gaps.slice(0, gapsMax).map(({ key }) => key)
  const more = gaps.length > gapsMax ? ` and ${gaps.length - gapsMax} more` : ''
  return [
    ...(first > 0 ? [`begins in ${files[first]?.key}`] : []),
    ...(gaps.length > 0 ? [`missing in ${named.join(', ')}${more}`] : []),
    ...(last < files.length - 1 ? [`ends in ${files[last]?.key}`] : []),
  ]
}

/** Changes of type that are named. */
const changesMax = 5

function changesOfType(files: readonly { readonly key: string; readonly column: InferredColumn }[]): readonly string[] {
  const changes = files.flatMap(({ key, column: { physical } }, index) => {
    const before = files[index - 1]?.column.physical
    return before === undefined || before === physical ? [] : [`${physical} from ${key} on, ${before} before`]
  })
  const more = changes.length - changesMax
  return more > 0 ? [...changes.slice(0, changesMax), `and ${more} more changes`] : changes
}
