import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type CheckpointStore, createCheckpointStore, type MergeRows } from '../../checkpoints/checkpoint-store.ts'
import { currentFormat, currentMinReader, sha256, sha256OfFile } from '../../checkpoints/codec.ts'
import { addPart } from '../../checkpoints/manifest.ts'
import { loadFile } from '../../checkpoints/files.ts'
import type { EngineState, FileRef, Head, Manifest, Part, Unpublished } from '../../checkpoints/types.ts'
import type { ObjectStore } from '../../src/core/ports.ts'

export const initial: EngineState = {
  plan: 'plan',
  settings: {},
  nextSeq: 0,
  watermarks: {},
  positions: {},
  totals: {},
}

export const noSleep = async (): Promise<void> => {}

/** Ids that are the same in every run. */
export function counter(prefix: string): () => string {
  let n = 0
  return () => `${prefix}-${++n}`
}

const linesOf = (text: string) => text.split('\n').filter(line => line !== '')

/** The tests' files are lines of text; one line is one row. Merging sorts, so it is associative and commutative. */
export const mergeLines: MergeRows = async (_channel, sources, to) => {
  const found = await Promise.all(
    sources.map(async source =>
      'file' in source
        ? linesOf(await readFile(source.file, 'utf8'))
        : source.text.rows.map(([line]) => line as string),
    ),
  )
  const lines = found.flat().toSorted()
  await writeFile(to, `${lines.join('\n')}\n`)
  return { rows: lines.length, ...(await sha256OfFile(to)) }
}

/** Rows that together take about so many bytes, different for every label. */
export function rowsOf(label: string, bytes: number): string[] {
  const rows: string[] = []
  for (let size = 0, i = 0; size < bytes; i++) {
    const row = `${label} ${String(i).padStart(6, '0')} ${sha256(Buffer.from(`${label} ${i}`))}`
    rows.push(row)
    size += row.length + 1
  }
  return rows
}

export async function writeRows(folder: string, rows: readonly string[]): Promise<string> {
  const file = join(folder, `rows-${sha256(Buffer.from(rows.join('\n'))).slice(0, 16)}`)
  await writeFile(file, `${rows.join('\n')}\n`)
  return file
}

export async function readRows(store: ObjectStore, folder: string, refs: readonly FileRef[]): Promise<string[]> {
  const rows: string[] = []
  for (const [i, ref] of refs.entries()) {
    const to = join(folder, `load-${i}`)
    await loadFile(store, ref, to, noSleep)
    rows.push(...linesOf(await readFile(to, 'utf8')))
  }
  return rows.toSorted()
}

export interface Process {
  readonly checkpoint: CheckpointStore
  readonly head: Head
}

/** What a starting process does first. */
export async function start(store: ObjectStore, scratch: string, id: string): Promise<Process> {
  const checkpoint = openCheckpoint(store, scratch, id)
  return { checkpoint, head: await checkpoint.claim(initial) }
}

export function openCheckpoint(
  store: ObjectStore,
  scratch: string,
  id: string,
  wallMs?: () => number,
): CheckpointStore {
  return createCheckpointStore({
    store,
    owner: id,
    newId: counter(id),
    merge: mergeLines,
    scratch: join(scratch, 'scratch'),
    sleep: noSleep,
    ...(wallMs && { wallMs }),
  })
}

/** The manifest of the next epoch, with these rows in one channel. */
export async function withRows(
  checkpoint: CheckpointStore,
  from: Manifest,
  channel: string,
  rows: readonly string[],
  scratch: string,
): Promise<Manifest> {
  const epoch = from.epoch + 1
  const ref = await checkpoint.stage(channel, await writeRows(scratch, rows), rows.length, { ...from, epoch })
  const part: Part = { ...ref, epochs: [epoch, epoch], aliveToUs: `${epoch}` }
  return addPart({ ...from, epoch }, channel, part)
}

/** The manifest of an epoch, with these rows of a flow that wait in the checkpoint. */
export async function withWaiting(
  checkpoint: CheckpointStore,
  next: Manifest,
  output: string,
  rows: readonly string[],
  scratch: string,
): Promise<Manifest> {
  const file = await checkpoint.stageWaiting(await writeRows(scratch, rows), rows.length, next)
  return { ...next, unpublished: [...next.unpublished, waitsHere(output, next.epoch, file)] }
}

/** Rows that wait in the checkpoint for a flow's sink. */
export function waitsHere(output: string, epoch: number, ...files: readonly FileRef[]): Unpublished {
  return { output, epoch, operation: 'append', receipt: null, at: 'checkpoint', files }
}

/** Rows that were staged in a sink's own place. */
export function waitsThere(output: string, epoch: number, ...files: readonly FileRef[]): Unpublished {
  return { output, epoch, operation: 'append', receipt: files.map(({ name }) => name), at: 'sink', files }
}

export async function keysOf(store: ObjectStore, prefix = ''): Promise<string[]> {
  const keys: string[] = []
  for await (const version of store.list(prefix)) keys.push(version.key)
  return keys
}

export function committed(outcome: { is: 'committed'; head: Head } | { is: 'fenced'; by: Head }): Head {
  if (outcome.is !== 'committed') throw new Error(`fenced by ${outcome.by.owner}`)
  return outcome.head
}

export function emptyManifest(epoch = 0): Manifest {
  return {
    checkpointId: 'c',
    epoch,
    engine: initial,
    channels: {},
    unpublished: [],
    retained: [],
    garbage: [],
  }
}

export function emptyHead(term: number, putId: string): Head {
  return {
    format: currentFormat,
    minReader: currentMinReader,
    term,
    putId,
    owner: 'o',
    beat: 0,
    released: false,
    manifest: emptyManifest(),
  }
}
