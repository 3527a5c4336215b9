import type { Row } from '../core/ports.ts'
import type { Admitted, AdmittedObject, MiniBatches } from './admit.ts'
import { isKiller } from './attempt.ts'
import type { Run } from './open-run.ts'
import { setAsideSql, wantedOf } from './set-aside.ts'

/**
 * The mini-batches of a run: first objects that were set aside and are read again, then its head, a listing or what is
 * announced. The head is opened when all of the former are committed: it is judged by a ledger that holds what became of
 * them.
 */
export interface Again extends MiniBatches {
  /** The mini-batch is committed. */
  committed(batch: readonly Admitted[]): void
  /** Objects handed out to be read again, and since when the first of them is; undefined where there are none. */
  readonly inHand: { readonly objects: number; readonly sinceMs: number } | undefined
}

/** @param openHead is called once */
export function createAgain(run: Run, openHead: () => Promise<MiniBatches>): Again {
  let objects = 0
  let sinceMs = 0
  let onCommitted = () => {}

  async function* batches(): AsyncGenerator<readonly Admitted[], undefined> {
    for (const suspect of await suspects(run)) yield* handedOut([suspect])
    const head = await openHead()
    for (let batch = await head.next(); batch; batch = await head.next()) yield batch
    return undefined
  }

  /** The mini-batch; goes on when it is committed. */
  async function* handedOut(batch: readonly AdmittedObject[]): AsyncGenerator<readonly Admitted[]> {
    objects += batch.length
    sinceMs = run.clock.nowMs()
    const isCommitted = new Promise<void>(resolve => (onCommitted = resolve))
    yield batch
    await isCommitted
  }

  const all = batches()
  return {
    async next() {
      const { value } = await all.next()
      return value
    },
    committed(batch) {
      objects -= batch.filter(isAgain).length
      if (objects === 0) onCommitted()
    },
    get inHand() {
      return objects === 0 ? undefined : { objects, sinceMs }
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
async function suspects({ attempt, lookUps }: Run): Promise<readonly AdmittedObject[]> {
  if (attempt.is !== 'clean' && attempt.is !== 'quarantine') return []
  const [there] = await lookUps.rows(`SELECT 1 FROM ledger WHERE outcome = 'suspect' LIMIT 1`)
  if (!there) return []
  const rows = await lookUps.rows(`${setAsideSql(`outcome = 'suspect' AND NOT overwrites`)} ORDER BY seq`)
  return rows.map(suspectOf).filter(suspect => attempt.is === 'clean' || isKiller(attempt.killer, suspect))
}

function suspectOf(row: Row): AdmittedObject {
  return { ...wantedOf(row), is: 'object', overwrites: false, earlier: 'suspect', again: 'suspect' }
}
