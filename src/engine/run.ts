import { Observable } from 'rxjs'
import type { Pipeline } from '../plan/pipeline.ts'
import { components } from './components.ts'
import { followWith } from './follow.ts'
import type { FollowOptions } from './options.ts'
import type { EpochResult } from './report/summary.ts'

/**
 * A pipeline as a cold Observable of committed epochs that follows its source for as long as it is subscribed: what
 * lies there first, then what comes. Unsubscribing stops it (the running query is interrupted, nothing half visible is
 * left, the next start continues); `drain` lets the epoch in flight end and completes. An error is final.
 *
 *     run(pipeline).subscribe({ next: ({ epoch, rows }) => console.log(epoch, rows), error: console.error })
 */
export function run(pipeline: Pipeline, options: Omit<FollowOptions, 'signal'> = {}): Observable<EpochResult> {
  return new Observable(subscriber => {
    const abort = new AbortController()
    followWith(components, pipeline, { ...options, signal: abort.signal }, result => subscriber.next(result)).then(
      () => subscriber.complete(),
      (error: unknown) => subscriber.error(error),
    )
    return () => abort.abort()
  })
}
