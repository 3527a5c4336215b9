import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { SinkContext, SinkDuckdb } from '../../plan/sink.ts'
import { openSession, type Session } from '../duckdb/session.ts'

/** On a connection of the run's own DuckDB, whose memory limit holds for both. @param name of the flow */
export function duckdbOf(session: Session, signal: AbortSignal, name: string): SinkContext['duckdb'] {
  let opened: Promise<SinkDuckdb> | undefined
  const open = async () => {
    const folder = join(session.stage, `sink-${name}`)
    await mkdir(folder, { recursive: true })
    return { folder, executor: await session.executor(signal) }
  }
  return async work => work(await (opened ??= open()))
}

/** In a DuckDB that lives as long as the work: where no run is under way. */
export const duckdbForOnce: SinkContext['duckdb'] = async work => {
  const session = await openSession({ threads: 1, memory: '512MB' })
  try {
    const executor = await session.executor(new AbortController().signal)
    return await work({ folder: session.stage, executor })
  } finally {
    await session.close()
  }
}
