export interface BatchedOptions<T> {
  readonly itemsMax: number
  /** Runs at once; what comes meanwhile waits and shares the next ones. */
  readonly runsMax: number
  run(items: readonly T[]): Promise<void>
}

/** Calls made in one turn of the event loop share runs. A call settles with its run. */
export function batched<T>({ itemsMax, runsMax, run }: BatchedOptions<T>): (item: T) => Promise<void> {
  const waiting: { readonly item: T; resolve(): void; reject(error: unknown): void }[] = []
  let running = 0
  const start = (): void => {
    while (running < runsMax && waiting.length > 0) {
      const batch = waiting.splice(0, itemsMax)
      running++
      void run(batch.map(({ item }) => item))
        .then(
          () => batch.forEach(({ resolve }) => resolve()),
          (error: unknown) => batch.forEach(({ reject }) => reject(error)),
        )
        .finally(() => {
          running--
          start()
        })
    }
  }
  return item =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject })
      // A first one waits for the rest of its turn; a full house is started by the run that ends next.
      if (waiting.length === 1 && running < runsMax) queueMicrotask(start)
    })
}
