import { MillraceError } from '../core/errors.ts'
import type { ObjectStore, Put } from '../core/ports.ts'
import { seededRandom } from './random.ts'

/**
 * - `unknown-before`: a write is lost, and its caller learns nothing.
 * - `unknown-after`: a write is applied, and its caller learns nothing.
 * - `unknown-late`: a write that its caller gave up on arrives after some later calls.
 * - `conflict-after`: a write is applied, then a retry below us meets its own object and answers 412.
 * - `error`: the call fails, nothing was done.
 *
 * A read knows only the last: any kind scripted for it is an error.
 */
export type Fault = 'unknown-before' | 'unknown-after' | 'unknown-late' | 'conflict-after' | 'error'

export interface FaultOptions {
  readonly seed: number
  /** Probability by fault and call, in [0, 1]. Default 0. `error` is for reads, listings and deletes. */
  readonly rates: Readonly<Partial<Record<Fault, number>>>
}

export interface FaultyStore extends ObjectStore {
  /** Calls made so far. */
  readonly calls: number
  /** The nth call from the start, counted from 1, meets this fault, whatever the rates say. */
  faultAt(nthCall: number, fault: Fault): void
}

const writeFaults = ['unknown-before', 'unknown-after', 'unknown-late', 'conflict-after'] as const

/** A store whose calls fail as a network and a real server make them fail, from a seed or by script. */
export function withFaults(store: ObjectStore, options: FaultOptions): FaultyStore {
  const fate = createFate(options)
  const read = async (): Promise<void> => {
    if ((await fate.next(['error'])) !== undefined) throw simulated()
  }
  return {
    address: store.address,
    get calls() {
      return fate.calls
    },
    faultAt(nthCall, fault) {
      fate.scripted.set(nthCall, fault)
    },
    async get(key, getOptions) {
      await read()
      return store.get(key, getOptions)
    },
    put(key, body, ifMatch, signal) {
      return write(fate, () => store.put(key, body, ifMatch, signal))
    },
    copy(from, to, signal) {
      return write(fate, () => store.copy(from, to, signal))
    },
    async *list(...args) {
      await read()
      yield* store.list(...args)
    },
    async delete(keys) {
      await read()
      return store.delete(keys)
    },
    ...(store.take && {
      take: (...args) => doubtful(fate, () => (store.take as NonNullable<typeof store.take>)(...args)),
    }),
    ...(store.remove && {
      remove: (...args) => doubtful(fate, () => (store.remove as NonNullable<typeof store.remove>)(...args)),
    }),
  }
}

/** Which calls fail, and how. */
interface Fate {
  calls: number
  readonly scripted: Map<number, Fault>
  /** Writes that their callers gave up on. */
  late: (() => Promise<Put>)[]
  /** Counts the call, lets late writes arrive, and draws the fault. */
  next(candidates: readonly Fault[]): Promise<Fault | undefined>
}

function createFate({ seed, rates }: FaultOptions): Fate {
  const random = seededRandom(seed)
  const fate: Fate = {
    calls: 0,
    scripted: new Map(),
    late: [],
    async next(candidates) {
      const call = ++fate.calls
      const waiting = fate.late
      fate.late = []
      for (const arrive of waiting) {
        if (random() >= 0.5) fate.late.push(arrive)
        // Its caller is gone, and the local file it was sent from may be too: nobody hears of its failure.
        else await arrive().catch(() => undefined)
      }
      const script = fate.scripted.get(call)
      if (script !== undefined) return script
      for (const fault of candidates) {
        if (random() < (rates[fault] ?? 0)) return fault
      }
      return undefined
    },
  }
  return fate
}

async function write(fate: Fate, apply: () => Promise<Put>): Promise<Put> {
  const fault = await fate.next(writeFaults)
  const unknown: Put = { is: 'unknown', cause: new Error(`simulated: ${fault}`) }
  switch (fault) {
    case undefined:
      return apply()
    case 'unknown-before':
      return unknown
    case 'unknown-late':
      fate.late.push(apply)
      return unknown
    case 'unknown-after':
      await apply()
      return unknown
    case 'conflict-after':
      await apply()
      return { is: 'conflict' }
    case 'error':
      throw simulated()
  }
}

/** What fails by an error that leaves open whether it was done. */
async function doubtful<T>(fate: Fate, apply: () => Promise<T>): Promise<T> {
  const fault = await fate.next(['error', 'unknown-before', 'unknown-after'])
  if (fault === undefined) return apply()
  if (fault === 'unknown-after' || fault === 'unknown-late' || fault === 'conflict-after') await apply()
  throw simulated()
}

function simulated(): MillraceError {
  return new MillraceError('retry', 'simulated', 'simulated: the store did not answer; try again.')
}
