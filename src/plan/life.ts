import type { ColumnTypes } from './relation.ts'

/** When a partial row goes: the only way it ever does (P11). */
export type Life =
  /** By its own columns: from the watermark of `closesAt` on. */
  | { readonly is: 'row' }
  /** With all that it belongs to: rows are merged first, and `closesAt` is judged of the merged row. */
  | ({ readonly is: 'merged' } & Islands)

/**
 * Partial rows of one group that touch one another form an island, which is final as a whole. The main channel says
 * which islands there are; rows of every channel of the step lie within them.
 */
export interface Islands {
  /** What places an island: its group, and from where to where it reaches. Every channel has these columns. */
  readonly columns: ColumnTypes
  /** SQL over an island or a partial row: the first and the last time in it, in microseconds. */
  readonly firstUs: string
  readonly lastUs: string
  /** Rows of one group that are less than this apart are of one island. */
  readonly touchUs: bigint
  /** The islands of partial rows, or of islands, of the main channel: `columns`. */
  islands(partials: string): string
  /**
   * Those of a channel's partial rows whose island outlives this watermark.
   *
   * @param islands SQL, `columns`: all that may be alive
   */
  alive(partials: string, islands: string, watermarkUs: bigint): string
}
