import { systemClock } from '../../core/clock.ts'
import { errorMessage, isMillraceError } from '../../core/errors.ts'
import { oneOf, flag, whole } from '../../core/option-kinds.ts'
import type { Kind, ValueOf } from '../../core/options.ts'
import { type RequestKind, requestKinds } from '../../core/requests.ts'
import { followOptions } from '../../engine/options.ts'
import type { Log, LogRecord } from '../../status/log.ts'
import { tokenVariable } from '../../status/page/access.ts'
import type { RequestPrices } from '../../status/requests.ts'
import type { StatusOptions } from '../../status/status.ts'
import type { Command } from '../command.ts'
import { loadPipeline } from '../load-pipeline.ts'
import {
  type Arguments,
  flagName,
  hostNames,
  listenAddress,
  nameAndValue,
  pipelineArgument,
  usageError,
} from '../options.ts'
import { exitCodeOf } from '../exit-code.ts'
import { inputPlaces, outputPlaces } from '../named-places.ts'
import { invocation } from '../shown-path.ts'
import { showRunLines } from '../run-lines.ts'
import { listenForSignals } from '../signals.ts'
import { summaryJson } from '../summary.ts'
import type { Terminal } from '../terminal.ts'
import { version } from '../version.ts'

/** The port of OpenTelemetry's exporters for Prometheus; none but this machine reads it. */
const httpDefault = { host: '127.0.0.1', port: 9464 } as const

const { input, output, checkpoint, takeover, threads, memory, spill } = followOptions
/** 'put=0.005' */
const requestPrice: Kind<{ readonly kind: RequestKind; readonly price: number }> = {
  expected: `KIND=PRICE with one of ${requestKinds.join(', ')}, such as 'put=0.005'`,
  placeholder: 'KIND=PRICE',
  problemOf: () => undefined,
  fromText(given) {
    const { name = '', value = '' } = nameAndValue(given) ?? {}
    const kind = requestKinds.find(one => one === name)
    return kind && /^\d{1,9}(\.\d{1,9})?$/.test(value) ? { kind, price: Number(value) } : undefined
  },
}

const options = {
  file: pipelineArgument,
  input,
  output,
  checkpoint,
  catchUp: { kind: flag, about: 'Read what lies there at the first start, before what is announced (the default).' },
  noCatchUp: { kind: flag, about: 'Record what lies there at the first start as skipped.' },
  untilIdle: {
    kind: flag,
    about: 'End with exit code 0 when all that is there is committed, published and acknowledged: for cron.',
  },
  takeover,
  drainSeconds: {
    kind: whole(0, 86_400),
    default: followOptions.drainMs.default / 1_000,
    unit: 'seconds',
    about: 'How long the epoch in flight may take after SIGTERM.',
  },
  threads,
  memory,
  spill,
  log: {
    kind: oneOf('json', 'pretty'),
    placeholder: 'FORMAT',
    otherwise: 'pretty on a terminal, else json',
    about: 'How the lines on stderr are written: json or pretty.',
  },
  logLevel: {
    kind: oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal'),
    default: 'info',
    about: 'The least level that is logged: trace, debug, info, warn, error or fatal.',
    placeholder: 'LEVEL',
  },
  http: {
    kind: listenAddress,
    otherwise: `${httpDefault.host}:${httpDefault.port}, with --until-idle nowhere`,
    about: 'Where a page to look at (/), /metrics, /healthz and /readyz are served.',
  },
  httpHost: {
    kind: hostNames,
    about: 'Names by which they may be asked, beside localhost and IP addresses: what a Host header may say.',
  },
  requestPrice: {
    kind: requestPrice,
    isRepeated: true,
    otherwise: 'none, as prices differ by region and contract',
    about:
      'What 1,000 requests of a kind cost, for the page: put, list, get, delete or queue, such as put=0.005. ' +
      'May be given several times.',
  },
  noHttp: { kind: flag, about: 'Serve none of them.' },
  json: { kind: flag, about: 'Print one line of JSON on stdout at the end, as of a backfill.' },
} as const

type Given = Arguments<typeof options>

function checkExclusive(given: Given): void {
  for (const [one, other] of [
    ['catchUp', 'noCatchUp'],
    ['http', 'noHttp'],
    ['httpHost', 'noHttp'],
    ['requestPrice', 'noHttp'],
  ] as const)
    if (given[one] && given[other])
      throw usageError('run', `--${flagName(one)} and --${flagName(other)} exclude each other; expected one of them.`)
}

export const runCommand: Command<typeof options> = {
  name: 'run',
  summary: 'follow a place and keep the results up to date',
  about: `Follows the pipeline's source until it is stopped: what lies there first, then what the source's
queue or topic announces and what a listing finds now and then. Run again, it continues.`,
  options,
  notes: `Logs go to stderr. GET /metrics is for Prometheus; /healthz answers 503 when the run hangs, /readyz until it owns the
checkpoint (a standby is live, not ready).

With --until-idle it takes what is there and ends: for cron, or a machine that is switched off in between.

SIGTERM or Ctrl-C finishes the epoch in flight, releases the checkpoint and ends with exit code 0; a second one
stops at once. Nothing is lost either way.`,
  async run(given, terminal) {
    checkExclusive(given)
    const { file, json, log: format, logLevel } = given
    const pipeline = await loadPipeline(file)
    const [
      flows,
      { followWith },
      { createComponents },
      { createLog },
      { createRedact, secretsOf },
      { openStatus },
      { createRequestMeter },
    ] = await loadEngine()
    const redact = createRedact([
      ...secretsOf(flows.announcersOf(flows.definitionsOf(pipeline)), process.env),
      ...(pipeline.secrets?.().values() ?? []),
      process.env[tokenVariable] ?? '',
    ])
    const log = createLog({
      format: format ?? (terminal.interactive ? 'pretty' : 'json'),
      level: logLevel ?? options.logLevel.default,
      pipeline: pipeline.name,
      redact,
      write: terminal.err,
    })
    const requests = createRequestMeter(systemClock)
    const components = createComponents(requests.count)
    const { clock } = components
    const live = json || format === 'json' ? undefined : terminal.live
    const about = { clock, pipeline: pipeline.name, version: version(), log, redact, requests }
    const status = await openStatus({ ...about, ...servedAt(given) })
    const stopping = listenForSignals(logging(terminal, log))
    const endLines = live && showRunLines({ live, clock, gather: status.gather, onError: notShown(log) })
    try {
      const summary = await followWith(components, pipeline, {
        ...followedWith(given),
        onEvent: status.onEvent,
        onRunning: status.onRunning,
        drain: stopping.drain,
        signal: stopping.stop,
      })
      if (json) terminal.out(`${JSON.stringify(summaryJson(summary))}\n`)
      return 0
    } catch (error) {
      if (stopping.isStopped()) return stopping.exitCode() ?? 1
      if (stopping.drain.aborted && isMillraceError(error) && error.code === 'stopped-waiting') return 0
      log(failure(error))
      return exitCodeOf(error)
    } finally {
      await endLines?.()
      stopping.close()
      await status.close()
    }
  },
}

function pricesOf(given: readonly ValueOf<typeof options.requestPrice>[]): RequestPrices {
  const twice = given.find((one, at) => given.findIndex(({ kind }) => kind === one.kind) < at)
  if (twice) throw usageError('run', `--request-price: ${twice.kind} has two prices; expected one of each kind.`)
  return Object.fromEntries(given.map(({ kind, price }) => [kind, price]))
}

/** What is asked of the run itself. */
function followedWith(given: Given) {
  const { checkpoint, takeover, threads, memory, spill, input, output, noCatchUp, untilIdle, drainSeconds } = given
  return {
    ...(checkpoint !== undefined && { checkpoint }),
    ...(takeover !== undefined && { takeover }),
    ...(threads !== undefined && { threads }),
    ...(memory !== undefined && { memory }),
    ...(spill !== undefined && { spill }),
    ...inputPlaces('run', input),
    ...outputPlaces('run', output),
    ...(noCatchUp && { catchUp: false }),
    ...(untilIdle && { untilIdle }),
    ...(drainSeconds !== undefined && { drainMs: drainSeconds * 1_000 }),
  }
}

/** Where the page, metrics and probes are. */
function servedAt({ http, httpHost, noHttp, untilIdle, requestPrice = [] }: Given): Pick<StatusOptions, 'http'> {
  // Nobody asks a run that is over soon, and others that run beside it may have the port.
  if (noHttp || (untilIdle && !http)) return {}
  const names = httpHost && { names: httpHost }
  return { http: { ...(http ?? httpDefault), ...names, ...pageToken(), prices: pricesOf(requestPrice), invocation } }
}

/** What the status page asks for, of the environment: an argument would stand in the list of processes. */
function pageToken(): { readonly token?: string } {
  const token = process.env[tokenVariable]
  if (token === undefined) return {}
  if (token.length >= 16) return { token }
  throw usageError(
    'run',
    `${tokenVariable} has ${token.length} characters; expected at least 16, such as of 'openssl rand -hex 16'.`,
  )
}

function notShown(log: Log): (error: unknown) => void {
  return error =>
    log({ level: 'warn', event: 'not-shown', message: `The lines below the log failed: ${errorMessage(error)}` })
}

/** Here, because --help and other commands need none of it. */
function loadEngine() {
  return Promise.all([
    import('../../engine/bind/flows.ts'),
    import('../../engine/follow.ts'),
    import('../../engine/components.ts'),
    import('../../status/log.ts'),
    import('../../status/redact.ts'),
    import('../../status/status.ts'),
    import('../../status/requests.ts'),
  ])
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
