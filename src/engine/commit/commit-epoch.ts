import type { CommitOutcome } from '../../../checkpoints/checkpoint-store.ts'
import { decideInlineWaiting } from '../../../checkpoints/decide.ts'
import { addPart, dropParts } from '../../../checkpoints/manifest.ts'
import type { Manifest, Unpublished } from '../../../checkpoints/types.ts'
import type { Json } from '../../core/json.ts'
import { limited } from '../../core/limited.ts'
import { objectAddress } from '../../core/object-address.ts'
import type { WrittenFile } from '../../core/ports.ts'
import type { WaitingFile } from '../../core/sink-port.ts'
import { type TextRows, textRowsOf } from '../../core/text-rows.ts'
import { plainTypes } from '../../plan/relation.ts'
import { clockShape, type Stage } from '../../plan/stages.ts'
import { type Applied, applyEpoch, type EpochTime } from '../fold/apply.ts'
import { noPartials, type Partials } from '../fold/partials.ts'
import type { Ready } from '../fold/run-ahead.ts'
import { stamp } from '../fold/stamp.ts'
import { type ChannelRows, dropTables, keepText, type OutputFile, removeFiles, stageRows } from '../fold/work.ts'
import { attemptOf, type Care, createCare, withAttempt } from '../intake/attempt.ts'
import type { Run } from '../open-run.ts'
import { type Afterwards, createAfterwards } from '../publish/afterwards.ts'
import { createPublisher, type Output, type Publisher, type Tries } from '../publish/publisher.ts'
import { type ColumnsSeen, type NewColumn, seeColumns } from '../read/columns-seen.ts'
import type { Outcome } from '../read/outcome.ts'
import { timed } from '../report/events.ts'
import type { EpochResult } from '../report/summary.ts'
import { committedAt } from '../state/due.ts'
import { type LedgerPosition, engineRecords, engineState, type KeptRecords, positionOf } from '../state/engine-state.ts'
import { isFlushDue, type LedgerRow, ledgerText, markRow, objectRow, type FlushValue } from '../state/ledger.ts'
import {
  adopt,
  closesAtBy,
  deadToUs,
  type Held,
  heldRows,
  livingBy,
  segmentChannel,
  stateTables,
} from '../state/state.ts'
import { addTotals, sumOf, totalsOf } from '../state/totals.ts'
import { createCompactor } from './compaction.ts'
import { fencedBy } from './heartbeat.ts'

/** No window starts later: see the limit of event times in mark.ts. */
const endOfTimeUs = 2n ** 62n

/** Garbage is collected when this many files have gathered, and at the end. */
const garbageMax = 64

/** The serial part of an epoch: apply, commit, publish, and handing rows over. */
export interface Committer extends Pick<Publisher, 'room' | 'beside' | 'settle' | 'waiting' | 'lags' | 'lastHeldMs'> {
  readonly manifest: Manifest
  readonly position: LedgerPosition
  /** What earlier deaths ask of the mini-batches to come (P13). */
  readonly care: Care
  /**
   * Commits the next mini-batch as an epoch.
   *
   * @param records `positions`: where a notification source goes on once this epoch is committed
   */
  commit(ready: Ready, records?: Partial<Omit<KeptRecords, 'sealed' | 'columnsSeen'>>): Promise<EpochResult>
  /** Columns that nobody declared, of objects of this run: those that no object before had. */
  readonly newColumns: readonly NewColumn[]
  /** Which columns the objects of the ledger have had. */
  readonly columnsSeen: ColumnsSeen | null
  /** Commits what counts as history before any of it is recorded as skipped: a later start goes on with that. */
  beginHistory(toMs: number): Promise<void>
  readonly historyToMs: number | null
  /**
   * At the end of a listing: one flush, none when nothing is new (S6). A final one closes every window, also those far
   * ahead, and seals the checkpoint.
   */
  flush(final: boolean): Promise<EpochResult | undefined>
  /** Begins what `after` asks for, beside the epochs. */
  readonly afterwards: Pick<Afterwards, 'begin'>
  /**
   * Publishes what is committed, waits until its rows are taken, does what `after` asks for and is due, unless the signal says
   * not to wait for all of that, collects garbage and releases the checkpoint.
   */
  close(hurry?: AbortSignal): Promise<void>
  /** Ends the heartbeat; always called. */
  stop(): Promise<void>
}

export interface CommitterOptions {
  readonly tries: Tries
  /** Told when a flow has taken an epoch's rows. */
  onTaken(): void
}

export function createCommitter(run: Run, { tries, onTaken }: CommitterOptions): Committer {
  const { checkpoint, heartbeat } = run
  const states = stateTables(run.stages)
  const shapes = run.stages.map(clockShape)
  const { executor } = run.commit
  const source = run.fetch.settings.name
  let manifest = run.head.manifest
  let position = positionOf(manifest, source, shapes)
  /** What lies in the state tables, by key. */
  const held = new Map<string, Held>()
  const compactor = createCompactor(checkpoint)
  const publisher = createPublisher({
    ...run,
    ...run.commit,
    outputs: [...run.outputs.values()],
    term: run.head.term,
    signal: run.fetch.signal,
    tries,
    onEvent(event) {
      run.options.onEvent?.(event)
      if (event.is === 'delivered') onTaken()
    },
  })
  // What an earlier run committed and did not publish is published first (P10).
  publisher.begin(manifest)
  // In a quiet hour there is no commit to record what was published.
  heartbeat.carry(publisher.record)

  const newColumns: NewColumn[] = []
  const attemptBefore = attemptOf(manifest)
  const care = createCare(
    run.attempt,
    async attempt => void (await amend(before => withAttempt(before, attempt))),
    () => manifest.epoch + 1,
  )
  let isReleased = false
  /** Commits of `manifest` run one after the other: one that is made from another's is not to lose it. */
  const inTurn = limited(1)
  const afterwards = createAfterwards({
    run,
    manifest: () => manifest,
    commit: change =>
      amend(async before => {
        await publisher.fits()
        return change(publisher.record(before))
      }),
  })

  /** Commits the manifest as this changes it, where it does. */
  function amend(change: (before: Manifest) => Manifest | Promise<Manifest>): Promise<Manifest> {
    return inTurn(1, async () => {
      const next = await change(manifest)
      if (next !== manifest) manifest = committed(await heartbeat.around(() => checkpoint.commit(next)))
      return manifest
    })
  }

  async function apply(partials: Partials, time: EpochTime): Promise<Applied> {
    // The operators see every epoch; the engine executes what the first description said, and they may not differ.
    run.subscribed.describe(manifest.epoch + 1)
    for (const state of states) if (!held.has(state.key)) held.set(state.key, await heldRows(executor, state))
    return timed(run, 'apply', () => applyEpoch(run.commit, partials, time, held, manifest.epoch + 1))
  }

  function commitEpoch(...args: Parameters<typeof commitInTurn>): Promise<EpochResult> {
    return inTurn(1, () => commitInTurn(...args))
  }

  /** How far objects are due, once this is committed. */
  function dueAfter({ nextSeq }: LedgerPosition): Pick<KeptRecords, 'due'> {
    const { delayMs } = run.after
    const nowMs = run.clock.startedAtMs + run.clock.nowMs()
    const { due } = engineRecords(manifest)
    return { due: delayMs === 0 ? null : committedAt(due, nextSeq - 1, nowMs, delayMs) }
  }

  async function commitInTurn(
    partials: Partials,
    applied: Applied,
    rows: readonly LedgerRow[],
    earlier: readonly (Outcome | undefined)[],
    after: LedgerPosition,
    records: Partial<KeptRecords> = {},
  ): Promise<EpochResult> {
    const epoch = manifest.epoch + 1
    const totals = addTotals(totalsOf(manifest), rows, earlier)
    const outputsBy = Object.fromEntries(sinksOf(run).map(({ name, sink }) => [name, sink.address]))
    const outputColumns = Object.fromEntries(
      run.commit.flows
        .filter(({ terminal }) => terminal.is === 'sink')
        .map(({ name, terminal }) => [name, plainTypes(terminal.node.columns)]),
    )
    const closesAt = closesAtBy(states)
    const living = livingBy(states, after.clocks)
    const openWindows = openWindowsBy(run, after)
    const engine = engineState(
      run.plan,
      {
        ...engineRecords(manifest),
        ...dueAfter(after),
        ...records,
        outputs: outputsBy,
        outputColumns,
        closesAt,
        living,
        openWindows,
      },
      source,
      after,
      shapes,
      totals,
    )

    // Files of the epoch before are visible by now, or this waits for them.
    await publisher.fits()
    let next = publisher.record({ ...manifest, epoch, engine })
    const stagedFromMs = run.clock.nowMs()
    const outputs = [...partials.outputs, ...applied.outputs].filter(({ written }) => written.rows > 0)
    const published: PublishedFile[] = []
    for (const [name, files] of byFlow(outputs)) {
      const output = run.outputs.get(name)
      // A replay repeats a run that has handed its rows over.
      if (!output || (output.is === 'rows' && run.replayed)) continue
      const { waiting, names } = await stageOutput(run, output, files, next)
      next = { ...next, unpublished: [...next.unpublished, waiting] }
      for (const [index, key] of names.entries())
        published.push({ output: name, key, file: waiting.files[index] as WaitingFile })
    }

    const entries = ledgerText(rows)
    const channels: ChannelRows[] = [
      { channel: 'ledger', kept: await keepText(run.commit, entries) },
      ...partials.channels,
      ...applied.channels,
    ]
    if (published.length > 0)
      channels.push({ channel: 'outputs', kept: await keepText(run.commit, outputsText(epoch, published)) })
    for (const { channel, kept, aliveToUs } of channels) {
      const ref = await stageRows(checkpoint, channel, kept, next)
      const alive = aliveToUs === undefined ? {} : { aliveToUs: aliveToUs.toString() }
      next = addPart(next, channel, { ...ref, epochs: [epoch, epoch], ...alive })
    }
    // Segments whose last window has closed hold nothing alive (P11).
    for (const state of states) {
      const deadUs = deadToUs(state, after.clocks, applied.openFromUs)
      next = dropParts(
        next,
        segmentChannel(state),
        ({ aliveToUs }) => aliveToUs !== undefined && deadUs !== null && BigInt(aliveToUs) <= deadUs,
      )
    }

    next = withAttempt(compactor.take(next), care.after(rows.length, epoch))

    // Commit point. Before it a crash replays the epoch from its objects; after it recovery finds the epoch in HEAD,
    // publishes what is listed there and hands its rows over. State adopts the epoch only below.
    manifest = committed(await heartbeat.around(() => checkpoint.commit(next)))
    run.options.onEvent?.({ is: 'phase', phase: 'commit', ms: run.clock.nowMs() - stagedFromMs })
    publisher.begin(manifest)
    compactor.begin(manifest)

    for (const state of states) {
      const table = applied.partials.get(state.key)
      const own = applied.own.get(state.key)
      const adopted = table === undefined || own === undefined ? undefined : { table, survivors: own.survivors }
      held.set(
        state.key,
        await adopt(executor, state, held.get(state.key) as Held, adopted, after.clocks[state.stage.id] ?? null),
      )
    }
    await executor.append('ledger', entries)
    position = after
    await dropTables(executor, [...partials.tables, ...applied.tables])
    await removeFiles(channels, [...partials.outputs, ...applied.outputs])
    if (manifest.garbage.length >= garbageMax) manifest = await checkpoint.collect(manifest, placesOf(run))
    return {
      epoch,
      objects: rows.filter(({ is }) => is === 'object').length,
      rows: sumOf(rows, 'rows'),
      late: sumOf(rows, 'late'),
      outputFiles: published.map(({ output, key }) => outputAddress(run, output, key)),
      totals,
    }
  }

  const { room, beside, settle } = publisher
  return {
    room,
    beside,
    settle,
    get waiting() {
      return publisher.waiting
    },
    get lags() {
      return publisher.lags
    },
    get lastHeldMs() {
      return publisher.lastHeldMs
    },
    get manifest() {
      return manifest
    },
    get position() {
      return position
    },
    care,
    newColumns,
    get columnsSeen() {
      return engineRecords(manifest).columnsSeen
    },
    get historyToMs() {
      return engineRecords(manifest).historyToMs
    },
    async beginHistory(toMs) {
      await amend(before => {
        const settings = { ...(before.engine.settings as Record<string, Json>), historyToMs: toMs }
        return { ...before, engine: { ...before.engine, settings } }
      })
    },
    async commit({ batch, stamped, partials }, records) {
      const applied = await apply(partials, { is: 'stamped', clocks: stamped.clocks })
      const epoch = manifest.epoch + 1
      const late = (seq: number) => (partials.late.get(seq) ?? 0) + (applied.late.get(seq) ?? 0)
      const rows = [
        ...stamped.objects.map(object => objectRow(object, epoch, source, late(object.seq))),
        ...stamped.marks.map(mark => markRow(mark, epoch, source, late(mark.seq))),
      ]
      const earlier = batch.flatMap(entry => (entry.is === 'object' ? [entry.earlier] : []))
      const { seen, found } = seeColumns(
        engineRecords(manifest).columnsSeen,
        stamped.objects.map(({ marked }) => marked),
      )
      const result = await commitEpoch(partials, applied, rows, earlier, stamped.after, {
        ...records,
        columnsSeen: seen,
      })
      newColumns.push(...found)
      if (found.length > 0) run.options.onEvent?.({ is: 'new-columns', source, columns: found })
      return result
    },
    async flush(final) {
      const { highMarkUs, watermarkUs: sourceUs, nextSeq: seq, clocks: before } = position
      const limitUs = final ? endOfTimeUs : highMarkUs
      if (limitUs === null) return undefined
      if (!final && !(await isFlushDue(executor))) return undefined
      const applied = await apply(noPartials, { is: 'flush', seq, before, sourceUs, limitUs })
      // A final one is written even where nothing is open. Nothing was read, or no row of it is in a window, where it says none.
      const least = sourceUs ?? highMarkUs
      const value =
        flushOf(applied.flushed, run.stages) ?? (final && least !== null ? { watermarkUs: least } : undefined)
      if (!value) {
        await dropTables(executor, applied.tables)
        return undefined
      }
      const { marks, after } = stamp(position, [{ is: 'flush', ...value, sizeBytes: 0 }], undefined, shapes)
      const rows = marks.map(mark => markRow(mark, manifest.epoch + 1, source, applied.late.get(mark.seq) ?? 0))
      return commitEpoch(noPartials, applied, rows, [], after, final ? { sealed: true } : {})
    },
    afterwards,
    async close(hurry) {
      await compactor.settle()
      await settle()
      await afterwards.finish(hurry)
      // Files are deleted only after a commit that no longer names them (P12).
      const done = compactor.take(publisher.record(manifest))
      if (done !== manifest) manifest = committed(await heartbeat.around(() => checkpoint.commit(done)))
      if (manifest.garbage.length > 0) manifest = await checkpoint.collect(manifest, placesOf(run))
      await heartbeat.stop()
      manifest = committed(await checkpoint.release(withAttempt(manifest, null)))
      isReleased = true
    },
    async stop() {
      // What is committed becomes visible before a failed run ends, unless it is told to stop at once; what cannot be
      // published now is by the next start (P10). What `after` asks for may wait for a sink that is away until this ends.
      await Promise.all([afterwards.stop(), publisher.stop()])
      // An error is no death. The run fails by its own error already; where this write fails too, one death too many is
      // on record, which at worst makes a later start careful.
      if (!isReleased) await care.undo(attemptBefore).catch(() => {})
      // Where this fails, the next start publishes what is there, as after a crash.
      if (!isReleased) await amend(publisher.record).catch(() => {})
      await heartbeat.stop()
      await compactor.settle()
    },
  }
}

/** What a flush of these stages says in the ledger: one watermark where all of them move to the same. */
function flushOf(flushed: ReadonlyMap<string, bigint>, stages: readonly Stage[]): FlushValue | undefined {
  const values = new Set(flushed.values())
  const [only] = values
  if (only === undefined) return undefined
  if (values.size === 1 && flushed.size === stages.length) return { watermarkUs: only }
  return { watermarkUs: null, stages: Object.fromEntries(flushed) }
}

/** By main state table: a query of its open windows, for readers that bind no plan. */
function openWindowsBy({ stages }: Run, { clocks }: LedgerPosition): Readonly<Record<string, string>> {
  return Object.fromEntries(
    stages.flatMap(({ id, step }) => {
      const sql = step.openWindows?.('SELECT * FROM partials', clocks[id] ?? null)
      return sql === undefined ? [] : [[id, sql]]
    }),
  )
}

function committed(outcome: CommitOutcome): Manifest {
  if (outcome.is === 'committed') return outcome.head.manifest
  throw fencedBy(outcome)
}

/** The files of an epoch by the names of their flows. */
function byFlow(outputs: readonly OutputFile[]): ReadonlyMap<string, readonly WrittenFile[]> {
  const files = new Map<string, WrittenFile[]>()
  for (const { flow, written } of outputs) {
    const own = files.get(flow.name)
    if (own) own.push(written)
    else files.set(flow.name, [written])
  }
  return files
}

/** A file that a commit makes true, under the name that it will have. */
interface PublishedFile {
  readonly output: string
  readonly key: string
  readonly file: WaitingFile
}

/** Makes an epoch's rows of one flow durable: in its sink's own place, or where they wait in the checkpoint. */
async function stageOutput(
  { head, checkpoint }: Run,
  { name, sink }: Output,
  files: readonly WrittenFile[],
  next: Manifest,
): Promise<{ readonly waiting: Unpublished; readonly names: readonly string[] }> {
  const { epoch } = next
  const entry = { output: name, epoch, operation: 'append' } as const
  if (sink.stage) {
    const inlineBytesMax = decideInlineWaiting(next.unpublished, 'sink')
    const staged = await sink.stage({ term: head.term, epoch, operation: 'append', files, inlineBytesMax })
    return { waiting: { ...entry, receipt: staged.receipt, at: 'sink', files: staged.files }, names: staged.names }
  }
  const kept: WaitingFile[] = []
  for (const { file, rows } of files) kept.push(await checkpoint.stageWaiting(file, rows, next))
  return { waiting: { ...entry, receipt: null, at: 'checkpoint', files: kept }, names: [] }
}

function outputsText(epoch: number, published: readonly PublishedFile[]): TextRows {
  const columns = {
    epoch: 'BIGINT',
    output: 'VARCHAR',
    key: 'VARCHAR',
    rows: 'BIGINT',
    bytes: 'BIGINT',
    sha256: 'VARCHAR',
  } as const
  const rows = published.map(({ output, key, file: { rows, bytes, sha256 } }) => ({
    epoch,
    output,
    key,
    rows,
    bytes,
    sha256,
  }))
  return textRowsOf(
    columns,
    rows.toSorted((a, b) => (a.output < b.output ? -1 : a.output > b.output ? 1 : 0)),
  )
}

/** The outputs that are sinks, in the order of their flows. */
export function sinksOf({ outputs }: Pick<Run, 'outputs'>): readonly Output[] {
  return [...outputs.values()].filter(({ is }) => is === 'sink')
}

/** Where garbage of sinks is deleted, by the names of their flows. */
function placesOf(run: Run) {
  return Object.fromEntries(
    sinksOf(run).flatMap(({ name, sink: { discard } }) => (discard ? [[name, { delete: discard }] as const] : [])),
  )
}

/** A published file as a person would name it. */
export function outputAddress(run: Run, output: string, key: string): string {
  return objectAddress(run.outputs.get(output)?.sink.address ?? output, key)
}
