import type { Clock } from '../../core/clock.ts'
import type { ListedNow } from './admit.ts'

/** When a place is listed again. */
export interface Pace {
  /** Told of each listing. @param news what it found that the ledger does not hold */
  listed(tookMs: number, news: News): void
  /** Waits until the next listing is due. */
  wait(signal: AbortSignal): Promise<void>
}

type News = Pick<ListedNow, 'objects' | 'newKeys'>

export interface PaceOptions {
  /** Between two listings at least. */
  readonly everyMs: number
  /** Tells for less than a listing that it would show nothing new; undefined where the place cannot. */
  readonly isUnchanged: (() => Promise<boolean>) | undefined
  readonly clock: Clock
}

/** A pause is so often as long as what it follows: where nothing changes, listings take a hundredth of the time. */
const quietPauses = 99
/** Where something does, listings take at most a fifth of it. */
const busyPauses = 4

/**
 * A place that can tell that nothing has come is asked that as often as others are listed. It is listed when it says
 * otherwise, and now and then all the same, since what is written into a file that is there does not show. Whoever has
 * been wrong is asked no more: some file systems do not keep the times of folders.
 */
export function createPace({ everyMs, isUnchanged, clock }: PaceOptions): Pace {
  if (!isUnchanged) return { listed() {}, wait: signal => clock.sleep(everyMs, signal) }
  let tookMs = 0
  let atMs = clock.nowMs()
  let isQuiet = false
  /** The listing under way was begun although nothing had changed. */
  let isCheck = false
  let isTrusted = true

  return {
    listed(lastTookMs, { objects, newKeys }) {
      if (isCheck && newKeys > 0) isTrusted = false
      isCheck = false
      isQuiet = objects === 0
      tookMs = lastTookMs
      atMs = clock.nowMs()
    },
    async wait(signal) {
      let lookMs = 0
      while (!signal.aborted) {
        const sinceMs = clock.nowMs() - atMs
        const leftMs = isQuiet && isTrusted ? quietPauses * lookMs : busyPauses * tookMs - sinceMs
        await clock.sleep(Math.max(everyMs, leftMs), signal)
        if (signal.aborted || !isQuiet || !isTrusted) return
        isCheck = clock.nowMs() - atMs >= quietPauses * tookMs
        const beganMs = clock.nowMs()
        if (isCheck) return
        if (!(await isUnchanged())) {
          // What comes may be nothing that is read: hidden files that come and go.
          const restMs = busyPauses * tookMs - (clock.nowMs() - atMs)
          if (restMs > 0) await clock.sleep(restMs, signal)
          return
        }
        lookMs = clock.nowMs() - beganMs
      }
    },
  }
}
