import { inputColumn, orderOf, timeColumn, watermarkColumn } from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { LateRows } from '../src/plan/late-rows.ts'
import type { WindowAssigner } from '../src/plan/window.ts'

/**
 * The rows that are late for windows, once for each of those that they are late for (S8).
 *
 * @param canBeTaken later: they keep their time, which an aggregate may go by (S16)
 */
export function lateInWindows(windows: WindowAssigner, canBeTaken = false): LateRows {
  const time = canBeTaken ? [timeColumn] : []
  return {
    columns: ['_window_start', '_window_end', ...time],
    reason: windows.lateReason,
    mayBe: (us, watermarkUs) => windows.firstEnd(us) <= watermarkUs,
    rows(rows) {
      const items = [
        ...orderOf(rows),
        watermarkColumn,
        `${windows.startOf('_window_end')} AS _window_start`,
        '_window_end',
        ...time,
        ...Object.keys(rows.columns).map(id),
      ]
      const ends = windows.lateEnds(inputColumn(timeColumn), inputColumn(watermarkColumn))
      return `SELECT ${items.join(', ')} ` + `FROM (SELECT *, unnest(${ends}) AS _window_end FROM (${rows.sql}) AS _in)`
    },
  }
}
