import type { Clock } from '../core/clock.ts'
import { errorMessage } from '../core/errors.ts'
import type { FollowOptions } from '../engine/options.ts'
import { iso } from '../engine/report/iso.ts'
import { type StatusServer, serveStatus } from './http.ts'
import type { Log } from './log.ts'
import { logRecords } from './log-records.ts'
import { createMetrics } from './metrics.ts'
import type { RunName } from './metric-groups.ts'
import { createMonitor, type Monitor } from './monitor.ts'
import { createAccess } from './page/access.ts'
import type { PageFacts } from './page/facts.ts'
import { createPage } from './page/page.ts'
import { createRunFacts } from './page/run-facts.ts'
import type { Redact } from './redact.ts'
import { createRequestMeter, type RequestMeter, type RequestPrices } from './requests.ts'

export interface StatusOptions {
  readonly clock: Clock
  readonly pipeline: string
  readonly version: string
  readonly log: Log
  readonly redact: Redact
  /** Of this process. Absent: none are counted. */
  readonly requests?: RequestMeter
  /** Absent: no server, and no metrics. */
  readonly http?: HttpOptions
}

export interface HttpOptions {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  readonly names?: readonly string[]
  /** Who shows it may see the page, and values of rows there. */
  readonly token?: string
  /** Of requests, for the page. */
  readonly prices?: RequestPrices
  /** How millrace is called in commands to copy. */
  readonly invocation: string
}

/** What an operator sees of a run. */
export interface Status extends Required<Pick<FollowOptions, 'onEvent' | 'onRunning'>> {
  /** What the page shows. */
  gather(): Promise<PageFacts>
  close(): Promise<void>
}

/** Logs the events of a run and, where asked for, serves its metrics and health. */
export async function openStatus(options: StatusOptions): Promise<Status> {
  const { clock, pipeline, version, log, redact, http } = options
  const requests = options.requests ?? createRequestMeter(clock)
  const monitor = createMonitor(clock, failed(log, 'not-measured', 'The figures of this run could not be measured'))
  const { token, invocation = '', prices = {} } = http ?? {}
  const showsValues = token !== undefined
  const runFacts = createRunFacts({ clock, pipeline, version, monitor, requests, prices, showsValues, invocation })
  const gather = async () => redact(await runFacts.gather())
  const served = http && (await serve({ ...options, requests }, http, monitor, gather))
  return {
    onEvent(event) {
      monitor.onEvent(event)
      runFacts.onEvent(event)
      served?.onEvent(event)
      for (const record of logRecords(event)) log(record)
    },
    onRunning: monitor.onRunning,
    gather,
    close: async () => served?.close(),
  }
}

function failed(log: Log, event: string, what: string): (error: unknown) => void {
  return error => log({ level: 'warn', event, message: `${what}: ${errorMessage(error)}` })
}

/** Page, metrics and health. */
async function serve(
  { clock, pipeline, version, log, redact, requests }: StatusOptions & { readonly requests: RequestMeter },
  http: HttpOptions,
  monitor: Monitor,
  gather: () => Promise<PageFacts>,
): Promise<Pick<Status, 'onEvent' | 'close'>> {
  const metrics = createMetrics(monitor, { pipeline, version }, requests)
  const health = (isOk: (health: Monitor['health']) => boolean) => ({
    contentType: json,
    respond: async () => ({ isOk: isOk(monitor.health), body: `${JSON.stringify(monitor.health)}\n` }),
  })
  const page = createPage({
    clock,
    access: createAccess(http.host, http.token),
    gather,
    onError: failed(log, 'not-served', 'the events of the page failed'),
  })
  const server: StatusServer = await serveStatus({
    ...http,
    routes: {
      '/': {
        contentType: json,
        respond: async () => ({
          isOk: true,
          body: `${JSON.stringify(redact(await figures(monitor, { pipeline, version })), null, 2)}\n`,
        }),
        html: page.document,
      },
      '/events': page.events,
      '/metrics': {
        contentType: metrics.registry.contentType,
        respond: async () => ({ isOk: true, body: await metrics.render() }),
      },
      '/healthz': health(({ isLive }) => isLive),
      '/readyz': health(({ isReady }) => isReady),
    },
    onError: (path, error) => failed(log, 'not-served', `${path} failed`)(error),
  })
  log({
    level: 'info',
    event: 'listening',
    message: `status at ${server.address}: a page at /, and /metrics, /healthz, /readyz`,
    fields: { address: server.address },
  })

  return {
    onEvent: metrics.onEvent,
    async close() {
      page.close()
      await server.close()
    },
  }
}

/** What `inspect` tells, of the run as it stands. */
async function figures(monitor: Monitor, run: RunName): Promise<object> {
  const found = await monitor.measured()
  const head = { ...run, ...monitor.health }
  if (!found) return head
  const { sources, states, checkpointAddress, checkpoint, ...measured } = found
  const time = (us: bigint | null) => (us === null ? null : iso(us))
  return {
    ...head,
    checkpoint: checkpointAddress,
    ...measured,
    sources: sources.map(({ source, watermarkUs, highMarkUs }) => ({
      source,
      watermark: time(watermarkUs),
      highestEventTime: time(highMarkUs),
    })),
    states: states.map(({ name, rows, bytes, openWindows }) => ({ name, rows, bytes, openWindows })),
    checkpointSize: checkpoint,
  }
}

const json = 'application/json; charset=utf-8'
