/**
 * Runs a chain of the real operators over a ledger that is cut into epochs, as the engine does between fetch and commit:
 * stamp, partial, apply, adopt. Segments go, are merged and are recovered from at random; a merge may end epochs after it began.
 */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RowsSource } from '../../checkpoints/checkpoint-store.ts'
import { sinks } from '../../connectors/registry.ts'
import { applyEpoch, type Applied, type EpochTime } from '../../src/engine/fold/apply.ts'
import { type ApplyEntry, correctEpoch } from '../../src/engine/fold/correct.ts'
import type { LateNamed } from '../../src/engine/state/late-named.ts'
import { withRows } from '../../src/engine/state/channels.ts'
import { openSession } from '../../src/engine/duckdb/session.ts'
import type { SessionExecutor } from '../../src/engine/duckdb/executor.ts'
import { subscribeFlows } from '../../src/engine/bind/flows.ts'
import { islandsTable } from '../../src/engine/state/islands.ts'
import type { MarkedObject, RowSource } from '../../src/engine/read/marked-object.ts'
import { computePartials, noPartials } from '../../src/engine/fold/partials.ts'
import { recoverIslands } from '../../src/engine/state/recover.ts'
import { type MarkedEntry, stamp } from '../../src/engine/fold/stamp.ts'
import { highMarkOf, type LedgerPosition, sourceClocks } from '../../src/engine/state/engine-state.ts'
import {
  adopt,
  aliveSql,
  columnList,
  createStateTable,
  deadToUs,
  type Held,
  heldRows,
  stateName,
  type StateTable,
  stateTables,
} from '../../src/engine/state/state.ts'
import { dropTables, type EpochContext, type KeptRows } from '../../src/engine/fold/work.ts'
import { bindFlows } from '../../src/plan/bind.ts'
import { createGate } from '../../src/plan/gate.ts'
import type { SourceDefinition } from '../../src/plan/source-definition.ts'
import type { SourceSettings } from '../../src/plan/source-settings.ts'
import { text } from '../../src/plan/sql.ts'
import { clockShape, type Stage, stagesInOrder } from '../../src/plan/stages.ts'
import { beginning } from '../../src/plan/watermark.ts'
import { type TrialEntry, type TrialLedger, whole } from './ledger.ts'
import { pipelineOf, type TrialExtras, type TrialStep } from './plan.ts'

const secondUs = 1_000_000n

export interface TrialSession extends AsyncDisposable {
  readonly executor: SessionExecutor
  readonly folder: string
}

export async function openTrials(): Promise<TrialSession> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-trials-'))
  const session = await openSession({ threads: 1, spill: folder })
  const executor = await session.executor(new AbortController().signal)
  return {
    executor,
    folder: session.stage,
    async [Symbol.asyncDispose]() {
      await session.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A plan that is bound: reused over many ledgers. */
export interface BoundTrial {
  readonly context: EpochContext
  readonly settings: SourceSettings
}

export async function bindTrial(
  { executor, folder }: TrialSession,
  steps: readonly TrialStep[],
  extras: TrialExtras = {},
): Promise<BoundTrial> {
  const subscribed = subscribeFlows(pipelineOf(steps, extras))
  try {
    const bound = await bindFlows(subscribed.terminals, createGate(executor), executor)
    const flows = bound.flows()
    const context = {
      flows,
      stages: stagesInOrder(flows),
      executor,
      stage: folder,
      newId: randomUUID,
      sinks,
    }
    return { context, settings: (subscribed.definitions[0] as SourceDefinition).settings }
  } finally {
    subscribed.unsubscribe()
  }
}

/** What the execution gave, in the oracle's terms. */
export interface Executed {
  /** Rows of the output by epoch, as 'k v', with the end of their window before it where they have one; changes as 'upsert end k v', without an end where they have none. */
  readonly epochs: readonly (readonly string[])[]
  /** As 'step seq row end'. */
  readonly late: readonly string[]
  /** The rows of flows of late rows by epoch, as 'step port end k v'. */
  readonly lateFlows: readonly (readonly string[])[]
  readonly flushes: readonly ReadonlyMap<number, number>[]
}

/** What a control does wrong on purpose. */
export interface Wrong {
  /** Every stage takes the largest value of a flush. */
  readonly oneFlushValue?: true
  /** Rows that live with others are judged by their own columns where segments are merged or recovered from. */
  readonly rowLocalDeath?: true
}

/** A file of a channel, and what must be reached for all of it to be dead. */
interface Segment {
  readonly source: RowsSource
  readonly aliveToUs: bigint
}

/** A merge that is under way. */
interface Merging {
  readonly state: StateTable
  readonly replaced: readonly Segment[]
  readonly epoch: number
  readonly watermarkUs: bigint | null
  /** Made already, or only when it ends. */
  readonly made: Segment | undefined
  epochsLeft: number
}

/**
 * @param cut numbers of entries, one an epoch; a flush that is to be decided stands alone
 * @param known what the flushes of a ledger say that is replayed
 */
export async function execute(
  { context, settings }: BoundTrial,
  ledger: TrialLedger,
  cut: readonly number[],
  random: () => number,
  { wrong = {}, known }: { readonly wrong?: Wrong; readonly known?: Executed['flushes'] } = {},
): Promise<Executed> {
  const { executor, stages } = context
  const shapes = stages.map(clockShape)
  const states = stateTables(stages)
  const held = new Map<string, Held>()
  const segments = new Map<string, Segment[]>(states.map(({ key }) => [key, []]))
  let merging: readonly Merging[] = []
  let epochNumber = 0
  const epochs: string[][] = []
  const late: string[] = []
  const lateFlows: string[][] = []
  const lateParts: { readonly channel: string; readonly source: RowsSource }[] = []
  const named: LateNamed[] = []
  const flushes: ReadonlyMap<number, number>[] = []
  let position: LedgerPosition = { sources: { [settings.name]: beginning }, nextSeq: 1, clocks: {}, lookups: {} }
  const sources = new Map([[settings.name, settings]])
  const delays = new Map([[settings.name, BigInt(ledger.delay) * secondUs]])
  for (const state of states) {
    await createStateTable(executor, state)
    held.set(state.key, await heldRows(executor, state))
  }
  let at = 0
  for (const size of cut) {
    const entries = ledger.entries.slice(at, at + size)
    at += size
    epochNumber++
    const [first] = entries
    const epoch = await (first?.is === 'apply'
      ? applyingEpoch(first)
      : first?.is === 'flush' && !known
        ? flushEpoch(first.isFinal)
        : plainEpoch(entries))
    const outputs = [...epoch.outputs, ...epoch.applied.outputs]
    epochs.push(await outputRows(executor, outputs))
    lateFlows.push(await lateFlowRows(executor, stages, outputs))
    const channels = [...epoch.channels, ...epoch.applied.channels]
    late.push(...(await lateRows(executor, stages, channels)))
    for (const { channel, kept } of channels)
      if (channel.startsWith('late-')) lateParts.push({ channel, source: definitionOf(kept) })
    await settle(epoch.applied)
    await dropTables(executor, [...epoch.tables, ...epoch.applied.tables])
  }
  for (const state of states) await executor.run(`DROP TABLE ${stateName(state)}`)
  for (const stage of stages) await executor.run(`DROP TABLE IF EXISTS ${islandsTable(stage)}`)
  return { epochs, late, lateFlows, flushes }

  async function plainEpoch(entries: readonly TrialEntry[]) {
    const marked = entries.map((entry, index) => {
      if (entry.is === 'apply') throw new Error('late rows are applied in an epoch of their own')
      return entry.is === 'flush' ? knownFlush() : markedEntry(settings.name, entry, index)
    })
    const stamped = stamp(position, marked, delays, shapes)
    const partials = await computePartials(context, stamped, sources)
    const applied = await applyEpoch(context, partials, { ...stamped, is: 'stamped' }, held, epochNumber)
    position = stamped.after
    return { applied, outputs: partials.outputs, channels: partials.channels, tables: partials.tables }
  }

  async function applyingEpoch({ from, to }: Extract<TrialEntry, { readonly is: 'apply' }>) {
    const us = (time: number | null) => (time === null ? null : BigInt(time) * secondUs)
    const { nextSeq: seq } = position
    const asked = { beforeSeq: seq, fromUs: us(from), toUs: us(to) }
    const stamped = stamp(position, [{ is: 'apply', ...asked, sizeBytes: 0 }], delays, shapes)
    const entry: ApplyEntry = {
      seq,
      named: asked,
      earlier: [...named],
      clocks: stamped.clocks,
      async eachPart(channel, use) {
        for (const part of lateParts)
          if (part.channel === channel) await withRows(executor, [part.source], randomUUID, use)
      },
    }
    const applied = await correctEpoch(context, entry, held, epochNumber)
    named.push(asked)
    position = stamped.after
    return { applied, outputs: [], channels: [], tables: [] }
  }

  function knownFlush(): MarkedEntry {
    const values = known?.[flushes.length] ?? new Map<number, number>()
    flushes.push(values)
    const byStage = [...values].map(([index, us]) => [stages[index]?.id, BigInt(us)])
    return { is: 'flush', watermarkUs: null, stages: Object.fromEntries(byStage), sizeBytes: 0 }
  }

  async function flushEpoch(isFinal = false) {
    const { nextSeq: seq, clocks: before } = position
    const limitUs = isFinal ? 2n ** 62n : highMarkOf(position)
    const time: EpochTime = {
      is: 'flush',
      seq,
      before,
      sourcesUs: sourceClocks(position),
      limitsUs: { [settings.name]: limitUs },
      lookups: new Map(),
    }
    const applied = await applyEpoch(context, noPartials, time, held, epochNumber)
    const numbered = new Map(stages.map(({ id }, index) => [id, index]))
    flushes.push(new Map([...applied.flushed].map(([id, us]) => [numbered.get(id) as number, Number(us)])))
    const largest = [...applied.flushed.values()].reduce((a, b) => (a > b ? a : b), -(2n ** 62n))
    const flushed = wrong.oneFlushValue
      ? Object.fromEntries(stages.map(({ id }) => [id, largest]))
      : Object.fromEntries(applied.flushed)
    const marks: MarkedEntry[] = [{ is: 'flush', watermarkUs: null, stages: flushed, sizeBytes: 0 }]
    position = stamp(position, marks, delays, shapes).after
    return { applied, outputs: [], channels: [], tables: [] }
  }

  /** Adopts what the epoch left; drops segments, merges them and recovers from them now and then. */
  async function settle(applied: Applied): Promise<void> {
    for (const state of states) {
      const watermarkUs = position.clocks[state.stage.id] ?? null
      const table = applied.partials.get(state.key)
      const own = applied.own.get(state.key)
      const adopted = table === undefined || own === undefined ? undefined : { table, survivors: own.survivors }
      held.set(state.key, await adopt(executor, state, held.get(state.key) as Held, adopted, watermarkUs))
      const files = segments.get(state.key) as Segment[]
      files.push(
        ...applied.channels
          .filter(({ channel }) => channel === `segment-${state.key}`)
          .map(({ kept, aliveToUs }) => ({ source: definitionOf(kept), aliveToUs: aliveToUs as bigint })),
      )
      const deadUs = deadToUs(state, position.clocks, applied.openFromUs)
      // Those that are kept longer than they need to be do no harm.
      if (deadUs !== null)
        segments.set(
          state.key,
          files.filter(({ aliveToUs }) => aliveToUs > deadUs || random() < 0.5),
        )
      if (random() < 0.4) await beginMerge(state, watermarkUs)
    }
    await endMerges()
    if (random() < 0.3) for (const stage of stages) await recover(stage)
  }

  async function beginMerge(state: StateTable, watermarkUs: bigint | null): Promise<void> {
    const free = (segments.get(state.key) as Segment[]).filter(
      segment => !merging.some(({ replaced }) => replaced.includes(segment)),
    )
    const replaced = free.filter(() => random() < 0.7)
    if (replaced.length === 0) return
    const begun = { state, replaced, epoch: epochNumber, watermarkUs, epochsLeft: whole(random, 0, 2) }
    const made = random() < 0.5 ? await merged(begun) : undefined
    merging = [...merging, { ...begun, made }]
  }

  async function endMerges(): Promise<void> {
    const ended = merging.filter(merge => merge.epochsLeft-- <= 0)
    merging = merging.filter(merge => !ended.includes(merge))
    for (const merge of ended) {
      const { key } = merge.state
      const files = segments.get(key) as Segment[]
      // What is gone meanwhile may live on elsewhere: then the merge is dropped.
      if (!merge.replaced.every(segment => files.includes(segment))) continue
      const made = merge.made ?? (await merged(merge))
      segments.set(key, [...files.filter(segment => !merge.replaced.includes(segment)), made])
    }
  }

  function merged({ state, replaced, watermarkUs, epoch }: Omit<Merging, 'made'>): Promise<Segment> {
    const sources = replaced.map(({ source }) => source)
    return withRows(executor, sources, randomUUID, async rows => {
      const file = join(context.stage, randomUUID())
      const alive = livingRows(state, `SELECT * FROM ${rows}`, watermarkUs, epoch)
      await executor.write(state.channel.merge(alive), file, state.channel.order)
      return {
        source: { file },
        aliveToUs: replaced.map(({ aliveToUs }) => aliveToUs).reduce((a, b) => (a > b ? a : b)),
      }
    })
  }

  function livingRows(state: StateTable, rows: string, watermarkUs: bigint | null, epoch: number): string {
    if (!wrong.rowLocalDeath) return aliveSql(state, rows, watermarkUs, epoch)
    return `SELECT * FROM (${rows})${watermarkUs === null ? '' : ` WHERE ${state.channel.closesAt} > ${watermarkUs}`}`
  }

  /** As at a start: from the segments alone. */
  async function recover(stage: Stage): Promise<void> {
    const watermarkUs = position.clocks[stage.id] ?? null
    for (const state of stateTables([stage])) {
      const isMerged = state.channel.life.is === 'merged'
      if (isMerged && state.channel.name === '') await executor.run(`DELETE FROM ${islandsTable(stage)}`)
      await executor.run(`DELETE FROM ${stateName(state)}`)
      const files = (segments.get(state.key) as Segment[]).map(({ source }) => source)
      if (files.length > 0)
        await withRows(executor, files, randomUUID, rows => {
          const all = `SELECT * FROM ${rows}`
          const alive =
            isMerged && wrong.rowLocalDeath
              ? livingRows(state, all, watermarkUs, epochNumber)
              : aliveSql(state, all, isMerged ? null : watermarkUs)
          return executor.run(`INSERT INTO ${stateName(state)} (${columnList(state)}) ${alive}`)
        })
      if (isMerged) await recoverIslands(executor, state, epochNumber, watermarkUs)
      held.set(state.key, await heldRows(executor, state))
    }
  }
}

const definitionOf = (kept: KeptRows): RowsSource => ('text' in kept ? kept : { file: kept.written.file })

function markedEntry(
  name: string,
  entry: Exclude<TrialEntry, { readonly is: 'flush' | 'apply' }>,
  index: number,
): MarkedEntry {
  if (entry.is === 'tick')
    return { is: 'tick', source: name, watermarkUs: BigInt(entry.watermark) * secondUs, sizeBytes: 0 }
  const { rows, mark } = entry
  const times = rows.map(({ t }) => BigInt(t) * secondUs)
  const source: RowSource = {
    scan: parts =>
      parts
        .map(({ seq, watermarkUs }) => {
          const values = rows.map(({ t, k, v }, row) => `(${row}, ${t}, ${k}, ${v})`).join(', ')
          return (
            `SELECT CAST(${seq} AS BIGINT) AS _seq, CAST(row AS BIGINT) AS _row, CAST(${watermarkUs ?? 'NULL'} AS BIGINT) AS _watermark, ` +
            `make_timestamp(CAST(t AS BIGINT) * ${secondUs}) AS at, CAST(k AS BIGINT) AS k, CAST(v AS BIGINT) AS v FROM (VALUES ${values}) AS r(row, t, k, v)`
          )
        })
        .join(' UNION ALL '),
  }
  const object: MarkedObject = {
    is: 'object',
    source: name,
    version: { bucket: '', key: `object-${index}`, eTag: '1', sizeBytes: 1, lastModifiedMs: 0 },
    outcome: 'read',
    reason: null,
    rows: rows.length,
    quarantinedRows: 0,
    outsideBounds: 0,
    highMarkUs: mark === null ? null : BigInt(mark) * secondUs,
    minTimeUs: times.length === 0 ? null : times.reduce((a, b) => (a < b ? a : b)),
    ...(rows.length === 0 ? {} : { good: { source, part: 0 } }),
    release: async () => {},
  }
  return object
}

const microseconds = (time: Date) => time.getTime() * 1000

async function outputRows(executor: SessionExecutor, outputs: Applied['outputs']): Promise<string[]> {
  const found: string[] = []
  for (const { written } of outputs.filter(({ flow }) => flow.rows.from.is !== 'late'))
    for (const { _op, _epoch, window_end: end, k, v } of await executor.rows(
      `FROM read_parquet(${text(written.file)})`,
    ))
      found.push(
        [
          ...(_op === undefined ? [] : [_op]),
          ...(_op === undefined && end === undefined ? [] : [end ? microseconds(end as Date) : '-']),
          k,
          v,
        ]
          .map(String)
          .join(' '),
      )
  return found
}

async function lateFlowRows(
  executor: SessionExecutor,
  stages: readonly Stage[],
  outputs: Applied['outputs'],
): Promise<string[]> {
  const found: string[] = []
  for (const { flow, written } of outputs) {
    const { from } = flow.rows
    if (from.is !== 'late') continue
    const of = `${stages.indexOf(from.stage)} ${from.stage.step.ports?.[from.index] ?? ''}`
    const rows = await executor.rows(`FROM read_parquet(${text(written.file)})`)
    found.push(...rows.map(({ e, k, v }) => `${of} ${[e, k, v].map(String).join(' ')}`))
  }
  return found
}

async function lateRows(
  executor: SessionExecutor,
  stages: readonly Stage[],
  channels: Applied['channels'],
): Promise<string[]> {
  const found: string[] = []
  for (const [index, { id, step }] of stages.entries())
    for (const port of step.ports ?? [undefined])
      for (const { kept } of channels.filter(({ channel }) => channel === `late-${id}${port ? `-${port}` : ''}`)) {
        const end = step.late.columns.includes('_window_end') ? '_window_end' : 'NULL'
        const rows = await withRows(executor, [definitionOf(kept)], randomUUID, from =>
          executor.rows(`SELECT _seq, _row, ${end} AS e FROM ${from}`),
        )
        for (const { _seq, _row, e } of rows)
          found.push(`${index} ${String(_seq)} ${String(_row)} ${String(e)} ${port ?? ''}`)
      }
  return found
}

/**
 * Epochs of one entry, as few epochs as there can be, or drawn. A flush stands alone, as it is decided from what all earlier
 * entries left; in a replay, which knows its value, it may stand anywhere. Late rows are applied alone, in a replay too.
 */
export function drawCut(
  random: () => number,
  ledger: TrialLedger,
  kind: 'each' | 'few' | 'drawn',
  isReplay: boolean,
): readonly number[] {
  const cut: number[] = []
  let run = 0
  const end = () => {
    while (run > 0) {
      const size = kind === 'each' ? 1 : kind === 'few' ? run : whole(random, 1, run)
      cut.push(size)
      run -= size
    }
  }
  for (const entry of ledger.entries) {
    if (entry.is !== 'apply' && (entry.is !== 'flush' || isReplay)) {
      run++
      continue
    }
    end()
    cut.push(1)
  }
  end()
  return cut
}
