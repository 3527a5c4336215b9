import { copyFile, link, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { csvExtensions } from '../../connectors/csv/format.ts'
import { jsonFormat } from '../../connectors/json/format.ts'
import { plainText } from '../../connectors/text/plain-text.ts'
import { configError, errorMessage } from '../core/errors.ts'
import { parseColumnType } from '../core/types.ts'
import { text } from '../plan/sql.ts'
import { openSession } from './duckdb/session.ts'

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

/** A column of a file: the type to declare, or why none fits. */
export interface InferredColumn {
  readonly name: string
  readonly physical: string
  readonly type: string | null
}

/** Reads the columns of one Parquet, JSON lines or CSV file. @throws MillraceError `user` for a file that cannot be read. */
export async function infer(path: string): Promise<readonly InferredColumn[]> {
  const file = resolve(path)
  const found = await stat(file).catch(() => undefined)
  if (!found?.isFile()) throw configError('path', path, 'a Parquet, JSON lines or CSV file')
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    const spooled = join(session.spool, 'file')
    await link(file, spooled).catch(() => copyFile(file, spooled))
    const isNamed = (extensions: readonly string[]) => extensions.some(end => file.toLowerCase().endsWith(end))
    const plain = async () => text(await textFile(spooled, file, path))
    const from = isNamed(jsonFormat.extensions)
      ? `read_json(${await plain()}, format = 'newline_delimited', sample_size = 100000)`
      : isNamed(csvExtensions)
        ? `read_csv(${await plain()}, sample_size = 100000)`
        : `read_parquet(${text(spooled)}, hive_partitioning = false)`
    const columns = await executor.describe(`SELECT * FROM ${from}`).catch((error: unknown) => {
      throw configError(
        'path',
        path,
        `a Parquet, JSON lines or CSV file; DuckDB says: ${errorMessage(error).split('\n')[0]}`,
        error,
      )
    })
    return Object.entries(columns).map(([name, physical]) => ({ name, physical, type: declarable(physical) }))
  } finally {
    await session.close()
  }
}

/** The text of a file that may be compressed. */
async function textFile(spooled: string, file: string, path: string): Promise<string> {
  const { signal } = new AbortController()
  const ready = await plainText({ file: spooled, changed: `${spooled}.rows`, key: basename(file), columns: [], signal })
  if (ready.is === 'bad') throw configError('path', path, `a file that can be read; ${ready.reason}`)
  return ready.file
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
