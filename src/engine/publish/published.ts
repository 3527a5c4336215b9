import type { Manifest } from '../../../checkpoints/types.ts'
import type { Executor } from '../../core/ports.ts'
import type { WaitingFile } from '../../core/sink-port.ts'
import { type LocalFile, type SinkKind, type SinkReader, sinkAt } from '../../plan/sink.ts'
import { storedPlan } from '../../plan/stored-plan.ts'
import type { Components } from '../components.ts'
import { writeHeld } from '../fold/held-files.ts'
import type { ChannelReader } from '../state/channels.ts'
import { heldChannel, heldParts } from '../state/held.ts'
import { outputColumns } from '../state/read-checkpoint.ts'

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

/** Whether a flow goes to a table, of a sink that is known here. */
export function isTable({ sinks }: Pick<Components, 'sinks'>, manifest: Manifest, flow: string): boolean {
  const { kind } = sinkOfFlow(sinks, manifest, flow, '')
  return kind !== undefined && kind.reader === undefined
}

/** The sink of a flow as the checkpoint's plan has it, at this place. */
function sinkOfFlow(sinks: readonly SinkKind[], { engine }: Manifest, flow: string, address: string) {
  const sink = sinkAt(address, storedPlan(engine.plan).flows[flow]?.options)
  return { sink, kind: sinks.find(({ kind }) => kind === sink.sink) }
}

/**
 * What a file of a flow waits as, where it is not known to be published: by its hash, as only the sink reads its
 * receipt.
 */
export function waitingAs({ unpublished }: Manifest, flow: string, file: WaitingFile): WaitingFile | undefined {
  const waiting = unpublished.filter(({ output }) => output === flow).flatMap(({ files }) => files)
  return waiting.find(({ bytes, sha256 }) => bytes === file.bytes && sha256 === file.sha256)
}

/**
 * What is committed of a flow and waits, as the files that it would be published as now: local ones, which the caller
 * removes. For whoever reads a checkpoint.
 */
export async function heldAsFiles(
  { manifest, ...reader }: ChannelReader,
  executor: Executor,
  sinks: readonly SinkKind[],
  flow: string,
): Promise<readonly LocalFile[]> {
  const parts = heldParts(manifest, flow)
  if (parts.length === 0) return []
  const { sink } = sinkOfFlow(sinks, manifest, flow, '')
  const columns = outputColumns(manifest)[flow] ?? {}
  const files = await writeHeld({ ...reader, executor, sinks }, { name: flow, sink, columns }, parts)
  return files.map(({ file, folder = '' }) => ({ file, name: `${folder}${heldChannel(flow)}` }))
}
