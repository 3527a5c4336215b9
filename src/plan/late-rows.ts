import type { Relation } from './relation.ts'

/** How a step tells its late rows (S8). */
export interface LateRows {
  /** The late rows: the hidden columns of their order, `_watermark`, `columns`, and the input's columns. */
  rows(rows: Relation): string
  /** What the step adds to tell of which window or limit a row is late: BIGINT columns, in the order of the ledger. */
  readonly columns: readonly string[]
  readonly reason: string
  /** Whether a row of this time can be late at all before this watermark: spares the query. */
  mayBe(timeUs: bigint, watermarkUs: bigint): boolean
}
