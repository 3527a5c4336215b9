import type { CheckpointStore } from '../../../checkpoints/checkpoint-store.ts'
import { garbageKey } from '../../../checkpoints/manifest.ts'
import type { Head } from '../../../checkpoints/types.ts'
import { MillraceError } from '../../core/errors.ts'
import type { SinkPort } from '../../core/sink-port.ts'
import { flowName } from '../../plan/plan-ids.ts'
import type { Flows } from '../bind/flows.ts'
import { fencedBy } from '../state/fenced.ts'
import type { Components } from '../components.ts'
import { publishedThrough } from '../state/held.ts'
import { isKeptSnapshot, snapshotLimits, snapshotRecord } from '../state/snapshots.ts'
import { createDelivery } from './deliveries.ts'
import { behindDefault, type Output, type Snapshots } from './output.ts'
import { operationOf, type SinkEnd } from './outputs.ts'

export interface OutputsContext {
  readonly ends: readonly SinkEnd[]
  readonly subscribed: Pick<Flows, 'terminals' | 'deliver'>
  readonly checkpoint: CheckpointStore
  /** Of the checkpoint. */
  readonly address: string
  readonly head: Head
  open(end: SinkEnd): Promise<SinkPort>
  openWritable: Components['openWritable']
}

/**
 * Takes the place of each output for this checkpoint and clears it of what older terms left behind, by flow name.
 *
 * @throws MillraceError `user` for a place that is another checkpoint's, or that holds more than this one knows
 */
export async function openOutputs(context: OutputsContext): Promise<ReadonlyMap<string, Output>> {
  const { ends, subscribed, checkpoint, head } = context
  const outputs = new Map<string, Output>()
  for (const end of ends) {
    const sink = await context.open(end)
    await sink.own(head.manifest.epoch === 0, head.term)
    await checkNothingBeyond(sink, end.name, head, checkpoint, context.address)
    outputs.set(end.name, { ...end, is: 'sink', sink, snapshot: snapshotsOf(end, context) })
  }
  // What an older term left behind and nothing names goes now: its writer cannot commit any more (P12).
  await checkpoint.orphans()
  const reachable = await checkpoint.reachable()
  // Flows may share a place, so what waits for any of them stays.
  const isNamed = (name: string) => ends.some(end => reachable.has(garbageKey({ store: end.name, name })))
  for (const { name: flow, sink } of outputs.values()) {
    const record = snapshotRecord(head.manifest, flow)
    await sink.orphans(head.term, name => isNamed(name) || isKeptSnapshot(record, name))
  }
  for (const [index, terminal] of subscribed.terminals.entries()) {
    const { is } = terminal
    const name = flowName(index)
    if (is !== 'rows') continue
    const sink = createDelivery(name, index, subscribed)
    outputs.set(name, { name, is, sink, operation: operationOf(terminal), behind: behindDefault })
  }
  return outputs
}

function snapshotsOf(
  { name, kind, sink, field }: SinkEnd,
  { openWritable }: Pick<OutputsContext, 'openWritable'>,
): Snapshots | undefined {
  if (!sink.snapshot) return undefined
  return {
    limits: snapshotLimits(sink.snapshot, name),
    reader: async () => kind.reader?.(sink, place => openWritable(place, field)),
  }
}

/**
 * Refuses output that is newer than the checkpoint: it would be computed and published a second time, under other
 * names.
 */
async function checkNothingBeyond(
  sink: SinkPort,
  flow: string,
  head: Head,
  checkpoint: CheckpointStore,
  address: string,
): Promise<void> {
  const { epoch } = head.manifest
  const known = publishedThrough(head.manifest, flow)
  const through = await sink.through(known)
  if (through === undefined || through <= known) return
  const [first = `epoch ${through}`, ...others] = (await sink.repair?.traces(known))?.later ?? []
  // Published by another process that has claimed since.
  const now = await checkpoint.readHead()
  if (now && now.term > head.term) throw fencedBy({ is: 'fenced', by: now })
  const stands =
    known < epoch
      ? `still holds: it stands at epoch ${epoch}, and rows of ${flow} wait there from epoch ${known + 1} on`
      : `does not know: it stands at epoch ${epoch}`
  const more = others.length === 0 ? '' : ` and ${others.length} more`
  throw new MillraceError(
    'user',
    'output-beyond',
    `${sink.address} holds ${first}${more}, published in epochs that the checkpoint ${address} ${stands}. Was an ` +
      'older copy of the checkpoint put back? Bring the newer one back, or move these files away: their rows are ' +
      'computed again.',
  )
}
