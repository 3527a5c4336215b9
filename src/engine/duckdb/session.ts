import { mkdir } from 'node:fs/promises'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBPreparedStatement, StatementType, version as duckdbVersion } from '@duckdb/node-api'
import { configError, errorMessage } from '../../core/errors.ts'
import { limited } from '../../core/limited.ts'
import type { SqlRow } from '../../core/ports.ts'
import { text } from '../../plan/sql.ts'
import { openScratch } from './scratch.ts'
import { createExecutor, plainRows, type SessionExecutor } from './executor.ts'

/** A run's throw-away folder, and the DuckDB instance inside it. */
export interface Session {
  /** Objects under way: DuckDB may read here. */
  readonly spool: string
  /** Files that DuckDB writes before they are staged. */
  readonly stage: string
  /** An executor on a connection of its own; `signal` interrupts its statements and refuses further ones. */
  executor(signal: AbortSignal): Promise<SessionExecutor>
  /** Of those that it was opened with. Statements under way keep what they have. */
  useThreads(count: 1 | 'all'): Promise<void>
  /** Waits for statements under way, then removes the folder. */
  close(): Promise<void>
}

export interface SessionOptions {
  readonly threads?: number | undefined
  /** Such as '2GB'. */
  readonly memory?: string | undefined
  /** Parent of the throw-away folder. Default: the system's temporary folder. */
  readonly spill?: string | undefined
}

/** What every session sets and the manifest records: an expression must mean the same on every machine (S19). */
export const sessionSettings = {
  TimeZone: 'UTC',
  Calendar: 'gregorian',
  default_null_order: 'nulls_last',
  default_order: 'asc',
  preserve_insertion_order: 'true',
  integer_division: 'false',
  ieee_floating_point_ops: 'true',
  old_implicit_casting: 'false',
  default_collation: '',
} as const

export const duckdb = duckdbVersion()

/**
 * Opens DuckDB, locked: it reads and writes inside `spool` and `stage` and nowhere else. Its tables lie in memory and
 * go to `spill` where they pass the limit; a database file would be compressed, logged and synced for nobody.
 */
export async function openSession(options: SessionOptions): Promise<Session> {
  const scratch = await openScratch(options.spill)
  const folder = scratch.path
  const [spool, stage, spill] = ['spool', 'stage', 'spill'].map(name => join(folder, name)) as [string, string, string]
  await Promise.all([spool, stage, spill].map(path => mkdir(path)))
  const executors: SessionExecutor[] = []
  try {
    const instance = await openInstance(':memory:', options, spill, [`${spool}/`, `${stage}/`])
    const inTurn = limited(1)
    return {
      spool,
      stage,
      async executor(signal) {
        const executor = createExecutor(await instance.connect(), signal, () => instance.connect())
        executors.push(executor)
        return executor
      },
      useThreads: count =>
        inTurn(1, async () => {
          const connection = await instance.connect()
          try {
            await connection.run(`SET GLOBAL threads = ${count === 1 ? 1 : threadsOf(options)}`)
          } finally {
            connection.closeSync()
          }
        }),
      async close() {
        // Closing under a running statement would take its memory away.
        await Promise.all([...executors.map(executor => executor.close()), inTurn(1, async () => {})])
        instance.closeSync()
        await scratch.close()
      },
    }
  } catch (error) {
    await scratch.close()
    throw error
  }
}

/** A database file that is only read, in a DuckDB that can open no other file but what it writes for us. */
export interface ReadOnlyDatabase {
  /** Runs one SELECT. What makes it another statement, or several, is refused here as well. */
  select(sql: string): Promise<{ readonly columns: readonly string[]; readonly rows: readonly SqlRow[] }>
  /** The rows of one SELECT as Parquet. @param file below the folder for results @returns how many */
  writeParquet(sql: string, file: string): Promise<number>
  close(): void
}

/**
 * @param file made by a session of this process that has let go of it, inside its folder
 * @param results an empty folder for files that are written
 */
export async function openReadOnly(file: string, results: string, options: SessionOptions): Promise<ReadOnlyDatabase> {
  const instance = await openInstance(file, options, `${file}.spill`, [`${results}/`])
  const connection = await instance.connect()
  async function prepareSelect(sql: string): Promise<DuckDBPreparedStatement> {
    const prepared = await connection.prepare(sql)
    if (prepared.statementType === StatementType.SELECT) return prepared
    throw new Error(`found ${StatementType[prepared.statementType]}, which is no SELECT`)
  }
  return {
    async select(sql) {
      const reader = await (await prepareSelect(sql)).runAndReadAll()
      const columns = reader.deduplicatedColumnNames()
      return { columns, rows: plainRows(reader) }
    },
    async writeParquet(sql, to) {
      await prepareSelect(sql)
      // A comment at its end ends with the line.
      const reader = await connection.runAndReadAll(`COPY (${sql}\n) TO ${text(to)} (FORMAT parquet)`)
      return Number(reader.getRowObjects()[0]?.Count ?? 0)
    },
    close() {
      connection.closeSync()
      instance.closeSync()
    },
  }
}

/**
 * DuckDB over a file or in memory, locked: `directories`, each with a slash at its end, are all that it reads and
 * writes.
 */
async function openInstance(
  path: string,
  options: SessionOptions,
  spill: string,
  directories: readonly string[],
): Promise<DuckDBInstance> {
  const instance = await DuckDBInstance.create(path, {
    threads: String(threadsOf(options)),
    memory_limit: options.memory ?? `${Math.floor((memoryBytes() * 0.6) / 1_000_000)}MB`,
    temp_directory: spill,
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    allow_persistent_secrets: 'false',
    ...(path === ':memory:' ? {} : { access_mode: 'READ_ONLY' }),
  }).catch((error: unknown) => {
    if (/memory_limit|parse.*memory|Unknown unit/i.test(errorMessage(error)))
      throw configError('memory', options.memory, "a size such as '2GB' or '512MB'", error)
    throw error
  })
  const setup = await instance.connect()
  for (const [name, value] of Object.entries(sessionSettings)) await setup.run(`SET GLOBAL ${name} = ${text(value)}`)
  // The file cache has kept old pages of a refilled file.
  await setup.run('SET GLOBAL enable_external_file_cache = false')
  await setup.run(`SET GLOBAL allowed_directories = [${directories.map(text).join(', ')}]`)
  await setup.run('SET GLOBAL enable_external_access = false')
  await setup.run(`SET GLOBAL allowed_configs = ['threads']`)
  await setup.run('SET GLOBAL lock_configuration = true')
  setup.closeSync()
  return instance
}

function threadsOf({ threads }: SessionOptions): number {
  return threads ?? availableParallelism()
}

/** Of the machine, or of the container where that has less: the kernel kills what goes beyond. */
function memoryBytes(): number {
  // 0: the kernel does not say; a number beyond all memory: there is no limit.
  return Math.min(totalmem(), process.constrainedMemory() || Infinity)
}
