import { configError } from '../../core/errors.ts'
import type { BackfillOptions } from '../../engine/summary.ts'
import { instantUs } from '../../plan/key-period.ts'
import type { Command } from '../command.ts'
import {
  readArguments,
  readMemory,
  readPeriod,
  readText,
  readWhole,
  renderOptions,
  usageError,
  type Options,
} from '../options.ts'
import { runBackfill } from '../run-backfill.ts'
import { addressToPath, invocation, shellWord, shownPath } from '../shown-path.ts'
import { renderSummary, summaryJson } from '../summary.ts'

const options = {
  input: { value: 'DIR|GLOB', help: "where the objects lie, instead of the source's own `objects`", read: readText },
  output: { value: 'DIR', help: "where the results go, instead of the sink's own address", read: readText },
  checkpoint: { value: 'DIR', help: "where state and ledger lie, instead of the pipeline's own", read: readText },
  from: {
    value: 'PERIOD',
    help: "first period of the keys: '2022-01', '2022-01-15' or ISO 8601, UTC",
    read: readPeriod,
  },
  to: { value: 'PERIOD', help: 'the period to stop before', read: readPeriod },
  'objects-per-epoch': {
    value: 'N',
    help: 'commit every N objects (else cut by size); may change between runs',
    read: readWhole(1, 1_000_000),
  },
  ledger: {
    value: 'CHECKPOINT',
    help: "replay another run's ledger: its objects, order, outcomes and flushes",
    read: readText,
  },
  threads: { value: 'N', help: 'threads of DuckDB; default: all cores', read: readWhole(1, 1024) },
  memory: { value: 'SIZE', help: "memory limit of DuckDB, such as '2GB'; default: 60 percent", read: readMemory },
  spill: { value: 'DIR', help: 'folder for what does not fit into memory; default: a temporary one', read: readText },
  takeover: { help: 'claim the checkpoint from a process that is alive: it stops. Else wait for it' },
  final: { help: 'close every window at the end, also those far ahead, and seal the checkpoint' },
  'no-flush': { help: 'leave windows open at the end, for months that come later' },
  json: { help: 'one line of JSON on stdout instead of the summary' },
} satisfies Options

/** Reads the arguments of `backfill`; throws an error of kind 'user' for what is not right. */
export function readBackfillArguments(args: readonly string[]): {
  readonly file: string
  readonly json: boolean
  readonly options: BackfillOptions
} {
  const { positionals, values } = readArguments('backfill', options, args)
  const [file, extra] = positionals
  if (file === undefined) throw usageError('backfill', 'the pipeline is missing; expected a file such as pipeline.ts.')
  if (extra !== undefined) throw usageError('backfill', `found '${extra}' after ${file}; expected one pipeline file.`)
  if (values.final && values['no-flush'])
    throw usageError('backfill', '--final and --no-flush exclude each other; expected one of them.')
  if (values.final && values.ledger !== undefined)
    throw usageError('backfill', '--final and --ledger exclude each other: a ledger brings its own flushes.')
  const { json, 'no-flush': noFlush, 'objects-per-epoch': objectsPerEpoch, ...rest } = values
  if (rest.from !== undefined && rest.to !== undefined && instantUs(rest.from, '--from') >= instantUs(rest.to, '--to'))
    throw configError('--to', rest.to, `a period after --from ${rest.from} (--to is exclusive)`)
  return {
    file,
    json: json === true,
    options: {
      ...rest,
      ...(objectsPerEpoch !== undefined && { objectsPerEpoch }),
      ...(noFlush && { flush: false }),
    },
  }
}

export const backfillCommand: Command = {
  name: 'backfill',
  summary: 'run a pipeline over files that are there already',
  help: `Usage: millrace backfill PIPELINE.ts [OPTIONS]

Reads every object of the input that the checkpoint does not hold yet, in order, and
commits results epoch by epoch. Run again, it continues, or says that there is nothing to do.

${renderOptions(options)}

Ctrl-C finishes the epoch in flight and stops; a second one stops at once. Nothing is lost either way,
and the exit code is 130 (SIGTERM: 143), as not all of the input is done. It is 4 when no object
that the checkpoint holds could be read.
`,
  async run(args, terminal) {
    const { file, json, options } = readBackfillArguments(args)
    const end = await runBackfill(file, options, terminal)
    if (end.is === 'stopped') return end.exitCode
    const { summary } = end
    if (json) terminal.out(`${JSON.stringify(summaryJson(summary))}\n`)
    else terminal.out(renderSummary(summary, [inspectHint(summary.checkpoint)]))
    return end.exitCode
  },
}

/** The command that shows this checkpoint. */
export function inspectHint(checkpoint: string): string {
  return `${invocation} inspect ${shellWord(shownPath(addressToPath(checkpoint)))}`
}
