import type { CommitOutcome } from '../../checkpoints/checkpoint-store.ts'
import { addPart, dropParts, dropPublished } from '../../checkpoints/manifest.ts'
import type { Manifest, Unpublished } from '../../checkpoints/types.ts'
import { MillraceError } from '../core/errors.ts'
import type { Json } from '../core/json.ts'
import { objectAddress } from '../core/object-address.ts'
import type { WrittenFile } from '../core/ports.ts'
import { type TextRows, textRowsOf } from '../core/text-rows.ts'
import { clockShape, type Flow, type Stage } from '../plan/stages.ts'
import { type Applied, applyEpoch, type EpochTime } from './apply.ts'
import { noPartials, type Partials } from './partials.ts'
import { type ChannelRows, dropTables, keepText, removeFiles, stageRows } from './work.ts'
import { plainTypes } from '../plan/relation.ts'
import { createDeliveries, type Deliveries } from './deliveries.ts'
import { timed } from './events.ts'
import { isFlushDue, type LedgerRow, ledgerText, markRow, objectRow } from './ledger.ts'
import { attemptOf, type Care, createCare, withAttempt } from './attempt.ts'
import type { FlushValue } from './admit.ts'
import { type ColumnsSeen, type NewColumn, seeColumns } from './columns-seen.ts'
import { type Afterwards, createAfterwards } from './afterwards.ts'
import { createCompactor } from './compaction.ts'
import { committedAt } from './due.ts'
import { fencedBy } from './heartbeat.ts'
import { limited } from './limited.ts'
import { outputKey } from './output-key.ts'
import type { Run } from './open-run.ts'
import type { Outcome } from './outcome.ts'
import { engineRecords, engineState, type KeptRecords, positionOf } from './recover.ts'
import type { Ready } from './run-ahead.ts'
import { type LedgerPosition, stamp } from './stamp.ts'
import { adopt, closesAtBy, deadToUs, type Held, heldRows, livingBy, segmentChannel, stateTables } from './state.ts'
import type { EpochResult } from './summary.ts'
import { addTotals, sumOf, totalsOf } from './totals.ts'

/** No window starts later: see the limit of event times in mark.ts. */
const endOfTimeUs = 2n ** 62n

/** Garbage is collected when this many files have gathered, and at the end. */
const garbageMax = 64

/** The serial part of an epoch: apply, commit, publish, and handing rows over. */
export interface Committer extends Pick<Deliveries, 'room' | 'beside' | 'settle' | 'waiting' | 'lastHeldMs'> {
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
  /** How often an epoch's rows are handed over before the run fails by it. */
  readonly tries: number
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
  // What an earlier run committed and did not publish is published first (P10).
  let publishing = publish(run, manifest.unpublished)
  const compactor = createCompactor(checkpoint)
  const deliveries = createDeliveries({
    ...run,
    ...run.commit,
    signal: run.fetch.signal,
    tries,
    onEvent(event) {
      run.options.onEvent?.(event)
      if (event.is === 'delivered') onTaken()
    },
  })
  deliveries.begin(manifest)
  // In a quiet hour there is no commit to record what was taken.
  heartbeat.carry(deliveries.record)

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
    commit: change => amend(async before => change(deliveries.record(dropPublished(before, await publishing)))),
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
    const outputsBy = Object.fromEntries([...run.outputs].map(([name, { store }]) => [name, store.address]))
    const outputColumns = Object.fromEntries(
      run.commit.flows
        .filter(({ terminal }) => terminal.is === 'files')
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

    // Output of the epoch before is visible by now, or this waits for it: publishing is never more than one epoch behind.
    let next = deliveries.record(dropPublished({ ...manifest, epoch, engine }, await publishing))
    const stagedFromMs = run.clock.nowMs()
    const outputs = [...partials.outputs, ...applied.outputs].filter(({ written }) => written.rows > 0)
    const unpublished: Unpublished[] = []
    for (const { flow, written } of outputs) {
      const { file, rows } = written
      if (flow.terminal.is === 'files')
        unpublished.push(await stageOutput(run, flow, epoch, written, [...next.unpublished, ...unpublished]))
      // A replay repeats a run that has handed them over.
      else if (!run.replayed) next = await checkpoint.stageDelivery(next, flow.name, file, rows)
    }
    next = { ...next, unpublished: [...next.unpublished, ...unpublished] }

    const entries = ledgerText(rows)
    const channels: ChannelRows[] = [
      { channel: 'ledger', kept: await keepText(run.commit, entries) },
      ...partials.channels,
      ...applied.channels,
    ]
    if (unpublished.length > 0)
      channels.push({ channel: 'outputs', kept: await keepText(run.commit, outputsText(epoch, unpublished)) })
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
    publishing = publish(run, manifest.unpublished)
    deliveries.begin(manifest)
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
    if (manifest.garbage.length >= garbageMax) manifest = await checkpoint.collect(manifest, outputStores(run))
    return {
      epoch,
      objects: rows.filter(({ is }) => is === 'object').length,
      rows: sumOf(rows, 'rows'),
      late: sumOf(rows, 'late'),
      outputFiles: unpublished.map(({ output, to }) => outputAddress(run, output, to)),
      totals,
    }
  }

  const { room, beside, settle } = deliveries
  return {
    room,
    beside,
    settle,
    get waiting() {
      return deliveries.waiting
    },
    get lastHeldMs() {
      return deliveries.lastHeldMs
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
      await publishing
      await settle()
      await afterwards.finish(hurry)
      const published = dropPublished(manifest, await publishing)
      // Files are deleted only after a commit that no longer names them (P12).
      const done = compactor.take(deliveries.record(published))
      if (done !== manifest) manifest = committed(await heartbeat.around(() => checkpoint.commit(done)))
      if (manifest.garbage.length > 0) manifest = await checkpoint.collect(manifest, outputStores(run))
      await heartbeat.stop()
      manifest = committed(await checkpoint.release(withAttempt(manifest, null)))
      isReleased = true
    },
    async stop() {
      await afterwards.stop()
      await deliveries.stop()
      // An error is no death. The run fails by its own error already; where this write fails too, one death too many is
      // on record, which at worst makes a later start careful.
      if (!isReleased) await care.undo(attemptBefore).catch(() => {})
      // Where this fails, the next start hands over what was taken, as after a crash.
      if (!isReleased) await amend(deliveries.record).catch(() => {})
      await heartbeat.stop()
      await compactor.settle()
      // What is committed becomes visible before a failed run ends, unless it is told to stop at once; what cannot be
      // published now is by the next start (P10).
      if (!isReleased && !run.fetch.signal.aborted) await publishing.catch(() => {})
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

function stageOutput(
  run: Run,
  flow: Flow,
  epoch: number,
  written: WrittenFile,
  beside: readonly Unpublished[],
): Promise<Unpublished> {
  const output = run.outputs.get(flow.name)
  if (!output) throw new Error(`unreachable: ${flow.name} has no files() sink`)
  const extension = flow.terminal.is === 'files' && flow.terminal.format === 'json' ? 'jsonl' : 'parquet'
  const to = outputKey(epoch, flow.name, extension)
  return output.outbox.stage({ term: run.head.term, epoch, file: written.file, rows: written.rows, to, beside })
}

function outputsText(epoch: number, unpublished: readonly Unpublished[]): TextRows {
  const columns = {
    epoch: 'BIGINT',
    output: 'VARCHAR',
    key: 'VARCHAR',
    rows: 'BIGINT',
    bytes: 'BIGINT',
    sha256: 'VARCHAR',
  } as const
  const rows = unpublished.map(({ output, to, file: { rows, bytes, sha256 } }) => ({
    epoch,
    output,
    key: to,
    rows,
    bytes,
    sha256,
  }))
  return textRowsOf(
    columns,
    rows.toSorted((a, b) => (a.output < b.output ? -1 : a.output > b.output ? 1 : 0)),
  )
}

function publish(run: Run, unpublished: readonly Unpublished[]): Promise<readonly Unpublished[]> {
  if (unpublished.length === 0) return Promise.resolve(unpublished)
  const files = unpublished.map(file => {
    const output = run.outputs.get(file.output)
    if (!output)
      throw new MillraceError(
        'fatal',
        'output',
        `The checkpoint has committed files of '${file.output}' to publish, which the pipeline no longer writes.`,
      )
    return { file, outbox: output.outbox }
  })
  const work = timed(run, 'publish', () => Promise.all(files.map(({ file, outbox }) => outbox.publish(file)))).then(
    () => unpublished,
  )
  // Awaited before the next commit: until then its failure is no unhandled one.
  work.catch(() => {})
  return work
}

function outputStores(run: Run) {
  return Object.fromEntries([...run.outputs].map(([name, { store }]) => [name, store]))
}

/** A published file as a person would name it. */
export function outputAddress(run: Run, output: string, key: string): string {
  return objectAddress(run.outputs.get(output)?.store.address ?? output, key)
}
