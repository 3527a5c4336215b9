import type { Clock } from '../../core/clock.ts'
import type { Wanted } from '../../core/object-version.ts'
import type { Executor, SqlRow } from '../../core/ports.ts'
import type { MiniBatchOptions } from '../../plan/mini-batch-options.ts'
import type { Outcome, ReadAgain } from '../read/outcome.ts'
import type { RunEvent } from '../report/events.ts'
import type { KeptRecords } from '../state/engine-state.ts'
import { setAsideSql, versionOf } from '../state/ledger.ts'
import type { LateNamed } from '../state/late-named.ts'
import { requestedSql, type RetryRequest } from '../state/retry-request.ts'
import { type Admitted, type AdmittedObject, type KnownOutcome, type MiniBatches, pulled } from './admit.ts'
import { type AttemptDecision, isKiller } from './attempt.ts'
import type { KindOf } from './key-kind.ts'
import { sourceOf } from './source.ts'

/**
 * The mini-batches of a run: late rows that are to be applied, then objects that were set aside and are read again,
 * then its head, a listing or what is announced. The head is opened when all objects before it are committed: it is
 * judged by a ledger that holds what became of them.
 */
export interface AgainThenHead extends MiniBatches {
  /** What the commit of this mini-batch records: that nothing is left of a request. Asked once for each mini-batch. */
  recordsOf(batch: readonly Admitted[]): Partial<Pick<KeptRecords, 'retry' | 'applyLate'>>
  /** The mini-batch is committed. */
  committed(batch: readonly Admitted[]): void
  /** Objects handed out to be read again, and since when the first of them is; undefined where there are none. */
  readonly inHand: { readonly objects: number; readonly sinceMs: number } | undefined
}

export interface AgainContext {
  /** What is asked for by name; null in a replay, which takes what became of every object from the other ledger. */
  readonly request: RetryRequest | null
  /** Late rows that are to be applied; none in a replay, whose ledger has the entries. */
  readonly applyLate: readonly LateNamed[]
  /** What the deaths of earlier processes ask of this one (P13). */
  readonly attempt: AttemptDecision
  readonly sources: ReadonlyMap<string, { readonly kindOf: KindOf }>
  readonly lookUps: Executor
  readonly clock: Pick<Clock, 'nowMs'>
  onEvent(event: RunEvent): void
}

/** @param openHead is called once, unless the run ends before */
export function createAgainThenHead(
  context: AgainContext,
  miniBatch: MiniBatchOptions,
  openHead: () => Promise<MiniBatches>,
): AgainThenHead {
  const { request, lookUps, clock } = context
  const late = createLateHead(context.applyLate)
  /** What it asks for is looked for after the suspects are read; objects of it that no commit has read. */
  let isFound = false
  let left = 0
  let handedOut = 0
  let sinceMs = 0
  let onAllCommitted = () => {}
  const tell = (as: ReadAgain, objects: number) => {
    if (objects > 0) context.onEvent({ is: 'reading-again', as, objects })
  }

  async function* batches(): AsyncGenerator<readonly Admitted[], undefined> {
    yield* late.batches
    const suspects = await suspectsOf(context)
    tell('suspect', suspects.length)
    for (const suspect of suspects) {
      yield handOut([suspect])
      await allCommitted()
    }
    if (request) {
      left = await findRequested(context, request)
      isFound = true
      tell('retry', left)
      const next = pulled(lookUps, miniBatch, row => retriedObject(context, row), requestedTable)
      for (let batch = await next(); batch; batch = await next()) yield handOut(batch)
      await allCommitted()
    }
    const head = await openHead()
    for (let batch = await head.next(); batch; batch = await head.next()) yield batch
    return undefined
  }

  function handOut(batch: readonly Admitted[]): readonly Admitted[] {
    if (handedOut === 0) sinceMs = clock.nowMs()
    handedOut += batch.length
    return batch
  }

  async function allCommitted(): Promise<void> {
    if (handedOut > 0) await new Promise<void>(resolve => (onAllCommitted = resolve))
  }

  const all = batches()
  return {
    async next() {
      const { value } = await all.next()
      return value
    },
    recordsOf(batch) {
      if (batch[0]?.is === 'apply') return late.taken()
      if (!isFound || !request) return {}
      left -= batch.filter(isAgain).length
      return left === 0 ? { retry: null } : {}
    },
    committed(batch) {
      handedOut -= batch.filter(isAgain).length
      if (handedOut === 0) onAllCommitted()
    },
    get inHand() {
      return handedOut === 0 ? undefined : { objects: handedOut, sinceMs }
    },
  }
}

/** Late rows that are to be applied: each request is a mini-batch of one entry. */
function createLateHead(asked: readonly LateNamed[]) {
  let left = asked
  return {
    batches: asked.map((named): readonly Admitted[] => [{ is: 'apply', ...named, sizeBytes: 0 }]),
    /** What the commit of the first that is left records. */
    taken(): Partial<Pick<KeptRecords, 'applyLate'>> {
      left = left.slice(1)
      return { applyLate: left }
    },
  }
}

export function isAgain(entry: Admitted): boolean {
  return entry.is === 'object' && entry.again !== undefined
}

/**
 * P13: after a clean stop every suspect, once more. After a death the one that a process was reading alone, whose entry
 * tells that it died of it again.
 */
async function suspectsOf({ attempt, lookUps }: AgainContext): Promise<readonly AdmittedObject[]> {
  if (attempt.is !== 'clean' && attempt.is !== 'quarantine') return []
  const [there] = await lookUps.rows(`SELECT 1 FROM ledger WHERE outcome = 'suspect' LIMIT 1`)
  if (!there) return []
  const rows = await lookUps.rows(
    `SELECT * FROM (${setAsideSql('ledger')}) WHERE outcome = 'suspect' AND NOT overwrites ORDER BY seq`,
  )
  return rows
    .map(row => readAgain(row, 'suspect'))
    .filter(suspect => attempt.is === 'clean' || isKiller(attempt.killer, suspect))
}

const requestedTable = 'requested'

/** Fills the table with what the request asks for. How many objects. */
async function findRequested({ lookUps }: AgainContext, request: RetryRequest): Promise<number> {
  await lookUps.run(
    `CREATE TABLE ${requestedTable} AS SELECT row_number() OVER (ORDER BY seq) AS n, * FROM (${requestedSql(request)})`,
  )
  const [found] = await lookUps.rows(`SELECT count(*) AS n FROM ${requestedTable}`)
  return Number(found?.n)
}

/** Of what only a message has told the ledger has no size. */
function wantedOf(row: SqlRow): Wanted {
  const version = versionOf(row)
  return version.sizeBytes === 0 ? { ...version, isAnnounced: true } : version
}

function readAgain(row: SqlRow, as: ReadAgain): AdmittedObject {
  return {
    ...wantedOf(row),
    is: 'object',
    source: String(row.source),
    overwrites: row.overwrites === true,
    earlier: row.outcome as Outcome,
    again: as,
  }
}

const notAnObject: KnownOutcome = {
  outcome: 'skipped',
  reason: 'its key is none that the source reads now',
  highMarkUs: null,
}

function retriedObject({ sources }: AgainContext, row: SqlRow): AdmittedObject {
  const object = readAgain(row, 'retry')
  return sourceOf(sources, object.source).kindOf(object.key) === 'object' ? object : { ...object, known: notAnObject }
}
