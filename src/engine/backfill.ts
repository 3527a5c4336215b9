import { configError } from '../core/errors.ts'
import { readOptions } from '../core/options.ts'
import { showCounted } from '../core/quantity.ts'
import { type MiniBatchOptions, miniBatchOfAll } from '../plan/mini-batch-options.ts'
import type { Pipeline } from '../plan/pipeline.ts'
import { leavesOf } from '../plan/stages.ts'
import { type Committer, createCommitter } from './commit/committer.ts'
import { components, type Components } from './components.ts'
import { commitFlush, runEpochs } from './epoch.ts'
import { admit, type Listed, type Listing } from './intake/admit.ts'
import { type AgainThenHead, createAgainThenHead } from './intake/again.ts'
import { nothingListed } from './intake/feed.ts'
import type { Run } from './open-run.ts'
import { type BackfillOptions, backfillOptions } from './options.ts'
import { backfillTries } from './publish/publish-epoch.ts'
import { replay } from './replay/replay.ts'
import type { EpochResult, Summary } from './report/summary.ts'
import { isEveryWithoutPeriod } from './report/without-period.ts'
import { addDone, type Done, nothingDone, summarise } from './summarise.ts'
import { againOf, withRun } from './with-run.ts'

/**
 * Runs a pipeline over the objects of its source that its checkpoint has not counted yet, commits each mini-batch as
 * an epoch, and ends with a flush. Run again, it continues.
 *
 * @param onEpoch called after each commit
 * @throws MillraceError `user` before anything is read when pipeline or options are wrong; `fenced` when another
 * process claimed the checkpoint; `fatal` for bad data under a `fail` policy. What was committed stays.
 */
export function backfill(
  pipeline: Pipeline,
  options: BackfillOptions = {},
  onEpoch: (result: EpochResult) => void = () => {},
): Promise<Summary> {
  return backfillWith(components, pipeline, options, onEpoch)
}

/** As `backfill`, with stores and formats of the caller's choice: what simulations use. */
export async function backfillWith(
  parts: Components,
  pipeline: Pipeline,
  options: BackfillOptions,
  onEpoch: (result: EpochResult) => void = () => {},
): Promise<Summary> {
  const startedMs = parts.clock.nowMs()
  checkOptions(options)
  return withRun(parts, pipeline, options, async run => {
    const done = nothingDone()
    // A flow that does not take its rows ends the run, so that a script sees it; the next start hands them over again.
    const committer = createCommitter(run, {
      tries: backfillTries,
      onTaken() {
        done.delivered++
        tell()
      },
    })
    let listed: Listed = nothingListed()
    const before = { objects: 0, bytes: 0 }
    const tell = () =>
      options.onProgress?.({
        objectsDone: done.objects,
        objectsTotal: before.objects + listed.objects,
        bytesDone: done.bytes,
        bytesTotal: before.bytes + listed.bytes,
        rows: done.rows,
        epoch: committer.manifest.epoch,
        undelivered: committer.publisher.waiting.reduce((sum, { epochs }) => sum + epochs, 0),
      })
    const openHead = async () => {
      const listing = await openListing(run, options)
      await refuseWithoutPeriod(run, listing, committer, options)
      Object.assign(before, { objects: done.objects, bytes: done.bytes })
      listed = listing
      tell()
      return listing
    }
    try {
      const isComplete = await commitAll(
        run,
        createAgainThenHead(againOf(run), miniBatchOf(run, options), openHead),
        committer,
        done,
        options,
        result => {
          onEpoch(result)
          tell()
        },
      )
      const seconds = (run.clock.nowMs() - startedMs) / 1000
      return await summarise(run, committer, done, { listed, isDrained: !isComplete, seconds })
    } finally {
      await committer.stop()
    }
  })
}

function miniBatchOf(run: Run, { objectsPerEpoch }: BackfillOptions): MiniBatchOptions {
  if (objectsPerEpoch === undefined) return miniBatchOfAll(run.sources.values())
  return { objectsMax: objectsPerEpoch, bytesMax: Number.MAX_SAFE_INTEGER }
}

function openListing(run: Run, options: BackfillOptions): Promise<Listing> {
  const miniBatch = miniBatchOf(run, options)
  const { signal } = run
  const { executor } = run.ahead
  if (run.replayed)
    return replay({
      ...run.reader,
      other: run.replayed,
      sources: [...run.sources.keys()],
      lookups: run.subscribed.lookups,
      executor,
      miniBatch,
      nextSeq: run.claim.position.nextSeq,
    })
  const { from, to } = options
  return admit({ sources: run.sources.values(), executor, table: 'admitted', from, to, signal }, miniBatch)
}

function checkOptions(options: BackfillOptions): void {
  const { ledger, from, to, final, flush } = readOptions('backfill', backfillOptions, options)
  if (final && (ledger !== undefined || !flush))
    throw configError('backfill: final', final, 'no ledger and no flush: false beside it')
  if (ledger !== undefined && (from !== undefined || to !== undefined))
    throw configError('backfill: ledger', ledger, 'no --from and --to beside it: a ledger is replayed whole')
}

/**
 * Refuses to begin where the pattern of `bounds` fits no key: no row would move the watermark, so no window would
 * close, and `bounds` cannot be changed once the first epoch is committed. Later, and in a run that follows, other keys
 * may yet come: there it is a warning.
 */
async function refuseWithoutPeriod(
  { flows }: Run,
  { withoutPeriod }: Listing,
  committer: Committer,
  { final, from, to }: BackfillOptions,
): Promise<void> {
  const found = withoutPeriod.find(isEveryWithoutPeriod)
  if (!found || committer.manifest.epoch > 0) return
  const isChosen = from !== undefined || to !== undefined
  const isFruitless = !final && flows.every(({ rows }) => leavesOf(rows).every(leaf => 'stage' in leaf))
  if (!isChosen && !isFruitless) return
  await committer.close()
  throw configError(
    `source ${found.source}: watermark.bounds`,
    found.pattern,
    `a pattern that names of objects have; none of ${showCounted(found.of, 'object')} has it, such as ` +
      `'${found.first}', so ` +
      (isChosen
        ? 'none lies between --from and --to'
        : 'no row would move the watermark and no window close (only --final would close them)'),
  )
}

/** @returns whether all of the listing was taken in, before a drain. */
async function commitAll(
  run: Run,
  batches: AgainThenHead,
  committer: Committer,
  done: Done,
  options: BackfillOptions,
  onEpoch: (result: EpochResult) => void,
): Promise<boolean> {
  const { drain } = options
  const isComplete = await runEpochs(run, committer, {
    batches,
    ...(drain ? { drain } : {}),
    records: ({ batch }) => batches.recordsOf(batch),
    onCommitted(ready, result) {
      addDone(done, ready, result)
      onEpoch(result)
    },
  })
  // A replayed ledger brings its own flushes.
  const isFlushed = options.flush !== false && options.ledger === undefined && !run.isSealed
  const flushed = isComplete && isFlushed ? await commitFlush(run, committer, options.final === true) : undefined
  if (flushed) {
    done.epochs++
    onEpoch(flushed)
  }
  await committer.close(drain)
  return isComplete
}
