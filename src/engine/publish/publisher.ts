import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckpointStore } from '../../../checkpoints/checkpoint-store.ts'
import { dropPublished, unpublishedKey } from '../../../checkpoints/manifest.ts'
import type { Manifest, Unpublished } from '../../../checkpoints/types.ts'
import type { Clock } from '../../core/clock.ts'
import { errorMessage, isMillraceError, MillraceError } from '../../core/errors.ts'
import type { SinkPort } from '../../core/sink-port.ts'
import type { Behind } from '../../plan/sink.ts'
import { parquetRows } from '../../plan/sql.ts'
import { aborted, type SessionExecutor } from '../duckdb/executor.ts'
import type { HoldLimits } from '../state/held.ts'
import type { RunEvent } from '../report/events.ts'
import type { SinkLag, WaitingRows } from '../report/lags.ts'

/** An output may be this far behind, where it is not told otherwise. */
export const behindDefault = { epochsMax: 10, bytesMax: 256 * 1024 * 1024 } as const satisfies Behind

/** So often an epoch is handed over, or published, before the run fails by it. */
export interface Tries {
  /** To a flow that ends in `rows()` or `batches()`, whatever its error. */
  readonly rows: number
  /** To a sink that says that it is away for a while. */
  readonly sink: number
}

/** A backfill ends by a flow that does not take its rows, so that a script sees it. A sink has about four minutes to come back. */
export const backfillTries: Tries = { rows: 1, sink: 10 }
/** A run that follows its source waits for a sink as long as it takes, and hands rows over for about four minutes. */
export const liveTries: Tries = { rows: 10, sink: Number.POSITIVE_INFINITY }

const pauseMs = { first: 1_000, most: 60_000 } as const

/** After a failure the epochs that outputs are taking just now may be finished within this time. */
const finishMs = 10_000

/** So many epochs of a sink that takes them in any order are published at once: a start may find a thousand that wait. */
const atOnceMax = 4

/** Where the rows of one flow go. */
export interface Output {
  /** The flow's name. */
  readonly name: string
  /** `rows`: to the user's own code. */
  readonly is: 'sink' | 'rows'
  readonly sink: SinkPort
  readonly behind: Behind
  /** Until when committed rows wait for those of later epochs. */
  readonly hold?: HoldLimits | undefined
}

/**
 * Brings committed rows to where they go (P8, P15), each output by itself, beside the epochs to come. What is committed is
 * named in the manifest until a later write of HEAD finds it published. A crash in between publishes it again, which a sink
 * takes for what it is, where its target can tell.
 */
export interface Publisher {
  /** Publishes what this committed manifest names and is not there yet. */
  begin(committed: Manifest): void
  /** The manifest without what was published; for the write of HEAD that records it. */
  record(manifest: Manifest): Manifest
  /**
   * Waits until no output is so far behind that the next epoch must not be computed; ends early, and says so, at the signal.
   *
   * @throws as `settle`
   */
  room(signal?: AbortSignal): Promise<boolean>
  /** Waits until every sink may be one epoch further behind. @throws as `settle` */
  fits(): Promise<void>
  /** Waits for this work. @throws as `settle`, without waiting any longer */
  beside<T>(work: Promise<T>): Promise<T>
  /** Waits until all is taken of `rows()` and `batches()`, or all of everything. @throws what an output has failed by */
  settle(of?: 'rows'): Promise<void>
  /**
   * Begins nothing more; what is under way may be finished for a while, unless the run is told to stop at once. Whoever waits
   * for room fails.
   */
  stop(): Promise<void>
  /** By flow, those that hand rows over and have something to take. */
  readonly waiting: readonly WaitingRows[]
  /** Of every sink. */
  readonly lags: readonly SinkLag[]
  /** When somebody was last made to wait; now, as long as they are. Of the monotonic clock; 0: never. */
  readonly lastHeldMs: number
}

export interface PublisherContext {
  readonly outputs: readonly Output[]
  /** Of this process. */
  readonly term: number
  readonly checkpoint: Pick<CheckpointStore, 'load'>
  readonly executor: Pick<SessionExecutor, 'stream'>
  /** Folder for files on their way, which DuckDB may read. */
  readonly stage: string
  readonly newId: () => string
  readonly clock: Clock
  /** Stops all at once. */
  readonly signal: AbortSignal
  readonly tries: Tries
  onEvent(event: RunEvent): void
}

/** An output and what waits for it, in order. */
interface Lane {
  readonly output: Output
  readonly waiting: Unpublished[]
  readonly working: Map<Unpublished, Promise<void>>
  retries: number
  hasFailed: boolean
}

export function createPublisher(context: PublisherContext): Publisher {
  const { clock } = context
  const lanes: readonly Lane[] = context.outputs.map(output => ({
    output,
    waiting: [],
    working: new Map(),
    retries: 0,
    hasFailed: false,
  }))
  const of = (is: Output['is']) => lanes.filter(({ output }) => output.is === is)
  /** What was published and is still named by the committed manifest. */
  let done: readonly Unpublished[] = []
  let failure: { readonly error: unknown } | undefined
  let isOver = false
  let lastHeldMs = 0
  let holding = 0
  const stopping = new AbortController()
  const pausing = AbortSignal.any([context.signal, stopping.signal])
  const breaking = new AbortController()
  const taking = AbortSignal.any([context.signal, breaking.signal])

  let wake = () => {}
  let change = new Promise<void>(resolve => (wake = resolve))
  function changed(): void {
    const told = wake
    change = new Promise<void>(resolve => (wake = resolve))
    told()
  }
  /** @throws what an output failed by */
  async function until(isSo: () => boolean): Promise<void> {
    for (;;) {
      if (failure) throw failure.error
      if (isSo()) return
      // Nothing more is taken, so there is nothing to wait for.
      if (isOver) throw aborted(taking)
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
    const { output, waiting, working } = lane
    // What is committed becomes visible though the run fails by something else; the user's code is given nothing more then.
    if (pausing.aborted || lane.hasFailed || (failure && output.is === 'rows')) return
    const room = (output.sink.isOrdered ? 1 : atOnceMax) - working.size
    const due = waiting.filter(entry => !working.has(entry)).slice(0, Math.max(room, 0))
    for (const entry of due) working.set(entry, begun(lane, entry))
  }

  async function begun(lane: Lane, entry: Unpublished): Promise<void> {
    try {
      await publish(lane, entry)
      lane.waiting.splice(lane.waiting.indexOf(entry), 1)
      done = [...done, entry]
    } catch (error) {
      lane.hasFailed = true
      failure ??= { error }
    }
    lane.working.delete(entry)
    changed()
    work(lane)
  }

  async function publish(lane: Lane, { output: name, epoch, at, files, ...entry }: Unpublished): Promise<void> {
    const { checkpoint, executor, stage, newId, onEvent, term } = context
    const { sink, is } = lane.output
    const local = at === 'checkpoint' ? files.map(() => join(stage, newId())) : []
    const startedMs = clock.nowMs()
    try {
      // A link, or a copy: read where it lies, an object of S3 would be read without its hash (P10).
      for (const [index, file] of files.entries()) if (local[index]) await checkpoint.load(file, local[index])
      const rows = () => executor.stream(`SELECT * FROM ${parquetRows(local)}`)
      await trying(lane, epoch, () => sink.publish({ term, epoch, files, local, rows, ...entry }, taking))
    } finally {
      for (const path of local) await rm(path, { force: true })
    }
    const tookMs = clock.nowMs() - startedMs
    const rows = files.reduce((sum, file) => sum + file.rows, 0)
    if (is === 'rows') onEvent({ is: 'delivered', flow: name, epoch, rows, tookMs })
    else onEvent({ is: 'phase', phase: 'publish', ms: tookMs })
  }

  /** Repeats what fails for a while, with pauses. */
  async function trying(lane: Lane, epoch: number, once: () => Promise<unknown>): Promise<void> {
    const { is, name } = lane.output
    const triesMax = context.tries[is]
    for (let attempt = 1; ; attempt++) {
      try {
        await once()
        return
      } catch (error) {
        if (taking.aborted) throw aborted(taking)
        if (is === 'sink' && !(isMillraceError(error) && error.kind === 'retry')) throw error
        if (attempt >= triesMax) throw is === 'rows' ? notTaken(name, epoch, attempt, error) : error
        lane.retries++
        const what =
          is === 'rows' ? `handing the rows of epoch ${epoch} to ${name}` : `publishing epoch ${epoch} of ${name}`
        context.onEvent({ is: 'trouble', what, error: errorMessage(error) })
        await clock.sleep(Math.min(pauseMs.first * 2 ** Math.min(attempt - 1, 10), pauseMs.most), pausing)
        if (taking.aborted) throw aborted(taking)
        if (pausing.aborted) throw error
      }
    }
  }

  return {
    begin({ unpublished }) {
      const named = new Set(unpublished.map(unpublishedKey))
      done = done.filter(entry => named.has(unpublishedKey(entry)))
      const known = new Set([...done, ...lanes.flatMap(({ waiting }) => waiting)].map(unpublishedKey))
      for (const entry of unpublished) {
        if (known.has(unpublishedKey(entry))) continue
        const lane = lanes.find(({ output }) => output.name === entry.output)
        if (!lane || (entry.at === 'sink') !== (lane.output.sink.stage !== undefined)) throw unwanted(entry)
        lane.waiting.push(entry)
      }
      for (const lane of lanes) work(lane)
    },
    record: manifest => dropPublished(manifest, done),
    async room(signal) {
      // While one epoch is published, the next is computed.
      const isRoom = () => !of('rows').some(isFull) && !of('sink').some(lane => lane.waiting.length > 1 && isFull(lane))
      if (!failure && isRoom()) return true
      signal?.addEventListener('abort', changed)
      try {
        await hold(() => signal?.aborted === true || isRoom())
        return isRoom()
      } finally {
        signal?.removeEventListener('abort', changed)
      }
    },
    fits: () => hold(() => !of('sink').some(isFull)),
    async beside(work) {
      let isDone = false
      const ended = () => {
        isDone = true
        changed()
      }
      work.then(ended, ended)
      await until(() => isDone)
      return work
    },
    settle: which => hold(() => (which ? of(which) : lanes).every(({ waiting }) => waiting.length === 0)),
    async stop() {
      stopping.abort()
      const finished = new AbortController()
      const idle = Promise.all(lanes.flatMap(({ working }) => [...working.values()]))
      await Promise.race([idle, clock.sleep(finishMs, AbortSignal.any([context.signal, finished.signal]))])
      finished.abort()
      breaking.abort()
      await idle
      isOver = true
      changed()
    },
    get waiting() {
      return of('rows')
        .map(waitingOf)
        .filter(({ epochs }) => epochs > 0)
    },
    get lags() {
      return of('sink').map(lane => ({ ...waitingOf(lane), retries: lane.retries }))
    },
    get lastHeldMs() {
      return holding > 0 ? clock.nowMs() : lastHeldMs
    },
  }
}

function isFull({ output, waiting }: Lane): boolean {
  const { epochs, bytes } = sizeOf(waiting)
  return epochs >= output.behind.epochsMax || bytes >= output.behind.bytesMax
}

function waitingOf({ output, waiting }: Pick<Lane, 'output' | 'waiting'>): WaitingRows {
  return { flow: output.name, ...sizeOf(waiting) }
}

function sizeOf(waiting: readonly Unpublished[]): Omit<WaitingRows, 'flow'> {
  const files = waiting.flatMap(entry => entry.files)
  return {
    epochs: waiting.length,
    rows: files.reduce((sum, { rows }) => sum + rows, 0),
    bytes: files.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** What waits for these flows in a manifest: for whoever only reads the checkpoint. */
export function waitingIn(unpublished: readonly Unpublished[]): readonly WaitingRows[] {
  const flows = [...new Set(unpublished.map(({ output }) => output))].toSorted()
  return flows.map(flow => ({ flow, ...sizeOf(unpublished.filter(({ output }) => output === flow)) }))
}

function unwanted({ output, at }: Unpublished): MillraceError {
  const found =
    at === 'checkpoint'
      ? `rows for '${output}' to take, which the pipeline no longer hands over`
      : `files of '${output}' to publish, which the pipeline no longer writes`
  return new MillraceError('fatal', 'output', `The checkpoint has committed ${found}.`)
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
