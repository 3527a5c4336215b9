import type { Clock } from '../../core/clock.ts'
import type { Admitted, MiniBatches } from '../intake/admit.ts'
import type { Care } from '../intake/attempt.ts'
import { type Timing, timed } from '../report/events.ts'
import type { AheadQueue } from './ahead-queue.ts'
import { type MarkingContext, markBatch } from './mark-batch.ts'
import type { Parallelism } from './parallelism.ts'
import type { MarkedEntry } from './stamp.ts'

/** Mini-batches under way, the one in commit included: their fetch, marks and first partials wait for no commit. */
const batchesMax = 2

export interface TakingContext extends MarkingContext, Timing {
  readonly batches: MiniBatches
  readonly care: Care
  readonly clock: Pick<Clock, 'nowMs'>
  readonly parallelism: Pick<Parallelism, 'take'>
  readonly queue: Pick<AheadQueue, 'length' | 'isRoomFor' | 'add'>
  /** Rows of an epoch, at most: what is marked is cut by them. */
  readonly rowsMax: number
}

/** Mini-batches on their way into the queue, one after the other. */
export interface Taking {
  /** Takes the next mini-batch in hand as soon as there is one, while there is room for it. */
  fill(): void
  /**
   * Waits for the one in hand.
   *
   * @returns false at the end
   * @throws what stopped it
   */
  come(): Promise<boolean>
}

export function createTaking(context: TakingContext): Taking {
  const { batches, care, queue, clock, parallelism } = context
  /** The mini-batch that is awaited, fetched and marked. */
  let coming: Promise<void> | undefined
  /** One that waits until the bytes before it are committed. */
  let waiting: readonly Admitted[] | undefined
  let isEnded = false
  let failure: { readonly error: unknown } | undefined

  function fill(): void {
    if (coming || isEnded || queue.length() >= batchesMax) return
    // Where processes died nothing is read beside the mini-batch that is tried (P13).
    if (care.limit() !== undefined && queue.length() > 0) return
    if (waiting && !queue.isRoomFor(waiting)) return
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
    if (!queue.isRoomFor(batch)) {
      waiting = [...batch, ...(waiting ?? [])]
      return
    }
    await care.begin(batch.flatMap(entry => (entry.is === 'object' ? [entry] : [])))
    await parallelism.take(batch)
    const begunMs = clock.nowMs()
    const { marked, left } = await timed(context, 'mark', () => markBatch(context, batch))
    if (left.length > 0) waiting = [...left, ...(waiting ?? [])]
    const cuts = [...cutByRows(marked, context.rowsMax)]
    await queue.add(
      cuts.map(([start, end]) => ({ batch: batch.slice(start, end), marked: marked.slice(start, end), begunMs })),
    )
  }

  return {
    fill,
    async come() {
      if (coming) {
        await coming
        return true
      }
      if (failure) throw failure.error
      return false
    },
  }
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
