import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { CheckpointStore } from '../../../checkpoints/checkpoint-store.ts'
import type { Unpublished } from '../../../checkpoints/types.ts'
import { type Backoff, backoffMs } from '../../core/backoff.ts'
import type { Clock } from '../../core/clock.ts'
import { errorMessage, isMillraceError, MillraceError } from '../../core/errors.ts'
import { parquetRows } from '../../plan/sql.ts'
import { type SessionExecutor, aborted } from '../duckdb/executor.ts'
import type { RunEvent } from '../report/events.ts'
import type { Lane } from './lane.ts'
import type { Output } from './output.ts'

const pauses: Backoff = { firstMs: 1_000, mostMs: 60_000 }

/** So often an epoch is handed over, or published, before the run fails by it. */
export interface Tries {
  /** To a flow that ends in `rows()` or `batches()`, whatever its error. */
  readonly rows: number
  /** To a sink that says that it is away for a while. */
  readonly sink: number
}

/**
 * A backfill ends by a flow that does not take its rows, so that a script sees it. A sink has about four minutes to
 * come back.
 */
export const backfillTries: Tries = { rows: 1, sink: 10 }

/** A run that follows its source waits for a sink as long as it takes, and hands rows over for about four minutes. */
export const liveTries: Tries = { rows: 10, sink: Number.POSITIVE_INFINITY }

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

/** When to give up. */
export interface Giving {
  /** Nothing is begun again. */
  readonly pausing: AbortSignal
  /** What is under way is broken off. */
  readonly taking: AbortSignal
}

/** Gives one committed epoch to its sink, again after pauses where that fails for a while. */
export async function publishEpoch(
  context: PublisherContext,
  lane: Lane,
  { output: name, epoch, at, files, ...entry }: Unpublished,
  giving: Giving,
): Promise<void> {
  const { checkpoint, clock, executor, stage, newId, onEvent, term } = context
  const { sink, is } = lane.output
  const local = at === 'checkpoint' ? files.map(() => join(stage, newId())) : []
  const startedMs = clock.nowMs()
  try {
    // A link, or a copy: read where it lies, an object of S3 would be read without its hash (P10).
    for (const [index, file] of files.entries()) if (local[index]) await checkpoint.load(file, local[index])
    const rows = () => executor.stream(`SELECT * FROM ${parquetRows(local)}`)
    await trying(context, lane, epoch, giving, () =>
      sink.publish({ term, epoch, files, local, rows, ...entry }, giving.taking),
    )
  } finally {
    for (const path of local) await rm(path, { force: true })
  }
  const tookMs = clock.nowMs() - startedMs
  const rows = files.reduce((sum, file) => sum + file.rows, 0)
  if (is === 'rows') onEvent({ is: 'delivered', flow: name, epoch, rows, tookMs })
  else onEvent({ is: 'phase', phase: 'publish', ms: tookMs })
}

/** Repeats what fails for a while, with pauses. */
async function trying(
  { clock, tries, onEvent }: PublisherContext,
  lane: Lane,
  epoch: number,
  { pausing, taking }: Giving,
  once: () => Promise<unknown>,
): Promise<void> {
  const { is, name } = lane.output
  const triesMax = tries[is]
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
      onEvent({ is: 'trouble', what, error: errorMessage(error) })
      await clock.sleep(backoffMs(pauses, attempt - 1), pausing)
      if (taking.aborted) throw aborted(taking)
      if (pausing.aborted) throw error
    }
  }
}

function notTaken(flow: string, epoch: number, tries: number, cause: unknown): MillraceError {
  const often = tries === 1 ? '' : ` in ${tries} tries`
  const why = errorMessage(cause).replace(/[.\s]+$/, '')
  return new MillraceError(
    'fatal',
    'rows-not-taken',
    `${flow}: the rows of epoch ${epoch} were not taken${often}: ${why}. They stay in the checkpoint; the next ` +
      'start hands them over again.',
    cause,
  )
}
