import { basename } from 'node:path'
import { configError } from '../../core/errors.ts'
import { flag } from '../../core/option-kinds.ts'
import { parseOutputKey } from '../../../connectors/files/output-key.ts'
import { outputView } from '../../engine/inspect/output-view.ts'
import { type BackfillOptions, backfillOptions } from '../../engine/options.ts'
import type { Summary } from '../../engine/report/summary.ts'
import { instantUs } from '../../plan/key-period.ts'
import type { Command } from '../command.ts'
import { type Arguments, pipelineArgument, usageError } from '../options.ts'
import { inputPlaces, outputPlaces } from '../named-places.ts'
import { runBackfill } from '../run-backfill.ts'
import { shellWord } from '../../core/shell-word.ts'
import { addressToPath, invocation, shownPath } from '../shown-path.ts'
import { renderSummary, summaryJson } from '../summary.ts'

const { input, output, checkpoint, from, to, objectsPerEpoch, ledger, threads, memory, spill, takeover, final } =
  backfillOptions
const options = {
  file: pipelineArgument,
  input,
  output,
  checkpoint,
  from,
  to,
  objectsPerEpoch,
  ledger,
  threads,
  memory,
  spill,
  takeover,
  final,
  noFlush: { kind: flag, about: 'Leave windows open at the end, for months that come later.' },
  json: { kind: flag, about: 'Print one line of JSON on stdout instead of the summary.' },
} as const

/** What a backfill is told; throws an error of kind 'user' for options that exclude each other. */
export function backfillOptionsOf(asked: Arguments<typeof options>): BackfillOptions {
  const { file: _file, json: _json, noFlush, input: inputs, output: places, ...given } = asked
  if (given.final && noFlush)
    throw usageError('backfill', '--final and --no-flush exclude each other; expected one of them.')
  if (given.final && given.ledger !== undefined)
    throw usageError('backfill', '--final and --ledger exclude each other: a ledger brings its own flushes.')
  if (
    given.from !== undefined &&
    given.to !== undefined &&
    instantUs(given.from, '--from') >= instantUs(given.to, '--to')
  )
    throw configError('--to', given.to, `a period after --from ${given.from} (--to is exclusive)`)
  return {
    ...given,
    ...inputPlaces('backfill', inputs),
    ...outputPlaces('backfill', places),
    ...(noFlush && { flush: false }),
  }
}

export const backfillCommand: Command<typeof options> = {
  name: 'backfill',
  summary: 'run a pipeline over files that are there already',
  about: `Reads every object of the input that the checkpoint does not hold yet, in order, and
commits results epoch by epoch. Run again, it continues, or says that there is nothing to do.`,
  options,
  notes: `Ctrl-C finishes the epoch in flight and stops; a second one stops at once. Nothing is lost either way,
and the exit code is 130 (SIGTERM: 143), as not all of the input is done. It is 4 when no object
that the checkpoint holds could be read.`,
  async run(given, terminal) {
    const end = await runBackfill(given.file, backfillOptionsOf(given), terminal, given.json)
    if (end.is === 'stopped') return end.exitCode
    const { summary } = end
    if (given.json) terminal.out(`${JSON.stringify(summaryJson(summary))}\n`)
    else terminal.out(renderSummary(summary, hints(summary)))
    return end.exitCode
  },
}

/** Commands that show what a run has made. */
export function hints({ checkpoint, outputs, outputFiles }: Summary): readonly string[] {
  const [file] = outputFiles
  const flow = file === undefined ? undefined : parseOutputKey(basename(file))?.flow
  if (flow === undefined) return [inspectHint(checkpoint)]
  const query = shellWord(`FROM ${outputs.length === 1 ? 'output' : outputView(flow)} LIMIT 10`)
  return [`${invocation} sql ${shellWord(shownPath(checkpoint))} ${query}`, inspectHint(checkpoint)]
}

/** The command that shows this checkpoint. */
export function inspectHint(checkpoint: string): string {
  return `${invocation} inspect ${shellWord(shownPath(addressToPath(checkpoint)))}`
}
