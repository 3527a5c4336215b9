import { MillraceError } from '../core/errors.ts'
import type { Run } from './open-run.ts'
import type { Publisher } from './publish/publisher.ts'

/** A drain: the epoch in flight is finished and the checkpoint released, within a time. */
export interface Drain {
  /** As the signal does. */
  begin(): void
  /** All is committed: what is left is to publish and to release. */
  closing(): void
  /** The run has ended; its time is over. */
  end(): Promise<void>
}

export interface DrainContext {
  readonly run: Pick<Run, 'clock' | 'stop' | 'onEvent'>
  readonly publisher: Lagging
  readonly drain: AbortSignal | undefined
  /** A drain that takes longer becomes a stop. */
  readonly drainMs: number
  /** Nothing more is taken in. */
  onDrain(): void
}

type Lagging = Pick<Publisher, 'waiting' | 'lags' | 'lastHeldMs'>

export function watchDrain({ run, publisher, drain, drainMs, onDrain }: DrainContext): Drain {
  // The time of a drain ends with the run: closing the checkpoint is part of it.
  const ended = new AbortController()
  let late: Promise<void> | undefined
  let isClosing = false
  function begin(): void {
    if (late) return
    run.onEvent({ is: 'draining' })
    onDrain()
    late = run.clock.sleep(drainMs, ended.signal).then(() => {
      if (!ended.signal.aborted) run.stop(tooLate(publisher, run.clock.nowMs, drainMs, isClosing))
    })
  }
  drain?.addEventListener('abort', begin, { once: true })
  return {
    begin,
    closing() {
      isClosing = true
    },
    async end() {
      drain?.removeEventListener('abort', begin)
      ended.abort()
      await late
    },
  }
}

function tooLate(publisher: Lagging, nowMs: () => number, drainMs: number, isClosing: boolean): MillraceError {
  const within = `within ${drainMs} ms of the drain`
  const lagging = publisher.lags.filter(({ epochs }) => epochs > 0)
  const [behind] = [...publisher.waiting, ...lagging]
  // While somebody is held, the last time is now: it is asked after the clock.
  const now = nowMs()
  const isHeld = publisher.lastHeldMs >= now
  const [holding] = isHeld ? lagging.toSorted((a, b) => b.retries - a.retries) : []
  const held = holding ? `, as it waits for ${holding.flow} to take what was committed before it` : ''
  const found = !isClosing
    ? `The epoch in flight did not end ${within}${held}. Nothing of it was committed; the next start does it again.`
    : behind
      ? `${behind.flow} did not take all of its rows ${within}: ` +
        `${behind.epochs === 1 ? '1 epoch waits' : `${behind.epochs} epochs wait`}. They stay in the checkpoint; ` +
        'the next start hands them over.'
      : `The checkpoint was not released ${within}. What was committed stays; the next start waits until this ` +
        'process counts as gone.'
  return new MillraceError('fatal', 'drain-timeout', found)
}
