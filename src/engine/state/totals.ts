import type { Manifest } from '../../../checkpoints/types.ts'
import type { Executor } from '../../core/ports.ts'
import type { Outcome } from '../read/outcome.ts'
import type { Totals } from '../report/summary.ts'
import { appliedRows, type LedgerRow, withEarlierSql } from './ledger.ts'

export const noTotals: Totals = {
  rows: 0,
  late: 0,
  applied: 0,
  objects: 0,
  quarantined: 0,
  skipped: 0,
  gone: 0,
  suspect: 0,
  quarantinedRows: 0,
  outsideBounds: 0,
  epochs: 0,
}

/** What a checkpoint has counted. Earlier releases counted less. */
export function totalsOf({ engine }: Manifest): Totals {
  return { ...noTotals, ...engine.totals }
}

/**
 * With an epoch's entries. A version that the ledger has had before counts as what it is now.
 *
 * @param earlier of each object among the rows, in order, the outcome that its version had before
 */
export function addTotals(
  totals: Totals,
  rows: readonly LedgerRow[],
  earlier: readonly (Outcome | undefined)[],
): Totals {
  const objects = rows.filter(({ is }) => is === 'object')
  const changes = objects.map(({ outcome }, index) => ({
    outcome: outcome as Outcome,
    earlier: earlier[index],
    objects: 1,
  }))
  return {
    rows: totals.rows + sumOf(objects, 'rows'),
    // Rows of a window may be late for the step behind it, at an entry that is no object.
    late: totals.late + sumOf(rows, 'late'),
    applied: totals.applied + rows.reduce((sum, row) => sum + appliedRows(row), 0),
    ...changed(totals, changes),
    quarantinedRows: totals.quarantinedRows + sumOf(objects, 'quarantined_rows'),
    outsideBounds: totals.outsideBounds + sumOf(objects, 'outside_bounds'),
    epochs: totals.epochs + 1,
  }
}

export function sumOf(rows: readonly LedgerRow[], column: keyof LedgerRow): number {
  return rows.reduce((total, row) => total + Number(row[column] ?? 0), 0)
}

type ObjectTotals = Pick<Totals, 'objects' | Exclude<Outcome, 'read'>>

function changed(
  { objects, quarantined, skipped, gone, suspect }: ObjectTotals,
  changes: readonly { readonly outcome: Outcome; readonly earlier: Outcome | undefined; readonly objects: number }[],
): ObjectTotals {
  const counts = { read: 0, objects, quarantined, skipped, gone, suspect }
  for (const change of changes) {
    counts[change.outcome] += change.objects
    if (change.earlier === undefined) counts.objects += change.objects
    else counts[change.earlier] -= change.objects
  }
  const { read: _, ...totals } = counts
  return totals
}

/**
 * The totals of a checkpoint that was last written in format 1, which counted entries for versions, and what was gone
 * as quarantined: anew, from table `ledger`. Later ones as they are.
 */
export async function recounted(manifest: Manifest, executor: Executor): Promise<Manifest> {
  if (manifest.engine.totals.gone !== undefined) return manifest
  const rows = await executor.rows(
    `SELECT outcome, earlier, count(*) AS n FROM (${withEarlierSql('ledger')}) WHERE "is" = 'object' GROUP BY ALL`,
  )
  const changes = rows.map(({ outcome, earlier, n }) => ({
    outcome: outcome as Outcome,
    earlier: (earlier ?? undefined) as Outcome | undefined,
    objects: Number(n),
  }))
  const totals = { ...totalsOf(manifest), ...changed(noTotals, changes) }
  return { ...manifest, engine: { ...manifest.engine, totals } }
}
