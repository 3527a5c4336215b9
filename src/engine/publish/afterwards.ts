import type { CheckpointStore } from '../../../checkpoints/checkpoint-store.ts'
import { addPart } from '../../../checkpoints/manifest.ts'
import type { Manifest } from '../../../checkpoints/types.ts'
import { wallMs, type Clock } from '../../core/clock.ts'
import { toError, errorMessage, isMillraceError } from '../../core/errors.ts'
import { limited } from '../../core/limited.ts'
import type { Executor, SqlRow } from '../../core/ports.ts'
import type { ActiveAfter } from '../../plan/after.ts'
import { keepText, removeFiles, stageRows } from '../fold/work.ts'
import type { OpenSource } from '../intake/source.ts'
import { afterText } from '../report/after-text.ts'
import type { RunEvent } from '../report/events.ts'
import type { ChannelReader } from '../state/channels.ts'
import { type DoneAfter, doneAfterChannel, doneAfterText } from '../state/done-after.ts'
import { dueBy } from '../state/due.ts'
import { sourceRecords, withSource } from '../state/engine-state.ts'
import { heldFlows, publishedThrough } from '../state/held.ts'
import { createDeeds, type Deeds } from './deeds.ts'
import { type DueObjects, loadDueObjects } from './due-objects.ts'

/** Requests under way at once. */
const deedsMax = 16
/** Between two looks for what has become due. */
const roundMs = 10_000

/** What `after` asks for, carried out beside the epochs. Each deed may be repeated, and is recorded when it is done. */
export interface Afterwards {
  /** Begins to work, every few seconds on what has become due. */
  begin(): void
  /** Does what is due by now and ends, after the objects under way where the signal says so. */
  finish(signal: AbortSignal | undefined): Promise<void>
  /** Ends after the requests under way. */
  stop(): Promise<void>
}

export interface AfterwardsContext {
  readonly pipeline: string
  readonly source: Pick<OpenSource, 'fetch' | 'after' | 'afterPlace' | 'place'>
  /** A replay repeats what another run did: nothing is done then. */
  readonly isReplay: boolean
  readonly reader: ChannelReader
  readonly checkpoint: Pick<CheckpointStore, 'stage' | 'stageText'>
  /** It waits for no epoch. */
  readonly lookUps: Executor
  readonly clock: Clock
  onEvent(event: RunEvent): void
  /** Stops the run with this error. */
  stop(error: Error): void
  readonly manifest: () => Manifest
  /**
   * Commits what is published and taken by now, and this amendment, between two epochs.
   *
   * @throws where the checkpoint is lost
   */
  commit(amend: (manifest: Manifest) => Manifest): Promise<Manifest>
}

/** A run whose source says 'keep', and a replay, which repeats what another run did, do nothing. */
export function createAfterwards(context: AfterwardsContext): Afterwards {
  const { source, clock } = context
  const { after } = source
  if (after.is === 'keep' || context.isReplay) return { begin() {}, finish: async () => {}, stop: async () => {} }
  const looping = new AbortController()
  const quitting = new AbortController()
  const signal = AbortSignal.any([source.fetch.signal, quitting.signal])
  const round = createRounds({ ...context, signal, after, deeds: createDeeds(source, context.pipeline, signal) })
  let working: Promise<void> | undefined

  async function loop(stop: AbortSignal): Promise<void> {
    while (!stop.aborted && !signal.aborted) {
      await round(false, stop)
      await clock.sleep(roundMs, AbortSignal.any([stop, signal]))
    }
  }

  return {
    begin() {
      const text = afterText(after, context.pipeline)
      if (text) context.onEvent({ is: 'after-set', after: after.is, text })
      working ??= loop(looping.signal).catch((error: unknown) => {
        if (!signal.aborted) context.stop(toError(error))
      })
    },
    async finish(stop) {
      looping.abort()
      await working
      await round(true, stop)
    },
    async stop() {
      looping.abort()
      quitting.abort()
      await working
    },
  }
}

interface RoundContext extends AfterwardsContext {
  readonly after: ActiveAfter
  readonly deeds: Deeds
  readonly signal: AbortSignal
}

/**
 * Rounds of what is due by now, one after the other.
 *
 * @returns a round; the last one waits for no later commit to say that all is published
 */
function createRounds(context: RoundContext): (isLast: boolean, stop: AbortSignal | undefined) => Promise<void> {
  const { manifest, reader, lookUps, clock, after, signal, source } = context
  const { name } = source.fetch.settings
  const dueOf = (now: Manifest) => sourceRecords(now, name).due
  const inTurn = limited(deedsMax)
  const told = new Set<string>()
  let objects: DueObjects | undefined
  let lastEpoch = -1
  return async (isLast, stop) => {
    objects ??= await loadDueObjects(source, { ...reader, manifest: manifest() }, lookUps, clock)
    let now = manifest()
    if (after.delayMs > 0 && dueOf(now) === null && now.engine.nextSeq > 1)
      now = await context.commit(m => markDue(m, name, wallMs(clock)))
    const { seq: dueSeq } =
      after.delayMs > 0 ? dueBy(dueOf(now), wallMs(clock), after.delayMs) : { seq: now.engine.nextSeq }
    // The last epoch is published, and no commit has come since that would say so.
    if (
      (isLast || now.epoch === lastEpoch) &&
      outEpoch(now) < now.epoch &&
      (await objects.isAny(outEpoch(now), dueSeq))
    )
      now = await context.commit(m => m)
    lastEpoch = now.epoch
    while (!signal.aborted && !stop?.aborted) {
      const page = await objects.page(outEpoch(now), dueSeq)
      if (page.length === 0 || !(await doPage({ ...context, objects, inTurn, told }, page))) return
    }
  }
}

/** What was committed before there was a delay is due when that is over. */
function markDue(manifest: Manifest, source: string, nowMs: number): Manifest {
  const seq = manifest.engine.nextSeq - 1
  return withSource(manifest, source, { due: { seq: 0, marks: [{ seq, fromMs: nowMs, toMs: nowMs }] } })
}

interface PageContext extends RoundContext {
  readonly objects: DueObjects
  readonly inTurn: ReturnType<typeof limited>
  /** Codes of errors that were told. */
  readonly told: Set<string>
}

/** @returns whether anything could be done: where all of a page fails, the rest waits for a pause. */
async function doPage(context: PageContext, page: readonly SqlRow[]): Promise<boolean> {
  const { deeds, objects, inTurn, signal } = context
  const done: DoneAfter[] = []
  const failed: number[] = []
  const work = async (row: SqlRow) => {
    const seq = Number(row.seq)
    try {
      signal.throwIfAborted()
      done.push({ seq, ...(row.is_clear === true ? await deeds.clear(row) : await deeds.carryOut(row)) })
    } catch (error) {
      if (signal.aborted) return
      failed.push(seq)
      tellFailure(context, String(row.key), row.is_clear === true, error)
    }
  }
  await Promise.all(page.map(row => inTurn(1, () => work(row))))
  if (done.length > 0) await record(context, done)
  if (failed.length > 0) await objects.failed(failed)
  context.onEvent(pageEvent(context.after.is, page, done, failed.length))
  // Objects before the cursor that are not done with are in table `failed_after`, unless the run ends.
  if (!signal.aborted) objects.pass(page)
  return done.length > 0
}

function pageEvent(
  deed: RoundContext['after']['is'],
  page: readonly SqlRow[],
  done: readonly DoneAfter[],
  failed: number,
): RunEvent {
  const bytes = new Map(page.map(row => [Number(row.seq), Number(row.size_bytes)]))
  const keys = new Map(page.map(row => [Number(row.seq), String(row.key)]))
  const finished = done.filter(({ is }) => is !== 'cleared')
  return {
    is: 'afterwards',
    deed,
    objects: finished.filter(({ is }) => is !== 'left').length,
    bytes: finished.reduce((sum, { seq, is }) => sum + (is === 'left' ? 0 : (bytes.get(seq) ?? 0)), 0),
    failed,
    left: done.flatMap(({ seq, note }) => (note === undefined ? [] : [{ key: keys.get(seq) ?? '', reason: note }])),
  }
}

function tellFailure({ after, told, onEvent }: PageContext, key: string, isClearing: boolean, error: unknown): void {
  const code = isMillraceError(error) ? error.code : 'unknown'
  if (told.has(code)) return
  told.add(code)
  onEvent({ is: 'after-failed', deed: isClearing ? 'delete' : after.is, key, code, error: errorMessage(error) })
}

/** A crash before it repeats what was done: each deed finds itself done, or is done again with the same end. */
async function record(context: PageContext, done: readonly DoneAfter[]): Promise<void> {
  const { reader, lookUps, checkpoint, objects } = context
  const text = doneAfterText(done)
  const kept = await keepText({ ...reader, executor: lookUps }, text)
  const before = context.manifest()
  const ref = await stageRows(checkpoint, doneAfterChannel, kept, before)
  await removeFiles([{ channel: doneAfterChannel, kept }], [])
  await context.commit(m => addPart(m, doneAfterChannel, { ...ref, epochs: [before.epoch, before.epoch] }))
  await objects.done(done, text)
}

/** All epochs up to this one are published and taken, and HEAD says so. */
export function outEpoch(manifest: Pick<Manifest, 'epoch' | 'unpublished' | 'channels'>): number {
  const waiting = manifest.unpublished.map(({ epoch, from = epoch }) => from - 1)
  const held = heldFlows(manifest).map(flow => publishedThrough(manifest, flow))
  return Math.min(manifest.epoch, ...waiting, ...held)
}
