import type { Manifest } from '../../../checkpoints/types.ts'
import { MillraceError } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import type { BoundFlows } from '../../plan/bind.ts'
import { formsOf } from '../../plan/forms.ts'
import { createGate, type Gate } from '../../plan/gate.ts'
import type { Pipeline } from '../../plan/pipeline.ts'
import { changesSince } from '../../plan/plan-changes.ts'
import { freshIds, planOf, type StepIds, takenIds } from '../../plan/plan-ids.ts'
import type { Flow } from '../../plan/stages.ts'
import { type StoredPlan, storedPlan } from '../../plan/stored-plan.ts'
import { describeFlows } from './describe-flows.ts'
import type { Flows } from './flows.ts'

type Canonical = Pick<Gate, 'canonical'>

/** A pipeline's plan with the ids of its steps. */
export interface FittedPlan {
  /** What the manifest keeps. */
  readonly plan: StoredPlan
  readonly flows: readonly Flow[]
  /** Of the steps of each flow. */
  readonly ids: readonly StepIds[]
}

/**
 * The plan of a pipeline with the ids that a checkpoint has given to equal steps, and new ones for the others.
 *
 * @param manifest of the pipeline's own checkpoint, or of the one whose ledger is replayed; absent: all ids are new
 */
export async function fitPlan(
  manifest: Manifest | undefined,
  pipeline: string,
  { terminals, forms, flows }: BoundFlows,
  gate: Canonical,
): Promise<FittedPlan> {
  const ids = manifest
    ? await takenIds(terminals, forms, storedPlan(manifest.engine.plan), gate)
    : freshIds(terminals, forms)
  return { plan: planOf(pipeline, terminals, forms, ids), flows: flows(ids), ids }
}

/** Refuses a pipeline that is not the one the checkpoint was written by, naming what changed. */
export async function checkPlan(
  manifest: Manifest,
  pipeline: string,
  { terminals, forms }: Pick<BoundFlows, 'terminals' | 'forms'>,
  gate: Canonical,
  address: string,
): Promise<void> {
  // Before the first epoch nothing has been computed by any plan.
  if (manifest.epoch === 0) return
  const stored = storedPlan(manifest.engine.plan)
  const ids = await takenIds(terminals, forms, stored, gate)
  const changes = await changesSince({ stored, pipeline, terminals, forms, gate }, ids)
  if (changes.length === 0) return
  throw new MillraceError(
    'user',
    'plan-changed',
    `The pipeline no longer fits its checkpoint ${address}: ${changes.slice(0, 5).join('; ')}` +
      `${changes.length > 5 ? `; and ${changes.length - 5} more` : ''}. Undo the change, or give the changed ` +
      'pipeline a new checkpoint and output folder.',
  )
}

/** The same for whoever only reads, and binds nothing. @returns the pipeline's sources and lookups */
export async function checkPipeline(
  manifest: Manifest,
  pipeline: Pipeline,
  address: string,
  executor: Pick<Executor, 'run' | 'rows' | 'describe'>,
): Promise<Pick<Flows, 'definitions' | 'lookups'>> {
  const { terminals, definitions, lookups, unsubscribe } = await describeFlows(pipeline)
  unsubscribe()
  const gate = createGate(executor)
  const ends = terminals.map(({ node }) => node)
  await checkPlan(manifest, pipeline.name, { terminals, forms: await formsOf(ends, gate) }, gate, address)
  return { definitions, lookups }
}
