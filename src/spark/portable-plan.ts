import type { ColumnTypes } from '../plan/relation.ts'

/**
 * A plan as text for another executor: every query of an epoch, over relations that the executor makes.
 * docs/internals/formats/portable-plan.md says how it is run, portable-plan.schema.json beside it what it looks like.
 */
export interface PortablePlan {
  readonly format: 'millrace-portable-plan'
  /** It changes when a reader of this version would go wrong. */
  readonly version: 1
  readonly pipeline: string
  /** The DuckDB that runs the queries: another one may compute other values. */
  readonly duckdb: string
  /** Of every session. */
  readonly settings: Readonly<Record<string, string>>
  /** By declared type: how values of a file's own types become values of it. */
  readonly casts: Readonly<Record<string, readonly PortableCast[]>>
  readonly sources: readonly PortableSource[]
  readonly lookups: readonly PortableLookup[]
  /** Those before others first. */
  readonly stages: readonly PortableStage[]
  readonly flows: readonly PortableFlow[]
}

/** A query, and those of its parameters that it has: `$to` of `['to']`. */
export interface PortableQuery {
  readonly sql: string
  readonly parameters: readonly string[]
}

/** Which types of a file it is for, and how such values are read (S17). */
export type PortableCast = {
  /** DuckDB's names of them. */
  readonly types?: readonly string[]
  /** Or every DECIMAL, or list of such, of so many digits, whose name stands for `{decimal}`. */
  readonly decimals?: { readonly from: number; readonly to: number; readonly isList: boolean }
} & (
  | {
      /** SQL over `{raw}`, the value as read. */
      readonly value: string
      /** SQL over `{raw}` and `{value}`, never NULL: it does not fit. null: every value fits. */
      readonly misfit: string | null
    }
  /** No value of such a column can be read, so the object is a bad one: why, where `{type}` is the type. */
  | { readonly impossible: string }
)

export interface PortableSource {
  readonly name: string
  readonly format: 'parquet'
  /** The table of good rows that steps read: `rows_1`. */
  readonly relation: string
  readonly columns: readonly PortableColumn[]
  /** How far the watermark stays behind the highest mark, in microseconds; null: only a flush moves it. */
  readonly delayUs: string | null
  /** Over `typed_rows` of one object: what of its rows is counted, and its high mark. */
  readonly mark: PortableQuery
  /** Over `typed_rows` of some objects: the rows that count. */
  readonly rows: string
}

export interface PortableColumn {
  readonly name: string
  readonly type: string
  /** `object`: the coordinator knows it from the key or the listing, and gives it as text. */
  readonly of: 'rows' | 'object'
  /** The file's name of it. */
  readonly from: string
  /** SQL of what stands where a file has no such column; null: such an object is a bad one. */
  readonly ifMissing: string | null
}

export interface PortableLookup {
  readonly name: string
  /** The rows of its versions: `_version`, the number of their ledger entry, and the columns. */
  readonly relation: string
  /** All versions, those without rows too: `seq`. */
  readonly versions: string
  readonly columns: ColumnTypes
}

export interface PortableStage {
  /** As in a new checkpoint. */
  readonly id: string
  readonly op: string
  /** What its input is made of: rows of sources, what stages gave, lookups. */
  readonly reads: readonly string[]
  /** Each row of the input is made of one row, so that any part of the rows may be read by itself. */
  readonly isByRow: boolean
  readonly clock: {
    /** The entries of the epoch: `seq`, and the watermark `before` and `after` each, in microseconds. */
    readonly relation: string
    readonly inputs: readonly (
      | { readonly is: 'source'; readonly source: string }
      | { readonly is: 'stage'; readonly stage: string; readonly holdUs: string }
    )[]
  }
  /** Partial rows that differ in one of these never meet. None: all of them may. */
  readonly partedBy: readonly string[]
  readonly channels: readonly PortableChannel[]
  readonly late: { readonly sql: string; readonly columns: readonly string[]; readonly reason: string }
  readonly emission: PortableEmission
  /** The results in the ledger's order, of all parts together: for stages behind this one, and for lookups. */
  readonly given: { readonly relation: string; readonly sql: string }
  /** How far a flush reaches in the stages behind it, over all results. */
  readonly flushLimit: PortableQuery
}

export interface PortableChannel {
  readonly name: string
  /** Partial rows of the state and of the epoch. */
  readonly relation: string
  readonly columns: ColumnTypes
  /** A total order of them. */
  readonly order: readonly string[]
  /** Where this BOOLEAN column of the first channel is nowhere true, `partial` gives nothing. */
  readonly neededBy: string | null
  /** New rows to partial rows. */
  readonly partial: string
  /** Partial rows to fewer that mean the same. */
  readonly merge: string
  /** When a partial row goes: `row`, by itself, once the watermark is at `closesAt`, which is SQL over it. */
  readonly life: { readonly is: 'row'; readonly closesAt: string }
  /** SQL over a partial row: a watermark below this makes nothing of it final. */
  readonly emitsFrom: string
  /** Where a flush moves the clock: the largest `flush_at` of all channels and parts. null: nothing waits for it. */
  readonly flushAt: PortableQuery | null
}

export interface PortableEmission {
  /** What it gives. */
  readonly relation: string
  /** While the stage had no watermark before the epoch. */
  readonly first: PortableQuery
  /** Afterwards. */
  readonly next: PortableQuery
  readonly columns: ColumnTypes
  /** The columns before those, which order the rows totally. */
  readonly hidden: readonly string[]
}

export interface PortableFlow {
  readonly name: string
  readonly reads: readonly string[]
  readonly isByRow: boolean
  /** Columns that order the rows totally, then those that the sink gets. */
  readonly sql: string
  readonly order: readonly string[]
  readonly columns: ColumnTypes
}
