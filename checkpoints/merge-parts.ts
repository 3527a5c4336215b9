import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TextRows } from '../src/core/text-rows.ts'
import { mergedSpan } from './decide.ts'
import { loadFile, stageFile, textOf } from './files.ts'
import { nameOf } from './objects.ts'
import { filePath } from './paths.ts'
import type { CheckpointIo } from './read-head.ts'
import type { Manifest, Part } from './types.ts'

/** Rows of a channel: a local file, or those that ride in HEAD as text. */
export type RowsSource = { readonly file: string } | { readonly text: TextRows }

export type MergeRows = (
  channel: string,
  /** Oldest first. */
  sources: readonly RowsSource[],
  to: string,
  /** What the merge begins from: rows that it has closed for good may be left out (P11). */
  manifest: Manifest,
) => Promise<{ readonly rows: number; readonly bytes: number; readonly sha256: string }>

export interface MergeIo extends CheckpointIo {
  /** Merges rows of one channel into the local file `to`. */
  readonly merge: MergeRows
  /** Local folder for files on their way; created when needed. */
  readonly scratch: string
}

export interface PartsToMerge {
  readonly channel: string
  readonly parts: readonly Part[]
  readonly term: number
  /** What they are of. */
  readonly manifest: Manifest
  /** So large may the result be to ride in HEAD. */
  readonly inlineBytesMax?: number
}

/** Makes one part of several: it is durable then, and named by no manifest yet. */
export async function mergeParts(io: MergeIo, { channel, parts, term, manifest, inlineBytesMax }: PartsToMerge) {
  const { store, newId, sleep, merge, scratch } = io
  const folder = join(scratch, newId())
  await mkdir(folder, { recursive: true })
  try {
    const sources: RowsSource[] = []
    for (const [i, part] of parts.entries()) sources.push(await loadPart(io, part, join(folder, `${i}.parquet`)))
    const to = join(folder, 'merged.parquet')
    const { rows } = await merge(channel, sources, to, manifest)
    const name = filePath({ kind: channel, term, epoch: manifest.epoch }, newId(), 'parquet')
    return { ...(await stageFile(store, name, to, rows, sleep, inlineBytesMax)), ...mergedSpan(parts) }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function loadPart({ store, sleep }: CheckpointIo, part: Part, file: string): Promise<RowsSource> {
  const text = textOf(part, nameOf(store, part.name))
  if (text !== undefined) return { text }
  await loadFile(store, part, file, sleep)
  return { file }
}
