import { showCount, showCounted } from '../../core/quantity.ts'
import type { AppliedLate, LateOfStep } from '../../engine/apply-late.ts'
import { applyLateOptions } from '../../engine/options.ts'
import type { Command } from '../command.ts'
import { checkpointArgument, jsonOption } from '../options.ts'
import { waitingLine } from '../run-backfill.ts'
import { shownPath } from '../shown-path.ts'
import { listenForSignals } from '../signals.ts'

const options = {
  checkpoint: checkpointArgument,
  window: applyLateOptions.window,
  dryRun: applyLateOptions.dryRun,
  takeover: applyLateOptions.takeover,
  json: jsonOption,
} as const

export const applyLateCommand: Command<typeof options> = {
  name: 'apply-late',
  summary: 'have late rows applied to windows that have closed by the next run',
  about: `Late rows come into the windows that they were late for, as far as the state of these is still there: that needs
late: { retention: '30 days' } of the source, before the first run. The next run or backfill of the pipeline does it before
anything new, by one entry of the ledger. What it changes of results is given as rows with _op and _epoch: in _corrections/
beside files of results, which stay as they are, or among the changes of a flow with emit: 'update'.`,
  options,
  notes: `It writes into the checkpoint, so it waits for a live owner; --dry-run only reads. Each row is applied once, however
often it is named.`,
  async run({ checkpoint, window, dryRun, takeover, json }, terminal) {
    const { applyLate } = await import('../../engine/apply-late.ts')
    const stopping = listenForSignals(terminal)
    try {
      const applied = await applyLate(checkpoint, {
        ...(window !== undefined && { window }),
        ...(dryRun && { dryRun }),
        ...(takeover && { takeover }),
        onEvent: event => {
          if (event.is === 'waiting') terminal.err(`${waitingLine(event.owner)}\n`)
        },
        signal: stopping.drain,
      })
      terminal.out(json ? `${JSON.stringify(applied)}\n` : renderAppliedLate(applied))
      return 0
    } catch (error) {
      if (!stopping.drain.aborted) throw error
      return stopping.exitCode() ?? 1
    } finally {
      stopping.close()
    }
  },
}

export function renderAppliedLate({ checkpoint, pipeline, rows, steps, isDryRun }: AppliedLate): string {
  const are = rows === 1 ? 'is' : 'are'
  const when = isDryRun
    ? `would be applied; nothing was changed.`
    : `${are} applied by the next run or backfill, before anything new.`
  const first =
    rows === 0
      ? `${pipeline}: nothing to apply, no late row of ${shownPath(checkpoint)} can still come into its window.`
      : `${pipeline}: ${showCounted(rows, 'late row')} ${when}`
  return [first, ...(steps.length > 0 ? ['', ...steps.map(line)] : []), ''].join('\n')
}

function line({ flows, step, rows, windows, from, to, expired, applied }: LateOfStep): string {
  const taken = rows === 0 ? 'none' : `${showCount(rows)} of ${showCounted(windows, 'window')} from ${from} to ${to}`
  const stay = [
    ...(expired > 0 ? [`${showCount(expired)} stay late, as their windows ended longer ago than the retention`] : []),
    ...(applied > 0 ? [`${showCount(applied)} ${applied === 1 ? 'was' : 'were'} applied before`] : []),
  ]
  return `  ${flows.join(', ')}, step ${step}: ${[taken, ...stay].join('; ')}`
}
