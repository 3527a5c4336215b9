import type { BackfillOptions, Summary } from '../engine/summary.ts'
import { loadPipeline } from './load-pipeline.ts'
import { displayProgress } from './progress.ts'
import { listenForSignals } from './signals.ts'
import type { Terminal } from './terminal.ts'

/**
 * Loads the pipeline file and backfills it, with progress and signals.
 * A number is the exit code of a stop by signal.
 */
export async function runBackfill(
  file: string,
  options: BackfillOptions,
  terminal: Terminal,
): Promise<Summary | number> {
  const pipeline = await loadPipeline(file)
  // Here, because DuckDB takes a while to load and --help needs none of it.
  const { backfill } = await import('../engine/backfill.ts')
  const progress = displayProgress(terminal)
  const stopping = listenForSignals(terminal)
  try {
    return await backfill(pipeline, {
      ...options,
      onProgress: progress.update,
      drain: stopping.drain,
      signal: stopping.stop,
    })
  } catch (error) {
    const exitCode = stopping.exitCode()
    // After the second signal every error is that stop's own.
    if (exitCode === undefined) throw error
    return exitCode
  } finally {
    progress.done()
    stopping.close()
  }
}
