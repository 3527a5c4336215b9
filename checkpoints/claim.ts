import { MillraceError } from '../src/core/errors.ts'
import { currentFormat, currentMinReader } from './codec.ts'
import { type ClaimDecision, decideClaim, type HeadSeen, takeoverMs } from './decide.ts'
import { fittedHead } from './head.ts'
import { headKey } from './paths.ts'
import { type CheckpointIo, headNameIn, readHead, readHeadUnlessLost } from './read-head.ts'
import { attemptsMax, isRetryable, pauseMs, unavailable } from './retry.ts'
import type { EngineState, Head, Manifest, Shown } from './types.ts'

/** How a start behaves before a live owner (P5). */
export interface StandBy {
  nowMs(): number
  /** Waits; ends early when the start is given up. */
  sleep(ms: number): Promise<void>
  /** Whether the process that HEAD names has ended, as far as this host can tell. */
  isGone(owner: string): boolean
  /** Told when it begins to wait, once for each owner. */
  onWait(owner: string): void
  /** Aborted: `claim` ends with an error of code 'stopped-waiting'. */
  readonly signal: AbortSignal
}

/** What a process that has claimed begins with. */
export interface Claimed {
  readonly mine: HeadSeen
  /** HEAD as it was before; undefined at a birth. */
  readonly from: Head | undefined
  /** Size of HEAD. */
  readonly bytes: number
}

/** What a claim is made with. */
interface Claiming extends CheckpointIo {
  readonly owner: string
  /** What the store has shown to this process, or to one before it. */
  readonly shown: Shown | undefined
}

type Claimable = Exclude<ClaimDecision, { readonly is: 'wait' }>

/** P5. Without `standBy` a live owner is fenced at once. @param initial what a new checkpoint begins with */
export async function claimHead(io: Claiming, initial: EngineState, standBy?: StandBy): Promise<Claimed> {
  const { store, sleep, newId } = io
  let cause: unknown
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    const { seen, decision } = await claimable(io, standBy)
    const claimed = { ...headToClaim(io, decision, initial), ...manifestFileOf(seen) }
    const { head, bytes } = await fittedHead(store, claimed, newId, sleep)
    const owned = (eTag: string): Claimed => ({ mine: { head, eTag }, from: seen?.head, bytes: bytes.length })
    // Fencing point. From the moment this is applied no writer of a lower term can commit (I3), because the eTag that
    // its write requires is gone. A crash after it leaves a term in which nothing happened.
    try {
      const put = await store.put(headKey, bytes, seen?.eTag ?? 'absent')
      if (put.is === 'stored') return owned(put.eTag)
      cause = put.is === 'unknown' ? put.cause : undefined
    } catch (error) {
      if (!isRetryable(error)) throw error
      cause = error
    }
    const now = await readHead(io)
    if (now?.head.putId === head.putId) return owned(now.eTag)
    // Lost the race, or lost the write: decide again. A write given up on that arrives later is claimed over, or its
    // condition is gone.
    await sleep(pauseMs(attempt))
  }
  throw unavailable(`Claiming ${headNameIn(store)}`, cause)
}

function headToClaim(
  { newId, owner, shown }: Pick<Claiming, 'newId' | 'owner' | 'shown'>,
  decision: Claimable,
  initial: EngineState,
): Head {
  return {
    format: currentFormat,
    minReader: currentMinReader,
    term: decision.term,
    putId: newId(),
    owner,
    beat: 0,
    released: false,
    manifest: decision.is === 'birth' ? birth(newId(), initial) : decision.from.manifest,
    ...(shown && { shown }),
  }
}

function manifestFileOf(seen: HeadSeen | undefined): Pick<Head, 'manifestFile'> {
  return seen?.head.manifestFile ? { manifestFile: seen.head.manifestFile } : {}
}

function birth(checkpointId: string, engine: EngineState): Manifest {
  return {
    checkpointId,
    epoch: 0,
    engine,
    channels: {},
    unpublished: [],
    retained: [],
    garbage: [],
  }
}

/** Reads HEAD until it may be claimed; a live owner is waited for. */
async function claimable(
  io: CheckpointIo,
  standBy: StandBy | undefined,
): Promise<{ readonly seen: HeadSeen | undefined; readonly decision: Claimable }> {
  let since: { readonly eTag: string; readonly atMs: number } | undefined
  let waitsFor: string | undefined
  for (;;) {
    if (standBy?.signal.aborted) throw stoppedWaiting(io, waitsFor)
    const seen = await readHeadUnlessLost(io)
    const nowMs = standBy?.nowMs() ?? 0
    if (seen && since?.eTag !== seen.eTag) since = { eTag: seen.eTag, atMs: nowMs }
    const owner = seen?.head.owner ?? ''
    const decision = decideClaim(
      seen?.head,
      standBy && { isGone: standBy.isGone(owner), unchangedMs: nowMs - (since?.atMs ?? nowMs) },
    )
    if (decision.is !== 'wait') return { seen, decision }
    if (waitsFor !== owner) standBy?.onWait(owner)
    waitsFor = owner
    await standBy?.sleep(takeoverMs / 20)
  }
}

function stoppedWaiting({ store }: Pick<CheckpointIo, 'store'>, waitsFor: string | undefined): MillraceError {
  const whose = waitsFor === undefined ? '' : `, while ${waitsFor} owned it`
  return new MillraceError(
    'fatal',
    'stopped-waiting',
    `Stopped before ${headNameIn(store)} was claimed${whose}; nothing was done.`,
  )
}
