import { randomUUID } from 'node:crypto'
import type { Head, Manifest } from '../../checkpoints/types.ts'
import { configError, MillraceError } from '../core/errors.ts'
import { readOptions } from '../core/options.ts'
import type { Executor } from '../core/ports.ts'
import { instantUs } from '../plan/key-period.ts'
import { type StoredPlan, storedPlan } from '../plan/stored-plan.ts'
import { type Components, components } from './components.ts'
import { openSession, type Session } from './duckdb/session.ts'
import { type ApplyLateOptions, applyLateOptions } from './options.ts'
import { iso } from './report/iso.ts'
import { type ChannelReader, eachPart } from './state/channels.ts'
import { engineRecords, watermarkOfState, withApplyLate } from './state/engine-state.ts'
import { fateSql, type LateFate, type LateNamed } from './state/late-named.ts'
import { appliedBefore, createLedgerTable } from './state/ledger.ts'
import { type ReadCheckpoint, readCheckpoint } from './state/read-checkpoint.ts'
import { loadLedger } from './state/recover.ts'
import { retentionsOf, settingsOf } from './state/retentions.ts'
import { writeRequest } from './write-request.ts'

/** Late rows of one step. Each is counted for every window that it is late for. */
export interface LateOfStep {
  /** The flows that go through it: 'flow-1', 'flow-3'. */
  readonly flows: readonly string[]
  /** Its id, as the views of `millrace sql` have it. */
  readonly step: string
  /** Rows that are applied. */
  readonly rows: number
  /** The windows that they go to: how many, and from where to where they reach, ISO 8601; null where there are none. */
  readonly windows: number
  readonly from: string | null
  readonly to: string | null
  /** Rows that stay late, as the state of their window is gone: it ended longer ago than the retention. */
  readonly expired: number
  /** Rows that were applied before, or are by a request that no run has done yet. */
  readonly applied: number
}

export interface AppliedLate {
  readonly checkpoint: string
  readonly pipeline: string
  /** Rows that the next run applies, each counted for every window that it is late for. */
  readonly rows: number
  /** Steps that have late rows in the windows asked for. */
  readonly steps: readonly LateOfStep[]
  /** Nothing was changed. */
  readonly isDryRun: boolean
}

/**
 * Has late rows applied to windows that have closed, as far as their state is still there (S16): the next run or
 * backfill does it before anything new, by one entry of the ledger. Results that it changes are given again, as
 * changes. This only writes the request into the checkpoint, which it claims for that; a live owner is waited for, or
 * taken over.
 *
 * @throws MillraceError `user` for a pipeline whose sources have no `late: { retention }`, and for a checkpoint that is
 * none or sealed; `fenced` when another process claimed it meanwhile.
 */
export function applyLate(checkpoint: string, options: ApplyLateOptions = {}): Promise<AppliedLate> {
  return applyLateWith(components, checkpoint, options)
}

/** As `applyLate`, with stores of the caller's choice: what simulations use. */
export async function applyLateWith(
  parts: Components,
  address: string,
  options: ApplyLateOptions,
): Promise<AppliedLate> {
  const { window, dryRun } = readOptions('apply-late', applyLateOptions, options)
  const asked = askedWindow(window)
  const lost = new AbortController()
  const signal = AbortSignal.any([lost.signal, ...(options.signal ? [options.signal] : [])])
  const session = await openSession({})
  try {
    const executor = await session.executor(signal)
    // What can be refused is refused before the claim fences the owner out.
    const seen = await readCheckpoint(parts, address, 'checkpoint', session.stage)
    const again = (head: Head) => choose({ ...seen, head }, session, executor, asked)
    const chosen = await again(seen.head)
    const writing = { parts, address, options, session, executor, signal, stop: (error: Error) => lost.abort(error) }
    const isWritten = !dryRun && chosen.rows > 0
    const { rows, steps } = isWritten
      ? await writeRequest(writing, seen.head, chosen, { isAsBefore, again, write: withChosen })
      : chosen
    const { pipeline } = storedPlan(seen.head.manifest.engine.plan)
    return { checkpoint: seen.address, pipeline, rows, steps, isDryRun: dryRun }
  } finally {
    await session.close()
  }
}

type AskedWindow = Pick<LateNamed, 'fromUs' | 'toUs'>

function askedWindow(window: string | undefined): AskedWindow {
  const field = 'apply-late: window'
  const [fromUs, toUs] = ['', ...(window ?? '/').split('/')]
    .slice(1)
    .map(time => (time === '' ? null : instantUs(time, field)))
  if (fromUs && toUs && fromUs >= toUs) throw configError(field, window, 'a second time after the first')
  return { fromUs: fromUs ?? null, toUs: toUs ?? null }
}

interface Chosen {
  readonly named: LateNamed
  readonly rows: number
  readonly steps: readonly LateOfStep[]
}

/** What the request comes to, by the ledger that HEAD names. */
async function choose(
  { checkpoint, head: { manifest }, address }: ReadCheckpoint,
  session: Session,
  executor: Executor,
  asked: AskedWindow,
): Promise<Chosen> {
  if (engineRecords(manifest).sealed) throw sealed(address, manifest)
  const plan = storedPlan(manifest.engine.plan)
  const retentions = retentionsOf(plan)
  if (retentions.size === 0) throw notKept(plan)
  const reader = { checkpoint, manifest, stage: session.stage, newId: randomUUID }
  await executor.run('DROP TABLE IF EXISTS ledger')
  await createLedgerTable(executor, 'ledger')
  await loadLedger(reader, executor, 'ledger')
  const { nextSeq } = manifest.engine
  const named = { ...asked, beforeSeq: nextSeq }
  const earlier = [...(await appliedBefore(executor, nextSeq)), ...engineRecords(manifest).applyLate]
  const steps: LateOfStep[] = []
  for (const [step, { flows, retentionUs }] of retentions) {
    const watermarkUs = watermarkOfState(manifest, step)
    if (watermarkUs === null) continue
    const found = await countLate(reader, executor, step, fateSql({ named, earlier, retentionUs, watermarkUs }))
    if (found.rows + found.expired + found.applied > 0) steps.push({ flows, step, ...found })
  }
  return { named, rows: steps.reduce((sum, { rows }) => sum + rows, 0), steps }
}

function notKept(plan: StoredPlan): MillraceError {
  const names = plan.nodes.filter(({ op }) => op === 'source').map(node => settingsOf(node).name)
  return new MillraceError(
    'user',
    'late-not-kept',
    `apply-late: source ${names.join(' and ')} has no late: { retention: '30 days' }, so the state of a window goes ` +
      'when it closes, and nothing can be added to it. The option must be there before the first run: give it to the ' +
      'source, and the pipeline a new checkpoint and output folder.',
  )
}

function sealed(address: string, { epoch }: Manifest): MillraceError {
  return new MillraceError(
    'user',
    'sealed',
    `apply-late: the checkpoint ${address} is sealed: a backfill with --final ended it in epoch ${epoch}, and ` +
      'nothing is added to its results. To have late rows in them, begin again with a new checkpoint and output ' +
      'folder: run backfill without --final, then apply-late, and then backfill --final, which applies them ' +
      'before it ends.',
  )
}

/** What becomes of the late rows of a step. */
async function countLate(
  reader: ChannelReader,
  executor: Executor,
  step: string,
  fate: string,
): Promise<Omit<LateOfStep, 'flows' | 'step'>> {
  const counts: Record<LateFate, number> = { taken: 0, expired: 0, applied: 0, elsewhere: 0 }
  const ends = new Set<bigint>()
  let fromUs: bigint | null = null
  await eachPart(reader, executor, `late-${step}`, async part => {
    const groups = await executor.rows(
      `SELECT ${fate} AS fate, _window_start, _window_end, count(*) AS n FROM ${part} GROUP BY ALL`,
    )
    for (const group of groups) {
      counts[group.fate as LateFate] += Number(group.n)
      if (group.fate !== 'taken') continue
      ends.add(group._window_end as bigint)
      const startUs = group._window_start as bigint
      fromUs = fromUs === null || startUs < fromUs ? startUs : fromUs
    }
  })
  const toUs = [...ends].reduce<bigint | null>((last, end) => (last === null || end > last ? end : last), null)
  return {
    rows: counts.taken,
    windows: ends.size,
    from: fromUs === null ? null : iso(fromUs),
    to: toUs === null ? null : iso(toUs),
    expired: counts.expired,
    applied: counts.applied,
  }
}

/** Whether the ledger, and what waits, are what they were before the claim. */
function isAsBefore(now: Manifest, before: Manifest): boolean {
  const waiting = (manifest: Manifest) => engineRecords(manifest).applyLate.length
  return now.epoch === before.epoch && waiting(now) === waiting(before)
}

function withChosen(manifest: Manifest, { rows, named }: Chosen): Manifest {
  return rows === 0 ? manifest : withApplyLate(manifest, [...engineRecords(manifest).applyLate, named])
}
