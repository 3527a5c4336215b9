import { Observable, type OperatorFunction } from 'rxjs'
import { type MiniBatchOptions, miniBatchLimits } from '../src/plan/mini-batch-options.ts'

/**
 * Windows object versions into mini-batches, each an epoch: a batch is emitted as soon as one more object would pass
 * a limit, and the rest on completion. An object larger than `bytesMax` is a batch of its own; order is kept.
 *
 *     a(3)--b(3)--c(5)--|        bytesMax 6
 *     ------------[ab]--[c]|
 *
 * @param options `objectsMax` (default 1,000) and `bytesMax` (default 256 MiB)
 * @throws MillraceError `user` for a limit that is no whole number above zero.
 */
export function miniBatch<T extends { readonly sizeBytes: number }>(
  options: MiniBatchOptions = {},
): OperatorFunction<T, readonly T[]> {
  const { objectsMax, bytesMax } = miniBatchLimits(options, 'miniBatch')
  return source =>
    new Observable(subscriber => {
      let objects: T[] = []
      let bytes = 0
      const flush = () => {
        if (objects.length === 0) return
        const batch = objects
        objects = []
        bytes = 0
        subscriber.next(batch)
      }
      return source.subscribe({
        next(object) {
          if (bytes + object.sizeBytes > bytesMax) flush()
          objects.push(object)
          bytes += object.sizeBytes
          if (objects.length === objectsMax) flush()
        },
        error: error => subscriber.error(error),
        complete() {
          flush()
          subscriber.complete()
        },
      })
    })
}
