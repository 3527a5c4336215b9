import { flowName } from '../plan/plan-ids.ts'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { defer, from } from 'rxjs'
import type { CheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import { dropDelivered } from '../../checkpoints/manifest.ts'
import type { Manifest, Undelivered } from '../../checkpoints/types.ts'
import type { Clock } from '../core/clock.ts'
import { errorMessage, MillraceError } from '../core/errors.ts'
import { parquetRows } from './channels.ts'
import { aborted, type SessionExecutor } from './duckdb/executor.ts'
import type { RunEvent } from './events.ts'
import type { Flows } from './flows.ts'

/**
 * A flow may be this far behind: with so many epochs to take, or epochs of so many bytes of Parquet, it holds back further
 * commits. The last epoch may pass the bytes, as its size is known when it is made.
 */
export const waitingMax = { epochs: 10, bytes: 256 * 1024 * 1024 } as const

/** A run that follows its source hands an epoch over so often before it fails: over about four minutes, with these pauses. */
export const liveTries = 10
const pauseMs = { first: 1_000, most: 60_000 } as const

/** After a failure the epochs that other flows are taking just now may be finished within this time. */
const finishMs = 10_000

/** Epochs that wait for a flow to take them. */
export interface WaitingRows {
  readonly flow: string
  readonly epochs: number
  readonly rows: number
  /** Of Parquet. */
  readonly bytes: number
}

/**
 * Hands committed rows to the flows that end in `rows()` or `batches()` (P15): each epoch after the one before, each flow by
 * itself, beside the epochs to come. What is committed is named in the manifest until a later commit finds it taken. A
 * crash in between hands it over again.
 */
export interface Deliveries {
  /** Hands over what this committed manifest names and nobody has taken yet. */
  begin(committed: Manifest): void
  /** The manifest without what was taken; for the write of HEAD that records it. */
  record(manifest: Manifest): Manifest
  /** Waits until no flow is too far behind for another epoch; ends early, and says so, at the signal. @throws as `settle` */
  room(signal?: AbortSignal): Promise<boolean>
  /** Waits for this work. @throws as `settle`, without waiting any longer */
  beside<T>(work: Promise<T>): Promise<T>
  /** Waits until all is taken. @throws MillraceError when a flow does not take its rows. */
  settle(): Promise<void>
  /** Hands nothing more over; what is under way may be finished for a while, unless the run is told to stop at once. */
  stop(): Promise<void>
  /** By flow, those with something to take. */
  readonly waiting: readonly WaitingRows[]
  /** When `room` or `settle` last made somebody wait; now, as long as they do. Of the monotonic clock; 0: never. */
  readonly lastHeldMs: number
}

export interface DeliveryContext {
  readonly subscribed: Pick<Flows, 'deliver' | 'terminals'>
  readonly checkpoint: Pick<CheckpointStore, 'load'>
  readonly executor: Pick<SessionExecutor, 'stream'>
  /** Folder for files on their way, which DuckDB may read. */
  readonly stage: string
  readonly newId: () => string
  readonly clock: Clock
  /** Stops all at once. */
  readonly signal: AbortSignal
  /** How often an epoch is handed over before the run fails by it. */
  readonly tries: number
  onEvent(event: RunEvent): void
}

/** A flow and what waits for it, in order. */
interface Lane {
  readonly flow: string
  readonly index: number
  readonly waiting: Undelivered[]
  working: Promise<void> | undefined
}

export function createDeliveries(context: DeliveryContext): Deliveries {
  const { subscribed, clock } = context
  const lanes: readonly Lane[] = subscribed.terminals.flatMap(({ is }, index) =>
    is === 'rows' ? [{ flow: flowName(index), index, waiting: [], working: undefined }] : [],
  )
  /** What was taken and is still named by the committed manifest. */
  let taken: readonly Undelivered[] = []
  let failure: { readonly error: unknown } | undefined
  let lastHeldMs = 0
  let holding = 0
  const stopping = new AbortController()
  const pausing = AbortSignal.any([context.signal, stopping.signal])
  const unsubscribing = new AbortController()
  const taking = AbortSignal.any([context.signal, unsubscribing.signal])

  let wake = () => {}
  let change = new Promise<void>(resolve => (wake = resolve))
  function changed(): void {
    const told = wake
    change = new Promise<void>(resolve => (wake = resolve))
    told()
  }
  /** @throws what a flow failed by */
  async function until(isSo: () => boolean): Promise<void> {
    for (;;) {
      if (failure) throw failure.error
      if (isSo()) return
      await change
    }
  }

  async function hold(isSo: () => boolean): Promise<void> {
    holding++
    try {
      await until(isSo)
    } finally {
      holding--
      lastHeldMs = clock.nowMs()
    }
  }

  function work(lane: Lane): void {
    if (failure || pausing.aborted) return
    lane.working ??= takeAll(lane)
      .catch((error: unknown) => {
        failure ??= { error }
      })
      .finally(() => {
        lane.working = undefined
        changed()
      })
  }

  async function takeAll(lane: Lane): Promise<void> {
    for (let next = lane.waiting[0]; next && !pausing.aborted; next = lane.waiting[0]) {
      await take(lane, next)
      lane.waiting.shift()
      taken = [...taken, next]
      changed()
    }
  }

  async function take(lane: Lane, { epoch, file }: Undelivered): Promise<void> {
    const { checkpoint, executor, stage, newId, tries, onEvent } = context
    const path = join(stage, newId())
    // A link, or a copy: read where it lies, an object of S3 would be read without its hash (P10).
    await checkpoint.load(file, path)
    const query = `SELECT * FROM ${parquetRows([path])}`
    const committed = defer(() => from(executor.stream(query)))
    const startedMs = clock.nowMs()
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          await subscribed.deliver(lane.index, epoch, committed, taking)
          break
        } catch (error) {
          if (taking.aborted) throw aborted(taking)
          if (attempt >= tries) throw notTaken(lane.flow, epoch, attempt, error)
          const what = `handing the rows of epoch ${epoch} to ${lane.flow}`
          onEvent({ is: 'trouble', what, error: errorMessage(error) })
          await clock.sleep(Math.min(pauseMs.first * 2 ** (attempt - 1), pauseMs.most), pausing)
          if (pausing.aborted) throw error
        }
      }
    } finally {
      await rm(path, { force: true })
    }
    onEvent({ is: 'delivered', flow: lane.flow, epoch, rows: file.rows, tookMs: clock.nowMs() - startedMs })
  }

  return {
    begin({ undelivered }) {
      const named = new Set(undelivered.map(keyOf))
      taken = taken.filter(entry => named.has(keyOf(entry)))
      const known = new Set([...taken, ...lanes.flatMap(({ waiting }) => waiting)].map(keyOf))
      for (const entry of undelivered) {
        if (known.has(keyOf(entry))) continue
        const lane = lanes.find(({ flow }) => flow === entry.output)
        if (!lane)
          throw new MillraceError(
            'fatal',
            'output',
            `The checkpoint has committed rows for '${entry.output}' to take, which the pipeline no longer hands over.`,
          )
        lane.waiting.push(entry)
      }
      for (const lane of lanes) if (lane.waiting.length > 0) work(lane)
    },
    record: manifest => dropDelivered(manifest, taken),
    async room(signal) {
      const isRoom = () => !lanes.some(isFull)
      if (!failure && isRoom()) return true
      signal?.addEventListener('abort', changed)
      try {
        await hold(() => signal?.aborted === true || isRoom())
        return isRoom()
      } finally {
        signal?.removeEventListener('abort', changed)
      }
    },
    async beside(work) {
      let isOver = false
      const over = () => {
        isOver = true
        changed()
      }
      work.then(over, over)
      await until(() => isOver)
      return work
    },
    settle: () => hold(() => lanes.every(({ waiting }) => waiting.length === 0)),
    async stop() {
      stopping.abort()
      const finished = new AbortController()
      const idle = Promise.all(lanes.flatMap(({ working }) => working ?? []))
      await Promise.race([idle, clock.sleep(finishMs, AbortSignal.any([context.signal, finished.signal]))])
      finished.abort()
      unsubscribing.abort()
      await idle
    },
    get waiting() {
      return lanes.map(waitingOf).filter(({ epochs }) => epochs > 0)
    },
    get lastHeldMs() {
      return holding > 0 ? clock.nowMs() : lastHeldMs
    },
  }
}

/** A flow takes an epoch once. */
const keyOf = ({ output, epoch }: Undelivered): string => `${output} ${epoch}`

function waitingOf({ flow, waiting }: Lane): WaitingRows {
  return {
    flow,
    epochs: waiting.length,
    rows: waiting.reduce((sum, { file }) => sum + file.rows, 0),
    bytes: waiting.reduce((sum, { file }) => sum + file.bytes, 0),
  }
}

function isFull(lane: Lane): boolean {
  const { epochs, bytes } = waitingOf(lane)
  return epochs >= waitingMax.epochs || bytes >= waitingMax.bytes
}

/** What a manifest names: for whoever only reads the checkpoint. */
export function waitingIn({ undelivered }: Pick<Manifest, 'undelivered'>): readonly WaitingRows[] {
  const flows = [...new Set(undelivered.map(({ output }) => output))].toSorted()
  return flows.map(flow =>
    waitingOf({ flow, waiting: undelivered.filter(({ output }) => output === flow), index: 0, working: undefined }),
  )
}

function notTaken(flow: string, epoch: number, tries: number, cause: unknown): MillraceError {
  const often = tries === 1 ? '' : ` in ${tries} tries`
  const why = errorMessage(cause).replace(/[.\s]+$/, '')
  return new MillraceError(
    'fatal',
    'rows-not-taken',
    `${flow}: the rows of epoch ${epoch} were not taken${often}: ${why}. They stay in the checkpoint; the next start hands them over again.`,
    cause,
  )
}
