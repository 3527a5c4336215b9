import type { Manifest } from '../../../checkpoints/types.ts'
import { sinkOf } from '../../../connectors/registry.ts'
import type { SinkPort } from '../../core/sink-port.ts'
import { type ColumnTypes, plainTypes } from '../../plan/relation.ts'
import { sinkAt } from '../../plan/sink.ts'
import { storedPlan } from '../../plan/stored-plan.ts'
import type { Components } from '../components.ts'
import { changeKeys, correctionKeys, outputColumns } from '../state/read-checkpoint.ts'
import { openSink, type SinkMeans } from './outputs.ts'

/**
 * The sink of a flow as the checkpoint's plan has it, at this place, where no pipeline is at hand. Nothing is made
 * where the place is gone.
 *
 * @throws MillraceError `user` where more is needed to reach it
 */
export function openStoredSink(
  parts: Components,
  manifest: Manifest,
  flow: string,
  address: string,
  means?: SinkMeans,
): Promise<SinkPort> {
  const stored = sinkAt(address, storedPlan(manifest.engine.plan).flows[flow]?.options)
  const kind = sinkOf(stored, flow, parts.sinks)
  const end = {
    name: flow,
    sink: kind.remade?.(stored) ?? stored,
    kind,
    columns: notNull(outputColumns(manifest)[flow] ?? {}),
    operation: changeKeys(manifest)[flow] === undefined ? ('append' as const) : ('change' as const),
    corrected: correctionKeys(manifest)[flow],
    field: 'output',
  }
  return openSink(end, manifest, '', { ...parts, openWritable: parts.openInput }, means)
}

/** A checkpoint does not say which columns may be NULL, and a table that lets none be fits all the same. */
function notNull(columns: ColumnTypes): ColumnTypes {
  return Object.fromEntries(Object.entries(plainTypes(columns)).map(([name, type]) => [name, `${type} NOT NULL`]))
}
