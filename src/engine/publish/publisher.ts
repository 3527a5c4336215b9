import { dropPublished, unpublishedKey } from '../../../checkpoints/manifest.ts'
import type { Manifest, Unpublished } from '../../../checkpoints/types.ts'
import { MillraceError } from '../../core/errors.ts'
import { aborted } from '../duckdb/executor.ts'
import type { SinkLag, WaitingRows } from '../report/lags.ts'
import { type Lane, createLane, isFull, waitingOf } from './lane.ts'
import type { Output } from './output.ts'
import { type PublisherContext, type Giving, publishEpoch } from './publish-epoch.ts'
import { type Waits, createWaits } from './waits.ts'

/** After a failure the epochs that outputs are taking just now may be finished within this time. */
const finishMs = 10_000

/**
 * So many epochs of a sink that takes them in any order are published at once: a start may find a thousand that wait.
 */
const atOnceMax = 4

/**
 * Brings committed rows to where they go (P8, P15), each output by itself, beside the epochs to come. What is committed
 * is named in the manifest until a later write of HEAD finds it published. A crash in between publishes it again, which
 * a sink takes for what it is, where its target can tell.
 */
export interface Publisher {
  /** Publishes what this committed manifest names and is not there yet. */
  begin(committed: Manifest): void
  /** The manifest without what was published; for the write of HEAD that records it. */
  record(manifest: Manifest): Manifest
  /**
   * Waits until no output is so far behind that the next epoch must not be computed; ends early, and says so, at the
   * signal.
   *
   * @throws as `settle`
   */
  room(signal?: AbortSignal): Promise<boolean>
  /** Waits until every sink may be one epoch further behind. @throws as `settle` */
  fits(): Promise<void>
  /** Waits for this work. @throws as `settle`, without waiting any longer */
  beside<T>(work: Promise<T>): Promise<T>
  /**
   * Waits until all is taken of `rows()` and `batches()`, or all of everything. @throws what an output has failed by
   */
  settle(of?: 'rows'): Promise<void>
  /**
   * Begins nothing more; what is under way may be finished for a while, unless the run is told to stop at once. Whoever
   * waits for room fails.
   */
  stop(): Promise<void>
  /** By flow, those that hand rows over and have something to take. */
  readonly waiting: readonly WaitingRows[]
  /** Of every sink. */
  readonly lags: readonly SinkLag[]
  /** When somebody was last made to wait; now, as long as they are. Of the monotonic clock; 0: never. */
  readonly lastHeldMs: number
}

export function createPublisher(context: PublisherContext): Publisher {
  const { clock } = context
  const lanes = context.outputs.map(createLane)
  const of = (is: Output['is']) => lanes.filter(({ output }) => output.is === is)
  /** What was published and is still named by the committed manifest. */
  let done: readonly Unpublished[] = []
  const stopping = new AbortController()
  const breaking = new AbortController()
  const giving: Giving = {
    pausing: AbortSignal.any([context.signal, stopping.signal]),
    taking: AbortSignal.any([context.signal, breaking.signal]),
  }
  const waits = createWaits(clock, () => aborted(giving.taking))

  function work(lane: Lane): void {
    const { output, waiting, working } = lane
    // What is committed becomes visible though the run fails by something else; the user's code is given nothing more
    // then.
    if (giving.pausing.aborted || lane.hasFailed || (waits.hasFailed && output.is === 'rows')) return
    const room = (output.sink.isOrdered ? 1 : atOnceMax) - working.size
    const due = waiting.filter(entry => !working.has(entry)).slice(0, Math.max(room, 0))
    for (const entry of due) working.set(entry, begun(lane, entry))
  }

  async function begun(lane: Lane, entry: Unpublished): Promise<void> {
    try {
      await publishEpoch(context, lane, entry, giving)
      lane.waiting.splice(lane.waiting.indexOf(entry), 1)
      done = [...done, entry]
    } catch (error) {
      lane.hasFailed = true
      waits.fail(error)
    }
    lane.working.delete(entry)
    waits.changed()
    work(lane)
  }

  return {
    begin({ unpublished }) {
      const named = new Set(unpublished.map(unpublishedKey))
      done = done.filter(entry => named.has(unpublishedKey(entry)))
      queueNew(lanes, done, unpublished)
      for (const lane of lanes) work(lane)
    },
    record: manifest => dropPublished(manifest, done),
    room: signal => roomFor(of, waits, signal),
    fits: () => waits.hold(() => !of('sink').some(isFull)),
    beside: waits.beside,
    settle: which => waits.hold(() => (which ? of(which) : lanes).every(({ waiting }) => waiting.length === 0)),
    async stop() {
      stopping.abort()
      await finish(context, lanes, () => breaking.abort())
      waits.end()
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
      return waits.lastHeldMs
    },
  }
}

/** What a manifest names and no lane has yet waits in the lane of its output. */
function queueNew(lanes: readonly Lane[], done: readonly Unpublished[], unpublished: readonly Unpublished[]): void {
  const known = new Set([...done, ...lanes.flatMap(({ waiting }) => waiting)].map(unpublishedKey))
  for (const entry of unpublished) {
    if (known.has(unpublishedKey(entry))) continue
    const lane = lanes.find(({ output }) => output.name === entry.output)
    if (!lane || (entry.at === 'sink') !== (lane.output.sink.stage !== undefined)) throw unwanted(entry)
    lane.waiting.push(entry)
  }
}

async function roomFor(
  of: (is: Output['is']) => readonly Lane[],
  waits: Waits,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  // While one epoch is published, the next is computed.
  const isRoom = () => !of('rows').some(isFull) && !of('sink').some(lane => lane.waiting.length > 1 && isFull(lane))
  if (!waits.hasFailed && isRoom()) return true
  signal?.addEventListener('abort', waits.changed)
  try {
    await waits.hold(() => signal?.aborted === true || isRoom())
    return isRoom()
  } finally {
    signal?.removeEventListener('abort', waits.changed)
  }
}

/** What is under way may be finished for a while; then it is broken off. */
async function finish(
  { clock, signal }: PublisherContext,
  lanes: readonly Lane[],
  breakOff: () => void,
): Promise<void> {
  const finished = new AbortController()
  const idle = Promise.all(lanes.flatMap(({ working }) => [...working.values()]))
  await Promise.race([idle, clock.sleep(finishMs, AbortSignal.any([signal, finished.signal]))])
  finished.abort()
  breakOff()
  await idle
}

function unwanted({ output, at }: Unpublished): MillraceError {
  const found =
    at === 'checkpoint'
      ? `rows for '${output}' to take, which the pipeline no longer hands over`
      : `files of '${output}' to publish, which the pipeline no longer writes`
  return new MillraceError('fatal', 'output', `The checkpoint has committed ${found}.`)
}
