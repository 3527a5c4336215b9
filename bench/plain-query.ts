import { DuckDBInstance } from '@duckdb/node-api'

/** Statements in a DuckDB that knows nothing of millrace. */
export async function plainQuery(...statements: readonly string[]): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  for (const sql of statements) await connection.run(sql)
  connection.closeSync()
  instance.closeSync()
}
