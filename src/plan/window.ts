import type { Beside } from './beside.ts'

/**
 * How rows go to windows, as SQL over microseconds since the epoch. Windows are [start, end); a row is late for a
 * window iff end <= the watermark before the row's object (S8).
 */
export interface WindowAssigner {
  /**
   * SQL: the start of a window from its end. Where borders come from the rows: of the window that a late row would make
   * by itself.
   */
  startOf(end: string): string
  /** What gives rows the columns by which they are placed, if their time is not enough. */
  readonly beside?: Beside
  /** One window for all: results tell no bounds of it, and have no time. */
  readonly isEndless?: true
  /** The columns that `windowsOf` adds: `_window_end`, and `_window_start` where it does not follow from the end. */
  readonly windowColumns: readonly string[]
  /** Several windows begin together: only their ends tell them apart. */
  readonly startsAlike?: true
  /** Every border of a window is a multiple of this, sessions' to their rows. */
  readonly stepUs: bigint
  /** What was asked for, where that step would say too little of it in a message. */
  readonly asked?: string
  /** Partial-row columns that place a row, all BIGINT. */
  readonly paneColumns: readonly string[]
  /**
   * Where the rows of a window are known only together, as those of a session: the rows with the pane columns of all
   * that they form together. Whatever rows are left out, the others are not torn from what they belong to by anything
   * but that.
   *
   * @param rows SQL with the pane columns, each row by itself or merged before. @param keys names of their group
   * columns
   */
  together?(rows: string, keys: readonly string[]): string
  /** Pieces of one group that are less than this apart belong together. */
  readonly touchUs?: bigint
  /** Each pane is one window, so that merged partial rows are merged windows. */
  readonly isOneWindow: boolean
  /** SQL of those columns for a row; `time` and `watermark` are SQL, the watermark NULL before the first mark. */
  panes(time: string, watermark: string): readonly string[]
  /**
   * SQL of those columns for a partial row that counts in one window only, by the end of that. Absent: nothing can be
   * added to a single window that has closed.
   */
  paneOf?(end: string): readonly string[]
  /** SQL predicate: at least one window of the row is still open. */
  accepts(time: string, watermark: string): string
  /** SQL list of the ends of those windows of the row that are closed. */
  lateEnds(time: string, watermark: string): string
  /** The end of the first window that holds this time. */
  firstEnd(timeUs: bigint): bigint
  /**
   * Rows of `partials` once for each of their windows that a watermark in (from, to] makes final, with `windowColumns`.
   * Where there is `together`, after it.
   */
  windowsOf(partials: string, fromUs: bigint | null, toUs: bigint | null): string
  /** How long after its end a window is final: until then it may still grow. */
  readonly holdUs: bigint
  /** What the late ledger says of a late row. */
  readonly lateReason: string
  /** SQL over a partial row: the watermark that makes the last of its windows final. */
  readonly closesAt: string
  /** SQL over a partial row: the watermark that makes the first of its windows final. */
  readonly emitsFrom: string
  /**
   * SQL over a partial row: the watermark that makes the last of its windows final that start at or below M; else NULL.
   */
  flushAt(highMarkUs: bigint): string
}

/** Of windows whose borders are known before any row. */
export const fixedBorders = {
  windowColumns: ['_window_end'],
  holdUs: 0n,
  lateReason: 'the window had closed: its end is at or below the watermark before the object',
} as const satisfies Partial<WindowAssigner>

/**
 * SQL: the largest multiple of `stepUs` at or below `value`. `%` truncates in DuckDB, so negative times need care (S9).
 * No second division, which would cost more than all the rest; DuckDB computes the
 * repeated part once.
 */
export function floorTo(value: string, stepUs: bigint): string {
  const rest = `(${value} % ${stepUs})`
  return `(${value} - ${rest} - CAST(${rest} < 0 AS BIGINT) * ${stepUs})`
}

/** SQL: WHERE what ends at `end` closes after one watermark and up to another; empty where neither is given. */
export function whereCloses(end: string, fromUs: bigint | null, toUs: bigint | null): string {
  const bounds = [...(fromUs === null ? [] : [`${end} > ${fromUs}`]), ...(toUs === null ? [] : [`${end} <= ${toUs}`])]
  return bounds.length > 0 ? ` WHERE ${bounds.join(' AND ')}` : ''
}

/** SQL: the same among the multiples that are moved by `offsetUs`. */
export function borderBelow(value: string, stepUs: bigint, offsetUs: bigint): string {
  return offsetUs === 0n ? floorTo(value, stepUs) : `(${floorTo(`(${value} - ${offsetUs})`, stepUs)} + ${offsetUs})`
}

/** The largest multiple of `stepUs` at or below `valueUs`. */
export function floorToUs(valueUs: bigint, stepUs: bigint): bigint {
  return valueUs - (((valueUs % stepUs) + stepUs) % stepUs)
}
