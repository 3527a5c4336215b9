import { MillraceError } from '../../src/core/errors.ts'
import type { SinkDuckdb } from '../../src/plan/sink.ts'
import { id, parquetRows, text } from '../../src/plan/sql.ts'
import { fetchFile } from '../lake/fetch-file.ts'
import { type AddFile, keyOf, type Snapshot } from './actions.ts'
import { fieldsOf } from './schema.ts'
import type { Target } from './target.ts'
import { readType } from './types.ts'

/** Rows of data files that lie here. */
export interface FileRows {
  /** A relation: the columns of the files, and those of the partition. */
  readonly rows: string
  /** Columns of the files. */
  readonly names: readonly string[]
}

/** Brings files of one partition here. @param to where each is put */
export async function fetchData(
  { store, owner, context }: Target,
  { metadata }: Snapshot,
  { executor }: SinkDuckdb,
  files: readonly AddFile[],
  to: readonly string[],
): Promise<FileRows> {
  for (const [index, { path, size }] of files.entries()) {
    const key = keyOf(path)
    if (key === undefined)
      throw new MillraceError('user', 'output-unfit', `${owner.address} does not fit: its file ${path} lies elsewhere.`)
    await fetchFile(store, key, size, to[index] as string, context.sleep)
  }
  const fields = fieldsOf(metadata, owner.address)
  const types = new Map(fields.map(({ name, type }) => [name, readType(type)]))
  const there = await executor.describe(`SELECT * FROM ${parquetRows(to)}`)
  const names = fields.map(({ name }) => name).filter(name => there[name] !== undefined)
  const items = names.map(name => {
    const type = types.get(name)
    // As other writers have it: times of 96 bits, or texts without the mark of a text.
    return type === undefined || type === there[name] ? id(name) : `CAST(${id(name)} AS ${type}) AS ${id(name)}`
  })
  const parts = metadata.partitionColumns.map(name => {
    const value = files[0]?.partitionValues[name] ?? null
    const literal = value === null || value === '' ? 'NULL' : text(value)
    return `CAST(${literal} AS ${types.get(name) ?? 'VARCHAR'}) AS ${id(name)}`
  })
  return { rows: `(SELECT ${[...items, ...parts].join(', ')} FROM ${parquetRows(to)})`, names }
}
