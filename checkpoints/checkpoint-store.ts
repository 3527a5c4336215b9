import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { MillraceError } from '../src/core/errors.ts'
import type { ObjectStore } from '../src/core/ports.ts'
import type { TextRows } from '../src/core/text-rows.ts'
import { corrupt, decodeManifest, encodeHead, encodeManifest, FORMAT, MIN_READER, sha256 } from './codec.ts'
import { collectGarbage, deleteOrphans } from './collect.ts'
import type { Compaction } from './compact.ts'
import {
  decideClaim,
  decideCompaction,
  decideInlineFile,
  decideInlineMerge,
  decideInlineWaiting,
  decideRetain,
  type HeadSeen,
  INLINE_BYTES_MAX,
  INLINE_MERGED_BYTES_MAX,
  mergedSpan,
  RETAINED_MAX,
  TAKEOVER_MS,
  settleWrite,
} from './decide.ts'
import { loadFile, stageFile, textOf, textRef } from './files.ts'
import { completeHead, fittedHead } from './head.ts'
import { findFileWithoutHead, headLost } from './lost-head.ts'
import { addPart, addRetained, asRetained, CHECKPOINT, dropParts, garbageKey, isInHead, reach } from './manifest.ts'
import { createObject, nameOf } from './objects.ts'
import { checkFileKind, DELIVERIES, filePath, HEAD_KEY, MANIFESTS } from './paths.ts'
import { probeStore } from './probe.ts'
import { ATTEMPTS_MAX, isRetryable, pauseMs, realSleep, retrying, type Sleep, unavailable } from './retry.ts'
import type { EngineState, FileRef, Garbage, Head, Manifest, Part, RetainedManifest } from './types.ts'

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
}

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

/** How a start behaves before a live owner (P5). */
export interface StandBy {
  nowMs(): number
  /** Waits; ends early when the start is given up. */
  sleep(ms: number): Promise<void>
  /** Whether the process that HEAD names has ended, as far as this host can tell. */
  isGone(owner: string): boolean
  /** Told when it begins to wait, once for each owner. */
  onWait(owner: string): void
  /** Aborted: `claim` ends with an error of code 'stopped-waiting'. */
  readonly signal: AbortSignal
}

/** `head` is what the bucket holds now: the next manifest is made from its manifest. */
export type CommitOutcome =
  | { readonly is: 'committed'; readonly head: Head }
  | { readonly is: 'fenced'; readonly by: Head }

type SettledWrite = { readonly is: 'committed'; readonly seen: HeadSeen } | { readonly is: 'fenced'; readonly by: Head }

/**
 * The checkpoint in its bucket (P3 to P12). One writer of HEAD at a time; `stage`, `load` and `compact` may run beside it.
 * Once a write of HEAD could not be settled, or was fenced, every later write is refused: a new process must claim.
 */
export interface CheckpointStore {
  /** P4. */
  probe(signal?: AbortSignal): Promise<void>
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
  const { store, owner, newId, merge, scratch } = options
  const sleep = options.sleep ?? realSleep
  const headName = nameOf(store, HEAD_KEY)
  /** HEAD as this process last knew it to be, while it is the owner. */
  let mine: HeadSeen | undefined
  let claimedFrom: Head | undefined
  let headBytes = 0
  /** Why HEAD may not be written any more. */
  let closed: MillraceError | undefined
  let isWriting = false
  /** Commits that wait for a beat, or run. */
  let commits = 0
  let beating: Promise<unknown> = Promise.resolve()
  /** Files of manifests that HEAD named before and names no more: garbage of the next commit. */
  const replaced: Garbage[] = []
  /** Keys that a compaction reads: a manifest that drops them may be committed before it ends. */
  const inFlight = new Set<string>()
  /** What retained manifests need; they never change. */
  const reachOfRetained = new Map<string, ReadonlySet<string>>()

  async function readHeadOnce(): Promise<HeadSeen | undefined> {
    for (;;) {
      const found = await store.get(HEAD_KEY)
      if (typeof found === 'string') return undefined
      try {
        return { head: await completeHead(store, found.body, headName, sleep), eTag: found.eTag }
      } catch (error) {
        // The file of its manifest may have been collected since: then another HEAD is there (P12).
        const now = await store.get(HEAD_KEY)
        if (typeof now !== 'string' && now.eTag === found.eTag) throw error
      }
    }
  }

  function readHead(): Promise<HeadSeen | undefined> {
    return retrying(sleep, readHeadOnce)
  }

  /** @throws MillraceError 'head-lost' where there is none and files tell that there was one: a birth would orphan them. */
  async function readHeadUnlessLost(): Promise<HeadSeen | undefined> {
    const seen = await readHead()
    if (seen) return seen
    const file = await retrying(sleep, () => findFileWithoutHead(store, sleep))
    if (file === undefined) return undefined
    // Born meanwhile: the files are those of its first epochs.
    const born = await readHead()
    if (born) return born
    throw headLost(store, file)
  }

  async function claim(initial: EngineState, standBy?: StandBy): Promise<Head> {
    mine = undefined
    closed = undefined
    let cause: unknown
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const { seen, decision } = await claimable(standBy)
      const claimed: Head = {
        format: FORMAT,
        minReader: MIN_READER,
        term: decision.term,
        putId: newId(),
        owner,
        beat: 0,
        released: false,
        manifest: decision.is === 'birth' ? birth(newId(), initial) : decision.from.manifest,
        ...(seen?.head.manifestFile && { manifestFile: seen.head.manifestFile }),
      }
      const { head, bytes } = await fittedHead(store, claimed, newId, sleep)
      headBytes = bytes.length
      // Fencing point. From the moment this is applied no writer of a lower term can commit (I3), because the eTag that
      // its write requires is gone. A crash after it leaves a term in which nothing happened.
      try {
        const put = await store.put(HEAD_KEY, bytes, seen?.eTag ?? 'absent')
        if (put.is === 'stored') return own(head, put.eTag, seen?.head)
        cause = put.is === 'unknown' ? put.cause : undefined
      } catch (error) {
        if (!isRetryable(error)) throw error
        cause = error
      }
      const now = await readHead()
      if (now?.head.putId === head.putId) return own(head, now.eTag, seen?.head)
      // Lost the race, or lost the write: decide again. A write given up on that arrives later is claimed over, or its
      // condition is gone.
      await sleep(pauseMs(attempt))
    }
    throw unavailable(`Claiming ${headName}`, cause)
  }

  /** Reads HEAD until it may be claimed; a live owner is waited for (P5). */
  async function claimable(standBy: StandBy | undefined) {
    let since: { readonly eTag: string; readonly atMs: number } | undefined
    let waitsFor: string | undefined
    for (;;) {
      if (standBy?.signal.aborted)
        throw new MillraceError(
          'fatal',
          'stopped-waiting',
          `Stopped before ${headName} was claimed${waitsFor === undefined ? '' : `, while ${waitsFor} owned it`}; nothing was done.`,
        )
      const seen = await readHeadUnlessLost()
      const nowMs = standBy?.nowMs() ?? 0
      if (seen && since?.eTag !== seen.eTag) since = { eTag: seen.eTag, atMs: nowMs }
      const owner = seen?.head.owner ?? ''
      const decision = decideClaim(
        seen?.head,
        standBy && { isGone: standBy.isGone(owner), unchangedMs: nowMs - (since?.atMs ?? nowMs) },
      )
      if (decision.is !== 'wait') return { seen, decision }
      if (waitsFor !== owner) standBy?.onWait(owner)
      waitsFor = owner
      await standBy?.sleep(TAKEOVER_MS / 20)
    }
  }

  function own(head: Head, eTag: string, from: Head | undefined): Head {
    mine = { head, eTag }
    claimedFrom = from
    return head
  }

  function owned(): HeadSeen {
    if (closed !== undefined) throw closed
    if (mine === undefined) {
      throw new MillraceError('fatal', 'not-claimed', `${headName} was not claimed by this process. This is a bug.`)
    }
    return mine
  }

  /** The commit of P6. Exactly one of these runs at a time. */
  async function writeHead(make: (from: Head) => Promise<Head>): Promise<CommitOutcome> {
    const from = owned()
    if (isWriting) throw new MillraceError('fatal', 'busy', `${headName} is being written already. This is a bug.`)
    isWriting = true
    try {
      const { head, bytes } = await fittedHead(store, await make(from.head), newId, sleep)
      headBytes = bytes.length
      const outcome = await settled(head, bytes, from.eTag)
      if (outcome.is === 'committed') {
        mine = outcome.seen
        const { manifestFile } = from.head
        if (manifestFile && head.manifestFile?.name !== manifestFile.name)
          replaced.push({ store: CHECKPOINT, name: manifestFile.name, droppedAt: head.manifest.epoch })
        if (head.released) closed = new MillraceError('fatal', 'released', `${headName} was released. This is a bug.`)
        return { is: 'committed', head }
      }
      closed = new MillraceError(
        'fenced',
        'fenced',
        `${headName} was claimed by ${outcome.by.owner} (term ${outcome.by.term}; ours was ${from.head.term}).` +
          ' This process stops; the other one goes on.',
      )
      return outcome
    } finally {
      isWriting = false
    }
  }

  async function settled(head: Head, bytes: Uint8Array, ifMatch: string): Promise<SettledWrite> {
    try {
      return await putAndSettle(head, bytes, ifMatch)
    } catch (error) {
      // This process does not know what HEAD holds, so only a new claim may go on from it (P6).
      const message = `A write of ${headName} could not be settled; start again once the store answers.`
      closed = new MillraceError('fatal', 'commit-in-doubt', message, error)
      throw isRetryable(error) ? closed : error
    }
  }

  async function putAndSettle(head: Head, bytes: Uint8Array, ifMatch: string): Promise<SettledWrite> {
    const write = { putId: head.putId, term: head.term, ifMatch }
    let cause: unknown
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      try {
        // Commit point. Before this write a crash replays the epoch; after it, recovery finds the epoch in HEAD. Messages
        // are acknowledged and output is published only after it.
        const put = await store.put(HEAD_KEY, bytes, ifMatch)
        if (put.is === 'stored') return { is: 'committed', seen: { head, eTag: put.eTag } }
        cause = put.is === 'unknown' ? put.cause : undefined
      } catch (error) {
        if (!isRetryable(error)) throw error
        cause = error
      }
      const settlement = settleWrite(write, await readHead())
      switch (settlement.is) {
        case 'committed':
          return { is: 'committed', seen: { head, eTag: settlement.eTag } }
        case 'fenced':
          return settlement
        case 'regressed':
          throw corrupt(headName, `term ${head.term}, put ${head.putId}, or the one before it`, settlement.found)
        case 'resend':
          await sleep(pauseMs(attempt))
      }
    }
    throw unavailable(`Writing ${headName}`, cause)
  }

  async function commit(next: Manifest, released: boolean): Promise<CommitOutcome> {
    commits++
    try {
      // A beat is started by a timer, so it may be under way; what became of it, `writeHead` knows.
      await beating.catch(() => undefined)
      return await writeHead(from => prepare(from, next, released))
    } finally {
      commits--
    }
  }

  /** The HEAD that commits this manifest; all that it will name is durable when this returns (I2). */
  async function prepare(from: Head, next: Manifest, released: boolean): Promise<Head> {
    if (next.checkpointId !== from.manifest.checkpointId || next.epoch < from.manifest.epoch) {
      const message = `Epoch ${next.epoch} of ${next.checkpointId} cannot follow epoch ${from.manifest.epoch} of`
      throw new MillraceError('fatal', 'epoch-regressed', `${message} ${from.manifest.checkpointId}. This is a bug.`)
    }
    const manifest = { ...next, garbage: [...next.garbage, ...replaced.splice(0)] }
    const { manifestFile: _, ...head } = { ...from, putId: newId(), beat: 0, released, manifest }
    const merged = await mergeInline(manifest, from.term, encodeHead(head).length)
    return { ...head, manifest: decideRetain(merged, released) ? await retain(merged, from.term) : merged }
  }

  /** One file a channel instead of many rows and small files, once HEAD is full (P3). */
  async function mergeInline(manifest: Manifest, term: number, headBytes: number): Promise<Manifest> {
    const chosen = decideInlineMerge(manifest, headBytes)
    let result = chosen.reduce((rest, channel) => dropParts(rest, channel, isInHead), manifest)
    for (const channel of chosen) {
      const parts = (manifest.channels[channel] ?? []).filter(isInHead)
      const inlineBytesMax = decideInlineFile(result, INLINE_MERGED_BYTES_MAX)
      result = addPart(result, channel, await mergeParts(channel, parts, term, manifest, inlineBytesMax))
    }
    return result
  }

  async function mergeParts(
    channel: string,
    parts: readonly Part[],
    term: number,
    manifest: Manifest,
    inlineBytesMax?: number,
  ): Promise<Part> {
    const folder = join(scratch, newId())
    await mkdir(folder, { recursive: true })
    try {
      const sources: RowsSource[] = []
      for (const [i, part] of parts.entries()) {
        const text = textOf(part, nameOf(store, part.name))
        const file = join(folder, `${i}.parquet`)
        if (text === undefined) await loadFile(store, part, file, sleep)
        sources.push(text === undefined ? { file } : { text })
      }
      const to = join(folder, 'merged.parquet')
      const { rows } = await merge(channel, sources, to, manifest)
      const name = filePath({ kind: channel, term, epoch: manifest.epoch }, newId(), 'parquet')
      return { ...(await stageFile(store, name, to, rows, sleep, inlineBytesMax)), ...mergedSpan(parts) }
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  /** Written before the HEAD that lists it, so that HEAD never names what does not exist (I2). */
  async function retain(manifest: Manifest, term: number): Promise<Manifest> {
    const name = filePath({ kind: MANIFESTS, term, epoch: manifest.epoch }, newId(), 'json')
    const copy = asRetained(manifest)
    const body = encodeManifest(copy)
    const content = { bytes: body.length, sha256: sha256(body) }
    await createObject(store, name, content, () => store.put(name, body, 'absent'), sleep)
    reachOfRetained.set(name, reach(copy))
    return addRetained(manifest, { name, epoch: manifest.epoch }, RETAINED_MAX)
  }

  async function reachOf({ name }: RetainedManifest): Promise<ReadonlySet<string>> {
    const known = reachOfRetained.get(name)
    if (known !== undefined) return known
    const found = await retrying(sleep, () => store.get(name))
    // What a lost manifest needed is unknown: then nothing may be deleted.
    if (typeof found === 'string') throw corrupt(nameOf(store, name), 'a retained manifest', 'no object')
    const keys = reach(decodeManifest(found.body, nameOf(store, name)))
    reachOfRetained.set(name, keys)
    return keys
  }

  async function reachable({ manifest, manifestFile }: Head): Promise<ReadonlySet<string>> {
    const keys = new Set(reach(manifest))
    if (manifestFile) keys.add(garbageKey({ store: CHECKPOINT, name: manifestFile.name }))
    for (const retained of manifest.retained) {
      for (const key of await reachOf(retained)) keys.add(key)
    }
    for (const name of reachOfRetained.keys()) {
      if (!manifest.retained.some(retained => retained.name === name)) reachOfRetained.delete(name)
    }
    return keys
  }

  return {
    probe(signal) {
      return probeStore({ store, newId, ...(signal && { signal }) })
    },

    async readHead() {
      return (await readHeadUnlessLost())?.head
    },

    claim,

    get claimedFrom() {
      return claimedFrom
    },

    get headBytes() {
      return headBytes
    },

    stage(channel, file, rows, beside) {
      checkFileKind(channel)
      const name = filePath({ kind: channel, term: owned().head.term, epoch: beside.epoch }, newId(), 'parquet')
      return stageFile(store, name, file, rows, sleep, decideInlineFile(beside))
    },

    stageText(channel, epoch, text) {
      checkFileKind(channel)
      return textRef(filePath({ kind: channel, term: owned().head.term, epoch }, newId(), 'parquet'), text)
    },

    stageWaiting(file, rows, { epoch, unpublished }) {
      const name = filePath({ kind: DELIVERIES, term: owned().head.term, epoch }, newId(), 'parquet')
      const inlineBytesMax = Math.min(INLINE_BYTES_MAX, decideInlineWaiting(unpublished, 'checkpoint'))
      return stageFile(store, name, file, rows, sleep, inlineBytesMax)
    },

    load(ref, to) {
      return loadFile(store, ref, to, sleep)
    },

    textOf(ref) {
      return textOf(ref, nameOf(store, ref.name))
    },

    commit(next) {
      return commit(next, false)
    },

    release(next) {
      return commit(next, true)
    },

    async beat(amend = manifest => manifest) {
      if (isWriting || commits > 0) return { is: 'committed', head: owned().head }
      const beat = writeHead(async ({ manifestFile, ...from }) => {
        const manifest = amend(from.manifest)
        const isSame = manifestFile !== undefined && manifest === from.manifest
        return { ...from, putId: newId(), beat: from.beat + 1, manifest, ...(isSame && { manifestFile }) }
      })
      beating = beat
      return beat
    },

    async compact(manifest, channel) {
      const { head } = owned()
      const parts = decideCompaction(manifest.channels[channel] ?? [])
      if (parts.length === 0) return undefined
      const replaced = parts.map(p => p.name)
      const keys = replaced.map(name => garbageKey({ store: CHECKPOINT, name }))
      for (const key of keys) inFlight.add(key)
      try {
        return { channel, replaced, part: await mergeParts(channel, parts, head.term, manifest) }
      } catch (error) {
        // A later owner collects what it no longer names (P12). The next commit tells who that is.
        if ((await readHead())?.head.term !== head.term) return undefined
        throw error
      } finally {
        for (const key of keys) inFlight.delete(key)
      }
    },

    async collect(manifest, outputs) {
      const { head } = owned()
      // A writer in doubt deletes nothing (P6, P12).
      if (isWriting || commits > 0) return manifest
      const stores = new Map([...Object.entries(outputs), [CHECKPOINT, store] as const])
      const keys = new Set([...(await reachable(head)), ...reach(manifest), ...inFlight])
      return collectGarbage(manifest, { committed: head.manifest, stores, reachable: keys })
    },

    reachable() {
      return reachable(owned().head)
    },

    async orphans() {
      const { head } = owned()
      const keys = await reachable(head)
      return retrying(sleep, () => deleteOrphans(store, head.term, keys))
    },
  }
}

function birth(checkpointId: string, engine: EngineState): Manifest {
  return {
    checkpointId,
    epoch: 0,
    engine,
    channels: {},
    unpublished: [],
    retained: [],
    garbage: [],
  }
}
