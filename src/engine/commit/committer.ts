import type { Manifest } from '../../../checkpoints/types.ts'
import type { Clock } from '../../core/clock.ts'
import { clockShape } from '../../plan/stages.ts'
import type { EpochContext } from '../fold/work.ts'
import { createCare, attemptOf, withAttempt } from '../intake/attempt.ts'
import type { Lookups } from '../intake/lookups.ts'
import type { OpenSources } from '../intake/source.ts'
import { type Afterwards, createAfterwards } from '../publish/afterwards.ts'
import type { Output } from '../publish/output.ts'
import { placesOf } from '../publish/outputs.ts'
import type { Tries } from '../publish/publish-epoch.ts'
import { createPublisher, type Publisher } from '../publish/publisher.ts'
import type { NewColumn } from '../read/columns-seen.ts'
import type { RunEvent } from '../report/events.ts'
import type { ChannelReader } from '../state/channels.ts'
import {
  type LedgerPosition,
  positionOf,
  type SourceRecords,
  sourceRecords,
  withSource,
} from '../state/engine-state.ts'
import type { Claim } from './claim.ts'
import { type Compactor, createCompactor } from './compaction.ts'
import { createHeldPublisher, createHolding, type HeldPublisher, type Holding } from './holding.ts'
import { createLiveState, type LiveState } from './live-state.ts'
import { createManifestWriter, type ManifestWriter } from './manifest-writer.ts'

/** The run that commits. */
export interface CommitterContext {
  readonly pipeline: { readonly name: string }
  readonly claim: Claim
  readonly sources: OpenSources
  readonly lookupTables: Pick<Lookups, 'versions'>
  readonly reader: ChannelReader
  /** Of another ledger, instead of a listing. */
  readonly isReplay: boolean
  readonly outputs: ReadonlyMap<string, Output>
  readonly lookUps: EpochContext['executor']
  readonly commit: EpochContext
  readonly clock: Clock
  readonly signal: AbortSignal
  onEvent(event: RunEvent): void
  stop(error: Error): void
}

/** What works beside the epochs of a run, and what one epoch hands to the next. */
export interface Committer {
  readonly head: ManifestWriter
  readonly state: LiveState
  readonly publisher: Publisher
  readonly compactor: Compactor
  /** What earlier deaths ask of the mini-batches to come (P13). */
  readonly care: ReturnType<typeof createCare>
  /** What `after` asks for. */
  readonly afterwards: Afterwards
  readonly holding: Holding
  readonly held: HeldPublisher
  readonly manifest: Manifest
  /** Where the ledger stands. */
  position: LedgerPosition
  /** Columns that nobody declared, of objects of this run: those that no object before had. */
  readonly newColumns: (NewColumn & { readonly source: string })[]
  /** What is on record of a source. */
  recordsOf(source: string): SourceRecords
  /** Commits what counts as history before any of it is recorded as skipped: a later start goes on with that. */
  beginHistory(source: string, toMs: number): Promise<void>
  /**
   * Publishes what is committed, waits until its rows are taken, does what `after` asks for and is due, unless the
   * signal says not to wait for all of that, collects garbage and releases the checkpoint.
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

export function createCommitter(run: CommitterContext, options: CommitterOptions): Committer {
  const { heartbeat, checkpoint } = run.claim
  const head = createManifestWriter(run.claim)
  const compactor = createCompactor(checkpoint)
  const publisher = openPublisher(run, options)
  // What an earlier run committed and did not publish is published first (P10).
  publisher.begin(head.manifest)
  // In a quiet hour there is no commit to record what was published.
  heartbeat.carry(publisher.record)
  const attemptBefore = attemptOf(head.manifest)
  const care = createCare(
    run.claim.attempt,
    async attempt => void (await head.amend(before => withAttempt(before, attempt))),
    () => head.manifest.epoch + 1,
  )
  const afterwards = openAfterwards(run, head, publisher)
  const holding = createHolding(run)
  const held = createHeldPublisher({ ...run, head, publisher, holding })
  held.wait()
  const parts = { head, publisher, compactor, care, afterwards, holding, held }
  let isReleased = false
  return {
    ...parts,
    state: createLiveState(run.commit.executor, run.commit.stages),
    get manifest() {
      return head.manifest
    },
    position: positionOf(
      head.manifest,
      [...run.sources.keys()],
      run.commit.stages.map(clockShape),
      run.lookupTables.versions,
    ),
    newColumns: [],
    recordsOf: source => sourceRecords(head.manifest, source),
    async beginHistory(source, toMs) {
      await head.amend(before => withSource(before, source, { historyToMs: toMs }))
    },
    async close(hurry) {
      await close(run, parts, hurry)
      isReleased = true
    },
    async stop() {
      // What is committed becomes visible before a failed run ends, unless it is told to stop at once; what cannot be
      // published now is by the next start (P10). What `after` asks for may wait for a sink that is away until this
      // ends.
      await Promise.all([afterwards.stop(), held.stop(), publisher.stop()])
      // An error is no death. The run fails by its own error already; where this write fails too, one death too many is
      // on record, which at worst makes a later start careful.
      if (!isReleased) await care.undo(attemptBefore).catch(() => {})
      // Where this fails, the next start publishes what is there, as after a crash.
      if (!isReleased) await head.amend(publisher.record).catch(() => {})
      await heartbeat.stop()
      await compactor.settle()
    },
  }
}

function openPublisher(run: CommitterContext, { tries, onTaken }: CommitterOptions): Publisher {
  return createPublisher({
    ...run.commit,
    checkpoint: run.claim.checkpoint,
    outputs: [...run.outputs.values()],
    term: run.claim.head.term,
    clock: run.clock,
    signal: run.signal,
    tries,
    onEvent(event) {
      run.onEvent(event)
      if (event.is === 'delivered') onTaken()
    },
  })
}

function openAfterwards(run: CommitterContext, head: ManifestWriter, publisher: Publisher): Afterwards {
  const all = [...run.sources.values()].map(source =>
    createAfterwards({
      ...run,
      source,
      pipeline: run.pipeline.name,
      checkpoint: run.claim.checkpoint,
      manifest: () => head.manifest,
      commit: change =>
        head.amend(async before => {
          await publisher.fits()
          return change(publisher.record(before))
        }),
    }),
  )
  return {
    begin() {
      for (const one of all) one.begin()
    },
    async finish(signal) {
      for (const one of all) await one.finish(signal)
    },
    async stop() {
      await Promise.all(all.map(one => one.stop()))
    },
  }
}

async function close(
  run: Pick<CommitterContext, 'claim' | 'outputs'>,
  {
    head,
    publisher,
    compactor,
    afterwards,
    held,
  }: Pick<Committer, 'head' | 'publisher' | 'compactor' | 'afterwards' | 'held'>,
  hurry: AbortSignal | undefined,
): Promise<void> {
  await compactor.settle()
  await held.publishAll()
  await publisher.settle()
  await afterwards.finish(hurry)
  // Files are deleted only after a commit that no longer names them (P12).
  const done = compactor.take(publisher.record(head.manifest))
  if (done !== head.manifest) await head.write(done)
  if (head.manifest.garbage.length > 0) await head.collect(placesOf(run.outputs))
  await run.claim.heartbeat.stop()
  await head.release(withAttempt(head.manifest, null))
}
