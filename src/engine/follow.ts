import { type Backoff, backoffMs } from '../core/backoff.ts'
import { errorMessage, isMillraceError } from '../core/errors.ts'
import { readOptions } from '../core/options.ts'
import { miniBatchOfAll } from '../plan/mini-batch-options.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { type Committer, createCommitter } from './commit/committer.ts'
import type { Components } from './components.ts'
import { watchDrain } from './drain.ts'
import { runEpochs } from './epoch.ts'
import { type Ready, goneIn } from './fold/run-ahead.ts'
import type { Admitted } from './intake/admit.ts'
import { type AgainThenHead, createAgainThenHead } from './intake/again.ts'
import { createLiveSources, type LiveSources } from './live-sources.ts'
import { createRunning } from './measure.ts'
import type { Run } from './open-run.ts'
import { type FollowOptions, followOptions } from './options.ts'
import { liveTries } from './publish/publish-epoch.ts'
import type { Running } from './report/running.ts'
import type { EpochResult, Summary } from './report/summary.ts'
import type { ChangedRecords } from './state/engine-state.ts'
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
  const committer = createCommitter(run, { tries: liveTries, onTaken: () => void done.delivered++ })
  const live = await createLiveSources(parts, run, options, committer)
  const drain = watchDrain({
    run,
    publisher: committer.publisher,
    drain: options.drain,
    drainMs: options.drainMs ?? followOptions.drainMs.default,
    onDrain: live.drain,
  })
  tellStart(run, committer.manifest.epoch)
  const columns = createColumnsTeller(run, source => committer.recordsOf(source).columnsSeen)
  const refreshing = new AbortController()
  const refreshed = run.lookupTables.follow(AbortSignal.any([refreshing.signal, run.signal]))
  const times: Times = { lastCommitMs: clock.nowMs(), committingSinceMs: undefined }
  try {
    await live.open()
    const batches = createAgainThenHead(againOf(run), miniBatchOfAll(run.sources.values()), async () => {
      live.begin()
      return live.batches
    })
    options.onRunning?.(watched(run, committer, live, batches, times))
    if (options.drain?.aborted || run.isSealed) drain.begin()
    const epochs = liveEpochs(run, live, batches, times)
    await runEpochs(run, committer, {
      ...epochs,
      ...(options.drain ? { drain: options.drain } : {}),
      onCommitted(ready, result) {
        epochs.onCommitted(ready)
        addDone(done, ready, result)
        onEpoch(result)
        onEvent(epochEvent(ready, result, clock.nowMs()))
        columns.look()
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
    refreshing.abort()
    await refreshed
    await live.end()
    await drain.end()
    await committer.stop()
  }
}

function tellStart({ claim, sources, stages, onEvent }: Run, epoch: number): void {
  onEvent({ is: 'started', term: claim.head.term, epoch, checkpoint: claim.address })
  for (const [source, { fetch }] of sources)
    if (fetch.settings.delayUs === undefined && stages.length > 0) onEvent({ is: 'no-watermark', source })
}

/** Of the monotonic clock. */
interface Times {
  lastCommitMs: number
  /** When the commit under way began. */
  committingSinceMs: number | undefined
}

/** What the epochs of a live source record, and what they acknowledge. */
function liveEpochs({ clock }: Run, live: LiveSources, batches: AgainThenHead, times: Times) {
  /** Of the mini-batch that is being committed. */
  let gone: ReadonlySet<Admitted> = new Set()
  return {
    batches,
    records(ready: Ready): ChangedRecords {
      times.committingSinceMs = clock.nowMs()
      gone = goneIn(ready)
      return { ...batches.recordsOf(ready.batch), sources: live.recordsOf(ready.batch, gone) }
    },
    onCommitted(ready: Ready): void {
      live.committed(ready.batch, gone)
      times.lastCommitMs = clock.nowMs()
      times.committingSinceMs = undefined
    },
  }
}

/** What measures the run. */
function watched(run: Run, committer: Committer, live: LiveSources, batches: AgainThenHead, times: Times): Running {
  const { intake } = live
  return createRunning({
    run,
    committer,
    intake: {
      get admitted() {
        return intake.admitted
      },
      get inHand() {
        return batches.inHand ?? intake.inHand
      },
    },
    live: live.each,
    lastCommitMs: () => times.lastCommitMs,
    committingSinceMs: () => times.committingSinceMs,
  })
}
