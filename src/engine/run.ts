import { Observable } from 'rxjs'
import type { Pipeline } from '../plan/pipeline.ts'
import { backfill } from './backfill.ts'
import type { BackfillOptions, EpochResult } from './summary.ts'

/**
 * A pipeline as a cold Observable of committed epochs: subscribing starts a backfill, unsubscribing stops it (the
 * running query is interrupted, nothing half visible is left, the next start continues). An error is final.
 *
 *     run(pipeline).subscribe({ next: ({ epoch, rows }) => console.log(epoch, rows), error: console.error })
 */
export function run(pipeline: Pipeline, options: Omit<BackfillOptions, 'signal'> = {}): Observable<EpochResult> {
  return new Observable(subscriber => {
    const abort = new AbortController()
    backfill(pipeline, { ...options, signal: abort.signal }, result => subscriber.next(result)).then(
      () => subscriber.complete(),
      (error: unknown) => subscriber.error(error),
    )
    return () => abort.abort()
  })
}
