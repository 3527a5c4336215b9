/**
 * docs/internals/semantics.md row by row: what windows of a ledger must hold, in bigint microseconds and by the shortest
 * way that can be checked against the page by eye. It knows neither DuckDB nor epochs nor any product code, so that a mistake cannot
 * be on both sides of a comparison. It is slow on purpose: each row meets each of its windows.
 */

type Key = string | bigint | number | null

export interface OracleRow {
  /** Event time in microseconds; null for a time that is NULL or infinite. */
  readonly t: bigint | null
  readonly key: readonly Key[]
  /** One per aggregated column: integers, or decimals as their unscaled integers. */
  readonly values: readonly (bigint | null)[]
}

export interface OracleObject {
  readonly rows: readonly OracleRow[]
  /** The period [lo, hi) of the object's bounds: rows outside give no mark (S3). */
  readonly bounds?: readonly [lo: bigint, hi: bigint]
}

export interface OracleInput {
  /** Objects in ledger order; 'flush' where a backfill reached the end of its listing (S6). */
  readonly ledger: readonly (OracleObject | 'flush')[]
  /** Tumbling: everyUs = sizeUs. */
  readonly windows: { readonly sizeUs: bigint; readonly everyUs: bigint }
  readonly delayUs: bigint
  /** One more flush at the end. */
  readonly flush: boolean
  /** A `where` before the window: what it drops still gives marks, and is never late (S2). */
  readonly where?: (row: OracleRow) => boolean
}

/** `count` counts values that are not NULL; without any, sum, min and max are NULL (S22). */
export interface OracleValue {
  readonly count: bigint
  readonly sum: bigint | null
  readonly min: bigint | null
  readonly max: bigint | null
}

export interface OracleWindow {
  readonly windowStart: bigint
  readonly windowEnd: bigint
  readonly key: readonly Key[]
  readonly count: bigint
  readonly values: readonly OracleValue[]
}

/** A row late for one window. `object` counts objects from 0 in ledger order, `row` rows of the object. */
export interface OracleLate {
  readonly object: number
  readonly row: number
  readonly windowStart: bigint
  readonly windowEnd: bigint
}

export interface OracleOutput {
  /** Closed windows, by start and then by the key's text, NULL last. */
  readonly final: readonly OracleWindow[]
  /** Windows that are still open, the same way. */
  readonly open: readonly OracleWindow[]
  readonly late: readonly OracleLate[]
  readonly quarantined: readonly { readonly object: number; readonly row: number }[]
  /** After the last entry; null before the first mark. */
  readonly watermark: bigint | null
}

export function oracle({ ledger, windows: { sizeUs, everyUs }, delayUs, flush, where }: OracleInput): OracleOutput {
  const groups = new Map<string, { start: bigint; end: bigint; key: readonly Key[]; rows: OracleRow[] }>()
  const late: OracleLate[] = []
  const quarantined: { object: number; row: number }[] = []
  let watermark: bigint | null = null
  let highest: bigint | null = null
  let object = -1
  for (const entry of flush ? [...ledger, 'flush' as const] : ledger) {
    if (entry === 'flush') {
      // S6: the largest end among windows that have state and start at or below the highest high mark. Windows that
      // closed before end at or below the watermark, so they need no leaving out.
      const mark: bigint | null = highest
      for (const { start, end } of groups.values())
        if (mark !== null && start <= mark) watermark = later(watermark, end)
      continue
    }
    object++
    for (const [row, { t, key }] of entry.rows.entries()) {
      if (t === null) quarantined.push({ object, row })
      else if (!where || where(entry.rows[row] as OracleRow)) {
        for (let start = floorTo(t, everyUs); start + sizeUs > t; start -= everyUs) {
          const end = start + sizeUs
          // S8: late iff end <= W before the row's own object. `watermark` moves only after the object's last row.
          if (watermark !== null && end <= watermark) late.push({ object, row, windowStart: start, windowEnd: end })
          else {
            const name = `${start} ${order(key)}`
            if (!groups.has(name)) groups.set(name, { start, end, key, rows: [] })
            groups.get(name)?.rows.push(entry.rows[row] as OracleRow)
          }
        }
      }
    }
    // S2, S3: the mark is taken over the rows as read, inside the bounds, before any operator.
    for (const { t } of entry.rows) {
      if (t === null || (entry.bounds && (t < entry.bounds[0] || t >= entry.bounds[1]))) continue
      highest = later(highest, t)
      watermark = later(watermark, t - delayUs)
    }
  }
  const all = [...groups.values()]
    .map(({ start, end, key, rows }) => ({
      windowStart: start,
      windowEnd: end,
      key,
      count: BigInt(rows.length),
      values: (rows[0]?.values ?? []).map((_, column) => fold(rows.map(row => row.values[column] ?? null))),
    }))
    .toSorted((a, b) => Number(a.windowStart - b.windowStart) || (order(a.key) < order(b.key) ? -1 : 1))
  const closed = (window: OracleWindow) => watermark !== null && window.windowEnd <= watermark
  return { final: all.filter(closed), open: all.filter(window => !closed(window)), late, quarantined, watermark }
}

function fold(column: readonly (bigint | null)[]): OracleValue {
  const values = column.filter(value => value !== null)
  const [first = null] = values
  return {
    count: BigInt(values.length),
    sum: first === null ? null : values.reduce((a, b) => a + b),
    min: first === null ? null : values.reduce((a, b) => (b < a ? b : a)),
    max: first === null ? null : values.reduce((a, b) => (b > a ? b : a)),
  }
}

function later(a: bigint | null, b: bigint): bigint {
  return a === null || b > a ? b : a
}

/** The largest multiple of `step` at or below t, also below zero, where `/` would round up (S9). */
function floorTo(t: bigint, step: bigint): bigint {
  const below = (t / step) * step
  return below > t ? below - step : below
}

/** A key as text that tells NULL from 'null' and 1 from '1'; groups are told apart and sorted by it. */
function order(key: readonly Key[]): string {
  return JSON.stringify(key.map(part => (part === null ? [] : [typeof part, String(part)])))
}
