import { from, Observable, type ObservableInput, type OperatorFunction, type Subscription } from 'rxjs'
import { type MiniBatchOptions, miniBatchLimits } from '../src/plan/mini-batch-options.ts'

/**
 * Windows object versions into mini-batches, each an epoch: a batch is emitted as soon as one more object would pass
 * a limit, when it is due, and the rest on completion. An object larger than `bytesMax` is a batch of its own; order
 * is kept.
 *
 *     a(3)--b(3)--c(5)--|        bytesMax 6
 *     ------------[ab]--[c]|
 *
 *     a--b-----|                 due 4 frames after a batch begins
 *     ----[ab]-|
 *
 * @param options `objectsMax` (default 1,000) and `bytesMax` (default 256 MiB); time comes in by `due` only, and
 * rows are counted where they are known
 * @param due asked when a batch begins: at its first emission the batch leaves, full or not
 * @throws MillraceError `user` for a limit that is no whole number above zero.
 */
export function miniBatch<T extends { readonly sizeBytes: number }>(
  options: MiniBatchOptions = {},
  due?: () => ObservableInput<unknown>,
): OperatorFunction<T, readonly T[]> {
  const { objectsMax, bytesMax } = miniBatchLimits(options, 'miniBatch')
  return source =>
    new Observable(subscriber => {
      let objects: T[] = []
      let bytes = 0
      let timer: Subscription | undefined
      const flush = () => {
        timer?.unsubscribe()
        timer = undefined
        if (objects.length === 0) return
        const batch = objects
        objects = []
        bytes = 0
        subscriber.next(batch)
      }
      const subscription = source.subscribe({
        next(object) {
          if (bytes + object.sizeBytes > bytesMax) flush()
          if (objects.length === 0 && due)
            timer = from(due()).subscribe({ next: flush, error: error => subscriber.error(error) })
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
      subscription.add(() => timer?.unsubscribe())
      return subscription
    })
}
