import type { CheckpointStore } from '../../../checkpoints/checkpoint-store.ts'
import { addPart } from '../../../checkpoints/manifest.ts'
import type { Manifest } from '../../../checkpoints/types.ts'
import type { Clock } from '../../core/clock.ts'
import { errorMessage, isMillraceError } from '../../core/errors.ts'
import { limited } from '../../core/limited.ts'
import type { Executor, NotAsCommitted, ObjectStore, Row } from '../../core/ports.ts'
import { tagOf } from '../../plan/after.ts'
import { keepText, removeFiles, stageRows } from '../fold/work.ts'
import type { OpenSource } from '../intake/source.ts'
import { afterText } from '../report/after-text.ts'
import type { RunEvent } from '../report/events.ts'
import type { ChannelReader } from '../state/channels.ts'
import {
  type DoneAfter,
  doneAfterChannel,
  doneAfterText,
  loadDoneAfter,
  movedBefore,
  sameElsewhere,
} from '../state/done-after.ts'
import { dueBy } from '../state/due.ts'
import { dueOf, withDue } from '../state/engine-state.ts'
import { versionOf } from '../state/ledger.ts'

/** Objects of one round of requests, and of one write of HEAD that records what became of them. */
const pageMax = 500
/** Requests under way at once. */
const deedsMax = 16
/** Between two looks for what has become due. */
const roundMs = 10_000
/** What failed is tried again after a pause, which doubles. */
const pauseMs = { first: 60_000, most: 3_600_000 } as const

/** What `after` asks for, carried out beside the epochs. Each deed may be repeated, and is recorded when it is done. */
export interface Afterwards {
  /** Begins to work, every few seconds on what has become due. */
  begin(): void
  /** Does what is due by now and ends, after the objects under way where the signal says so. */
  finish(signal: AbortSignal | undefined): Promise<void>
  /** Ends after the requests under way. */
  stop(): Promise<void>
}

export interface AfterwardsContext {
  readonly pipeline: string
  readonly source: Pick<OpenSource, 'fetch' | 'after' | 'afterPlace'>
  /** A replay repeats what another run did: nothing is done then. */
  readonly isReplay: boolean
  readonly reader: ChannelReader
  readonly checkpoint: Pick<CheckpointStore, 'stage' | 'stageText'>
  /** It waits for no epoch. */
  readonly lookUps: Executor
  readonly clock: Clock
  onEvent(event: RunEvent): void
  /** Stops the run with this error. */
  stop(error: Error): void
  readonly manifest: () => Manifest
  /**
   * Commits what is published and taken by now, and this amendment, between two epochs.
   *
   * @throws where the checkpoint is lost
   */
  commit(amend: (manifest: Manifest) => Manifest): Promise<Manifest>
}

/** A run whose source says 'keep', and a replay, which repeats what another run did, do nothing. */
export function createAfterwards(context: AfterwardsContext): Afterwards {
  const { manifest, source, reader, clock, lookUps: executor } = context
  const { after } = source
  if (after.is === 'keep' || context.isReplay) return { begin() {}, finish: async () => {}, stop: async () => {} }
  const looping = new AbortController()
  const quitting = new AbortController()
  const signal = AbortSignal.any([source.fetch.signal, quitting.signal])
  const deeds = createDeeds(context, signal)
  const inTurn = limited(deedsMax)
  const told = new Set<string>()
  let isLoaded = false
  /** Objects before it are done with, or are in table `failed_after`. */
  let cursor = 0
  let lastEpoch = -1
  let working: Promise<void> | undefined

  async function round(isLast: boolean, stop: AbortSignal | undefined): Promise<void> {
    if (!isLoaded) await load()
    let now = manifest()
    if (after.delayMs > 0 && dueOf(now) === null && now.engine.nextSeq > 1) now = await context.commit(m => markDue(m))
    const { seq: dueSeq } = after.delayMs > 0 ? dueBy(dueOf(now), wallMs(), after.delayMs) : { seq: now.engine.nextSeq }
    // The last epoch is published, and no commit has come since that would say so.
    if ((isLast || now.epoch === lastEpoch) && outEpoch(now) < now.epoch && (await isAnyDue(outEpoch(now), dueSeq)))
      now = await context.commit(m => m)
    lastEpoch = now.epoch
    while (!signal.aborted && !stop?.aborted) {
      const page = await pageOf(outEpoch(now), dueSeq)
      if (page.length === 0 || !(await doPage(page))) return
    }
  }

  async function load(): Promise<void> {
    await loadDoneAfter({ ...reader, manifest: manifest() }, executor, 'done_after')
    await executor.run(
      `CREATE TABLE to_clear AS SELECT seq FROM done_after GROUP BY seq HAVING bool_or("is" = 'moved') AND NOT bool_or("is" = 'cleared')`,
    )
    await executor.run('CREATE TABLE failed_after (seq BIGINT, tries BIGINT, due_ms DOUBLE)')
    isLoaded = true
  }

  function wallMs(): number {
    return clock.startedAtMs + clock.nowMs()
  }

  /** What was committed before there was a delay is due when that is over. */
  function markDue(m: Manifest): Manifest {
    const nowMs = wallMs()
    const seq = m.engine.nextSeq - 1
    return withDue(m, { seq: 0, marks: [{ seq, fromMs: nowMs, toMs: nowMs }] })
  }

  async function isAnyDue(epoch: number, dueSeq: number): Promise<boolean> {
    const rows = await executor.rows(`SELECT 1 FROM ledger WHERE ${counted(dueSeq)} AND epoch > ${epoch} LIMIT 1`)
    return rows.length > 0
  }

  /** Never what was set aside (I5). What has rows set aside is not deleted: they would be lost with it (law 5). */
  function counted(dueSeq: number): string {
    const whole = after.is === 'delete' ? ' AND quarantined_rows = 0' : ''
    return `"is" = 'object' AND outcome = 'read' AND seq <= ${dueSeq}${whole}`
  }

  /** Old places of objects that have moved, what failed and is due again, then what is new, in the ledger's order. */
  async function pageOf(epoch: number, dueSeq: number): Promise<readonly Row[]> {
    const isBut = after.is === 'tag' ? '' : ` AND d."is" <> 'tagged'`
    const waits = `seq NOT IN (SELECT seq FROM failed_after WHERE due_ms > ${clock.nowMs()})`
    const some = (isClear: boolean, which: string) => `SELECT ${isClear} AS is_clear, * FROM ledger WHERE ${which}`
    const branches = [
      some(true, `seq IN (SELECT seq FROM to_clear) AND ${waits}`),
      some(
        false,
        `${counted(dueSeq)} AND seq <= ${cursor} AND seq IN (SELECT seq FROM failed_after) ` +
          `AND seq NOT IN (SELECT seq FROM to_clear) AND ${waits}`,
      ),
      some(
        false,
        `${counted(dueSeq)} AND seq > ${cursor} AND epoch <= ${epoch} ` +
          `AND seq NOT IN (SELECT d.seq FROM done_after AS d WHERE d.seq > ${cursor}${isBut})`,
      ),
    ]
    return executor.rows(`${branches.join(' UNION ALL ')} ORDER BY is_clear DESC, seq LIMIT ${pageMax}`)
  }

  /** @returns whether anything could be done: where all of a page fails, the rest waits for a pause. */
  async function doPage(page: readonly Row[]): Promise<boolean> {
    const done: DoneAfter[] = []
    const failed: number[] = []
    const work = async (row: Row) => {
      const seq = Number(row.seq)
      try {
        signal.throwIfAborted()
        done.push({ seq, ...(row.is_clear === true ? await deeds.clear(row) : await deeds.carryOut(row)) })
      } catch (error) {
        if (signal.aborted) return
        failed.push(seq)
        tellFailure(String(row.key), row.is_clear === true, error)
      }
    }
    await Promise.all(page.map(row => inTurn(1, () => work(row))))
    if (done.length > 0) await record(done)
    if (failed.length > 0) await postpone(failed)
    const bytes = new Map(page.map(row => [Number(row.seq), Number(row.size_bytes)]))
    const keys = new Map(page.map(row => [Number(row.seq), String(row.key)]))
    const finished = done.filter(({ is }) => is !== 'cleared')
    context.onEvent({
      is: 'afterwards',
      deed: after.is as Exclude<typeof after.is, 'keep'>,
      objects: finished.filter(({ is }) => is !== 'left').length,
      bytes: finished.reduce((sum, { seq, is }) => sum + (is === 'left' ? 0 : (bytes.get(seq) ?? 0)), 0),
      failed: failed.length,
      left: done.flatMap(({ seq, note }) => (note === undefined ? [] : [{ key: keys.get(seq) ?? '', reason: note }])),
    })
    // Objects before the cursor that are not done with are in table `failed_after`, unless the run ends.
    if (!signal.aborted) for (const row of page) if (row.is_clear !== true) cursor = Math.max(cursor, Number(row.seq))
    return done.length > 0
  }

  function tellFailure(key: string, isClearing: boolean, error: unknown): void {
    const code = isMillraceError(error) ? error.code : 'unknown'
    if (told.has(code)) return
    told.add(code)
    const deed = isClearing ? 'delete' : (after.is as Exclude<typeof after.is, 'keep'>)
    context.onEvent({ is: 'after-failed', deed, key, code, error: errorMessage(error) })
  }

  /** A crash before it repeats what was done: each deed finds itself done, or is done again with the same end. */
  async function record(done: readonly DoneAfter[]): Promise<void> {
    const text = doneAfterText(done)
    const kept = await keepText({ ...reader, executor }, text)
    const before = manifest()
    const ref = await stageRows(context.checkpoint, doneAfterChannel, kept, before)
    await removeFiles([{ channel: doneAfterChannel, kept }], [])
    await context.commit(m => addPart(m, doneAfterChannel, { ...ref, epochs: [before.epoch, before.epoch] }))
    await executor.append('done_after', text)
    const seqs = (rows: readonly DoneAfter[]) => rows.map(({ seq }) => seq).join(', ')
    await executor.run(`DELETE FROM failed_after WHERE seq IN (${seqs(done)})`)
    await executor.run(`DELETE FROM to_clear WHERE seq IN (${seqs(done)})`)
    const moved = done.filter(({ is }) => is === 'moved')
    if (moved.length > 0) await executor.run(`INSERT INTO to_clear SELECT unnest([${seqs(moved)}])`)
  }

  async function postpone(failed: readonly number[]): Promise<void> {
    const seqs = failed.join(', ')
    const { first, most } = pauseMs
    await executor.run(
      `CREATE OR REPLACE TABLE failed_after AS SELECT * FROM failed_after WHERE seq NOT IN (${seqs}) UNION ALL ` +
        `SELECT f.seq, coalesce(o.tries, 0) + 1, ${clock.nowMs()} + least(${first} * 2.0 ** least(coalesce(o.tries, 0), 20), ${most}) ` +
        `FROM (SELECT unnest([${seqs}]) AS seq) AS f LEFT JOIN failed_after AS o ON o.seq = f.seq`,
    )
  }

  async function loop(stop: AbortSignal): Promise<void> {
    while (!stop.aborted && !signal.aborted) {
      await round(false, stop)
      await clock.sleep(roundMs, AbortSignal.any([stop, signal]))
    }
  }

  return {
    begin() {
      const text = afterText(after, context.pipeline)
      if (after.is !== 'keep' && text) context.onEvent({ is: 'after-set', after: after.is, text })
      working ??= loop(looping.signal).catch((error: unknown) => {
        if (!signal.aborted) context.stop(error instanceof Error ? error : new Error(String(error)))
      })
    },
    async finish(stop) {
      looping.abort()
      await working
      await round(true, stop)
    },
    async stop() {
      looping.abort()
      quitting.abort()
      await working
    },
  }
}

/** All epochs up to this one are published and taken, and HEAD says so. */
export function outEpoch({ epoch, unpublished }: Pick<Manifest, 'epoch' | 'unpublished'>): number {
  return Math.min(epoch, ...unpublished.map(waiting => waiting.epoch - 1))
}

type Found = Omit<DoneAfter, 'seq'>

interface Deeds {
  /** @param row an entry of the ledger for an object that was read */
  carryOut(row: Row): Promise<Found>
  /** Deletes an object from its old place, when it is known to lie at its new one. */
  clear(row: Row): Promise<Found>
}

const notes: Readonly<Record<NotAsCommitted, string>> = {
  missing: 'it was not there any more',
  changed: 'another version lies there, which is left alone',
  linked: 'it is a symbolic link, or lies behind one, and is left alone',
}

function createDeeds({ source, pipeline }: Pick<AfterwardsContext, 'source' | 'pipeline'>, signal: AbortSignal): Deeds {
  const { after, afterPlace, fetch } = source
  const { store } = fetch
  const tag = tagOf(pipeline)

  async function remove(row: Row, is: 'deleted' | 'cleared'): Promise<Found> {
    const found = await (store.remove as NonNullable<ObjectStore['remove']>)(versionOf(row), signal)
    if (found === 'removed') return { is }
    // Where a process ended before it could say what it did, it is missing too.
    if (found === 'missing') return is === 'cleared' ? { is } : { is, note: notes.missing }
    return { is: is === 'cleared' ? is : 'left', note: notes[found] }
  }

  async function move(row: Row): Promise<Found> {
    const to = afterPlace as ObjectStore
    const version = versionOf(row)
    const keys = [version.key, otherKey(version.key, Number(row.seq))]
    for (const key of keys) {
      const taken = await (to.take as NonNullable<ObjectStore['take']>)(store, version, key, signal)
      if (taken.is === 'taken') return { is: 'moved', to: { place: to.address, version: taken.version } }
      if (taken.is !== 'conflict') {
        // A record may be lost with the HEAD that had it: then the object went from here before, and is where it went.
        const there = taken.is === 'linked' ? undefined : await movedBefore(version, to, keys, signal)
        return there
          ? { is: 'moved', to: { place: to.address, version: there } }
          : { is: 'left', note: notes[taken.is] }
      }
      const same = await sameElsewhere(store, version, to, key, signal)
      if (typeof same === 'string') return { is: 'left', note: notes[same] }
      if (same) return { is: 'moved', to: { place: to.address, version: same } }
    }
    return { is: 'left', note: `other objects have both its names in ${to.address}` }
  }

  return {
    clear: row => remove(row, 'cleared'),
    async carryOut(row) {
      if (after.is === 'delete') return remove(row, 'deleted')
      if (after.is === 'move') return move(row)
      const found = await (store.tag as NonNullable<ObjectStore['tag']>)(versionOf(row), tag.name, tag.value, signal)
      return found === 'tagged' ? { is: 'tagged' } : { is: 'left', note: notes[found] }
    },
  }
}

/** Where another object has the key already: the entry's number tells them apart, and is the same at every try. */
function otherKey(key: string, seq: number): string {
  const dot = key.lastIndexOf('.')
  const hasExtension = dot > key.lastIndexOf('/') + 1
  return hasExtension ? `${key.slice(0, dot)}.${seq}${key.slice(dot)}` : `${key}.${seq}`
}
