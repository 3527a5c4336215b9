import type { Manifest } from '../../checkpoints/types.ts'
import type { WaitingFile } from '../core/sink-port.ts'
import { type SinkReader, sinkAt } from '../plan/sink.ts'
import { storedPlan } from '../plan/stored-plan.ts'
import type { Components } from './components.ts'

/** What a flow of a checkpoint has published at this place; undefined where its kind of sink cannot be read back. */
export async function openPublished(
  { sinks, openInput }: Pick<Components, 'sinks' | 'openInput'>,
  manifest: Manifest,
  flow: string,
  address: string,
): Promise<SinkReader | undefined> {
  const sink = sinkAt(address, storedPlan(manifest.engine.plan).flows[flow]?.options)
  const kind = sinks.find(each => each.kind === sink.sink)
  return kind?.reader?.(sink, place => openInput(place, 'output'))
}

/** What a file of a flow waits as, where it is not known to be published: by its hash, as only the sink reads its receipt. */
export function waitingAs({ unpublished }: Manifest, flow: string, file: WaitingFile): WaitingFile | undefined {
  const waiting = unpublished.filter(({ output }) => output === flow).flatMap(({ files }) => files)
  return waiting.find(({ bytes, sha256 }) => bytes === file.bytes && sha256 === file.sha256)
}
