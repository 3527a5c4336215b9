import { type Clock, wallMs } from '../../core/clock.ts'
import { requestKinds } from '../../core/requests.ts'
import { type Phase, phases, type RunEvent } from '../../engine/report/events.ts'
import type { Measurement } from '../../engine/report/running.ts'
import type { Totals } from '../../engine/report/summary.ts'
import type { StoredPlan } from '../../plan/stored-plan.ts'
import type { Monitor } from '../monitor.ts'
import type { RequestMeter, RequestPrices } from '../requests.ts'
import { type Asides, createAsides } from './asides.ts'
import type { EpochFacts, PageFacts, RequestFacts, SinkFacts, SourceFacts } from './facts.ts'
import { planFacts, sinkKind } from './plan-facts.ts'
import { sentenceOfRun } from './sentence.ts'
import { stateFacts, timeMs, totalFacts } from './stored-facts.ts'

export interface RunFactsOptions {
  readonly clock: Clock
  readonly pipeline: string
  readonly version: string
  readonly monitor: Monitor
  readonly requests: RequestMeter
  readonly prices: RequestPrices
  /** Whoever asks has shown the token: values of rows may be told. */
  readonly showsValues: boolean
  /** How millrace is called in commands to copy. */
  readonly invocation: string
}

/** What a live process knows for the page. */
export interface RunFacts {
  onEvent(event: RunEvent): void
  gather(): Promise<PageFacts>
}

const epochsMax = 200
const rateMs = 60_000

interface SourceEpoch {
  readonly atMs: number
  readonly rows: number
  readonly bytes: number
}

/** What is remembered of the past: all of it is bounded. */
interface Memory {
  readonly startedMs: number
  readonly epochs: EpochFacts[]
  /** By source, of the last minute. */
  readonly recent: Map<string, SourceEpoch[]>
  readonly rows: Map<string, number>
  phases: Partial<Record<Phase, number>>
  owner: string | null
  checkpoint: string
  totals: Totals | null
}

export function createRunFacts(options: RunFactsOptions): RunFacts {
  const { clock, monitor, showsValues, invocation } = options
  const asides = createAsides(showsValues, invocation)
  const memory: Memory = {
    startedMs: clock.nowMs(),
    epochs: [],
    recent: new Map(),
    rows: new Map(),
    phases: {},
    owner: null,
    checkpoint: '',
    totals: null,
  }
  return {
    onEvent(event) {
      if (event.is === 'phase') memory.phases[event.phase] = (memory.phases[event.phase] ?? 0) + event.ms
      else if (event.is === 'waiting') memory.owner = event.owner
      else if (event.is === 'started') {
        memory.owner = null
        memory.checkpoint = event.checkpoint
      } else if (event.is === 'epoch') rememberEpoch(memory, asides, event, clock)
    },
    async gather() {
      return gatherFacts(options, memory, asides, await monitor.measured())
    },
  }
}

function rememberEpoch(memory: Memory, asides: Asides, event: RunEvent & { is: 'epoch' }, clock: Clock): void {
  const { result, tookMs, bytes } = event
  const { epoch, objects, rows, late } = result
  const spent = phases.map(phase => ({ phase, ms: memory.phases[phase] ?? 0 }))
  memory.phases = {}
  memory.totals = result.totals
  memory.epochs.push({ epoch, atMs: wallMs(clock), tookMs, objects, rows, bytes, late, phases: spent })
  if (memory.epochs.length > epochsMax) memory.epochs.shift()
  const nowMs = clock.nowMs()
  for (const { source, rows, bytes } of event.sources) {
    memory.rows.set(source, (memory.rows.get(source) ?? 0) + rows)
    const recent = (memory.recent.get(source) ?? []).filter(({ atMs }) => atMs > nowMs - rateMs)
    memory.recent.set(source, [...recent, { atMs: nowMs, rows, bytes }])
  }
  for (const rows of event.lateRows) asides.addLateRows(rows)
  for (const rows of event.badRows) asides.addBadRows(rows)
  if (event.firstBadRow) asides.addExample(event.firstBadRow)
  for (const object of event.setAside) asides.addObject(object)
}

function gatherFacts(
  { clock, pipeline, version, monitor, requests, prices }: RunFactsOptions,
  memory: Memory,
  asides: Asides,
  found: Measurement | undefined,
): PageFacts {
  const { health, commitAgeMs, plan } = monitor
  const sources = sourceFacts(memory, found, clock.nowMs())
  const states = found?.states.map(stateFacts) ?? []
  const sinks = found ? sinkFacts(found, plan) : []
  const totals = totalFacts(memory.totals ?? found?.totals)
  const checkpoint = found?.checkpointAddress ?? memory.checkpoint
  return {
    pipeline,
    version,
    atMs: wallMs(clock),
    ...sentenceOfRun(health, sources, sinks, commitAgeMs),
    checkpoint: {
      address: checkpoint,
      epoch: memory.epochs.at(-1)?.epoch ?? found?.epoch ?? null,
      term: found?.term ?? null,
      owner: memory.owner ?? (health.state === 'running' ? 'this process' : null),
      headBytes: found?.checkpoint.headBytes ?? null,
      bytes: found?.checkpoint.bytes ?? null,
      files: found?.checkpoint.files ?? null,
      commitAgeMs,
      headWrittenMs: null,
    },
    totals,
    process: {
      state: health.state,
      why: health.why ?? null,
      upMs: clock.nowMs() - memory.startedMs,
      inHandObjects: found?.inHand ?? 0,
      memory: found
        ? {
            usedBytes: found.duckdb.memoryBytes,
            limitBytes: found.duckdb.limitBytes,
            spillBytes: found.duckdb.spillBytes,
          }
        : null,
    },
    epochs: memory.epochs,
    sources,
    plan: plan ? planFacts(plan, { sources, states, sinks, totals }) : { boxes: [], arrows: [] },
    states,
    aside: asides.facts(checkpoint, totals),
    sinks,
    requests: requestFacts(requests, prices),
  }
}

function requestFacts(meter: RequestMeter, prices: RequestPrices): readonly RequestFacts[] {
  const perDay = meter.perDay()
  return requestKinds
    .filter(kind => meter.totals[kind] > 0)
    .map(kind => {
      const price = prices[kind] ?? null
      const aDay = perDay && Math.round(perDay[kind])
      const costPerDay = price === null || aDay === null ? null : (aDay / 1_000) * price
      return { kind, count: meter.totals[kind], perDay: aDay, price, costPerDay }
    })
}

function sourceFacts(memory: Memory, found: Measurement | undefined, nowMs: number): readonly SourceFacts[] {
  const seconds = Math.max(1, Math.min(rateMs, nowMs - memory.startedMs) / 1000)
  return (found?.sources ?? []).map(({ source, address, watermarkUs, highMarkUs, inHand, backlog }) => {
    const recent = (memory.recent.get(source) ?? []).filter(({ atMs }) => atMs > nowMs - rateMs)
    return {
      name: source,
      address,
      watermarkMs: timeMs(watermarkUs),
      highestMs: timeMs(highMarkUs),
      read: null,
      rowsPerSecond: recent.reduce((sum, { rows }) => sum + rows, 0) / seconds,
      rows: memory.rows.get(source) ?? 0,
      bytesPerSecond: recent.reduce((sum, { bytes }) => sum + bytes, 0) / seconds,
      inHand,
      backlog: { messages: backlog.messages ?? null, oldestMs: backlog.oldestAgeMs ?? null },
    }
  })
}

/** Flows that end in `rows()` are behind as sinks are. */
function sinkFacts(
  { sinks, outputs, held, undelivered }: Measurement,
  plan: StoredPlan | undefined,
): readonly SinkFacts[] {
  const kindOf = (flow: string) => (plan ? sinkKind(plan, flow) : '')
  const own = sinks.map((lag, index): SinkFacts => {
    const waiting = held.find(({ flow }) => flow === lag.flow)
    const address = outputs[index] ?? ''
    return {
      ...lag,
      kind: kindOf(lag.flow),
      address,
      heldRows: waiting?.rows ?? 0,
      heldMs: waiting?.ageMs ?? 0,
    }
  })
  const taken = undelivered.map(
    (waiting): SinkFacts => ({ ...waiting, kind: 'rows', address: '', retries: null, heldRows: 0, heldMs: 0 }),
  )
  return [...own, ...taken]
}
