import type { Json } from '../core/json.ts'
import type { ColumnTypes, Relation } from './relation.ts'
import type { WindowAssigner } from './window.ts'

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

/** The head of every plan. */
export interface SourceStep<O = Json> {
  readonly is: 'source'
  readonly op: string
  columns(input: ColumnTypes, options: O): ColumnTypes
}

/** A query around its input, row by row. Runs nothing. */
export interface StatelessStep<O = Json> {
  readonly is: 'stateless'
  readonly op: string
  columns(input: ColumnTypes, options: O): ColumnTypes
  expressions(options: O): readonly UserExpression[]
  /** `bound` holds the gated SQL of `expressions`, in order, over the alias `_in`. */
  sql(input: Relation, options: O, bound: readonly string[]): string
}

/**
 * Rows through a function of TypeScript. No SQL stands for it: the engine runs what is before it, hands the rows over a
 * chunk at a time, and goes on from a table of what came back. Hidden columns ride along.
 */
export interface FunctionStep<O = Json> {
  readonly is: 'function'
  readonly op: string
  columns(input: ColumnTypes, options: O): ColumnTypes
  readonly call: FunctionCall
}

/** The user's function; it must be a function of the row alone, as it may run again. */
export type FunctionCall =
  | { readonly is: 'map-rows'; readonly of: (row: never) => unknown }
  | { readonly is: 'filter-rows'; readonly of: (row: never) => unknown }
  | { readonly is: 'map-batches'; readonly of: (batch: never) => unknown }

/** Says into which windows a row goes. An annotation: the stateful step that follows uses it. */
export interface WindowStep<O = Json> {
  readonly is: 'window'
  readonly op: string
  columns(input: ColumnTypes, options: O): ColumnTypes
  assigner(options: O): WindowAssigner
}

/** Says by which columns rows are grouped. An annotation as well. */
export interface GroupStep<O = Json> {
  readonly is: 'group'
  readonly op: string
  columns(input: ColumnTypes, options: O): ColumnTypes
  keys(options: O): readonly string[]
}

/** What a stateful step is folded from: the annotations before it and its input's columns. */
export interface StatefulContext {
  readonly input: ColumnTypes
  /** Name of the event time column. */
  readonly time: string
  readonly windows: WindowAssigner
  readonly keys: readonly string[]
}

/**
 * Three kinds of query: `partial` (new rows to partial rows), `merge` (partial rows to partial rows, associative and
 * commutative) and `emit` (what the watermark's move makes final, merged, as output rows).
 */
export interface StatefulStep<O = Json> {
  readonly is: 'stateful'
  readonly op: string
  columns(input: ColumnTypes, options: O): ColumnTypes
  expressions(options: O): readonly UserExpression[]
  /** The folded step for this input; `bound` holds the gated SQL of `expressions`, absent while only columns are asked for. */
  fold(context: StatefulContext, options: O, bound?: readonly string[]): Stateful
}

export interface Stateful {
  /** Where partial rows lie. The first is the main table: a row for each window and group that has any row. */
  readonly tables: readonly [PartialTable, ...PartialTable[]]
  /** Output columns. */
  readonly columns: ColumnTypes
  /** The late (row, window) pairs (S8): the input's columns, `_seq`, `_row`, `_watermark`, `_window_start`, `_window_end`. */
  late(rows: Relation): string
  /** Whether a row of this time can be late at all before this watermark: spares the late query. */
  mayBeLate(timeUs: bigint, watermarkUs: bigint): boolean
  /**
   * What the watermark's move from (exclusive) to (inclusive) makes final. `partials` gives the partial rows of a
   * table, in parts of which no two have rows that close at the same watermark; none where there are no rows.
   */
  emit(partials: (table: PartialTable) => readonly PartialRows[], fromUs: bigint | null, toUs: bigint): Relation
  /** SQL over a partial row of any table: the watermark that makes it dead. The only way a state row ever goes (P11). */
  readonly closesAt: string
  /** SQL over a partial row of any table: a watermark below this makes none of its windows final. */
  readonly emitsFrom: string
  /** SQL over a main partial row: the largest closing threshold of its windows that start at or below M (S6); else NULL. */
  flushAt(highMarkUs: bigint): string
  /** Open windows of main partial rows, those that end above the watermark: `_window_start`, `_window_end` in microseconds, `groups`. */
  openWindows(partials: string, watermarkUs: bigint | null): string
  /** S13. */
  readonly holdUs: bigint
}

/** Partial rows as SQL. `isMerged`: each window and group has one row at most, as one `partial` query gives them. */
export interface PartialRows {
  readonly sql: string
  readonly isMerged: boolean
}

/** Partial rows of one grain: what a segment and a state table hold. */
export interface PartialTable {
  /** '' for the main table; tells the tables of one step apart. */
  readonly name: string
  readonly columns: ColumnTypes
  /** A total order: same rows, same bytes. */
  readonly order: readonly string[]
  /** Epoch rows (hidden `_seq`, `_row`, `_watermark`) to partial rows; rows that are late in every window are left out. */
  partial(rows: Relation): string
  /** Partial rows to fewer partial rows that mean the same; associative and commutative. */
  merge(partials: string): string
  /** A BOOLEAN column of the main table: whether a row needs this table. Where it is FALSE everywhere `partial` is not run. */
  readonly neededBy?: string
}

/** The end of a flow: what the engine does with its rows. */
export interface SinkStep<O = Json> {
  readonly is: 'sink'
  readonly op: string
  columns(input: ColumnTypes, options: O): ColumnTypes
}

export type Step<O = never> =
  | SourceStep<O>
  | StatelessStep<O>
  | FunctionStep<O>
  | WindowStep<O>
  | GroupStep<O>
  | StatefulStep<O>
  | SinkStep<O>
