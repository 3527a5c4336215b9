/** Random ledgers in whole seconds of event time. Small, so that windows, gaps and watermarks meet often. */

export interface TrialRow {
  readonly t: number
  readonly k: number
  readonly v: number
}

export type TrialEntry =
  | { readonly is: 'object'; readonly rows: readonly TrialRow[]; readonly mark: number | null }
  | { readonly is: 'tick'; readonly watermark: number }
  /** Late rows so far are applied to windows that lie between these times; null: to all. */
  | { readonly is: 'apply'; readonly from: number | null; readonly to: number | null }
  /** A final one ends the stream. */
  | { readonly is: 'flush'; readonly isFinal?: true }

export interface TrialLedger {
  readonly delay: number
  readonly entries: readonly TrialEntry[]
}

/** A whole number from `least` to `most`. */
export function whole(random: () => number, least: number, most: number): number {
  return least + Math.floor(random() * (most - least + 1))
}

/**
 * Objects whose rows come out of order, some of them far ahead and outside the bounds of the mark; ticks, and two flushes.
 *
 * @param lastKey keys are from 0 to this
 */
export function drawLedger(random: () => number, lastKey = 1): TrialLedger {
  const entries: TrialEntry[] = []
  let base = whole(random, -30, 30)
  for (let part = 0; part < 2; part++) {
    const count = whole(random, 3, 7)
    for (let index = 0; index < count; index++) {
      base += whole(random, 0, 14)
      if (random() < 0.12) entries.push({ is: 'tick', watermark: base - whole(random, 0, 10) })
      else entries.push(drawObject(random, base, lastKey))
    }
    entries.push({ is: 'flush' })
    base += whole(random, -10, 20)
  }
  return { delay: whole(random, 0, 10), entries }
}

/** The same ledger with entries that apply late rows, at least one of them after all others. */
export function withApplied(random: () => number, { delay, entries }: TrialLedger): TrialLedger {
  const times = entries.flatMap(entry => (entry.is === 'object' ? entry.rows.map(({ t }) => t) : []))
  const bound = () =>
    random() < 0.6 || times.length === 0 ? null : (times[whole(random, 0, times.length - 1)] ?? null)
  const apply = (): TrialEntry => ({ is: 'apply', from: bound(), to: bound() })
  const more = entries.flatMap(entry => (random() < 0.25 ? [entry, apply()] : [entry]))
  return { delay, entries: [...more, random() < 0.5 ? apply() : { is: 'apply', from: null, to: null }] }
}

/** The same ledger, ended for good. */
export function ended({ delay, entries }: TrialLedger): TrialLedger {
  return { delay, entries: [...entries.slice(0, -1), { is: 'flush', isFinal: true }] }
}

/** The same ledger with so many seconds in the place of each, counted from another beginning. */
export function stretched({ delay, entries }: TrialLedger, times: number, from: number): TrialLedger {
  const at = (t: number) => from + t * times
  return {
    delay: delay * times,
    entries: entries.map(entry => {
      if (entry.is === 'flush' || entry.is === 'apply') return entry
      if (entry.is === 'tick') return { ...entry, watermark: at(entry.watermark) }
      const rows = entry.rows.map(row => ({ ...row, t: at(row.t) }))
      return { ...entry, rows, mark: entry.mark === null ? null : at(entry.mark) }
    }),
  }
}

function drawObject(random: () => number, base: number, lastKey: number): TrialEntry {
  const rows: TrialRow[] = []
  let mark: number | null = null
  for (let count = whole(random, 0, 6); count > 0; count--) {
    const isFar = random() < 0.1
    const t = isFar ? base + whole(random, 5, random() < 0.5 ? 40 : 300) : base - whole(random, 0, 25)
    rows.push({ t, k: whole(random, 0, lastKey), v: whole(random, -5, 5) })
    if (!isFar) mark = Math.max(mark ?? t, t)
  }
  return { is: 'object', rows, mark }
}
