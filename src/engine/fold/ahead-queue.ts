import { clockShape } from '../../plan/stages.ts'
import type { Admitted } from '../intake/admit.ts'
import { type Timing, timed } from '../report/events.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import { computePartials, type Partials, type SourcesSettings } from './partials.ts'
import { delaysOf, type MarkedEntry, type Stamped, stamp } from './stamp.ts'
import { dropTables, type EpochContext, removeFiles } from './work.ts'

/** A further mini-batch is begun only while all of them hold no more bytes of objects than this. */
const bytesMax = 512 * 1024 * 1024

/** A mini-batch whose objects are marked. */
export interface MarkedRun {
  readonly batch: readonly Admitted[]
  readonly marked: readonly MarkedEntry[]
  /** When its first object began to be fetched. */
  readonly begunMs: number
}

/** The same, on its way to partials. */
export interface Ahead extends MarkedRun {
  readonly stamped: Promise<Stamped>
  readonly partials: Promise<Partials>
}

/** Mini-batches that are marked and not committed, in ledger order: each is stamped by where the one before it ends. */
export interface AheadQueue {
  head(): Ahead | undefined
  length(): number
  isRoomFor(batch: readonly Admitted[]): boolean
  /** Behind all others. */
  add(runs: readonly MarkedRun[]): Promise<void>
  /** Stamps every batch again, the first with these entries: what was stamped after a bad object had its mark. */
  restamp(first: readonly MarkedEntry[]): Promise<void>
  /** The first one is committed. */
  done(): Promise<void>
}

export interface QueueContext extends Timing {
  readonly epoch: EpochContext
}

export function createAheadQueue(context: QueueContext, sources: SourcesSettings, from: LedgerPosition): AheadQueue {
  const { epoch } = context
  const shapes = epoch.stages.map(clockShape)
  const delays = delaysOf(sources.values())
  const ahead: Ahead[] = []
  let committed = from
  /** What is stamped again and what comes new do not mix. */
  let placing: Promise<unknown> = Promise.resolve()

  function prepare(run: MarkedRun): void {
    const before = ahead.at(-1)?.stamped.then(({ after }) => after) ?? Promise.resolve(committed)
    const stamped = before.then(position => stamp(position, run.marked, delays, shapes))
    const partials = stamped.then(found => timed(context, 'partial', () => computePartials(epoch, found, sources)))
    // Awaited in turn, or dropped when an earlier one fails.
    for (const promise of [stamped, partials]) promise.catch(() => {})
    ahead.push({ ...run, stamped, partials })
  }

  function place(work: () => void | Promise<void>): Promise<void> {
    const placed = placing.then(work)
    placing = placed.catch(() => {})
    return placed
  }

  return {
    head: () => ahead[0],
    length: () => ahead.length,
    isRoomFor(batch) {
      // What is ahead counts by the sizes that the store told.
      const held = ahead.flatMap(({ marked }) => marked.map(entry => (entry.is === 'object' ? entry.version : entry)))
      return held.length === 0 || bytesOf([...held, ...batch]) <= bytesMax
    },
    add: runs => place(() => runs.forEach(prepare)),
    restamp(first) {
      return place(async () => {
        const old = ahead.splice(0)
        for (const { partials } of old) await dropPartials(epoch, partials)
        for (const [index, { batch, marked, begunMs }] of old.entries())
          prepare({ batch, marked: index === 0 ? first : marked, begunMs })
      })
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

async function dropPartials({ executor }: EpochContext, partials: Promise<Partials>): Promise<void> {
  const made = await partials.catch(() => undefined)
  if (!made) return
  await dropTables(executor, made.tables)
  await removeFiles(made.channels, made.outputs)
}

export function bytesOf(entries: readonly { readonly sizeBytes: number }[]): number {
  return entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}
