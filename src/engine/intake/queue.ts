import { merge, Subject } from 'rxjs'
import { miniBatch } from '../../../operators/mini-batch.ts'
import { createChange } from '../../core/change.ts'
import type { Clock } from '../../core/clock.ts'
import type { miniBatchLimits } from '../../plan/mini-batch-options.ts'
import type { Admitted, AdmittedObject } from './admit.ts'

/** The mini-batches that wait to be taken. */
export interface Queue {
  admit(object: AdmittedObject): void
  tick(watermarkUs: bigint): void
  /** What is admitted waits no longer for more to join it. */
  flush(): void
  next(): Promise<readonly Admitted[] | undefined>
  end(): void
  fail(error: unknown): void
  /** Objects were committed. */
  moved(): void
  readonly lastMovedMs: number
  readonly isEmpty: boolean
  readonly isEnded: boolean
  readonly admitted: { readonly objects: number; readonly bytes: number }
}

export interface QueueContext {
  /** The name of the source. */
  readonly source: string
  readonly clock: Clock
  /** A mini-batch waits no longer than this, whatever its `every` says. */
  readonly everyMsMax?: number
  /** Aborted: nothing more is due. */
  readonly signal: AbortSignal
}

/** @param onEnd told when nothing more comes */
export function createQueue(
  { source, clock, signal, everyMsMax = Infinity }: QueueContext,
  { objectsMax, bytesMax, everyMs }: ReturnType<typeof miniBatchLimits>,
  onEnd: () => void,
): Queue {
  const ready: (readonly Admitted[])[] = []
  const head = new Subject<AdmittedObject>()
  const flushes = new Subject<void>()
  const news = createChange()
  const admitted = { objects: 0, bytes: 0 }
  let isEnded = false
  let failure: { readonly error: unknown } | undefined
  let lastMovedMs = clock.nowMs()
  const push = (batch: readonly Admitted[]) => {
    ready.push(batch)
    news.notify()
  }
  const gatherMs = Math.min(everyMs, everyMsMax)
  head.pipe(miniBatch({ objectsMax, bytesMax }, () => merge(clock.sleep(gatherMs, signal), flushes))).subscribe(push)
  function end(): void {
    isEnded = true
    news.notify()
    onEnd()
  }
  return {
    admit(object) {
      lastMovedMs = clock.nowMs()
      admitted.objects++
      admitted.bytes += object.sizeBytes
      head.next(object)
    },
    tick(watermarkUs) {
      push([{ is: 'tick', source, watermarkUs, sizeBytes: 0 }])
    },
    flush: () => flushes.next(),
    async next() {
      while (ready.length === 0 && !isEnded) await news.next()
      if (!isEnded) return joined(ready, objectsMax, bytesMax)
      if (failure) throw failure.error
      return undefined
    },
    end,
    fail(error) {
      failure ??= { error }
      end()
    },
    moved() {
      lastMovedMs = clock.nowMs()
    },
    get lastMovedMs() {
      return lastMovedMs
    },
    get isEmpty() {
      return ready.length === 0
    },
    get isEnded() {
      return isEnded
    },
    admitted,
  }
}

/** The mini-batches that are ready, as one while limits allow: what came during a commit joins the next epoch (P3). */
function joined(ready: (readonly Admitted[])[], objectsMax: number, bytesMax: number): readonly Admitted[] {
  const batch = [...(ready.shift() ?? [])]
  const bytes = (entries: readonly Admitted[]) => entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  for (let next = ready[0]; next; next = ready[0]) {
    if (batch.length + next.length > objectsMax || bytes(batch) + bytes(next) > bytesMax) break
    batch.push(...next)
    ready.shift()
  }
  return batch
}
