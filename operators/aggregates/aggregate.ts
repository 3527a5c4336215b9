import { configError } from '../../src/core/errors.ts'
import { text } from '../../src/core/option-kinds.ts'
import type { Kind, OptionTable, OptionValues } from '../../src/core/options.ts'
import type { ParsedType } from '../../src/core/types.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'

/** What a user writes inside `aggregate({...})`: plain data. */
export interface AggregateCall {
  readonly aggregate: string
  readonly column?: string
  /** Only rows for which this SQL predicate is true. */
  readonly filter?: string
  /** Further settings by name: numbers and column names. */
  readonly [setting: string]: string | number | undefined
}

/** Options that every aggregate takes. */
export interface AggregateOptions {
  /** A SQL predicate over the input's columns; rows for which it is not true are left out. Gated like `where`. */
  readonly filter?: string
}

/** The name of a column; whether there is one is told where columns are known. */
export const columnName: Kind<string> = text('the name of a column')

/** The described options of an aggregate of rows. */
export const rowOptions = {
  filter: { kind: text('a SQL predicate as text'), about: 'Counts only rows for which this SQL predicate is true.' },
} satisfies OptionTable<AggregateOptions>

/** The described options of an aggregate of one column. */
export const columnOptions = {
  column: {
    kind: columnName,
    isRequired: true,
    isPositional: true,
    about: 'The column whose values are aggregated.',
  },
  ...rowOptions,
} satisfies OptionTable<AggregateOptions & { readonly column: string }>

/** An aggregate with a filter: it may see no row, so its result may be NULL. */
export type Filtered<A> = A & { readonly filter: string }
/** What a factory returns for these options. */
export type WithOptions<A, O> = O extends { readonly filter: string } ? Filtered<A> : A

/** SQL over an input row, for aggregates that need more than the value. */
export interface InputRow {
  readonly timeUs: string
  readonly seq: string
  readonly row: string
  /** The gated filter; undefined without one. */
  readonly filter: string | undefined
  /** How many rows the partial row is made of, filtered ones among them; for an accumulator that `countsRows`. */
  readonly rowCount: string
  /** Any other column of the input, qualified. */
  column(name: string): string
}

/** One column of a partial row. Types are those that survive Parquet unchanged: no HUGEINT (S21). */
export interface Accumulator {
  readonly name: string
  readonly type: string
  /** SQL aggregate over rows. `value` is NULL where a filter leaves the row out; '' for an aggregate without column. */
  partial(value: string, row: InputRow): string
  /** `partial` reads `rowCount`, for which rows are counted first. */
  readonly countsRows?: boolean
  /** SQL aggregate over partial rows; associative and commutative. */
  merge(accumulator: string): string
}

/** An aggregate for one input type. */
export interface AggregatePlan {
  /** SQL type of the result, with NOT NULL where it never is NULL. */
  readonly result: string
  /** Columns of the main table. */
  readonly accumulators: readonly Accumulator[]
  /** Rows of a finer grain than window and group, in a table of their own. */
  readonly side?: Side
  /**
   * SQL of the result from the merged accumulators, in order, and the side's `fold`, NULL for a group without side
   * rows; `side` is null where no group has any. `where` names the window and the group in an error.
   */
  finish(accumulators: readonly string[], side: string | null, where: string): string
  readonly quick?: Quick
}

/** Cheaper arithmetic for the usual case: columns that are computed one after the other, each once for all rows. */
export interface Quick {
  /**
   * Names and SQL, in layers: a layer may use the layers before it by `of`. The last layer is one column, the result:
   * exactly what `finish` would give without side rows, or NULL where this arithmetic may not.
   */
  layers(accumulators: readonly string[], of: (name: string) => string): readonly Readonly<Record<string, string>>[]
}

/** Partial rows of grain (window, group, bucket): bins of a sum, buckets of a sketch, distinct values. */
export interface Side {
  /**
   * SQL over the value: a LIST of what it adds, one side row each (a struct of the buckets and of what the
   * accumulators take); absent: the value itself is the one item.
   */
  items?(value: string): string
  /** What tells side rows of one group apart, as SQL over an item. */
  readonly buckets: readonly { readonly name: string; readonly type: string; of(item: string): string }[]
  /** As SQL over an item. */
  readonly accumulators: readonly Accumulator[]
  /** SQL predicate over the value: the rows that have side rows at all. */
  where?(value: string): string
  /** Name of the main accumulator that counts such rows; where it is 0 the side's query is spared. */
  readonly neededBy?: string
  /**
   * SQL query: side rows of windows and groups, merged, to one row for each, `groups` (a list of columns) and
   * `_folded`.
   */
  fold(rows: string, groups: string): string
}

/**
 * What the compiler knows of an aggregate. Its file fills in `call` and `result` by what `this` has: `aggregate` puts
 * the columns and the call in.
 *
 *     interface MaxTypes extends AggregateTypes {
 *       readonly call: Max<keyof this['columns'] & string>
 *       readonly result: ColumnOf<this>
 *     }
 */
export interface AggregateTypes {
  /** Of the rows that are aggregated: name to SQL type. */
  readonly columns: object
  /** The call whose result is asked for. */
  readonly given: unknown
  /** The calls that these columns allow. */
  readonly call: AggregateCall
  /** SQL type of the given call's result where it has no filter. */
  readonly result: unknown
  /** It counts: 0 and not NULL where no row is left. */
  readonly isCount?: true
}
/** The calls of an aggregate over columns. */
export type CallOf<T, C> = T extends AggregateTypes ? (T & { readonly columns: C })['call'] : never
/** What a call over columns gives. */
export type ResultOf<T, C, A> = T extends AggregateTypes
  ? (T & { readonly columns: C; readonly given: A })['result']
  : never
/** The type of the column that the given call names. */
export type ColumnOf<T extends AggregateTypes> = T['given'] extends {
  readonly column: infer K extends keyof T['columns'] & string
}
  ? T['columns'][K]
  : never
/** The type of the column that the given call orders by; never where it names none. */
export type OrderOf<T extends AggregateTypes> = T['given'] extends {
  readonly by: infer B extends keyof T['columns'] & string
}
  ? T['columns'][B]
  : never
/** As the column: NOT NULL where it is. */
export type Like<T, R extends string> = T extends `${string} NOT NULL` ? `${R} NOT NULL` : R

/** One aggregate, one file. `registry.ts` lists them. */
export interface Aggregate<T extends OptionTable, Types extends AggregateTypes> {
  readonly name: string
  /** For the compiler alone: nothing has it. */
  readonly types?: Types
  /** All that its call holds. */
  readonly options: T
  readonly isCount?: Types['isCount']
  /** @param type of the input column; absent for an aggregate without one. @param field names it in errors. */
  plan(type: ParsedType | undefined, field: string, options: OptionValues<T>, input: ColumnTypes): AggregatePlan
}

/** An aggregate whose types are another file's business. */
export type AnyAggregate = Aggregate<any, any>

/** The input's type, or an error for an aggregate that was given none. */
export function inputType(type: ParsedType | undefined, field: string): ParsedType {
  if (type === undefined) throw configError(field, undefined, 'the name of the column to aggregate')
  return type
}

/** The input's type, one value of it and no list. @param expected names in an error what it is for. */
export function scalarType(type: ParsedType | undefined, field: string, expected: string): ParsedType {
  const input = inputType(type, field)
  if (input.list) throw configError(field, input.sql, `${expected}, not a list`)
  return input
}
