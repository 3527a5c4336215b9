import type { Manifest } from '../../checkpoints/types.ts'
import { wallMs } from '../core/clock.ts'
import { plainTypes } from '../plan/relation.ts'
import { correctionKey } from '../plan/corrections.ts'
import { endColumns, updateKey } from '../plan/updates.ts'
import { clockShape, type Flow, type Stage } from '../plan/stages.ts'
import type { Committer } from './commit/committer.ts'
import { type EpochRows, stageEpoch } from './commit/stage-epoch.ts'
import { type Applied, applyEpoch, type EpochTime } from './fold/apply.ts'
import { type ApplyEntry, type Corrected, correctEpoch } from './fold/correct.ts'
import { noPartials, type Partials } from './fold/partials.ts'
import { createRunAhead, type Ready } from './fold/run-ahead.ts'
import { lookupsAt } from './fold/lookups-met.ts'
import { stamp } from './fold/stamp.ts'
import { dropTables, removeFiles } from './fold/work.ts'
import type { Admitted, MiniBatches } from './intake/admit.ts'
import { withAttempt } from './intake/attempt.ts'
import type { Run } from './open-run.ts'
import { outputAddress, placesOf, sinksOf } from './publish/outputs.ts'
import { type NewColumn, seeColumns } from './read/columns-seen.ts'
import type { Outcome } from './read/outcome.ts'
import { timed } from './report/events.ts'
import type { EpochResult } from './report/summary.ts'
import { recentLedger } from './state/open-ledger.ts'
import { committedAt } from './state/due.ts'
import {
  type ChangedRecords,
  changedSources,
  engineRecords,
  engineState,
  highMarkOf,
  type LedgerPosition,
  sourceClocks,
  type SourceRecords,
  sourceRecords,
} from './state/engine-state.ts'
import { eachPart } from './state/channels.ts'
import {
  appliedBefore,
  type FlushValue,
  isFlushDue,
  type LedgerRow,
  ledgerText,
  markRow,
  objectRow,
} from './state/ledger.ts'
import { closesAtBy, livingBy, stateTables } from './state/state.ts'
import { addTotals, sumOf, totalsOf } from './state/totals.ts'

/** No window starts later: see the limit of event times in read/row-tests.ts. */
const endOfTimeUs = 2n ** 62n

/** Garbage is collected when this many files have gathered, and at the end. */
const garbageMax = 64

export interface Epochs {
  /** Mini-batches in ledger order; told of each that is committed. */
  readonly batches: MiniBatches & { committed(batch: readonly Admitted[]): void }
  /** Aborted: the epoch in flight is the last one. */
  readonly drain?: AbortSignal
  /** What the commit of a mini-batch records beside it. Asked once, just before. */
  records(ready: Ready): ChangedRecords
  onCommitted(ready: Ready, result: EpochResult): void
}

/**
 * The epochs of a run, one after the other: of a backfill, of a run that follows its source, and of a replay. Each is
 * taken, read, stamped and pre-aggregated beside the commit of the one before; then it is applied to the state, staged,
 * committed, published and acknowledged.
 *
 * @returns whether all mini-batches were taken, before a drain
 */
export async function runEpochs(run: Run, committer: Committer, epochs: Epochs): Promise<boolean> {
  const { batches, drain } = epochs
  const { publisher } = committer
  // What kills the process while it takes rows is not to be taken for an object that does (P13).
  await publisher.settle('rows')
  committer.afterwards.begin()
  if (run.isSealed) return true
  // Take, read, stamp, partial.
  const ahead = createRunAhead(
    { ...run, epoch: run.ahead },
    run.lookupTables.before(batches),
    committer.position,
    committer.care,
  )
  while (!drain?.aborted) {
    const ready = await publisher.beside(ahead.next())
    if (!(await publisher.room(drain))) return false
    if (!ready) return true
    const result = await commitBatch(run, committer, ready, epochs.records(ready))
    // Acknowledge.
    await ahead.done()
    batches.committed(ready.batch)
    epochs.onCommitted(ready, result)
    await settleParallelism(run, committer, ready)
  }
  return false
}

async function settleParallelism({ parallelism }: Run, { state }: Committer, { stamped }: Ready): Promise<void> {
  const held = [...(await state.held()).values()].map(({ rows }) => rows)
  await parallelism.committed(
    stamped.objects.map(({ marked }) => marked.version),
    Math.max(0, ...held),
  )
}

/** Commits the next mini-batch as an epoch. */
async function commitBatch(
  run: Run,
  committer: Committer,
  { batch, stamped, partials }: Ready,
  records: ChangedRecords,
): Promise<EpochResult> {
  const applied = await applyBatch(run, committer, partials, stamped)
  const epoch = committer.manifest.epoch + 1
  const late = (seq: number) => (partials.late.get(seq) ?? 0) + (applied.late.get(seq) ?? 0)
  const taken = 'taken' in applied ? applied.taken : undefined
  const entries = [
    ...stamped.objects.map(object => objectRow(object, epoch, late(object.seq))),
    ...stamped.marks.map(mark => markRow(mark, epoch, sourceNames(run), taken ?? late(mark.seq))),
  ]
  const columns = seeAll(run, committer, stamped)
  const result = await commitEpoch(run, committer, {
    partials,
    applied,
    entries,
    earlier: batch.flatMap(entry => (entry.is === 'object' ? [entry.earlier] : [])),
    after: stamped.after,
    records,
    seen: columns.seen,
    isLast: false,
  })
  for (const { source, found } of columns.found) {
    committer.newColumns.push(...found.map(column => ({ source, ...column })))
    run.onEvent({ is: 'new-columns', source, columns: found })
  }
  return result
}

/** Applies an epoch's objects to the state, or the late rows that its only entry names (S16). */
async function applyBatch(
  run: Run,
  committer: Committer,
  partials: Partials,
  { marks: [mark], clocks, lookups }: Ready['stamped'],
): Promise<Applied | Corrected> {
  if (mark?.is !== 'apply') return apply(run, committer, partials, { is: 'stamped', clocks, lookups })
  const epoch = await beginEpoch(run, committer)
  const { executor } = run.commit
  const reader = { ...run.reader, manifest: committer.manifest }
  const entry: ApplyEntry = {
    seq: mark.seq,
    named: mark,
    earlier: await appliedBefore(executor, mark.seq),
    clocks,
    eachPart: (channel, use) => eachPart(reader, executor, channel, use),
  }
  const held = await committer.state.held()
  const corrected = await timed(run, 'apply', () => correctEpoch(run.commit, entry, held, epoch))
  run.onEvent({ is: 'late-applied', rows: corrected.taken })
  return corrected
}

/** What the objects of an epoch tell of the columns of their sources. */
function seeAll({ sources }: Run, committer: Committer, { objects }: Ready['stamped']) {
  const seen: Record<string, Pick<SourceRecords, 'columnsSeen'>> = {}
  const found: { readonly source: string; readonly found: readonly NewColumn[] }[] = []
  for (const source of sources.keys()) {
    const own = objects.flatMap(({ marked }) => (marked.source === source ? [marked] : []))
    if (own.length === 0) continue
    const columns = seeColumns(committer.recordsOf(source).columnsSeen, own)
    seen[source] = { columnsSeen: columns.seen }
    if (columns.found.length > 0) found.push({ source, found: columns.found })
  }
  return { seen, found }
}

type ChangedSources = NonNullable<ChangedRecords['sources']>

/**
 * At the end of a listing: one flush as an epoch of its own, none when nothing is new (S6).
 *
 * @param isFinal it closes every window, also those far ahead, and seals the checkpoint
 */
export async function commitFlush(run: Run, committer: Committer, isFinal: boolean): Promise<EpochResult | undefined> {
  const { executor, stages } = run.commit
  const { position } = committer
  if (!isFinal && highMarkOf(position) === null) return undefined
  if (!isFinal && !(await isFlushDue(executor))) return undefined
  const applied = await apply(run, committer, noPartials, flushOfAll(position, isFinal))
  const value = flushOf(applied.flushed, stages, position) ?? (isFinal ? emptyFlush(run, committer) : undefined)
  if (!value) {
    await dropTables(executor, applied.tables)
    return undefined
  }
  const flush = [{ is: 'flush', ...value, sizeBytes: 0 }] as const
  const { marks, after } = stamp(position, flush, new Map(), stages.map(clockShape))
  const epoch = committer.manifest.epoch + 1
  const entries = marks.map(mark => markRow(mark, epoch, sourceNames(run), applied.late.get(mark.seq) ?? 0))
  const records = isFinal ? { sealed: true } : {}
  const isLast = true
  const nothing = { partials: noPartials, earlier: [], seen: {} }
  return commitEpoch(run, committer, { ...nothing, applied, entries, after, records, isLast })
}

/** A flush whose values are still to be found. @param isFinal what begins after every high mark is closed too */
function flushOfAll(position: LedgerPosition, isFinal: boolean): EpochTime {
  const { nextSeq: seq, clocks: before, sources } = position
  const limits = Object.entries(sources).map(([name, { highMarkUs }]) => [name, isFinal ? endOfTimeUs : highMarkUs])
  return {
    is: 'flush',
    seq,
    before,
    sourcesUs: sourceClocks(position),
    limitsUs: Object.fromEntries(limits),
    lookups: lookupsAt(position),
  }
}

/**
 * What a flush of these stages says in the ledger: one watermark where all of them move to the same, as the one source
 * does then.
 */
function flushOf(
  flushed: ReadonlyMap<string, bigint>,
  stages: readonly Stage[],
  { sources }: LedgerPosition,
): FlushValue | undefined {
  const values = new Set(flushed.values())
  const [only] = values
  if (only === undefined) return undefined
  const isOne = values.size === 1 && flushed.size === stages.length && Object.keys(sources).length === 1
  if (isOne) return { watermarkUs: only }
  return { watermarkUs: null, stages: Object.fromEntries(flushed) }
}

/** What a final flush says that closes nothing; undefined where no row was read. */
function emptyFlush({ sources }: Run, { position, manifest }: Committer): FlushValue | undefined {
  const [least, ...others] = Object.values(position.sources).map(
    ({ watermarkUs, highMarkUs }) => watermarkUs ?? highMarkUs,
  )
  if (others.length === 0 && least !== undefined && least !== null) return { watermarkUs: least }
  // Rows without an event time give no mark.
  const isTimeless = [...sources.values()].some(({ fetch }) => fetch.settings.time === undefined)
  const isRead = highMarkOf(position) !== null || (isTimeless && totalsOf(manifest).rows > 0)
  return isRead ? { watermarkUs: null, stages: {} } : undefined
}

/** @returns the number of the epoch */
async function beginEpoch(run: Run, committer: Committer): Promise<number> {
  await committer.held.publishLeft()
  const epoch = committer.manifest.epoch + 1
  // The operators see every epoch; the engine executes what the first description said, and they may not differ.
  run.subscribed.describe(epoch)
  return epoch
}

async function apply(run: Run, committer: Committer, partials: Partials, time: EpochTime): Promise<Applied> {
  const epoch = await beginEpoch(run, committer)
  const held = await committer.state.held()
  return timed(run, 'apply', () => applyEpoch(run.commit, partials, time, held, epoch))
}

/** An epoch that is applied. */
interface AppliedEpoch extends Omit<EpochRows, 'ledger'> {
  /** Of the ledger. */
  readonly entries: readonly LedgerRow[]
  /** Of each object among them, in order, the outcome that its version had before. */
  readonly earlier: readonly (Outcome | undefined)[]
  readonly records: ChangedRecords
  /** Which columns its objects have had. */
  readonly seen: ChangedSources
  /** No row waits for those of later epochs. */
  readonly isLast: boolean
}

/** Stage, commit, publish. */
function commitEpoch(run: Run, committer: Committer, epoch: AppliedEpoch): Promise<EpochResult> {
  const { head, publisher, compactor, care, state, holding, held } = committer
  const { executor } = run.commit
  const { partials, applied, entries, after, isLast } = epoch
  return head.inTurn(async () => {
    const { manifest } = head
    const bare = { ...manifest, epoch: manifest.epoch + 1, engine: engineAfter(run, manifest, epoch) }
    // Files of the epoch before are visible by now, or this waits for them.
    await publisher.fits()
    const stagedFromMs = run.clock.nowMs()
    const ledger = ledgerText(entries)
    const rows = { partials, applied, ledger, after }
    const { next, published, channels } = await stageEpoch({ ...run, holding }, publisher.record(bare), rows, isLast)

    // Commit point. Before it a crash replays the epoch from its objects; after it recovery finds the epoch in HEAD,
    // publishes what is listed there and hands its rows over. State adopts the epoch only below.
    await head.write(withAttempt(compactor.take(next), care.after(entries.length, next.epoch)))
    run.onEvent({ is: 'phase', phase: 'commit', ms: run.clock.nowMs() - stagedFromMs })
    publisher.begin(head.manifest)
    compactor.begin(head.manifest)
    held.wait()

    await state.adopt(applied, after.clocks)
    await executor.append(recentLedger, ledger)
    await dropTables(executor, supersededTables(committer.position, after))
    committer.position = after
    await dropTables(executor, [...partials.tables, ...applied.tables])
    await removeFiles(channels, [...partials.outputs, ...applied.outputs])
    if (head.manifest.garbage.length >= garbageMax) await head.collect(placesOf(run.outputs))
    return {
      epoch: next.epoch,
      objects: entries.filter(({ is }) => is === 'object').length,
      rows: sumOf(entries, 'rows'),
      late: sumOf(entries, 'late'),
      outputFiles: published.map(({ output, key }) => outputAddress(run.outputs, output, key)),
      totals: totalsOf(head.manifest),
    }
  })
}

/** Of versions of lookups that no row meets any more: they die by succession. */
function supersededTables(before: LedgerPosition, after: LedgerPosition): readonly string[] {
  const kept = new Set(Object.values(after.lookups).map(({ table }) => table))
  return Object.values(before.lookups).flatMap(({ table }) => (kept.has(table) ? [] : [table]))
}

/** What the engine has on record once the epoch is committed. */
function engineAfter(run: Run, manifest: Manifest, { entries, earlier, after, records, seen }: AppliedEpoch) {
  const { flows, stages } = run.commit
  const kept = engineRecords(manifest)
  const states = stateTables(stages)
  const sinks = flows.filter(({ terminal }) => terminal.is === 'sink')
  return engineState(
    run.plan,
    {
      ...kept,
      ...records,
      sources: [dueAfter(run, manifest, after), seen, records.sources ?? {}].reduce(changedSources, kept.sources),
      outputs: Object.fromEntries(sinksOf(run.outputs).map(({ name, sink }) => [name, sink.address])),
      outputColumns: Object.fromEntries(sinks.map(({ name, terminal }) => [name, plainTypes(endColumns(terminal))])),
      changeKeys: changeKeysOf(flows),
      correctionKeys: correctionKeysOf(flows),
      closesAt: closesAtBy(states),
      living: livingBy(states, after.clocks),
      openWindows: openWindowsBy(stages, after),
    },
    after,
    stages.map(clockShape),
    addTotals(totalsOf(manifest), entries, earlier),
  )
}

/** By the order of the pipeline. */
const sourceNames = ({ sources }: Run) => [...sources.keys()]

/** By flow that gives changes: the columns that tell its results apart. */
function changeKeysOf(flows: readonly Flow[]): Readonly<Record<string, readonly string[]>> {
  const changing = flows.filter(({ terminal }) => terminal.emit === 'update')
  return Object.fromEntries(changing.map(({ name, terminal }) => [name, updateKey(terminal.node, 'to')]))
}

/** By flow whose results were given and may change by late rows: the same. */
function correctionKeysOf(flows: readonly Flow[]): Readonly<Record<string, readonly string[]>> {
  const keys = flows.flatMap(({ name, terminal }) => {
    const key = terminal.emit === 'update' ? undefined : correctionKey(terminal, 'to')
    return key ? [[name, key] as const] : []
  })
  return Object.fromEntries(keys)
}

/** How far objects are due, once this is committed. */
function dueAfter({ sources, clock }: Run, manifest: Manifest, { nextSeq }: LedgerPosition): ChangedSources {
  const all = [...sources].map(
    ([
      name,
      {
        after: { delayMs },
      },
    ]) => {
      const { due } = sourceRecords(manifest, name)
      return [name, { due: delayMs === 0 ? null : committedAt(due, nextSeq - 1, wallMs(clock), delayMs) }]
    },
  )
  return Object.fromEntries(all)
}

/** By main state table: a query of its open windows, for readers that bind no plan. */
function openWindowsBy(stages: readonly Stage[], { clocks }: LedgerPosition): Readonly<Record<string, string>> {
  return Object.fromEntries(
    stages.flatMap(({ id, step }) => {
      const sql = step.openWindows?.('SELECT * FROM partials', clocks[id] ?? null)
      return sql === undefined ? [] : [[id, sql]]
    }),
  )
}
