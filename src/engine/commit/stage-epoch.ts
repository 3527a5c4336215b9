import { decideInlineWaiting } from '../../../checkpoints/decide.ts'
import { addPart, dropParts } from '../../../checkpoints/manifest.ts'
import type { Manifest, Unpublished } from '../../../checkpoints/types.ts'
import type { WrittenFile } from '../../core/ports.ts'
import type { WaitingFile } from '../../core/sink-port.ts'
import { type TextRows, textRowsOf } from '../../core/text-rows.ts'
import type { Stage } from '../../plan/stages.ts'
import type { Applied } from '../fold/apply.ts'
import type { Partials } from '../fold/partials.ts'
import { type ChannelRows, type EpochContext, keepText, type OutputFile, stageRows } from '../fold/work.ts'
import type { Output } from '../publish/publisher.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import { deadToUs, segmentChannel, stateTables } from '../state/state.ts'
import type { Claim } from './claim.ts'

/** What the rows of an epoch are staged with. */
export interface StageContext {
  readonly claim: Pick<Claim, 'checkpoint' | 'head'>
  readonly commit: EpochContext
  /** By flow name. */
  readonly outputs: ReadonlyMap<string, Output>
  /** A replay repeats a run that has handed its rows over. */
  readonly isReplay: boolean
}

/** What an epoch has made: tables and local files. */
export interface EpochRows {
  readonly partials: Partials
  readonly applied: Applied
  readonly ledger: TextRows
  readonly after: LedgerPosition
}

/** A manifest that makes an epoch true once HEAD has it: everything that it names is durable. */
export interface StagedEpoch {
  readonly next: Manifest
  readonly published: readonly PublishedFile[]
  readonly channels: readonly ChannelRows[]
}

/** A file that a commit makes true, under the name that it will have. */
export interface PublishedFile {
  readonly output: string
  readonly key: string
  readonly file: WaitingFile
}

/** Makes the rows of an epoch durable and names them. @param manifest of the epoch, without its rows */
export async function stageEpoch(context: StageContext, manifest: Manifest, rows: EpochRows): Promise<StagedEpoch> {
  const { partials, applied, after } = rows
  const staged = await stageOutputs(context, manifest, [...partials.outputs, ...applied.outputs])
  const channels = await channelsOf(context, manifest.epoch, rows, staged.published)
  const next = await stageChannels(context, staged.next, channels)
  return { next: withoutDead(next, context.commit.stages, after, applied), published: staged.published, channels }
}

/** The files of each flow, in its sink's own place or where they wait in the checkpoint. */
async function stageOutputs(
  context: StageContext,
  manifest: Manifest,
  outputs: readonly OutputFile[],
): Promise<Pick<StagedEpoch, 'next' | 'published'>> {
  let next = manifest
  const published: PublishedFile[] = []
  for (const [name, files] of byFlow(outputs.filter(({ written }) => written.rows > 0))) {
    const output = context.outputs.get(name)
    if (!output || (output.is === 'rows' && context.isReplay)) continue
    const { waiting, names } = await stageOutput(context, output, files, next)
    next = { ...next, unpublished: [...next.unpublished, waiting] }
    for (const [index, key] of names.entries())
      published.push({ output: name, key, file: waiting.files[index] as WaitingFile })
  }
  return { next, published }
}

/** The files of an epoch by the names of their flows. */
function byFlow(outputs: readonly OutputFile[]): ReadonlyMap<string, readonly WrittenFile[]> {
  const files = new Map<string, WrittenFile[]>()
  for (const { flow, written } of outputs) {
    const own = files.get(flow.name)
    if (own) own.push(written)
    else files.set(flow.name, [written])
  }
  return files
}

async function stageOutput(
  { claim: { head, checkpoint } }: StageContext,
  { name, sink }: Output,
  files: readonly WrittenFile[],
  next: Manifest,
): Promise<{ readonly waiting: Unpublished; readonly names: readonly string[] }> {
  const { epoch } = next
  const entry = { output: name, epoch, operation: 'append' } as const
  if (sink.stage) {
    const inlineBytesMax = decideInlineWaiting(next.unpublished, 'sink')
    const staged = await sink.stage({ term: head.term, epoch, operation: 'append', files, inlineBytesMax })
    return { waiting: { ...entry, receipt: staged.receipt, at: 'sink', files: staged.files }, names: staged.names }
  }
  const kept: WaitingFile[] = []
  for (const { file, rows } of files) kept.push(await checkpoint.stageWaiting(file, rows, next))
  return { waiting: { ...entry, receipt: null, at: 'checkpoint', files: kept }, names: [] }
}

async function channelsOf(
  { commit }: StageContext,
  epoch: number,
  { ledger, partials, applied }: EpochRows,
  published: readonly PublishedFile[],
): Promise<readonly ChannelRows[]> {
  const channels: ChannelRows[] = [
    { channel: 'ledger', kept: await keepText(commit, ledger) },
    ...partials.channels,
    ...applied.channels,
  ]
  if (published.length === 0) return channels
  return [...channels, { channel: 'outputs', kept: await keepText(commit, outputsText(epoch, published)) }]
}

async function stageChannels(
  { claim: { checkpoint } }: StageContext,
  manifest: Manifest,
  channels: readonly ChannelRows[],
): Promise<Manifest> {
  const { epoch } = manifest
  let next = manifest
  for (const { channel, kept, aliveToUs } of channels) {
    const ref = await stageRows(checkpoint, channel, kept, next)
    const alive = aliveToUs === undefined ? {} : { aliveToUs: aliveToUs.toString() }
    next = addPart(next, channel, { ...ref, epochs: [epoch, epoch], ...alive })
  }
  return next
}

/** Segments whose last window has closed hold nothing alive (P11). */
function withoutDead(
  manifest: Manifest,
  stages: readonly Stage[],
  after: LedgerPosition,
  applied: Pick<Applied, 'openFromUs'>,
): Manifest {
  return stateTables(stages).reduce((next, state) => {
    const deadUs = deadToUs(state, after.clocks, applied.openFromUs)
    return dropParts(
      next,
      segmentChannel(state),
      ({ aliveToUs }) => aliveToUs !== undefined && deadUs !== null && BigInt(aliveToUs) <= deadUs,
    )
  }, manifest)
}

function outputsText(epoch: number, published: readonly PublishedFile[]): TextRows {
  const columns = {
    epoch: 'BIGINT',
    output: 'VARCHAR',
    key: 'VARCHAR',
    rows: 'BIGINT',
    bytes: 'BIGINT',
    sha256: 'VARCHAR',
  } as const
  const rows = published.map(({ output, key, file: { rows, bytes, sha256 } }) => ({
    epoch,
    output,
    key,
    rows,
    bytes,
    sha256,
  }))
  return textRowsOf(
    columns,
    rows.toSorted((a, b) => (a.output < b.output ? -1 : a.output > b.output ? 1 : 0)),
  )
}
