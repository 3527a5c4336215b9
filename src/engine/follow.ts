import { connectorOf } from '../../connectors/registry.ts'
import { parseS3Address, toSpec } from '../../connectors/s3/spec.ts'
import { errorMessage, isMillraceError, MillraceError } from '../core/errors.ts'
import { readOptions } from '../core/options.ts'
import type { NotificationSource } from '../core/ports.ts'
import { systemRandom } from '../core/random.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { createCommitter } from './commit/committer.ts'
import type { Components } from './components.ts'
import { runEpochs } from './epoch.ts'
import { goneIn } from './fold/run-ahead.ts'
import type { Admitted } from './intake/admit.ts'
import { createAgainThenHead, isAgain } from './intake/again.ts'
import { nothingListed, startFeeds } from './intake/feed.ts'
import { createIdentities } from './intake/identities.ts'
import { createIntake } from './intake/intake.ts'
import { createLooks } from './intake/looks.ts'
import { createRunning } from './measure.ts'
import type { Run } from './open-run.ts'
import { type FollowOptions, followOptions } from './options.ts'
import { type Publisher, liveTries } from './publish/publisher.ts'
import { goneFields } from './read/columns-seen.ts'
import { nullColumns } from './read/never-seen.ts'
import type { RunEvent } from './report/events.ts'
import type { EpochResult, Summary } from './report/summary.ts'
import { engineRecords } from './state/engine-state.ts'
import { addDone, type Done, epochEvent, nothingDone, summarise } from './summarise.ts'
import { againOf, withRun } from './with-run.ts'

/** Pauses before a run starts again from its checkpoint. */
const restartMs = { first: 1_000, most: 60_000 } as const

/** A run that ends when it is idle gathers no longer for a mini-batch: what is there comes without a pause. */
const idleGatherMs = 1_000

/** An optional field may be missing in some rows: columns without a value are told after so many, or at the end. */
const rowsTold = 1_000

/**
 * Follows the pipeline's source until it is drained or stopped: what lies there first, then what comes. Anything outside
 * that fails for a while (kind 'retry') starts the run again from its checkpoint, as a crash would.
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
      return await withRun(parts, pipeline, options, run => follow(parts, run, options, done, startedMs, onEpoch))
    } catch (error) {
      if (!isMillraceError(error) || error.kind !== 'retry' || stop.aborted) throw error
      if (done.epochs > before) failures = 0
      const inMs = Math.min(restartMs.first * 2 ** failures, restartMs.most)
      options.onEvent?.({ is: 'restarting', error: errorMessage(error), inMs })
      await parts.clock.sleep(inMs, stop)
      if (stop.aborted) throw error
    }
  }
}

async function follow(
  parts: Components,
  run: Run,
  options: FollowOptions,
  done: Done,
  startedMs: number,
  onEpoch: (result: EpochResult) => void,
): Promise<Summary> {
  const { clock } = run
  const onEvent = options.onEvent ?? (() => {})
  // Feeding ends at a drain, at a stop, and when this function ends.
  const closing = new AbortController()
  const feeding = AbortSignal.any([closing.signal, run.signal, ...(options.drain ? [options.drain] : [])])
  const identities = await createIdentities(run.lookUps)
  const committer = createCommitter(run, { tries: liveTries, onTaken: () => void done.delivered++ })
  const looks = createLooks(run.source.fetch.store, clock, feeding)
  const intake = createIntake({
    identities,
    looks,
    miniBatch: run.source.miniBatch,
    clock,
    ...(options.untilIdle ? { everyMsMax: idleGatherMs } : {}),
    signal: feeding,
    onTrouble: (what, error) => onEvent({ is: 'trouble', what, error: errorMessage(error) }),
  })
  const work: Promise<void>[] = []
  let notifications: NotificationSource | undefined
  /** Ends what feeds the run. A listing may wait for room that no commit will give any more, so the intake ends first. */
  const endFeeds = async () => {
    intake.end()
    closing.abort()
    await Promise.all(work)
    // Both at once: a queue that does not answer is given up on sooner when it is closing.
    await Promise.all([intake.close(), notifications?.close()])
  }
  // The time of a drain ends with this function: closing the checkpoint is part of it.
  const ended = new AbortController()
  let late: Promise<void> | undefined
  let isClosing = false
  let isIdle = false
  const drained = () => {
    if (late) return
    onEvent({ is: 'draining' })
    intake.end()
    late = stopWhenLate(
      run,
      committer.publisher,
      options.drainMs ?? followOptions.drainMs.default,
      ended.signal,
      () => isClosing,
    )
  }
  options.drain?.addEventListener('abort', drained, { once: true })
  run.signal.addEventListener('abort', intake.end, { once: true })
  const { term, epoch } = { term: run.claim.head.term, epoch: committer.manifest.epoch }
  onEvent({ is: 'started', term, epoch, checkpoint: run.claim.address })
  const { name: source, delayUs } = run.source.fetch.settings
  if (delayUs === undefined && run.stages.length > 0) onEvent({ is: 'no-watermark', source })
  const listed = nothingListed()
  let isNullTold = false
  const tellNull = () => {
    const columns = nullColumns(run.source.fetch.neverSeen)
    if (!isNullTold && columns.length > 0)
      onEvent({
        is: 'null-columns',
        source: run.source.fetch.settings.name,
        columns,
        rows: run.source.fetch.neverSeen.rows,
      })
    isNullTold = true
  }
  /** By field, the object from which on it was told to be gone. */
  const goneTold = new Map<string, string>()
  const tellGone = () => {
    for (const field of goneFields(committer.columnsSeen)) {
      if (field.rows < rowsTold || goneTold.get(field.column) === field.since) continue
      goneTold.set(field.column, field.since)
      onEvent({ is: 'gone-field', source, field })
    }
  }
  let lastCommitMs = clock.nowMs()
  let committingSinceMs: number | undefined
  /** Objects that were admitted when history was, and objects that were committed or are about to be. */
  let history: number | undefined
  let taken = 0
  try {
    notifications = await openNotifications(parts, run, options, onEvent)
    const onHistory = () => {
      if (!feeding.aborted) history = intake.admitted.objects
    }
    const onIdle = () => {
      isIdle = true
      onEvent({ is: 'idle' })
      intake.end()
    }
    const context = {
      source: run.source,
      lookUps: run.lookUps,
      options,
      isFirstStart: run.claim.position.nextSeq === 1,
      looks,
      intake,
      ledger: committer,
      listed,
      onEvent,
      onHistory,
      onIdle,
      signal: feeding,
    }
    const batches = createAgainThenHead(againOf(run), run.source.miniBatch, async () => {
      if (!feeding.aborted) work.push(...startFeeds(notifications ? { ...context, notifications } : context))
      return intake
    })
    const { admitted } = intake
    options.onRunning?.(
      createRunning({
        run,
        committer,
        intake: {
          admitted,
          get inHand() {
            return batches.inHand ?? intake.inHand
          },
        },
        ...(notifications ? { notifications } : {}),
        lastCommitMs: () => lastCommitMs,
        committingSinceMs: () => committingSinceMs,
      }),
    )
    if (options.drain?.aborted || run.isSealed) drained()
    /** Of the mini-batch that is being committed. */
    let gone: ReadonlySet<Admitted> = new Set()
    await runEpochs(run, committer, {
      batches,
      ...(options.drain ? { drain: options.drain } : {}),
      records(ready) {
        committingSinceMs = clock.nowMs()
        gone = goneIn(ready)
        const positions = notifications?.positionsAfter(intake.settledBy(ready.batch, gone))
        taken += ready.batch.filter(entry => entry.is === 'object' && !isAgain(entry)).length
        const isHistoryDone = committer.historyToMs !== null && history !== undefined && taken >= history
        return {
          ...batches.recordsOf(ready.batch),
          ...(positions === undefined ? {} : { positions }),
          ...(isHistoryDone ? { historyToMs: null } : {}),
        }
      },
      onCommitted(ready, result) {
        intake.committed(ready.batch, gone)
        addDone(done, ready, result)
        onEpoch(result)
        onEvent(epochEvent(ready, result, clock.nowMs()))
        if (run.source.fetch.neverSeen.rows >= rowsTold) tellNull()
        tellGone()
        lastCommitMs = clock.nowMs()
        committingSinceMs = undefined
      },
    })
    run.signal.throwIfAborted()
    await endFeeds()
    isClosing = true
    await committer.close(options.drain)
    tellNull()
    onEvent({ is: 'stopped', epoch: committer.manifest.epoch })
    const seconds = (clock.nowMs() - startedMs) / 1000
    return await summarise(run, committer, done, { listed, isDrained: !isIdle, seconds })
  } finally {
    options.drain?.removeEventListener('abort', drained)
    await endFeeds()
    ended.abort()
    await late
    await committer.stop()
  }
}

async function openNotifications(
  parts: Components,
  { source: { notifications, fetch }, clock, claim: { head } }: Run,
  { untilIdle }: Pick<FollowOptions, 'untilIdle'>,
  onEvent: (event: RunEvent) => void,
): Promise<NotificationSource | undefined> {
  if (!notifications) return undefined
  const at = `source ${fetch.settings.name}`
  const { bucket, prefix } = toSpec(parseS3Address(fetch.store.address, `${at}: objects`))
  return connectorOf(notifications, `${at}: notifications`, parts.connectors).open(notifications, {
    clock,
    random: systemRandom,
    place: { bucket, prefix },
    positions: engineRecords(head.manifest).positions,
    term: head.term,
    ...(untilIdle ? { untilIdle } : {}),
    onEvent: notification => onEvent({ is: 'notification', notification }),
  })
}

/** A drain that takes too long becomes a stop. */
async function stopWhenLate(
  run: Run,
  publisher: Pick<Publisher, 'waiting' | 'lags' | 'lastHeldMs'>,
  drainMs: number,
  ended: AbortSignal,
  isClosing: () => boolean,
): Promise<void> {
  await run.clock.sleep(drainMs, ended)
  if (ended.aborted) return
  const within = `within ${drainMs} ms of the drain`
  const lagging = publisher.lags.filter(({ epochs }) => epochs > 0)
  const [behind] = [...publisher.waiting, ...lagging]
  // While somebody is held, the last time is now: it is asked after the clock.
  const nowMs = run.clock.nowMs()
  const isHeld = publisher.lastHeldMs >= nowMs
  const [holding] = isHeld ? lagging.toSorted((a, b) => b.retries - a.retries) : []
  const held = holding ? `, as it waits for ${holding.flow} to take what was committed before it` : ''
  const found = !isClosing()
    ? `The epoch in flight did not end ${within}${held}. Nothing of it was committed; the next start does it again.`
    : behind
      ? `${behind.flow} did not take all of its rows ${within}: ${behind.epochs === 1 ? '1 epoch waits' : `${behind.epochs} epochs wait`}. They stay in the checkpoint; the next start hands them over.`
      : `The checkpoint was not released ${within}. What was committed stays; the next start waits until this process counts as gone.`
  run.stop(new MillraceError('fatal', 'drain-timeout', found))
}
