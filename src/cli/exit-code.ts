import { isMillraceError } from '../core/errors.ts'
import type { Summary } from '../engine/report/summary.ts'

/** 1 failed, 2 usage or configuration, 3 fenced by another writer. */
export function exitCodeOf(error: unknown): number {
  if (!isMillraceError(error)) return 1
  return error.kind === 'user' ? 2 : error.kind === 'fenced' ? 3 : 1
}

/**
 * 4: the run came to its end, and no row of the ledger's objects could be read. A script must not go on as if there
 * were results. Of the ledger, not of the run: killed and started again a backfill ends with the code of one that
 * nobody killed.
 */
export function exitCodeOfSummary({
  totals: { objects, quarantined, skipped, gone, suspect, rows, quarantinedRows },
}: Summary): number {
  const aside = quarantined + gone + suspect
  const isEverySetAside = aside > 0 && aside + skipped === objects
  return isEverySetAside || isEveryRowBad(rows, quarantinedRows) ? 4 : 0
}

/** Whether this run set every object aside that it took, or every row. */
export function isNoneRead(run: Summary['run']): boolean {
  return isEveryObjectSetAside(run) || isEveryRowBad(run.rows, run.quarantinedRows)
}

export function isEveryObjectSetAside({ objects, setAsideObjects }: Summary['run']): boolean {
  return objects > 0 && setAsideObjects === objects
}

function isEveryRowBad(rows: number, quarantinedRows: number): boolean {
  return rows > 0 && quarantinedRows === rows
}
