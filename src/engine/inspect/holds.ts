import type { Stage } from '../../plan/stages.ts'
import { leavesOf } from '../../plan/stages.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import { beginning } from '../../plan/watermark.ts'
import type { Hold, MarkedBy, SourceHold } from '../report/why.ts'
import type { LedgerPosition } from '../state/engine-state.ts'

/** What is told of a source beside its settings. */
export interface SourceRecord {
  readonly by: MarkedBy | null
  readonly objects: number
  readonly read: number
}

/**
 * What keeps a stage's watermark below the one that is needed: sources that have not come so far, found by the way that
 * watermarks take from them through the steps between (S4, S13).
 */
export function holdOf(
  stage: Stage,
  neededUs: bigint,
  position: Pick<LedgerPosition, 'sources' | 'clocks'>,
  definitions: readonly Pick<SourceDefinition, 'settings' | 'live'>[],
  records: (source: string) => SourceRecord,
): Hold {
  const found = new Map<string, SourceHold>()
  const visit = ({ inputs }: Stage, needed: bigint, steps: SourceHold['steps']): void => {
    for (const leaf of inputs.flatMap(leavesOf)) {
      if ('stage' in leaf) {
        const { id, op, step } = leaf.stage
        const clockUs = position.clocks[id] ?? null
        if (clockUs === null || clockUs - step.holdUs < needed)
          visit(leaf.stage, needed + step.holdUs, [...steps, { op, holdUs: step.holdUs }])
        continue
      }
      const { source } = leaf
      const { watermarkUs, highMarkUs } = position.sources[source] ?? beginning
      const known = found.get(source)
      if ((watermarkUs !== null && watermarkUs >= needed) || (known && known.neededUs >= needed)) continue
      const definition = definitions.find(({ settings }) => settings.name === source)
      const delayUs = definition?.settings.delayUs
      found.set(source, {
        source,
        watermarkUs,
        highMarkUs,
        neededUs: needed,
        steps,
        delayUs: delayUs === undefined ? null : BigInt(delayUs),
        idleMs: definition?.live.idleMs ?? null,
        ...records(source),
      })
    }
  }
  visit(stage, neededUs, [])
  return { watermarkUs: position.clocks[stage.id] ?? null, sources: [...found.values()].toSorted(furthestBack) }
}

/** No watermark is before all. */
function furthestBack(a: SourceHold, b: SourceHold): number {
  if (a.watermarkUs === null || b.watermarkUs === null)
    return Number(a.watermarkUs !== null) - Number(b.watermarkUs !== null)
  return a.watermarkUs < b.watermarkUs ? -1 : Number(a.watermarkUs > b.watermarkUs)
}
