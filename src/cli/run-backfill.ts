import { afterFailedText, leftAloneText } from '../engine/report/after-text.ts'
import type { RunEvent } from '../engine/report/events.ts'
import type { Summary } from '../engine/report/summary.ts'
import type { BackfillOptions } from '../engine/options.ts'
import { loadPipeline } from './load-pipeline.ts'
import { displayProgress } from './progress.ts'
import { listenForSignals } from './signals.ts'
import { exitCodeOfSummary } from './exit-code.ts'
import type { Terminal } from './terminal.ts'

/** How a backfill on the command line ended. `exitCode` is 130 or 143 when a signal ended it early. */
export type BackfillEnd =
  | { readonly is: 'summary'; readonly summary: Summary; readonly exitCode: number }
  | { readonly is: 'stopped'; readonly exitCode: number }

/** Loads the pipeline file and backfills it, with progress and signals. @param isForMachine as of `--json` */
export async function runBackfill(
  file: string,
  options: BackfillOptions,
  terminal: Terminal,
  isForMachine = false,
): Promise<BackfillEnd> {
  const pipeline = await loadPipeline(file)
  // Here, because DuckDB takes a while to load and --help needs none of it.
  const { backfill } = await import('../engine/backfill.ts')
  const progress = displayProgress(terminal, isForMachine)
  const stopping = listenForSignals(terminal)
  try {
    const summary = await backfill(pipeline, {
      ...options,
      onProgress: progress.update,
      onEvent: event => {
        progress.onEvent(event)
        for (const line of linesOf(event)) terminal.err(`${line}\n`)
      },
      drain: stopping.drain,
      signal: stopping.stop,
    })
    return {
      is: 'summary',
      summary,
      exitCode: summary.run.drained ? (stopping.exitCode() ?? 1) : exitCodeOfSummary(summary),
    }
  } catch (error) {
    // After the second signal every error is that stop's own.
    if (!stopping.isStopped()) throw error
    return { is: 'stopped', exitCode: stopping.exitCode() ?? 1 }
  } finally {
    progress.done()
    stopping.close()
  }
}

/** Objects that are named of those that were left alone together. */
const leftMax = 10

/** What a person is told while it runs. */
function linesOf(event: RunEvent): readonly string[] {
  if (event.is === 'waiting') return [waitingLine(event.owner)]
  if (event.is === 'after-set') return [event.text]
  if (event.is === 'after-failed') return [afterFailedText(event)]
  return event.is === 'afterwards' ? event.left.slice(0, leftMax).map(leftAloneText) : []
}

/** What a start says that stands by (P5). */
export function waitingLine(owner: string): string {
  return (
    `waiting for ${owner}, which owns the checkpoint; ` +
    'it goes on when that one ends or falls silent for 30 s (--takeover: at once)'
  )
}
