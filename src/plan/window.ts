/**
 * How rows go to windows, as SQL over microseconds since the epoch. Windows are [start, end); a row is late for a
 * window iff end <= the watermark before the row's object (S8).
 */
export interface WindowAssigner {
  /** SQL: the start of a window from its end. */
  startOf(end: string): string
  /** Every border of a window is a multiple of this. */
  readonly stepUs: bigint
  /** Partial-row columns that place a row, all BIGINT. */
  readonly paneColumns: readonly string[]
  /** Each pane is one window, so that merged partial rows are merged windows. */
  readonly isOneWindow: boolean
  /** SQL of those columns for a row; `time` and `watermark` are SQL, the watermark NULL before the first mark. */
  panes(time: string, watermark: string): readonly string[]
  /** SQL predicate: at least one window of the row is still open. */
  accepts(time: string, watermark: string): string
  /** SQL list of the ends of those windows of the row that are closed. */
  lateEnds(time: string, watermark: string): string
  /** The end of the first window that holds this time. */
  firstEnd(timeUs: bigint): bigint
  /** Rows of `partials` once for each of their windows with an end in (from, to], `_window_end` added. */
  windowsOf(partials: string, fromUs: bigint | null, toUs: bigint | null): string
  /** SQL over a partial row: the last end of its windows. */
  readonly closesAt: string
  /** SQL over a partial row: the first end of its windows. */
  readonly emitsFrom: string
  /** SQL over a partial row: the largest end of its windows that start at or below M; else NULL. */
  flushAt(highMarkUs: bigint): string
}

/**
 * SQL: the largest multiple of `stepUs` at or below `value`. `%` truncates in DuckDB, so negative times need care (S9).
 * No second division, which would cost more than all the rest; DuckDB computes the
 * repeated part once.
 */
export function floorTo(value: string, stepUs: bigint): string {
  const rest = `(${value} % ${stepUs})`
  return `(${value} - ${rest} - CAST(${rest} < 0 AS BIGINT) * ${stepUs})`
}

/** The largest multiple of `stepUs` at or below `valueUs`. */
export function floorToUs(valueUs: bigint, stepUs: bigint): bigint {
  return valueUs - (((valueUs % stepUs) + stepUs) % stepUs)
}
