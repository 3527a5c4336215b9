import type { Json } from '../core/json.ts'

/** One user expression of a step: what the gate checks and DuckDB binds before any data is read. */
export interface UserExpression {
  /** How an error names it: `where`, `derive tip_share`. */
  readonly field: string
  readonly sql: string
  /** The declared type: the bound expression is cast to it, which may round. Absent: the step decides. */
  readonly type?: string
  /** The type that DuckDB must find, such as BOOLEAN. */
  readonly mustBe?: string
}

/**
 * A step's options so that all ways to write the same are equal: what plans are compared by. Names and their nesting
 * are those of the options, as a message about a change shows what the user wrote there. Absent: the options are so
 * already.
 *
 * @param expressions the canonical form of each of `expressions(options)`, in order
 */
export type CanonicalOptions<O> = (options: O, expressions: readonly Json[]) => Json

/**
 * What the options ask for, as a person reads it behind the operator's name: `1 hour every 30 minutes`. A line each,
 * where it is several. Absent: the options are shown by their names.
 */
export type Told<O> = (options: O) => readonly string[]
