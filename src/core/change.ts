/** Something has changed: whoever waits looks again. */
export interface Change {
  notify(): void
  /** The next notification, or the end of the signal. */
  next(signal?: AbortSignal): Promise<void>
}

export function createChange(): Change {
  let waiting: (() => void)[] = []
  return {
    notify() {
      const woken = waiting
      waiting = []
      for (const wake of woken) wake()
    },
    next: signal =>
      new Promise(resolve => {
        if (signal?.aborted) return resolve()
        const wake = (): void => {
          signal?.removeEventListener('abort', wake)
          resolve()
        }
        signal?.addEventListener('abort', wake)
        waiting.push(wake)
      }),
  }
}
