import { readFile } from 'node:fs/promises'
import type { Pipeline } from '../plan/pipeline.ts'
import { openSession } from '../engine/duckdb/session.ts'
import { compileSql } from '../sql/compile-sql.ts'
import { rememberVariable } from './variables.ts'

/** The pipeline of a SQL file. DuckDB parses and binds its expressions in a session of its own, which ends here. */
export async function loadSql(file: string): Promise<Pipeline> {
  const text = await readFile(file, 'utf8')
  const session = await openSession({ threads: 1 })
  try {
    const executor = await session.executor(new AbortController().signal)
    return await compileSql({ file, text }, { executor, environment: process.env, onVariable: rememberVariable })
  } finally {
    await session.close()
  }
}
