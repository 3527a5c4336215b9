import type { ObjectStore } from '../src/core/ports.ts'
import type { TextRows } from '../src/core/text-rows.ts'
import { claimHead, type StandBy } from './claim.ts'
import { collectGarbage, deleteOrphans } from './collect.ts'
import { createCommits } from './commits.ts'
import type { Compaction } from './compact.ts'
import { decideCompaction, decideInlineFile, decideInlineWaiting, inlineFileBytesMax } from './decide.ts'
import { loadFile, stageFile, textOf, textRef } from './files.ts'
import { type CommitOutcome, createHeadWriter } from './head-writer.ts'
import { checkpoint, garbageKey, reach } from './manifest.ts'
import { type MergeIo, type MergeRows, mergeParts } from './merge-parts.ts'
import { nameOf } from './objects.ts'
import { checkFileKind, deliveries, filePath } from './paths.ts'
import { readHead, readHeadUnlessLost } from './read-head.ts'
import { type KnownReach, reachableFrom } from './retained.ts'
import { realSleep, retrying, type Sleep } from './retry.ts'
import { probeUnlessShown } from './shown.ts'
import type { EngineState, FileRef, Head, Manifest, Shown } from './types.ts'

export type { StandBy } from './claim.ts'
export type { CommitOutcome } from './head-writer.ts'
export type { MergeRows, RowsSource } from './merge-parts.ts'

export interface CheckpointStoreOptions {
  readonly store: ObjectStore
  /** Host, process and start time of this process. */
  readonly owner: string
  readonly newId: () => string
  /** Merges rows of one channel into the local file `to`. */
  readonly merge: MergeRows
  /** Local folder for files on their way; created when needed. */
  readonly scratch: string
  readonly sleep?: Sleep
  /** The time in ms since 1970, which tells how old it is what the store has shown. Without it all is probed. */
  readonly wallMs?: () => number
}

/**
 * The checkpoint in its bucket (P3 to P12). One writer of HEAD at a time; `stage`, `load` and `compact` may run beside
 * it. Once a write of HEAD could not be settled, or was fenced, every later write is refused: a new process must claim.
 */
export interface CheckpointStore {
  /** P4. In full where HEAD does not remember it. @param seen what `readHead` has found */
  probe(seen: Head | undefined, signal?: AbortSignal): Promise<void>
  /** Without a claim. @throws MillraceError 'head-lost' where there is none and files tell that there was one. */
  readHead(): Promise<Head | undefined>
  /** P5. `initial` is what a new checkpoint begins with. Without `standBy` a live owner is fenced at once. */
  claim(initial: EngineState, standBy?: StandBy): Promise<Head>
  /** HEAD as it was before the claim, which may have waited long for it; undefined before one, and at a birth. */
  readonly claimedFrom: Head | undefined
  /** Size of HEAD, as this process last wrote it. */
  readonly headBytes: number
  /**
   * Makes a local file durable. It counts once a committed manifest names it.
   *
   * @param beside what it is to ride in HEAD with, where it is small
   */
  stage(channel: string, file: string, rows: number, beside: Manifest): Promise<FileRef>
  /** The same for a few rows, which become durable with the manifest that names them. */
  stageText(channel: string, epoch: number, text: TextRows): FileRef
  /** The same for rows that wait here until the flow's sink has them. */
  stageWaiting(file: string, rows: number, beside: Manifest): Promise<FileRef>
  /** Brings a file to a local path, verified (P10). It may be a hard link into the store: read it only. */
  load(ref: FileRef, to: string): Promise<void>
  /** Rows that ride in HEAD as text, verified (P10); undefined where they are a file to load. */
  textOf(ref: FileRef): TextRows | undefined
  /** P6. May merge inline files and add a retained copy: see the outcome's manifest. */
  commit(next: Manifest): Promise<CommitOutcome>
  /** The last commit of a clean stop, which lets the next start claim at once. */
  release(next: Manifest): Promise<CommitOutcome>
  /**
   * Shows that the owner lives. Nothing is written while a commit is under way, which shows the same.
   *
   * @param amend what the write may record beside: it changes neither the epoch nor what later commits are made from
   */
  beat(amend?: (manifest: Manifest) => Manifest): Promise<CommitOutcome>
  /** Merges one full tier of the channel's parts, if there is one. `applyCompaction` puts the result in a manifest. */
  compact(manifest: Manifest, channel: string): Promise<Compaction | undefined>
  /** P12. Deletes garbage of the committed manifest; the given one without it. */
  collect(manifest: Manifest, outputs: Readonly<Record<string, Pick<ObjectStore, 'delete'>>>): Promise<Manifest>
  /** What HEAD and the retained manifests need, for `SinkPort.orphans`. */
  reachable(): Promise<ReadonlySet<string>>
  /** Once after a claim: deletes what lower terms left. How many files. */
  orphans(): Promise<number>
}

export function createCheckpointStore(options: CheckpointStoreOptions): CheckpointStore {
  const { store, owner, newId, merge, scratch, sleep = realSleep } = options
  const io: MergeIo = { store, newId, sleep, merge, scratch }
  const writer = createHeadWriter(io)
  const known: KnownReach = new Map()
  /** Keys that a compaction reads: a manifest that drops them may be committed before it ends. */
  const inFlight = new Set<string>()
  let claimedFrom: Head | undefined
  let shown: Shown | undefined
  const { commit, beat, isBusy } = createCommits(io, writer, known)

  const ownHead = (): Head => writer.owned().head
  const reachable = (head: Head): Promise<ReadonlySet<string>> => reachableFrom(io, known, head)
  const newFile = (kind: string, epoch: number): string =>
    filePath({ kind, term: ownHead().term, epoch }, newId(), 'parquet')

  return {
    async probe(seen, signal) {
      shown = await probeUnlessShown({ store, newId, ...(signal && { signal }) }, seen?.shown, options.wallMs?.())
    },
    readHead: async () => (await readHeadUnlessLost(io))?.head,
    async claim(initial, standBy) {
      writer.own(undefined)
      const claimed = await claimHead({ ...io, owner, shown }, initial, standBy)
      writer.own(claimed.mine)
      writer.headBytes = claimed.bytes
      claimedFrom = claimed.from
      return claimed.mine.head
    },
    get claimedFrom() {
      return claimedFrom
    },
    get headBytes() {
      return writer.headBytes
    },
    ...filesOf(io, newFile),
    commit: next => commit(next, false),
    release: next => commit(next, true),
    beat,
    compact: async (manifest, channel) => compact(io, inFlight, ownHead().term, manifest, channel),
    async collect(manifest, outputs) {
      const head = ownHead()
      // A writer in doubt deletes nothing (P6, P12).
      if (isBusy()) return manifest
      const stores = new Map([...Object.entries(outputs), [checkpoint, store] as const])
      const keys = new Set([...(await reachable(head)), ...reach(manifest), ...inFlight])
      return collectGarbage(manifest, { committed: head.manifest, stores, reachable: keys })
    },
    reachable: () => reachable(ownHead()),
    async orphans() {
      const head = ownHead()
      const keys = await reachable(head)
      return retrying(sleep, () => deleteOrphans(store, head.term, keys))
    },
  }
}

/** Files of the checkpoint. @param newFile the name of one, of the term that is owned */
function filesOf(
  { store, sleep }: MergeIo,
  newFile: (kind: string, epoch: number) => string,
): Pick<CheckpointStore, 'stage' | 'stageText' | 'stageWaiting' | 'load' | 'textOf'> {
  return {
    stage(channel, file, rows, beside) {
      checkFileKind(channel)
      return stageFile(store, newFile(channel, beside.epoch), file, rows, sleep, decideInlineFile(beside))
    },
    stageText(channel, epoch, text) {
      checkFileKind(channel)
      return textRef(newFile(channel, epoch), text)
    },
    stageWaiting(file, rows, { epoch, unpublished }) {
      const inlineBytesMax = Math.min(inlineFileBytesMax, decideInlineWaiting(unpublished, 'checkpoint'))
      return stageFile(store, newFile(deliveries, epoch), file, rows, sleep, inlineBytesMax)
    },
    load: (ref, to) => loadFile(store, ref, to, sleep),
    textOf: ref => textOf(ref, nameOf(store, ref.name)),
  }
}

async function compact(
  io: MergeIo,
  inFlight: Set<string>,
  term: number,
  manifest: Manifest,
  channel: string,
): Promise<Compaction | undefined> {
  const parts = decideCompaction(manifest.channels[channel] ?? [])
  if (parts.length === 0) return undefined
  const replaced = parts.map(p => p.name)
  const keys = replaced.map(name => garbageKey({ store: checkpoint, name }))
  for (const key of keys) inFlight.add(key)
  try {
    return { channel, replaced, part: await mergeParts(io, { channel, parts, term, manifest }) }
  } catch (error) {
    // A later owner collects what it no longer names (P12). The next commit tells who that is.
    if ((await readHead(io))?.head.term !== term) return undefined
    throw error
  } finally {
    for (const key of keys) inFlight.delete(key)
  }
}
