import { decideInlineWaiting } from '../../../checkpoints/decide.ts'
import { addPart } from '../../../checkpoints/manifest.ts'
import type { Manifest, Unpublished } from '../../../checkpoints/types.ts'
import type { WrittenFile } from '../../core/ports.ts'
import type { WaitingFile } from '../../core/sink-port.ts'
import { type TextRows, textRowsOf } from '../../core/text-rows.ts'
import { type EpochContext, keepText, removeFiles, stageRows } from '../fold/work.ts'
import type { Output } from '../publish/output.ts'
import type { Claim } from './claim.ts'

/** What rows are staged with. */
export interface StageContext {
  readonly claim: Pick<Claim, 'checkpoint' | 'head'>
  readonly commit: EpochContext
  /** By flow name. */
  readonly outputs: ReadonlyMap<string, Output>
}

/** A file that a commit makes true, under the name that it will have. */
export interface PublishedFile {
  readonly output: string
  /** That it is named after. */
  readonly epoch: number
  readonly key: string
  readonly file: WaitingFile
}

/** What a manifest becomes by rows of one flow that are to be published. */
export interface Staged {
  readonly next: Manifest
  readonly published: readonly PublishedFile[]
}

/**
 * Makes rows of one flow durable: in its sink's own place, or where they wait in the checkpoint.
 *
 * @param epochs between which the rows came; the files are named after the last
 */
export async function stageOutput(
  { claim: { head, checkpoint } }: StageContext,
  { name, sink, operation }: Output,
  files: readonly WrittenFile[],
  next: Manifest,
  { from, to: epoch }: { readonly from: number; readonly to: number },
): Promise<Staged> {
  const entry = { output: name, epoch, ...(from < epoch && { from }), operation } as const
  if (sink.stage) {
    const inlineBytesMax = decideInlineWaiting(next.unpublished, 'sink')
    const staged = await sink.stage({ term: head.term, epoch, operation, files, inlineBytesMax })
    return {
      next: withUnpublished(next, { ...entry, receipt: staged.receipt, at: 'sink', files: staged.files }),
      published: staged.names.map((key, index) => ({
        output: name,
        epoch,
        key,
        file: staged.files[index] as WaitingFile,
      })),
    }
  }
  const kept: WaitingFile[] = []
  for (const { file, rows } of files) kept.push(await checkpoint.stageWaiting(file, rows, next))
  return { next: withUnpublished(next, { ...entry, receipt: null, at: 'checkpoint', files: kept }), published: [] }
}

/** In order of their epochs: rows that were held are of an earlier one. */
function withUnpublished(manifest: Manifest, entry: Unpublished): Manifest {
  return { ...manifest, unpublished: [...manifest.unpublished, entry].toSorted((a, b) => a.epoch - b.epoch) }
}

/** Puts what the commit makes true on the checkpoint's own record of its output. */
export async function recordOutputs(
  { claim, commit }: StageContext,
  next: Manifest,
  published: readonly PublishedFile[],
): Promise<Manifest> {
  if (published.length === 0) return next
  const kept = await keepText(commit, outputsText(published))
  const ref = await stageRows(claim.checkpoint, 'outputs', kept, next)
  await removeFiles([{ channel: 'outputs', kept }], [])
  return addPart(next, 'outputs', { ...ref, epochs: [next.epoch, next.epoch] })
}

function outputsText(published: readonly PublishedFile[]): TextRows {
  const columns = {
    epoch: 'BIGINT',
    output: 'VARCHAR',
    key: 'VARCHAR',
    rows: 'BIGINT',
    bytes: 'BIGINT',
    sha256: 'VARCHAR',
  } as const
  const rows = published.map(({ output, epoch, key, file: { rows, bytes, sha256 } }) => ({
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
