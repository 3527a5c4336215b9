import type { Clock } from '../core/clock.ts'
import type { RunEvent } from '../engine/report/events.ts'
import type { Measurement, Running } from '../engine/report/running.ts'
import type { StoredPlan } from '../plan/stored-plan.ts'

export type RunState = 'starting' | 'standby' | 'running' | 'restarting' | 'draining' | 'stopped'

export interface Health {
  readonly state: RunState
  readonly isLive: boolean
  readonly isReady: boolean
  /** What is missing, where something is. */
  readonly why?: string
}

/** What a process knows of its run: where it stands, whether it lives, what it holds. */
export interface Monitor {
  onEvent(event: RunEvent): void
  onRunning(running: Running): void
  readonly health: Health
  /** Since the last commit of this process, or its start. */
  readonly commitAgeMs: number
  /** Of the run; undefined until there is one. It stays while the run starts again. */
  readonly plan: StoredPlan | undefined
  /** The newest measurement, which is 2 s old at most where measuring is quick. Undefined until there is one. */
  measured(): Promise<Measurement | undefined>
}

/**
 * Work in hand without a commit for so long means that the engine hangs: an epoch is a bounded number of objects, bytes
 * and rows, stores and queues have time limits of their own, and what they refuse starts the run again.
 */
const stallMs = 15 * 60_000

const measureEveryMs = 2_000
/** Measuring queries the state. A large one is measured seldom, so that it takes a twentieth of the time. */
const restsMin = 19
/** Figures are of use while they are not older. */
const restMostMs = 15_000
/** A scrape is given what is known when measuring takes longer: Prometheus waits 10 s by default. */
const measureWaitMs = 2_000

/** @param onTrouble told when measuring fails: the figures before are shown on */
export function createMonitor(clock: Clock, onTrouble: (error: unknown) => void): Monitor {
  let state: RunState = 'starting'
  let running: Running | undefined
  let last: Measurement | undefined
  let plan: StoredPlan | undefined
  let lastCommitMs = clock.nowMs()
  /** `dueMs`: of the next one; undefined until this one is over. */
  let measuring: { readonly ended: Promise<void>; readonly dueMs: number | undefined } | undefined

  function measure(from: Running): Promise<void> {
    const startedMs = clock.nowMs()
    const ended = from
      .measure()
      .then(
        found => {
          if (running === from) last = found
        },
        (error: unknown) => {
          // The end of a run interrupts its queries.
          if (running === from && state === 'running') onTrouble(error)
        },
      )
      .finally(() => {
        const nowMs = clock.nowMs()
        const dueMs = Math.max(startedMs + measureEveryMs, nowMs + Math.min(restMostMs, restsMin * (nowMs - startedMs)))
        if (measuring?.ended === ended) measuring = { ended, dueMs }
      })
    measuring = { ended, dueMs: undefined }
    return ended
  }

  return {
    onEvent(event) {
      if (event.is === 'epoch') lastCommitMs = clock.nowMs()
      state = stateAfter[event.is] ?? state
      if (event.is === 'restarting') running = undefined
    },
    onRunning(given) {
      running = given
      plan = given.plan
      measuring = undefined
    },
    get health() {
      const stalledMs = running?.stalledMs() ?? 0
      const isLive = stalledMs < stallMs
      const isReady = isLive && state === 'running'
      const why = isLive
        ? notReady[state]
        : `work in hand has waited for a commit for ${Math.floor(stalledMs / 60_000)} minutes`
      return { state, isLive, isReady, ...(why === undefined ? {} : { why }) }
    },
    get plan() {
      return plan
    },
    get commitAgeMs() {
      return clock.nowMs() - lastCommitMs
    },
    async measured() {
      if (running === undefined) return last
      const isDue = !measuring || (measuring.dueMs !== undefined && clock.nowMs() >= measuring.dueMs)
      const ended = isDue ? measure(running) : measuring?.ended
      const waited = new AbortController()
      await Promise.race([ended, clock.sleep(measureWaitMs, waited.signal)])
      waited.abort()
      return last
    },
  }
}

const stateAfter: Readonly<Partial<Record<RunEvent['is'], RunState>>> = {
  waiting: 'standby',
  started: 'running',
  restarting: 'restarting',
  draining: 'draining',
  idle: 'draining',
  stopped: 'stopped',
}

const notReady: Readonly<Record<RunState, string | undefined>> = {
  starting: 'the checkpoint is not claimed yet',
  standby: 'another process owns the checkpoint and is alive',
  running: undefined,
  restarting: 'the run starts again from its checkpoint',
  draining: 'the run is ending',
  stopped: 'the run has ended',
}
