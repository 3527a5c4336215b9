import type { Clock } from '../../core/clock.ts'
import { limited } from '../../core/limited.ts'
import { miniBatchLimits, miniBatchOfAll } from '../../plan/mini-batch-options.ts'
import type { Admitted, MiniBatches } from '../intake/admit.ts'
import type { Care } from '../intake/attempt.ts'
import type { OpenSource } from '../intake/source.ts'
import { createFetchOfAll } from '../read/fetch.ts'
import type { RunEvent } from '../report/events.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import { createAheadQueue } from './ahead-queue.ts'
import { foundBad, settleBad } from './found-bad.ts'
import type { Parallelism } from './parallelism.ts'
import type { Partials } from './partials.ts'
import type { Stamped } from './stamp.ts'
import { createTaking } from './taking.ts'
import type { EpochContext } from './work.ts'

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
  readonly sources: ReadonlyMap<string, Pick<OpenSource, 'fetch' | 'miniBatch'>>
  readonly epoch: EpochContext
  /** Of another ledger: what was read when it was written must be there still. */
  readonly isReplay: boolean
  readonly parallelism: Pick<Parallelism, 'take'>
  readonly clock: Pick<Clock, 'nowMs'>
  onEvent(event: RunEvent): void
}

/** Fetches, marks, stamps and pre-aggregates mini-batches in ledger order, ahead of the commits by a bounded amount. */
export function createRunAhead(
  context: AheadContext,
  batches: MiniBatches,
  from: LedgerPosition,
  care: Care,
): RunAhead {
  const { sources, epoch } = context
  const fetches = [...sources.values()].map(({ fetch }) => fetch)
  const settings = new Map(fetches.map(fetch => [fetch.settings.name, fetch.settings]))
  const { bytesMax, rowsMax } = miniBatchLimits(miniBatchOfAll(sources.values()), 'miniBatch')
  const inTurn = limited(fetchesMax)
  const fetch = createFetchOfAll(
    fetches,
    (sizeBytes, work) => inTurn(sizeBytes < heavy.bytes ? 1 : heavy.weight, work),
    { bytesMax },
  )
  const queue = createAheadQueue(context, settings, from)
  const taking = createTaking({ ...context, batches, care, fetch, queue, rowsMax })
  return {
    async next() {
      for (;;) {
        taking.fill()
        const head = queue.head()
        if (!head) {
          if (await taking.come()) continue
          return undefined
        }
        const { batch, marked, begunMs } = head
        const stamped = await head.stamped
        const bad = await foundBad(epoch, settings, stamped, head.partials)
        if (bad.size === 0) return { batch, stamped, partials: await head.partials, begunMs }
        await queue.restamp(await settleBad(context, marked, bad))
      }
    },
    done: queue.done,
  }
}

/** Entries of the mini-batch whose object was not there when it was to be read. */
export function goneIn({ batch, stamped }: Pick<Ready, 'batch' | 'stamped'>): ReadonlySet<Admitted> {
  const objects = batch.filter(({ is }) => is === 'object')
  return new Set(objects.filter((_, index) => stamped.objects[index]?.marked.outcome === 'gone'))
}
