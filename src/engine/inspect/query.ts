import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { errorMessage, MillraceError } from '../../core/errors.ts'
import { given } from '../../core/option-kinds.ts'
import { type OptionTable, readOptions } from '../../core/options.ts'
import type { SqlRow } from '../../core/ports.ts'
import { text } from '../../plan/sql.ts'
import { components } from '../components.ts'
import { openReadOnly, openSession, type ReadOnlyDatabase } from '../duckdb/session.ts'
import { readCheckpoint } from '../state/read-checkpoint.ts'
import { createFileTables } from './file-tables.ts'
import { checkOneSelect } from './one-select.ts'
import { createOutputViews } from './output-views.ts'
import { createRecordViews } from './record-views.ts'
import { createVersions } from './table-views.ts'

/** What a query of a checkpoint gives. */
export interface QueryResult {
  /** Also of a result without rows. Of several columns of one name all but the first have a number behind it. */
  readonly columns: readonly string[]
  readonly rows: readonly SqlRow[]
  /** The views that the checkpoint has, and the tables that were named. */
  readonly tables: readonly string[]
  /** What is missing in the result, because a table could not be asked: a line for each. */
  readonly notes: readonly string[]
}

export interface QueryOptions {
  /**
   * CSV and Parquet files, or objects of S3, that the query may read as well: the name of a table to a path or `s3://`
   * address.
   */
  readonly with?: Readonly<Record<string, string>>
}

const queryOptions = {
  with: {
    kind: given<Readonly<Record<string, string>>>(
      "an object of table names and files, such as { zones: 'zones.csv' }",
      value =>
        typeof value === 'object' && value !== null && Object.values(value).every(file => typeof file === 'string'),
    ),
    about: 'CSV and Parquet files, or objects of S3, that the query may read as well.',
  },
} satisfies OptionTable<QueryOptions>

/**
 * Runs one SELECT over what a checkpoint holds: `ledger`, `epochs`, `outputs` (files), `quarantine` (bad rows), `late`,
 * `state` (partial rows) and `output` (rows of published files); `late_<step>`, `state_<step>` and `output_<flow>` of
 * one step or flow. docs/reference/sql-views.md has their columns. The checkpoint is only read, so a run that writes
 * there goes on; the query runs over copies in a database that is read-only, in a DuckDB that can open nothing else.
 *
 * @throws MillraceError `user` for what is not one SELECT, or what DuckDB refuses, with the views there are; for a file
 * of `with` that cannot be read.
 */
export async function query(address: string, sql: string, options: QueryOptions = {}): Promise<QueryResult> {
  const { result, ...found } = await withCheckpoint(address, sql, options, database => database.select(sql))
  return { ...result, ...found }
}

/**
 * The same, with the rows as Parquet in a file instead. It is written in a private folder and copied when it is whole.
 *
 * @throws MillraceError besides, `user` where the file is there already
 */
export async function queryToParquet(
  address: string,
  sql: string,
  file: string,
  options: QueryOptions = {},
): Promise<Pick<QueryResult, 'tables' | 'notes'> & { readonly count: number }> {
  const { result: count, ...found } = await withCheckpoint(address, sql, options, async (database, results) => {
    const written = join(results, 'rows.parquet')
    const rows = await database.writeParquet(sql.trim().replace(/;$/, ''), written)
    await copyFile(written, file, constants.COPYFILE_EXCL)
    return rows
  })
  return { count, ...found }
}

async function withCheckpoint<T>(
  address: string,
  sql: string,
  options: QueryOptions,
  work: (database: ReadOnlyDatabase, results: string) => Promise<T>,
): Promise<Pick<QueryResult, 'tables' | 'notes'> & { readonly result: T }> {
  const { with: files = {} } = readOptions('query', queryOptions, options)
  const session = await openSession({})
  try {
    const executor = await session.executor(new AbortController().signal)
    await checkOneSelect(executor, sql)
    const { checkpoint, head } = await readCheckpoint(components, address, 'checkpoint', session.stage)
    const reader = { checkpoint, manifest: head.manifest, stage: session.stage, newId: randomUUID }

    const file = join(session.stage, 'checkpoint.duckdb')
    await executor.run(`ATTACH ${text(file)} AS checkpoint`)
    await executor.run('USE checkpoint')
    await executor.run('CREATE SCHEMA stored')
    const unasked = await createVersions(reader, executor, /\boutputs\b/i.test(sql))
    const records = await createRecordViews(reader, executor)
    const output = await createOutputViews(reader, executor, sql)
    const own = [...records, ...output.names]
    const named = await createFileTables(executor, files, own, session.stage, randomUUID)
    const tables = [...own, ...named].toSorted()
    await executor.run('USE memory')
    await executor.run('DETACH checkpoint')

    const results = join(session.stage, 'results')
    await mkdir(results)
    const database = await openReadOnly(file, results, {})
    try {
      const notes = unasked.map(({ why }) => `${why.charAt(0).toUpperCase()}${why.slice(1)}`)
      return { result: await work(database, results), tables, notes }
    } catch (error) {
      // Of the file that the rows go to, and not of the query.
      if (error instanceof Error && 'syscall' in error) throw error
      const [sentence = ''] = errorMessage(error).split('\n')
      const here = `Tables here: ${tables.join(', ')}.${output.missing === undefined ? '' : ` ${output.missing}`}`
      throw new MillraceError('user', 'sql', `The query: DuckDB: ${sentence.replace(/[.!]?$/, '.')} ${here}`, error)
    } finally {
      database.close()
    }
  } finally {
    await session.close()
  }
}
