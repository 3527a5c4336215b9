import { isInHead } from '../../checkpoints/manifest.ts'
import { wallMs } from '../core/clock.ts'
import type { Backlog, Executor, NotificationSource } from '../core/ports.ts'
import { miniBatchLimits } from '../plan/mini-batch-options.ts'
import { beginning } from '../plan/watermark.ts'
import { createBacklogs } from './backlogs.ts'
import type { Committer } from './commit/committer.ts'
import type { Intake } from './intake/intake.ts'
import type { Run } from './open-run.ts'
import { sinksOf } from './publish/outputs.ts'
import type { Publisher } from './publish/publisher.ts'
import { nextWindow } from './next-window.ts'
import { windowText } from './report/why.ts'
import type { MeasuredHeld, MeasuredSource, MeasuredState, Measurement, Running } from './report/running.ts'
import { heldIn } from './state/held.ts'
import { measuredWindows } from './state/open-windows.ts'
import { openWindowsOf, segmentChannel, stateName, stateTables } from './state/state.ts'
import { totalsOf } from './state/totals.ts'

export interface RunningContext {
  readonly run: Run
  readonly committer: Pick<Committer, 'manifest' | 'position'> & {
    readonly publisher: Pick<Publisher, 'waiting' | 'lags' | 'lastHeldMs'>
  }
  readonly intake: Pick<Intake, 'inHand' | 'admitted'>
  /** Each source by itself. */
  readonly live: readonly {
    readonly name: string
    readonly intake: Pick<Intake, 'inHand' | 'admitted'>
    readonly notifications: Pick<NotificationSource, 'backlog' | 'counts'> | undefined
  }[]
  lastCommitMs(): number
  /** When the commit under way began. */
  committingSinceMs(): number | undefined
}

export function createRunning(context: RunningContext): Running {
  const { run, committer, intake, live } = context
  const { clock, lookUps } = run
  const everyMs = Math.max(
    ...[...run.sources.values()].map(({ miniBatch }) => miniBatchLimits(miniBatch, 'miniBatch').everyMs),
  )

  const askBacklogs = createBacklogs(
    clock,
    live.map(({ notifications }) => notifications),
  )

  return {
    plan: run.plan,
    stalledMs() {
      const { sinceMs } = intake.inHand
      const begun = Math.min(
        sinceMs === undefined ? Infinity : sinceMs + everyMs,
        context.committingSinceMs() ?? Infinity,
      )
      return Math.max(0, clock.nowMs() - Math.max(begun, context.lastCommitMs(), committer.publisher.lastHeldMs))
    },
    async measure() {
      const { manifest } = committer
      const [states, backlogs, duckdb] = await Promise.all([
        measuredStates(run, committer),
        askBacklogs(),
        memory(lookUps),
      ])
      const parts = Object.values(manifest.channels).flat()
      return {
        term: run.claim.head.term,
        epoch: manifest.epoch,
        checkpointAddress: run.claim.address,
        outputs: sinksOf(run.outputs).map(({ sink }) => sink.address),
        totals: totalsOf(manifest),
        inHand: intake.inHand.objects,
        admitted: { ...intake.admitted },
        sources: measuredSources(context, backlogs),
        states,
        undelivered: committer.publisher.waiting,
        sinks: committer.publisher.lags,
        held: measuredHeld(run, manifest),
        checkpoint: {
          headBytes: run.claim.checkpoint.headBytes,
          bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
          files: parts.filter(part => !isInHead(part)).length,
        },
        backlog: allWaiting(backlogs),
        notifications: sumOfCounts(live.map(({ notifications }) => notifications?.counts ?? {})),
        duckdb,
      }
    },
  }
}

function measuredSources(
  { run, committer, live }: RunningContext,
  backlogs: readonly Backlog[],
): readonly MeasuredSource[] {
  const { position } = committer
  const nowMs = run.clock.nowMs()
  return live.map(({ name, intake: { inHand, admitted } }, index) => ({
    source: name,
    address: run.sources.get(name)?.input.root ?? '',
    ...(position.sources[name] ?? beginning),
    inHand: { objects: inHand.objects, oldestMs: inHand.sinceMs === undefined ? null : nowMs - inHand.sinceMs },
    admitted: { ...admitted },
    backlog: backlogs[index] ?? {},
  }))
}

/** What waits for all sources together. */
function allWaiting(backlogs: readonly Backlog[]): Backlog {
  const messages = backlogs.flatMap(({ messages: waiting }) => waiting ?? [])
  const ages = backlogs.flatMap(({ oldestAgeMs }) => oldestAgeMs ?? [])
  return {
    ...(messages.length === 0 ? {} : { messages: messages.reduce((a, b) => a + b) }),
    ...(ages.length === 0 ? {} : { oldestAgeMs: Math.max(...ages) }),
  }
}

function sumOfCounts(all: readonly Readonly<Record<string, number>>[]): Readonly<Record<string, number>> {
  const sums: Record<string, number> = {}
  for (const counts of all) for (const [name, value] of Object.entries(counts)) sums[name] = (sums[name] ?? 0) + value
  return sums
}

async function numberOf(lookUps: Pick<Executor, 'rows'>, sql: string): Promise<number> {
  const [row] = await lookUps.rows(`SELECT coalesce((${sql}), 0)::DOUBLE AS n`)
  return Number(row?.n)
}

async function measuredStates(
  run: Pick<Run, 'stages' | 'lookUps' | 'flows' | 'sources' | 'isSealed'>,
  { manifest, position }: Pick<Committer, 'manifest' | 'position'>,
): Promise<readonly MeasuredState[]> {
  const { stages, lookUps } = run
  const measured: MeasuredState[] = []
  for (const state of stateTables(stages)) {
    const parts = manifest.channels[segmentChannel(state)] ?? []
    const open = openWindowsOf(state, position.clocks)
    const next = open && (await nextWindow({ ...run, executor: lookUps }, state.stage, position))
    measured.push({
      name: state.key,
      rows: await numberOf(lookUps, `SELECT count(*) FROM ${stateName(state)}`),
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
      watermarkUs: position.clocks[state.stage.id] ?? null,
      ...(open === undefined ? {} : await measuredWindows(lookUps, open)),
      ...(next && { why: windowText(next) }),
    })
  }
  return measured
}

function measuredHeld(
  { outputs, clock }: Pick<Run, 'outputs' | 'clock'>,
  manifest: Committer['manifest'],
): readonly MeasuredHeld[] {
  const nowMs = wallMs(clock)
  const found = heldIn(manifest)
  return sinksOf(outputs).flatMap(({ name, hold }) => {
    const { rows = 0, bytes = 0, sinceMs = null } = found.find(({ flow }) => flow === name) ?? {}
    if (hold === undefined && rows === 0) return []
    return [{ flow: name, rows, bytes, ageMs: sinceMs === null ? 0 : Math.max(0, nowMs - sinceMs) }]
  })
}

async function memory(lookUps: Pick<Executor, 'rows'>): Promise<Measurement['duckdb']> {
  const [limit] = await lookUps.rows(`SELECT current_setting('memory_limit') AS size`)
  return {
    memoryBytes: await numberOf(lookUps, 'SELECT sum(memory_usage_bytes) FROM duckdb_memory()'),
    spillBytes: await numberOf(lookUps, 'SELECT sum(temporary_storage_bytes) FROM duckdb_memory()'),
    limitBytes: sizeBytes(String(limit?.size)),
  }
}

const unitBytes = { bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const

/** A size as DuckDB shows it: '476.8 MiB'. */
function sizeBytes(size: string): number {
  const [, amount, unit] = /^([\d.]+) (bytes|[KMGT]iB)$/.exec(size) ?? []
  return Math.round(Number(amount ?? Number.NaN) * unitBytes[(unit ?? 'bytes') as keyof typeof unitBytes])
}
