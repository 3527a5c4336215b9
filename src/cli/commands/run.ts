import { errorMessage, isMillraceError } from '../../core/errors.ts'
import type { FollowOptions } from '../../engine/summary.ts'
import type { Log, LogFormat, LogLevel, LogRecord } from '../../status/log.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import {
  type Options,
  readArguments,
  readListenAddress,
  readMemory,
  readOneOf,
  readText,
  readWhole,
  renderOptions,
  usageError,
} from '../options.ts'
import { exitCodeOf } from '../exit-code.ts'
import { listenForSignals } from '../signals.ts'
import { summaryJson } from '../summary.ts'
import type { Terminal } from '../terminal.ts'
import { version } from '../version.ts'

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
  log: {
    value: 'FORMAT',
    help: 'json or pretty, on stderr; default: pretty on a terminal, else json',
    read: readOneOf<LogFormat>(['json', 'pretty']),
  },
  'log-level': {
    value: 'LEVEL',
    help: 'trace, debug, info, warn, error or fatal; default info',
    read: readOneOf<LogLevel>(['trace', 'debug', 'info', 'warn', 'error', 'fatal']),
  },
  http: {
    value: 'HOST:PORT',
    help: 'where /metrics, /healthz, /readyz and / are served; default 127.0.0.1:9464',
    read: readListenAddress,
  },
  'no-http': { help: 'serve none of them' },
  json: { help: 'one line of JSON on stdout at the end, as of a backfill' },
} satisfies Options

/** The port of OpenTelemetry's exporters for Prometheus; none but this machine reads it. */
const httpDefault = { host: '127.0.0.1', port: 9464 } as const

interface RunArguments {
  readonly file: string
  readonly json: boolean
  readonly options: FollowOptions
  readonly log: LogFormat | undefined
  readonly level: LogLevel
  readonly http: { readonly host: string; readonly port: number } | undefined
}

function readRunArguments(args: readonly string[]): RunArguments {
  const { positionals, values } = readArguments('run', options, args)
  const [file, extra] = positionals
  if (file === undefined) throw usageError('run', 'the pipeline is missing; expected a file such as pipeline.ts.')
  if (extra !== undefined) throw usageError('run', `found '${extra}' after ${file}; expected one pipeline file.`)
  const {
    json,
    log,
    'log-level': level = 'info',
    http = httpDefault,
    'no-http': noHttp,
    'catch-up': catchUp,
    'no-catch-up': noCatchUp,
    'drain-seconds': drainSeconds,
    ...rest
  } = values
  if (catchUp && noCatchUp)
    throw usageError('run', '--catch-up and --no-catch-up exclude each other; expected one of them.')
  if (values.http && noHttp) throw usageError('run', '--http and --no-http exclude each other; expected one of them.')
  return {
    file,
    json: json === true,
    log,
    level,
    http: noHttp ? undefined : http,
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

Logs go to stderr. GET /metrics is for Prometheus; /healthz answers 503 when the run hangs, /readyz until it owns the
checkpoint (a standby is live, not ready).

SIGTERM or Ctrl-C finishes the epoch in flight, releases the checkpoint and ends with exit code 0; a second one
stops at once. Nothing is lost either way.
`,
  async run(args, terminal) {
    const asked = readRunArguments(args)
    const pipeline = await loadPipeline(asked.file)
    // Here, because --help and other commands need none of it.
    const [{ followWith }, { components }, { sourceOf }, { createLog }, { createRedact, secretsOf }, { openStatus }] =
      await Promise.all([
        import('../../engine/follow.ts'),
        import('../../engine/components.ts'),
        import('../../engine/flows.ts'),
        import('../../status/log.ts'),
        import('../../status/redact.ts'),
        import('../../status/status.ts'),
      ])
    const redact = createRedact(secretsOf(sourceOf(pipeline).notifications, process.env))
    const log = createLog({
      format: asked.log ?? (terminal.interactive ? 'pretty' : 'json'),
      level: asked.level,
      pipeline: pipeline.name,
      redact,
      write: terminal.err,
    })
    const { clock } = components
    const http = asked.http && { http: asked.http }
    const status = await openStatus({ clock, pipeline: pipeline.name, version: version(), log, redact, ...http })
    const stopping = listenForSignals(logging(terminal, log))
    try {
      const summary = await followWith(components, pipeline, {
        ...asked.options,
        onEvent: status.onEvent,
        onRunning: status.onRunning,
        drain: stopping.drain,
        signal: stopping.stop,
      })
      if (asked.json) terminal.out(`${JSON.stringify(summaryJson(summary))}\n`)
      return 0
    } catch (error) {
      if (stopping.isStopped()) return stopping.exitCode() ?? 1
      if (stopping.drain.aborted && isMillraceError(error) && error.code === 'stopped-waiting') return 0
      log(failure(error))
      return exitCodeOf(error)
    } finally {
      stopping.close()
      await status.close()
    }
  },
}

/** What signals say goes into the log, whose every line is JSON where that was asked for. */
function logging(terminal: Terminal, log: Log): Pick<Terminal, 'err' | 'nowMs'> {
  return {
    nowMs: () => terminal.nowMs(),
    err: text => log({ level: 'info', event: 'signal', message: text.trim() }),
  }
}

/** The last line of a run that failed. What nobody expected says where it was. */
function failure(error: unknown): LogRecord {
  const isExpected = isMillraceError(error)
  const isTraced = !isExpected || process.env.MILLRACE_DEBUG === '1'
  return {
    level: 'fatal',
    event: isExpected ? error.code : 'unexpected',
    message: errorMessage(error),
    fields: {
      ...(isExpected ? { kind: error.kind } : {}),
      ...(isTraced && error instanceof Error ? { stack: error.stack } : {}),
    },
  }
}
