import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { csvExtensions } from '../../../connectors/csv/format.ts'
import { parquetFormat } from '../../../connectors/parquet/format.ts'
import { plainText } from '../../../connectors/text/plain-text.ts'
import { configError } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import { id, parquetRows, text } from '../../plan/sql.ts'
import { reasonOf } from '../read/marked-object.ts'
import { bringFile, hasExtension } from '../read/one-file.ts'

const extensions = [...parquetFormat.extensions, ...csvExtensions]
const expected = `a CSV or Parquet file, of a name that ends in ${extensions.join(', ')}`

/**
 * Brings files that a user names into tables of the current database, with the types that DuckDB finds: of CSV from all
 * of its rows.
 *
 * @param files name of the table to path or `s3://` address
 * @param taken names that are tables already
 * @throws MillraceError `user` that names the table
 */
export async function createFileTables(
  executor: Executor,
  files: Readonly<Record<string, string>>,
  taken: readonly string[],
  stage: string,
  newId: () => string,
): Promise<readonly string[]> {
  for (const [name, path] of Object.entries(files)) {
    const field = `with ${name}`
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      throw configError('with', name, 'a name of letters, digits and _ that does not begin with a digit')
    if (taken.some(other => other.toLowerCase() === name.toLowerCase()))
      throw configError('with', name, `another name than those of the checkpoint's own views: ${taken.join(', ')}`)
    const file = join(stage, newId())
    // Read whole: Parquet could be asked for the pages of some columns.
    const key = await bringFile(path, file, { field, expected, formatOf: () => ({}) })
    const isCsv = hasExtension(key, csvExtensions)
    if (!isCsv && !hasExtension(key, parquetFormat.extensions)) throw configError(field, path, expected)
    const changed = `${file}.rows`
    const rows = isCsv
      ? `read_csv(${text(await csvText(field, path, file, changed, key))}, sample_size = -1, hive_partitioning = false)`
      : parquetRows([file])
    await executor.run(`CREATE TABLE ${id(name)} AS SELECT * FROM ${rows}`).catch((error: unknown) => {
      throw configError(
        field,
        path,
        `a file that can be read; DuckDB: ${reasonOf(error, file).replace(/[.\s]+$/, '')}`,
        error,
      )
    })
    for (const path of [file, changed]) await rm(path, { force: true })
  }
  return Object.keys(files)
}

/** The text of a CSV file, without gzip or zstd. */
async function csvText(field: string, path: string, file: string, changed: string, key: string): Promise<string> {
  const ready = await plainText({ file, changed, key, columns: [], signal: new AbortController().signal })
  if (ready.is === 'bad') throw configError(field, path, `a file that can be read; ${ready.reason}`)
  return ready.file
}
