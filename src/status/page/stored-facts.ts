import type { MeasuredState } from '../../engine/report/running.ts'
import type { Totals } from '../../engine/report/summary.ts'
import type { StateFacts, TotalFacts } from './facts.ts'

// What a run and its checkpoint tell alike.

export function stateFacts({ name, rows, bytes, openWindows, windows, watermarkUs, why }: MeasuredState): StateFacts {
  return {
    name,
    rows,
    bytes,
    openWindows: openWindows ?? null,
    windows: (windows ?? []).map(({ startUs, endUs, groups }) => ({
      startMs: Number(startUs) / 1000,
      endMs: Number(endUs) / 1000,
      groups,
    })),
    watermarkMs: timeMs(watermarkUs),
    why: why ?? null,
  }
}

export function totalFacts(totals: Totals | null | undefined): TotalFacts | null {
  if (!totals) return null
  const { rows, objects, epochs, late, quarantinedRows, quarantined, skipped, gone, suspect } = totals
  return { rows, objects, epochs, late, quarantinedRows, setAside: quarantined + skipped + gone + suspect }
}

/** Event times as they are shown. */
export function timeMs(us: bigint | null): number | null {
  return us === null ? null : Number(us) / 1000
}
