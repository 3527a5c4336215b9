import { randomUUID } from 'node:crypto'
import type { Head, Manifest } from '../../checkpoints/types.ts'
import { configError, MillraceError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import { readOptions } from '../core/options.ts'
import type { Executor, SqlRow } from '../core/ports.ts'
import { text } from '../plan/sql.ts'
import { storedPlan } from '../plan/stored-plan.ts'
import { type Components, components } from './components.ts'
import { openSession, type Session } from './duckdb/session.ts'
import { type RetryOptions, retryOptions } from './options.ts'
import type { Outcome } from './read/outcome.ts'
import { checkOpen, retryOf, withRetry } from './state/engine-state.ts'
import { createLedgerTable } from './state/ledger.ts'
import { type ReadCheckpoint, readCheckpoint } from './state/read-checkpoint.ts'
import { loadLedger } from './state/recover.ts'
import { joinRequests, requestedSql, type RetryRequest } from './state/retry-request.ts'
import { writeRequest } from './write-request.ts'

/** An object that is to be read again, and the entry in the ledger by which it is set aside. */
export interface RetriedObject {
  readonly key: string
  readonly outcome: Exclude<Outcome, 'read'>
  readonly reason: string
  readonly seq: number
}

export interface Retried {
  readonly checkpoint: string
  readonly pipeline: string
  /** Objects that the next run reads again, those of an earlier request that no run has read yet among them. */
  readonly count: number
  /** The first thousand of them, in the order in which they are read. */
  readonly objects: readonly RetriedObject[]
}

const listedMax = 1_000
/** The request is part of HEAD, which every commit writes. */
const namedMax = 1_000

/**
 * Puts objects back that are set aside and of which no row was counted: the next run or backfill reads them before
 * anything new. Each gets a further entry in the ledger, with a place, a mark and a watermark of its own; the earlier
 * one stays. This only writes the request into the checkpoint, which it claims for that; a live owner is waited for, or
 * taken over.
 *
 * @throws MillraceError `user` for an object that is not set aside, and for a checkpoint that is none or sealed;
 * `fenced` when another process claimed it meanwhile.
 */
export function retry(checkpoint: string, options: RetryOptions = {}): Promise<Retried> {
  return retryWith(components, checkpoint, options)
}

/** As `retry`, with stores of the caller's choice: what simulations use. */
export async function retryWith(parts: Components, address: string, options: RetryOptions): Promise<Retried> {
  const { objects } = readOptions('retry', retryOptions, options)
  const lost = new AbortController()
  const signal = AbortSignal.any([lost.signal, ...(options.signal ? [options.signal] : [])])
  const session = await openSession({})
  try {
    const executor = await session.executor(signal)
    // What can be refused is refused before the claim fences the owner out.
    const seen = await readCheckpoint(parts, address, 'checkpoint', session.stage)
    const asked: Asked = { all: objects === undefined, objects: objects ?? [] }
    const chosen = await choose(seen, session, executor, asked)
    const again = (head: Head) => choose({ ...seen, head }, session, executor, asked)
    const writing = { parts, address, options, session, executor, signal, stop: (error: Error) => lost.abort(error) }
    const request = { isAsBefore, again, write: withChosen }
    const { count, objects: listed } =
      chosen.count === 0 ? chosen : await writeRequest(writing, seen.head, chosen, request)
    const { pipeline } = storedPlan(seen.head.manifest.engine.plan)
    return { checkpoint: seen.address, pipeline, count, objects: listed }
  } finally {
    await session.close()
  }
}

type Asked = Pick<RetryRequest, 'all' | 'objects'>

interface Chosen {
  readonly request: RetryRequest
  readonly count: number
  readonly objects: readonly RetriedObject[]
}

/** What the request comes to, by the ledger that HEAD names; a request that waits is part of it. */
async function choose(
  { checkpoint, head: { manifest }, address }: ReadCheckpoint,
  session: Session,
  executor: Executor,
  asked: Asked,
): Promise<Chosen> {
  checkOpen(manifest, address)
  const request = joinRequests(retryOf(manifest), asked, manifest.engine.nextSeq)
  if (request.objects.length > namedMax)
    throw configError(
      'retry: objects',
      `${request.objects.length} keys`,
      `at most ${namedMax}, those of a request that no run has read yet among them; without objects all that are ` +
        'set aside are read again',
    )
  await executor.run('DROP TABLE IF EXISTS ledger')
  await createLedgerTable(executor, 'ledger')
  await loadLedger({ checkpoint, manifest, stage: session.stage, newId: randomUUID }, executor, 'ledger')
  await executor.run(`CREATE OR REPLACE TABLE requested AS ${requestedSql(request)}`)
  await checkNamed(executor, asked.objects)
  const [counted] = await executor.rows('SELECT count(*) AS n FROM requested')
  const rows = await executor.rows(`SELECT key, outcome, reason, seq FROM requested ORDER BY seq LIMIT ${listedMax}`)
  return { request, count: Number(counted?.n), objects: rows.map(retriedObject) }
}

function retriedObject(row: SqlRow): RetriedObject {
  const outcome = row.outcome as RetriedObject['outcome']
  return { key: String(row.key), outcome, reason: String(row.reason), seq: Number(row.seq) }
}

/** Refuses what cannot be read again, by name: nothing of the request is written then. */
async function checkNamed(executor: Executor, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return
  const [other] = await executor.rows(
    `SELECT v.key, max(l.epoch) AS epoch FROM (VALUES ${keys.map(key => `(${text(key)})`).join(', ')}) AS v(key) ` +
      `LEFT JOIN ledger AS l ON l.key = v.key AND l.outcome = 'read' WHERE v.key NOT IN (SELECT key FROM ` +
      'requested) GROUP BY v.key ORDER BY v.key LIMIT 1',
  )
  if (!other) return
  const key = String(other.key)
  if (other.epoch !== null) throw notSetAside(`its rows were counted in epoch ${Number(other.epoch)}.`, key)
  const aside = await executor.rows(`SELECT DISTINCT key FROM ledger WHERE outcome <> 'read' LIMIT ${listedMax}`)
  const near = nearestName(
    key,
    aside.map(row => String(row.key)),
  )
  throw notSetAside(`the ledger does not hold it${near === undefined ? '.' : `; did you mean '${near}'?`}`, key)
}

function notSetAside(why: string, key: string): MillraceError {
  return new MillraceError(
    'user',
    'not-set-aside',
    `retry: object '${key}' is not set aside: ${why} Nothing was changed; 'millrace inspect' lists what is set aside.`,
  )
}

/** Whether the ledger, and the request that waits, are what they were before the claim. */
function isAsBefore(now: Manifest, before: Manifest): boolean {
  return now.epoch === before.epoch && JSON.stringify(retryOf(now)) === JSON.stringify(retryOf(before))
}

function withChosen(manifest: Manifest, { count, request }: Chosen): Manifest {
  return count === 0 ? manifest : withRetry(manifest, request)
}
