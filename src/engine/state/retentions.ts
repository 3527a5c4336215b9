import type { Manifest } from '../../../checkpoints/types.ts'
import type { Json } from '../../core/json.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { stepsOf, type StoredPlan, writtenOptions } from '../../plan/stored-plan.ts'

/** How long the late rows of a step can be applied. */
export interface Retention {
  readonly flows: readonly string[]
  readonly retentionUs: bigint
}

/** By step whose late rows can be applied. */
export function retentionsOf(plan: StoredPlan): ReadonlyMap<string, Retention> {
  const found = new Map<string, Retention>()
  for (const flow of Object.keys(plan.flows)) {
    const steps = stepsOf(plan, flow)
    const late = steps.flatMap(({ op, ...node }) => (op === 'source' ? [settingsOf({ op, ...node }).late] : []))
    const retentionUs = late[0]?.retentionUs
    if (retentionUs === undefined) continue
    for (const { id } of steps)
      found.set(id, { flows: [...(found.get(id)?.flows ?? []), flow], retentionUs: BigInt(retentionUs) })
  }
  return found
}

export function settingsOf(node: Parameters<typeof writtenOptions>[0]): SourceSettings {
  return writtenOptions(node) as Json as unknown as SourceSettings
}

/** What files of a checkpoint take. */
export interface KeptSize {
  readonly rows: number
  readonly bytes: number
}

/** What is kept of a step whose late rows can be applied. */
export interface KeptForLate extends Retention {
  readonly step: string
  /** Partial rows of windows, open ones among them, and the results that a step behind another one is made of. */
  readonly state: KeptSize
  readonly late: KeptSize
}

/** By the files of a checkpoint: nothing is loaded. */
export function keptForLate(plan: StoredPlan, { channels }: Pick<Manifest, 'channels'>): readonly KeptForLate[] {
  const size = (prefix: 'segment' | 'late', step: string): KeptSize => {
    const name = `${prefix}-${step}`
    const parts = Object.entries(channels).flatMap(([channel, files]) =>
      channel === name || channel.startsWith(`${name}-`) ? files : [],
    )
    return {
      rows: parts.reduce((sum, { rows }) => sum + rows, 0),
      bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    }
  }
  return [...retentionsOf(plan)]
    .map(([step, retention]) => ({ ...retention, step, state: size('segment', step), late: size('late', step) }))
    .filter(({ state, late }) => state.rows + late.rows > 0)
}
