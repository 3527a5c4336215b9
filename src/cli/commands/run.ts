import { isMillraceError } from '../../core/errors.ts'
import type { FollowOptions } from '../../engine/summary.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import { readArguments, readMemory, readText, readWhole, renderOptions, usageError, type Options } from '../options.ts'
import { waitingLine } from '../run-backfill.ts'
import { listenForSignals } from '../signals.ts'
import { summaryJson } from '../summary.ts'

const options = {
  input: { value: 'ADDRESS', help: "the place to follow, instead of the source's own `objects`", read: readText },
  output: { value: 'ADDRESS', help: "where the results go, instead of the sink's own address", read: readText },
  checkpoint: { value: 'ADDRESS', help: "where state and ledger lie, instead of the pipeline's own", read: readText },
  'catch-up': { help: 'read what lies there at the first start, before what is announced (the default)' },
  'no-catch-up': { help: 'record what lies there at the first start as skipped' },
  takeover: { help: 'claim the checkpoint from a process that is alive: it stops. Else stand by' },
  'drain-seconds': {
    value: 'N',
    help: 'how long the epoch in flight may take after SIGTERM; default 25',
    read: readWhole(0, 86_400),
  },
  threads: { value: 'N', help: 'threads of DuckDB; default: all cores', read: readWhole(1, 1024) },
  memory: { value: 'SIZE', help: "memory limit of DuckDB, such as '2GB'; default: 60 percent", read: readMemory },
  spill: { value: 'DIR', help: 'folder for what does not fit into memory; default: a temporary one', read: readText },
  json: { help: 'one line of JSON on stdout at the end, as of a backfill' },
} satisfies Options

function readRunArguments(args: readonly string[]): {
  readonly file: string
  readonly json: boolean
  readonly options: FollowOptions
} {
  const { positionals, values } = readArguments('run', options, args)
  const [file, extra] = positionals
  if (file === undefined) throw usageError('run', 'the pipeline is missing; expected a file such as pipeline.ts.')
  if (extra !== undefined) throw usageError('run', `found '${extra}' after ${file}; expected one pipeline file.`)
  const { json, 'catch-up': catchUp, 'no-catch-up': noCatchUp, 'drain-seconds': drainSeconds, ...rest } = values
  if (catchUp && noCatchUp)
    throw usageError('run', '--catch-up and --no-catch-up exclude each other; expected one of them.')
  return {
    file,
    json: json === true,
    options: {
      ...rest,
      ...(noCatchUp && { catchUp: false }),
      ...(drainSeconds !== undefined && { drainMs: drainSeconds * 1_000 }),
    },
  }
}

export const runCommand: Command = {
  name: 'run',
  summary: 'follow a place and keep the results up to date',
  help: `Usage: millrace run PIPELINE.ts [OPTIONS]

Follows the pipeline's source until it is stopped: what lies there first, then what the source's
queue or topic announces and what a listing finds now and then. Run again, it continues.

${renderOptions(options)}

SIGTERM or Ctrl-C finishes the epoch in flight, releases the checkpoint and ends with exit code 0; a second one
stops at once. Nothing is lost either way.
`,
  async run(args, terminal) {
    const { file, json, options } = readRunArguments(args)
    const pipeline = await loadPipeline(file)
    const [{ followWith }, { components }] = await Promise.all([
      import('../../engine/follow.ts'),
      import('../../engine/components.ts'),
    ])
    const stopping = listenForSignals(terminal)
    try {
      const summary = await followWith(components, pipeline, {
        ...options,
        onEvent: event => {
          if (event.is === 'waiting') terminal.err(`${waitingLine(event.owner)}\n`)
          else terminal.err(`${JSON.stringify(event)}\n`)
        },
        drain: stopping.drain,
        signal: stopping.stop,
      })
      if (json) terminal.out(`${JSON.stringify(summaryJson(summary))}\n`)
      return 0
    } catch (error) {
      if (stopping.isStopped()) return stopping.exitCode() ?? 1
      if (stopping.drain.aborted && isMillraceError(error) && error.code === 'stopped-waiting') return 0
      throw error
    } finally {
      stopping.close()
    }
  },
}
