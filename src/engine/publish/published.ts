import type { Manifest } from '../../../checkpoints/types.ts'
import type { WaitingFile } from '../../core/sink-port.ts'
import { type SinkKind, type SinkReader, sinkAt } from '../../plan/sink.ts'
import { storedPlan } from '../../plan/stored-plan.ts'
import type { Components } from '../components.ts'

/** What a flow of a checkpoint has published at this place; undefined where its kind of sink cannot be read back. */
export async function openPublished(
  { sinks, openInput }: Pick<Components, 'sinks' | 'openInput'>,
  manifest: Manifest,
  flow: string,
  address: string,
): Promise<SinkReader | undefined> {
  const { sink, kind } = sinkOfFlow(sinks, manifest, flow, address)
  return kind?.reader?.(sink, place => openInput(place, 'output'))
}

/** Whether what a flow publishes can be read back. */
export function isReadable({ sinks }: Pick<Components, 'sinks'>, manifest: Manifest, flow: string): boolean {
  return sinkOfFlow(sinks, manifest, flow, '').kind?.reader !== undefined
}

function sinkOfFlow(sinks: readonly SinkKind[], { engine }: Manifest, flow: string, address: string) {
  const sink = sinkAt(address, storedPlan(engine.plan).flows[flow]?.options)
  return { sink, kind: sinks.find(({ kind }) => kind === sink.sink) }
}

/** What a file of a flow waits as, where it is not known to be published: by its hash, as only the sink reads its receipt. */
export function waitingAs({ unpublished }: Manifest, flow: string, file: WaitingFile): WaitingFile | undefined {
  const waiting = unpublished.filter(({ output }) => output === flow).flatMap(({ files }) => files)
  return waiting.find(({ bytes, sha256 }) => bytes === file.bytes && sha256 === file.sha256)
}
