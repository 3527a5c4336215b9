import { configError } from '../../src/core/errors.ts'
import type { ParsedType } from '../../src/core/types.ts'

/** What a user writes inside `aggregate({...})`: plain data. */
export interface AggregateCall {
  readonly aggregate: string
  readonly column?: string
}

/** One column of a partial row. Types are those that survive Parquet unchanged: no HUGEINT (S21). */
export interface Accumulator {
  readonly name: string
  readonly type: string
  /** SQL aggregate over rows. */
  partial(value: string): string
  /** SQL aggregate over partial rows; associative and commutative. */
  merge(accumulator: string): string
}

/** An aggregate for one input type. */
export interface AggregatePlan {
  /** SQL type of the result, with NOT NULL where it never is NULL. */
  readonly result: string
  readonly accumulators: readonly Accumulator[]
  /** SQL of the result from the merged accumulators, in order. `where` names the window and the group in an error. */
  finish(accumulators: readonly string[], where: string): string
}

/** One aggregate, one file. `registry.ts` lists them. */
export interface Aggregate {
  readonly name: string
  /** @param type of the input column; absent for an aggregate without one. @param field names it in errors. */
  plan(type: ParsedType | undefined, field: string): AggregatePlan
}

/** The input's type, or an error for an aggregate that was given none. */
export function inputType(type: ParsedType | undefined, field: string): ParsedType {
  if (type === undefined) throw configError(field, undefined, 'the name of the column to aggregate')
  return type
}
