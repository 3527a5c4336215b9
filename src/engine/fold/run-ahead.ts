import type { Clock } from '../../core/clock.ts'
import { isMillraceError, MillraceError } from '../../core/errors.ts'
import { limited } from '../../core/limited.ts'
import type { ObjectVersion, Wanted } from '../../core/object-version.ts'
import { miniBatchLimits } from '../../plan/mini-batch-options.ts'
import { clockShape } from '../../plan/stages.ts'
import type { Admitted, AdmittedObject, MiniBatches } from '../intake/admit.ts'
import type { Care } from '../intake/attempt.ts'
import type { OpenSource } from '../intake/source.ts'
import { createFetch } from '../read/fetch.ts'
import {
  badObject,
  goneBecause,
  goneObject,
  type MarkedObject,
  overwritten,
  reasonOf,
  recorded,
  unread,
} from '../read/marked-object.ts'
import { type RunEvent, timed } from '../report/events.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import { computePartials, diagnose, type Partials } from './partials.ts'
import { type MarkedEntry, type Stamped, stamp } from './stamp.ts'
import { type EpochContext, dropTables, removeFiles } from './work.ts'

/** Mini-batches under way, the one in commit included: their fetch, marks and first partials wait for no commit. */
const batchesMax = 2
/** A further mini-batch is begun only while all of them hold no more bytes of objects than this. */
const bytesMax = 512 * 1024 * 1024
/** Objects fetched at once, by weight. DuckDB's own threads do the work; these overlap waiting. */
const fetchesMax = 16
/** One that is fetched in several gets holds memory for each: of these a quarter at once. */
const heavy = { bytes: 1024 * 1024, weight: 4 } as const

/** The next epoch's entries, objects and partials, ready for apply and commit. */
export interface Ready {
  readonly batch: readonly Admitted[]
  readonly stamped: Stamped
  readonly partials: Partials
  /** When its first object began to be fetched. */
  readonly begunMs: number
}

export interface RunAhead {
  /** Waits for the next mini-batch; the same one until `done`. Undefined at the end. */
  next(): Promise<Ready | undefined>
  /** The mini-batch that `next` gave is committed. */
  done(): Promise<void>
}

export interface AheadContext {
  readonly source: Pick<OpenSource, 'fetch' | 'miniBatch'>
  readonly epoch: EpochContext
  /** Of another ledger: what was read when it was written must be there still. */
  readonly isReplay: boolean
  readonly clock: Pick<Clock, 'nowMs'>
  onEvent(event: RunEvent): void
}

/** Entries of a mini-batch from its first on, and those that are left for the next one: objects may be larger than announced. */
interface Marked {
  readonly marked: readonly MarkedEntry[]
  readonly left: readonly Admitted[]
}

interface Ahead {
  readonly batch: readonly Admitted[]
  readonly marked: readonly MarkedEntry[]
  readonly stamped: Promise<Stamped>
  readonly partials: Promise<Partials>
  readonly begunMs: number
}

/** Fetches, marks, stamps and pre-aggregates mini-batches in ledger order, ahead of the commits by a bounded amount. */
export function createRunAhead(
  context: AheadContext,
  batches: MiniBatches,
  from: LedgerPosition,
  care: Care,
): RunAhead {
  const { source, epoch, clock } = context
  const { settings, policies } = source.fetch
  const shapes = epoch.stages.map(clockShape)
  const delayUs = settings.delayUs === undefined ? undefined : BigInt(settings.delayUs)
  const inTurn = limited(fetchesMax)
  const limits = miniBatchLimits(source.miniBatch, 'miniBatch')
  const fetch = createFetch(
    source.fetch,
    (sizeBytes, work) => inTurn(sizeBytes < heavy.bytes ? 1 : heavy.weight, work),
    limits.bytesMax,
  )
  const ahead: Ahead[] = []
  /** The mini-batch that is awaited, fetched and marked. */
  let coming: Promise<void> | undefined
  /** One that waits until the bytes before it are committed. */
  let waiting: readonly Admitted[] | undefined
  let isEnded = false
  let failure: { readonly error: unknown } | undefined
  let committed = from
  /** What is stamped again and what comes new do not mix. */
  let placing: Promise<unknown> = Promise.resolve()

  /** What is known of an entry without a look at its object; undefined where it is to be fetched. */
  function decided(entry: Admitted): MarkedEntry | undefined {
    if (entry.is !== 'object') return entry
    const { known, overwrites } = entry
    const version = recorded(wantedIn(entry))
    if (known?.outcome === 'gone') return goneObject(source.fetch, version, known.reason ?? goneBecause.missing)
    if (known && known.outcome !== 'read') return unread(version, known.outcome, known.reason)
    const deadly = care.setAside(entry)
    if (deadly !== undefined) return unread(version, deadly.outcome, deadly.reason)
    if (overwrites && policies.overwrite === 'quarantine') return badObject(source.fetch, version, overwritten)
    return undefined
  }

  async function mark(batch: readonly Admitted[]): Promise<Marked> {
    const entries: (MarkedEntry | undefined)[] = []
    let refused: { readonly error: unknown } | undefined
    for (const entry of batch) {
      try {
        entries.push(decided(entry))
      } catch (error) {
        // What comes before it in the ledger is looked at first: of several that stop the run, the first is named.
        refused = { error }
        break
      }
    }
    const wanted = batch
      .slice(0, entries.length)
      .flatMap((entry, index) => (entry.is === 'object' && entries[index] === undefined ? [{ ...entry, index }] : []))
    const { marked, left } = await fetch(wanted.map(wantedIn))
    for (const [at, object] of marked.entries()) {
      const { index, known } = wanted[at] as (typeof wanted)[number]
      if (known && object.outcome !== 'read') throw gone(object.version, object.reason)
      entries[index] = known ? { ...object, highMarkUs: known.highMarkUs } : object
    }
    const end = wanted[marked.length]?.index
    if (end === undefined) {
      if (refused) throw refused.error
      return { marked: entries as readonly MarkedEntry[], left: [] }
    }
    const sizes = new Map(left.map(({ sizeBytes }, at) => [wanted[marked.length + at]?.index, sizeBytes]))
    return {
      marked: entries.slice(0, end) as readonly MarkedEntry[],
      left: batch.slice(end).map((entry, at) => {
        const sizeBytes = sizes.get(end + at)
        return entry.is === 'object' && sizeBytes !== undefined ? { ...entry, sizeBytes } : entry
      }),
    }
  }

  function prepare(batch: readonly Admitted[], marked: readonly MarkedEntry[], begunMs: number): Ahead {
    const before = ahead.at(-1)?.stamped.then(({ after }) => after) ?? Promise.resolve(committed)
    const stamped = before.then(position => stamp(position, marked, delayUs, shapes))
    const partials = stamped.then(found => timed(context, 'partial', () => computePartials(epoch, found, settings)))
    // Awaited in turn, or dropped when an earlier one fails.
    for (const promise of [stamped, partials]) promise.catch(() => {})
    return { batch, marked, stamped, partials, begunMs }
  }

  /** What is ahead counts by the sizes that the store told. */
  function isRoomFor(batch: readonly Admitted[]): boolean {
    const held = ahead.flatMap(({ marked }) => marked.map(entry => (entry.is === 'object' ? entry.version : entry)))
    return held.length === 0 || bytesOf([...held, ...batch]) <= bytesMax
  }

  /** Takes the next mini-batch in hand as soon as there is one, while there is room for it. */
  function fill(): void {
    if (coming || isEnded || ahead.length >= batchesMax) return
    // Where processes died nothing is read beside the mini-batch that is tried (P13).
    if (care.limit() !== undefined && ahead.length > 0) return
    if (waiting && !isRoomFor(waiting)) return
    coming = take().then(
      () => {
        coming = undefined
        fill()
      },
      (error: unknown) => {
        // What is ahead of it is committed first.
        isEnded = true
        failure = { error }
        coming = undefined
      },
    )
  }

  async function take(): Promise<void> {
    let batch = waiting ?? (await batches.next())
    waiting = undefined
    if (!batch) {
      isEnded = true
      return
    }
    const limit = care.limit()
    if (limit !== undefined && batch.length > limit) {
      waiting = batch.slice(limit)
      batch = batch.slice(0, limit)
    }
    if (!isRoomFor(batch)) {
      waiting = batch
      return
    }
    await care.begin(batch.flatMap(entry => (entry.is === 'object' ? [entry] : [])))
    const begunMs = clock.nowMs()
    const { marked, left } = await timed(context, 'mark', () => mark(batch))
    if (left.length > 0) waiting = [...left, ...(waiting ?? [])]
    await place(() => {
      for (const [start, end] of cutByRows(marked, limits.rowsMax))
        ahead.push(prepare(batch.slice(start, end), marked.slice(start, end), begunMs))
    })
  }

  function place(work: () => void | Promise<void>): Promise<void> {
    const placed = placing.then(work)
    placing = placed.catch(() => {})
    return placed
  }

  /** Stamps every batch again, the first with these objects: what was stamped after a bad object had its mark. */
  function restamp(first: readonly MarkedEntry[]): Promise<void> {
    return place(async () => {
      const old = ahead.splice(0)
      for (const { partials } of old) {
        const made = await partials.catch(() => undefined)
        if (!made) continue
        await dropTables(epoch.executor, made.tables)
        await removeFiles(made.channels, made.outputs)
      }
      for (const [index, { batch, marked, begunMs }] of old.entries())
        ahead.push(prepare(batch, index === 0 ? first : marked, begunMs))
    })
  }

  /** The objects of a batch that turned out bad after they were marked, with the reason. */
  async function foundBad(stamped: Stamped, partials: Promise<Partials>): Promise<ReadonlyMap<MarkedObject, string>> {
    const bad = new Map<MarkedObject, string>()
    try {
      await partials
    } catch (error) {
      if (isMillraceError(error)) throw error
      for (const [{ marked }, cause] of await diagnose(epoch, stamped, settings, error))
        bad.set(marked, reasonOf(cause, marked.version.key))
      return bad
    }
    for (const { marked } of stamped.objects)
      if (marked.isChanged && (await marked.isChanged())) bad.set(marked, goneBecause.writtenTo)
    return bad
  }

  return {
    async next() {
      for (;;) {
        fill()
        const head = ahead[0]
        if (!head) {
          if (coming) {
            await coming
            continue
          }
          if (failure) throw failure.error
          return undefined
        }
        const stamped = await head.stamped
        const bad = await foundBad(stamped, head.partials)
        if (bad.size === 0) return { batch: head.batch, stamped, partials: await head.partials, begunMs: head.begunMs }
        const again: MarkedEntry[] = []
        for (const entry of head.marked) {
          const reason = entry.is === 'object' ? bad.get(entry) : undefined
          if (entry.is !== 'object' || reason === undefined) again.push(entry)
          else {
            await entry.release()
            if (context.isReplay) throw gone(entry.version, reason)
            const settled = reason === goneBecause.writtenTo ? goneObject : badObject
            again.push(settled(source.fetch, entry.version, reason))
          }
        }
        await restamp(again)
      }
    },
    async done() {
      const head = ahead.shift()
      if (!head) return
      const { objects, after } = await head.stamped
      committed = after
      await Promise.all(objects.map(({ marked }) => marked.release()))
    },
  }
}

/** Entries of the mini-batch whose object was not there when it was to be read. */
export function goneIn({ batch, stamped }: Pick<Ready, 'batch' | 'stamped'>): ReadonlySet<Admitted> {
  const objects = batch.filter(({ is }) => is === 'object')
  return new Set(objects.filter((_, index) => stamped.objects[index]?.marked.outcome === 'gone'))
}

/** The version alone, as the store is asked for it. */
function wantedIn({
  is: _is,
  overwrites: _overwrites,
  earlier: _earlier,
  again: _again,
  known: _known,
  ...wanted
}: AdmittedObject): Wanted {
  return wanted
}

function bytesOf(entries: readonly { readonly sizeBytes: number }[]): number {
  return entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

/** Cuts a mini-batch before the object whose rows would pass `rowsMax`: rows are known when objects are marked. */
function* cutByRows(marked: readonly MarkedEntry[], rowsMax: number): Generator<readonly [start: number, end: number]> {
  let start = 0
  let rows = 0
  for (const [index, entry] of marked.entries()) {
    const own = entry.is === 'object' ? entry.rows : 0
    if (index > start && rows + own > rowsMax) {
      yield [start, index]
      start = index
      rows = 0
    }
    rows += own
  }
  yield [start, marked.length]
}

/** A replay takes outcomes from the ledger: what was read then must be there still. */
function gone({ key }: ObjectVersion, reason: string | null): MillraceError {
  return new MillraceError(
    'fatal',
    'replay-object',
    `object '${key}' was read when the ledger was written, and now: ${reason ?? 'it cannot be read'}. Bring that version back; without it the ledger cannot be replayed.`,
  )
}
