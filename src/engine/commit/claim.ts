import { randomUUID } from 'node:crypto'
import { type CheckpointStore, createCheckpointStore } from '../../../checkpoints/checkpoint-store.ts'
import type { Head } from '../../../checkpoints/types.ts'
import { type Clock, wholeWallMs } from '../../core/clock.ts'
import { ownerName } from '../../core/owner.ts'
import type { Executor, ObjectStore } from '../../core/ports.ts'
import type { BoundFlows } from '../../plan/bind.ts'
import type { ClockShape } from '../../plan/clock.ts'
import type { Gate } from '../../plan/gate.ts'
import type { StepIds } from '../../plan/plan-ids.ts'
import { clockShape, type Stage, stagesInOrder } from '../../plan/stages.ts'
import { checkPlan, type FittedPlan, fitPlan } from '../bind/fit-plan.ts'
import { type AttemptDecision, decideAttempt } from '../intake/attempt.ts'
import { checkOpen, initialState, type LedgerPosition, positionOf } from '../state/engine-state.ts'
import { fencedBy } from '../state/fenced.ts'
import { mergeRows } from '../state/merge-rows.ts'
import type { ReadCheckpoint } from '../state/read-checkpoint.ts'
import { type Heartbeat, startHeartbeat } from './heartbeat.ts'
import { type Impatience, standBy } from './stand-by.ts'

/** A checkpoint that this process owns. */
export interface Claim {
  readonly checkpoint: CheckpointStore
  readonly address: string
  readonly head: Head
  /** Beats from the claim on; the committer ends it, or the abort of the run. */
  readonly heartbeat: Heartbeat
  /** What the deaths of earlier processes ask of this one (P13). */
  readonly attempt: AttemptDecision
  /** Where the ledger stood at the start. */
  readonly position: LedgerPosition
}

export interface ClaimContext {
  readonly pipeline: string
  /** The names of the sources. */
  readonly sources: readonly string[]
  readonly store: ObjectStore
  readonly bound: BoundFlows
  readonly gate: Gate
  /** For merges, which wait for nothing else. */
  readonly merging: Executor
  readonly scratch: string
  /** The checkpoint whose ledger is repeated. */
  readonly other: ReadCheckpoint | undefined
  readonly options: Impatience & {
    /** Who waits for a live owner may give up at a drain, too. */
    readonly drain?: AbortSignal
  }
  readonly clock: Clock
  readonly abort: AbortController
  /** Refuses what may be refused before the claim fences the owner out. */
  refuse(seen: Head): Promise<void>
}

/** A claim with the plan of the pipeline, its steps named as the checkpoint names them. */
export interface Claimed {
  readonly claim: Claim
  readonly fitted: FittedPlan
  readonly stages: readonly Stage[]
  /** Of the steps as a new checkpoint names them: a replay takes the names of the ledger that it repeats. */
  readonly initialIds: readonly StepIds[]
}

/**
 * @throws MillraceError `user` for a checkpoint that is sealed, or that another plan wrote; `fenced` when it is given
 * up
 */
export async function claimCheckpoint(context: ClaimContext): Promise<Claimed> {
  const { pipeline, sources, store, bound, gate, other, options, clock, abort } = context
  const { signal } = abort
  const owner = ownerName(clock)
  let stages: readonly Stage[] = []
  let shapes: readonly ClockShape[] = []
  const checkpoint = createCheckpointStore({
    store,
    owner,
    newId: randomUUID,
    // Whoever waits to try again gives up at a stop.
    sleep: ms => clock.sleep(ms, signal),
    scratch: context.scratch,
    wallMs: () => wholeWallMs(clock),
    // Nothing is merged before the claim, which tells the stages' ids.
    merge: (channel, files, to, manifest) => {
      const { clocks } = positionOf(manifest, sources, shapes)
      return mergeRows(context.merging, stages, channel, files, to, { epoch: manifest.epoch, clocks })
    },
  })
  const check = async ({ manifest }: Head) => {
    checkOpen(manifest, store.address)
    await checkPlan(manifest, pipeline, bound, gate, store.address)
  }
  const seen = await checkpoint.readHead()
  if (seen) {
    await check(seen)
    await context.refuse(seen)
  }
  await checkpoint.probe(seen, signal)
  // A replay names its stages as the ledger does that it repeats.
  const initial = await fitPlan(other?.head.manifest, pipeline, bound, gate)
  const head = await checkpoint.claim(
    initialState(initial.plan),
    standBy(options, clock, owner, AbortSignal.any([signal, ...(options.drain ? [options.drain] : [])])),
  )
  const heartbeat = startHeartbeat(checkpoint, clock, lost =>
    abort.abort(lost instanceof Error ? lost : fencedBy(lost)),
  )
  // Loading may take longer than others wait for a silent owner.
  signal.addEventListener('abort', () => void heartbeat.stop(), { once: true })
  // Another owner may have been waited for: what it left is looked at again.
  await check(head)
  const fitted = await fitPlan(head.manifest, pipeline, bound, gate)
  stages = stagesInOrder(fitted.flows)
  shapes = stages.map(clockShape)
  const from = checkpoint.claimedFrom
  return {
    claim: {
      checkpoint,
      address: store.address,
      head,
      heartbeat,
      attempt:
        other !== undefined || from === undefined
          ? { is: 'none' }
          : decideAttempt(head.manifest, from.released, from.owner === owner),
      position: positionOf(head.manifest, sources, shapes),
    },
    fitted,
    stages,
    initialIds: initial.ids,
  }
}
