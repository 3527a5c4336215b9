import { randomUUID } from 'node:crypto'
import { createCheckpointStore, type MergeRows } from '../../checkpoints/checkpoint-store.ts'
import type { Head, Manifest } from '../../checkpoints/types.ts'
import { wholeWallMs } from '../core/clock.ts'
import { ownerName } from '../core/owner.ts'
import type { Executor } from '../core/ports.ts'
import { stoppable } from '../core/stoppable.ts'
import { startHeartbeat } from './commit/heartbeat.ts'
import { standBy } from './commit/stand-by.ts'
import type { Components } from './components.ts'
import type { Session } from './duckdb/session.ts'
import { decideAttempt, recordOf, withAttempt } from './intake/attempt.ts'
import type { RunOptions } from './options.ts'
import { withRows } from './state/channels.ts'
import { fencedBy } from './state/fenced.ts'

/** What a request is written with. */
export interface Writing {
  readonly parts: Components
  readonly address: string
  readonly options: Pick<RunOptions, 'takeover' | 'onEvent' | 'signal'>
  readonly session: Session
  readonly executor: Executor
  readonly signal: AbortSignal
  stop(error: Error): void
}

/** What is asked of the next run, as the ledger at HEAD lets one choose it. */
export interface Request<C> {
  /** Whether what was chosen still holds. */
  isAsBefore(now: Manifest, before: Manifest): boolean
  /** Chooses by what a live owner has committed meanwhile. */
  again(head: Head): Promise<C>
  /** The manifest with the request. */
  write(manifest: Manifest, chosen: C): Manifest
}

/**
 * Claims the checkpoint, and writes the request with its release, in one write: a crash before it leaves the request
 * out, and nothing else is changed.
 *
 * @param seen HEAD by which `chosen` was chosen
 */
export async function writeRequest<C>(
  { parts: { openWritable, clock }, address, options, session, executor, signal, stop }: Writing,
  seen: Head,
  chosen: C,
  { isAsBefore, again, write }: Request<C>,
): Promise<C> {
  const owner = ownerName(clock)
  const checkpoint = createCheckpointStore({
    store: stoppable(await openWritable(address, 'checkpoint'), signal),
    owner,
    newId: randomUUID,
    sleep: ms => clock.sleep(ms, signal),
    scratch: session.stage,
    wallMs: () => wholeWallMs(clock),
    merge: concatenated(executor),
  })
  await checkpoint.probe(seen, signal)
  const head = await checkpoint.claim(seen.manifest.engine, standBy(options, clock, owner, signal))
  const heartbeat = startHeartbeat(checkpoint, clock, lost => stop(lost instanceof Error ? lost : fencedBy(lost)))
  const from = checkpoint.claimedFrom
  const decision = from && decideAttempt(head.manifest, from.released, from.owner === owner)
  // The next start is to find what this one has found: deaths stay on record.
  const asFound = decision ? withAttempt(head.manifest, recordOf(decision, head.manifest)) : head.manifest
  try {
    const now = isAsBefore(head.manifest, seen.manifest) ? chosen : await again(head)
    await heartbeat.stop()
    const outcome = await checkpoint.release(write(asFound, now))
    if (outcome.is !== 'committed') throw fencedBy(outcome)
    return now
  } catch (error) {
    await heartbeat.stop()
    // Where not even this can be written, the next start waits until this process counts as gone.
    await checkpoint.release(asFound).catch(() => {})
    throw error
  }
}

/**
 * Rows that ride in HEAD, in one file. Partial rows need the plan to be merged, and may stay as they are until a run
 * merges them.
 */
function concatenated(executor: Executor): MergeRows {
  return (_channel, sources, to) =>
    withRows(executor, sources, randomUUID, rows => executor.write(`SELECT * FROM ${rows}`, to, []))
}
