import type { WaitingFile } from '../src/core/sink-port.ts'
import { parseStagedPath } from './paths.ts'
import type { Unpublished } from './types.ts'

/** What manifests of formats 1 to 3 had in the place of today's `unpublished`. */
interface Earlier {
  /** A file staged in an output folder, and its final key there. */
  readonly unpublished: readonly { readonly output: string; readonly file: WaitingFile; readonly to: string }[]
  /** Rows that wait in the checkpoint. Since format 2. */
  readonly undelivered?: readonly { readonly output: string; readonly epoch: number; readonly file: WaitingFile }[]
}

/**
 * A manifest of an earlier format, with all that is not published yet in one list (P14). Undefined where that is not as
 * those formats have it.
 */
export function withOneList(manifest: Record<string, unknown>): Record<string, unknown> | undefined {
  const { undelivered = [], unpublished, ...rest } = manifest as unknown as Earlier
  if (!Array.isArray(unpublished) || !Array.isArray(undelivered)) return undefined
  const staged: Unpublished[] = []
  for (const { output, file, to } of unpublished as Earlier['unpublished']) {
    // The folder's names tell the epoch.
    const name = parseStagedPath(file.name)
    if (!name) return undefined
    staged.push({ output, epoch: name.epoch, operation: 'append', receipt: [to], at: 'sink', files: [file] })
  }
  const kept = (undelivered as NonNullable<Earlier['undelivered']>).map(
    ({ output, epoch, file }): Unpublished => ({
      output,
      epoch,
      operation: 'append',
      receipt: null,
      at: 'checkpoint',
      files: [file],
    }),
  )
  return { ...rest, unpublished: [...staged, ...kept].toSorted((a, b) => a.epoch - b.epoch) }
}
