import { DuckDBInstance } from '@duckdb/node-api'

export interface DuckDb {
  run(sql: string): Promise<unknown>
  /** Rows of text: the query casts what it shows. */
  texts(sql: string): Promise<readonly (readonly string[])[]>
}

/**
 * A plain DuckDB of the demo's own, in memory, on one thread: it writes and reads the demo's folder, which the engine's
 * locked one may not. No part of a pipeline runs here.
 */
export async function withDuckDb<T>(work: (db: DuckDb) => Promise<T>): Promise<T> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' })
  try {
    const connection = await instance.connect()
    return await work({
      run: sql => connection.run(sql),
      texts: async sql => (await connection.runAndReadAll(sql)).getRows().map(row => row.map(String)),
    })
  } finally {
    instance.closeSync()
  }
}
