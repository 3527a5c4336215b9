import { type Backoff, backoffMs } from '../core/backoff.ts'
import { errorMessage, isMillraceError } from '../core/errors.ts'
import { readOptions } from '../core/options.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { type Committer, createCommitter } from './commit/committer.ts'
import type { Components } from './components.ts'
import { watchDrain } from './drain.ts'
import { runEpochs } from './epoch.ts'
import { type Ready, goneIn } from './fold/run-ahead.ts'
import type { Admitted } from './intake/admit.ts'
import { type AgainThenHead, createAgainThenHead, isAgain } from './intake/again.ts'
import { createIdentities } from './intake/identities.ts'
import { type LiveSource, createLiveSource } from './live-source.ts'
import { createRunning } from './measure.ts'
import type { Run } from './open-run.ts'
import { type FollowOptions, followOptions } from './options.ts'
import { liveTries } from './publish/publish-epoch.ts'
import type { Running } from './report/running.ts'
import type { EpochResult, Summary } from './report/summary.ts'
import type { KeptRecords } from './state/engine-state.ts'
import { addDone, type Done, epochEvent, nothingDone, summarise } from './summarise.ts'
import { createColumnsTeller } from './tell-columns.ts'
import { againOf, withRun } from './with-run.ts'

/** Pauses before a run starts again from its checkpoint. */
const restarts: Backoff = { firstMs: 1_000, mostMs: 60_000 }

/**
 * Follows the pipeline's source until it is drained or stopped: what lies there first, then what comes. Anything
 * outside that fails for a while (kind 'retry') starts the run again from its checkpoint, as a crash would.
 */
export async function followWith(
  parts: Components,
  pipeline: Pipeline,
  options: FollowOptions,
  onEpoch: (result: EpochResult) => void = () => {},
): Promise<Summary> {
  readOptions('run', followOptions, options)
  const done = nothingDone()
  const startedMs = parts.clock.nowMs()
  const stop = AbortSignal.any([...(options.drain ? [options.drain] : []), ...(options.signal ? [options.signal] : [])])
  for (let failures = 0; ; failures++) {
    const before = done.epochs
    try {
      return await withRun(parts, pipeline, options, run => follow({ parts, run, options, done, startedMs, onEpoch }))
    } catch (error) {
      if (!isMillraceError(error) || error.kind !== 'retry' || stop.aborted) throw error
      if (done.epochs > before) failures = 0
      const inMs = backoffMs(restarts, failures)
      options.onEvent?.({ is: 'restarting', error: errorMessage(error), inMs })
      await parts.clock.sleep(inMs, stop)
      if (stop.aborted) throw error
    }
  }
}

interface Following {
  readonly parts: Components
  readonly run: Run
  readonly options: FollowOptions
  readonly done: Done
  readonly startedMs: number
  onEpoch(result: EpochResult): void
}

async function follow({ parts, run, options, done, startedMs, onEpoch }: Following): Promise<Summary> {
  const { clock, onEvent } = run
  const identities = await createIdentities(run.lookUps)
  const committer = createCommitter(run, { tries: liveTries, onTaken: () => void done.delivered++ })
  const live = createLiveSource(parts, run, options, committer, identities)
  const drain = watchDrain({
    run,
    publisher: committer.publisher,
    drain: options.drain,
    drainMs: options.drainMs ?? followOptions.drainMs.default,
    onDrain: live.intake.end,
  })
  tellStart(run, committer.manifest.epoch)
  const columns = createColumnsTeller(run)
  const times: Times = { lastCommitMs: clock.nowMs(), committingSinceMs: undefined }
  try {
    await live.open()
    const batches = createAgainThenHead(againOf(run), run.source.miniBatch, async () => {
      live.begin()
      return live.intake
    })
    options.onRunning?.(watched(run, committer, live, batches, times))
    if (options.drain?.aborted || run.isSealed) drain.begin()
    const epochs = liveEpochs(run, committer, live, batches, times)
    await runEpochs(run, committer, {
      ...epochs,
      ...(options.drain ? { drain: options.drain } : {}),
      onCommitted(ready, result) {
        epochs.onCommitted(ready)
        addDone(done, ready, result)
        onEpoch(result)
        onEvent(epochEvent(ready, result, clock.nowMs()))
        columns.look(committer.columnsSeen)
      },
    })
    run.signal.throwIfAborted()
    await live.end()
    drain.closing()
    await committer.close(options.drain)
    columns.end()
    onEvent({ is: 'stopped', epoch: committer.manifest.epoch })
    const seconds = (clock.nowMs() - startedMs) / 1000
    return await summarise(run, committer, done, { listed: live.listed, isDrained: !live.isIdle, seconds })
  } finally {
    await live.end()
    await drain.end()
    await committer.stop()
  }
}

function tellStart({ claim, source, stages, onEvent }: Run, epoch: number): void {
  onEvent({ is: 'started', term: claim.head.term, epoch, checkpoint: claim.address })
  const { name, delayUs } = source.fetch.settings
  if (delayUs === undefined && stages.length > 0) onEvent({ is: 'no-watermark', source: name })
}

/** Of the monotonic clock. */
interface Times {
  lastCommitMs: number
  /** When the commit under way began. */
  committingSinceMs: number | undefined
}

/** What the epochs of a live source record, and what they acknowledge. */
function liveEpochs(run: Run, committer: Committer, live: LiveSource, batches: AgainThenHead, times: Times) {
  const { clock } = run
  const { intake } = live
  /** Objects that were committed, or are about to be. */
  let taken = 0
  /** Of the mini-batch that is being committed. */
  let gone: ReadonlySet<Admitted> = new Set()
  return {
    batches,
    records(ready: Ready): Partial<KeptRecords> {
      times.committingSinceMs = clock.nowMs()
      gone = goneIn(ready)
      const positions = live.notifications?.positionsAfter(intake.settledBy(ready.batch, gone))
      taken += ready.batch.filter(entry => entry.is === 'object' && !isAgain(entry)).length
      const { historyObjects } = live
      const isHistoryDone = committer.historyToMs !== null && historyObjects !== undefined && taken >= historyObjects
      return {
        ...batches.recordsOf(ready.batch),
        ...(positions === undefined ? {} : { positions }),
        ...(isHistoryDone ? { historyToMs: null } : {}),
      }
    },
    onCommitted(ready: Ready): void {
      intake.committed(ready.batch, gone)
      times.lastCommitMs = clock.nowMs()
      times.committingSinceMs = undefined
    },
  }
}

/** What measures the run. */
function watched(run: Run, committer: Committer, live: LiveSource, batches: AgainThenHead, times: Times): Running {
  const { intake, notifications } = live
  return createRunning({
    run,
    committer,
    intake: {
      admitted: intake.admitted,
      get inHand() {
        return batches.inHand ?? intake.inHand
      },
    },
    ...(notifications ? { notifications } : {}),
    lastCommitMs: () => times.lastCommitMs,
    committingSinceMs: () => times.committingSinceMs,
  })
}
