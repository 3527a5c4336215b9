import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import type { Executor, SqlRow } from '../../src/core/ports.ts'

export interface TestDuckdb extends Pick<Executor, 'run' | 'rows' | 'describe'>, AsyncDisposable {}

/** DuckDB with the engine's session settings (STRUCTURE.md) and two methods of the executor. */
export async function openTestDuckdb(): Promise<TestDuckdb> {
  const scratch = mkdtempSync(join(tmpdir(), 'millrace-plan-'))
  const instance = await DuckDBInstance.create(join(scratch, 'scratch.duckdb'), {
    threads: '2',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    allow_community_extensions: 'false',
    allow_persistent_secrets: 'false',
  })
  const connection = await instance.connect()
  const settings = [
    "TimeZone='UTC'",
    'enable_external_file_cache=false',
    `allowed_directories=['${scratch}/']`,
    'enable_external_access=false',
    'lock_configuration=true',
  ]
  for (const setting of settings) await connection.run(`SET GLOBAL ${setting}`)

  const rows = async (sql: string): Promise<readonly SqlRow[]> => {
    const reader = await connection.runAndReadAll(sql)
    return reader.getRowObjectsJS() as readonly SqlRow[]
  }
  return {
    run: async sql => {
      await connection.run(sql)
    },
    rows,
    describe: async sql =>
      Object.fromEntries(
        (await rows(`DESCRIBE ${sql}`)).map(row => [String(row.column_name), String(row.column_type)]),
      ),
    [Symbol.asyncDispose]: async () => {
      connection.closeSync()
      instance.closeSync()
      rmSync(scratch, { recursive: true, force: true })
    },
  }
}
