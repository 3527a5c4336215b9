import { afterAll, beforeAll } from 'vitest'
import { openSession, type Session } from '../../../src/engine/duckdb/session.ts'
import type { SessionExecutor } from '../../../src/engine/duckdb/executor.ts'

/** DuckDB as a run lends it, with a folder that it may read and write; ended after the file's tests. */
export function lentDuckdb(): { readonly executor: SessionExecutor; readonly folder: string } {
  let session: Session
  let executor: SessionExecutor
  beforeAll(async () => {
    session = await openSession({ threads: 1, memory: '300MB' })
    executor = await session.executor(new AbortController().signal)
  })
  afterAll(() => session?.close())
  return {
    get executor() {
      return executor
    },
    get folder() {
      return session.stage
    },
  }
}
