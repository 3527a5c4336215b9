import { rm } from 'node:fs/promises'
import { addPart, dropParts } from '../../../checkpoints/manifest.ts'
import type { Manifest } from '../../../checkpoints/types.ts'
import type { WrittenFile } from '../../core/ports.ts'
import type { TextRows } from '../../core/text-rows.ts'
import type { Stage } from '../../plan/stages.ts'
import type { Applied } from '../fold/apply.ts'
import type { Partials } from '../fold/partials.ts'
import { type ChannelRows, keepText, type OutputFile, stageRows } from '../fold/work.ts'
import type { Output } from '../publish/output.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import { deadToUs, segmentChannel, stateTables } from '../state/state.ts'
import type { Holding } from './holding.ts'
import { noteSnapshot, type SnapshotContext, writeSnapshot } from './snapshots.ts'
import { type PublishedFile, recordOutputs, type Staged, type StageContext, stageOutput } from './stage-output.ts'

/** What the rows of an epoch are staged with. */
export interface EpochStageContext extends SnapshotContext {
  readonly holding: Pick<Holding, 'take'>
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

/**
 * Makes the rows of an epoch durable and names them.
 *
 * @param manifest of the epoch, without its rows
 * @param isLast no row waits for those of later epochs
 */
export async function stageEpoch(
  context: EpochStageContext,
  manifest: Manifest,
  rows: EpochRows,
  isLast: boolean,
): Promise<StagedEpoch> {
  const { partials, applied, after } = rows
  const staged = await stageOutputs(context, manifest, [...partials.outputs, ...applied.outputs], isLast)
  const taken = await context.holding.take(staged.next, [...partials.held, ...applied.held], isLast)
  const published = [...staged.published, ...taken.published]
  const channels = await channelsOf(context, rows)
  const recorded = await recordOutputs(context, await stageChannels(context, taken.next, channels), published)
  return { next: withoutDead(recorded, context.commit.stages, after, applied), published, channels }
}

/** The files of each flow, in its sink's own place or where they wait in the checkpoint. */
async function stageOutputs(
  context: EpochStageContext,
  manifest: Manifest,
  outputs: readonly OutputFile[],
  isLast: boolean,
): Promise<Staged> {
  let next = manifest
  const published: PublishedFile[] = []
  const files = byFlow(outputs.filter(({ written }) => written.rows > 0))
  const withSnapshots = [...context.outputs.values()].filter(({ snapshot }) => snapshot).map(({ name }) => name)
  for (const name of new Set([...files.keys(), ...withSnapshots])) {
    const output = context.outputs.get(name)
    if (!output || (output.is === 'rows' && context.isReplay)) continue
    const staged = await stageWithSnapshot(context, output, files.get(name) ?? [], next, isLast)
    next = staged.next
    published.push(...staged.published)
  }
  return { next, published }
}

/** Of a flow that has snapshots: with that of the epoch, which is no file of changes and not on record as one. */
async function stageWithSnapshot(
  context: EpochStageContext,
  output: Output,
  files: readonly WrittenFile[],
  next: Manifest,
  isLast: boolean,
): Promise<Staged> {
  const { epoch } = next
  const snapshot = await writeSnapshot(context, next, output, files, isLast)
  const all = [...files, ...(snapshot ? [snapshot] : [])]
  try {
    if (all.length === 0) return { next, published: [] }
    const staged = await stageOutput(context, output, all, next, { from: epoch, to: epoch })
    if (!output.snapshot) return staged
    const taken = snapshot ? staged.published.at(-1) : undefined
    const file = taken && { ...taken.file, name: taken.key }
    return {
      next: noteSnapshot(context, staged.next, output, file),
      published: staged.published.filter(one => one !== taken),
    }
  } finally {
    if (snapshot) await rm(snapshot.file, { force: true })
  }
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

async function channelsOf(
  { commit }: StageContext,
  { ledger, partials, applied }: EpochRows,
): Promise<readonly ChannelRows[]> {
  return [{ channel: 'ledger', kept: await keepText(commit, ledger) }, ...partials.channels, ...applied.channels]
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
