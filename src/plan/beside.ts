import type { Relation } from './relation.ts'

/**
 * Where the places of rows cannot be computed from each row alone: a small table that is made of all of them, and the
 * rows with their places. The engine makes the table once for an epoch's rows.
 */
export interface Beside {
  /** SQL of the table. @param rows with their event time */
  table(rows: Relation): string
  /** SQL: the rows, each once, with what the table has for it. */
  join(rows: Relation, table: string): string
}
