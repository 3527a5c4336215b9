import { randomUUID } from 'node:crypto'
import type { Manifest } from '../../../checkpoints/types.ts'
import { errorMessage, isMillraceError } from '../../core/errors.ts'
import type { Executor } from '../../core/ports.ts'
import { storedPlan } from '../../plan/stored-plan.ts'
import { components } from '../components.ts'
import { iso } from '../report/iso.ts'
import type { HeldFigures } from '../report/graph-figures.ts'
import { sourceRecords, watermarksOf } from '../state/engine-state.ts'
import { findCheckpoint } from '../state/read-checkpoint.ts'
import { storedStates } from './stored-states.ts'

/** A checkpoint as a plan is drawn beside it. */
export type PlanFigures =
  | {
      readonly is: 'read'
      readonly address: string
      readonly pipeline: string
      readonly manifest: Manifest
      readonly figures: HeldFigures
    }
  /** It is there, and cannot be read: of a newer release, for example. */
  | { readonly is: 'unread'; readonly address: string; readonly why: string }
  | { readonly is: 'none' }

/** What a checkpoint holds, without a claim: safe beside a running owner. @param scratch a folder of the session */
export async function planFigures(address: string, scratch: string, executor: Executor): Promise<PlanFigures> {
  try {
    const found = await findCheckpoint(components, address, 'checkpoint', scratch)
    if (!found) return { is: 'none' }
    const { manifest } = found.head
    const reader = { checkpoint: found.checkpoint, manifest, stage: scratch, newId: randomUUID }
    const watermarks = Object.entries(watermarksOf(manifest))
    return {
      is: 'read',
      address: found.address,
      pipeline: storedPlan(manifest.engine.plan).pipeline,
      manifest,
      figures: {
        epoch: manifest.epoch,
        states: await storedStates(reader, executor),
        watermarks: Object.fromEntries(
          watermarks.map(([source, { watermarkUs }]) => [
            source,
            watermarkUs === null ? null : iso(BigInt(watermarkUs)),
          ]),
        ),
        undeclared: Object.fromEntries(
          watermarks.map(([source]) => [
            source,
            sourceRecords(manifest, source).columnsSeen?.undeclared.length ?? null,
          ]),
        ),
      },
    }
  } catch (error) {
    // Whatever else went wrong is no matter of the checkpoint.
    if (!isMillraceError(error)) throw error
    return { is: 'unread', address, why: errorMessage(error) }
  }
}
