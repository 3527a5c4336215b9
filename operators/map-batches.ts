import type {
  Binary,
  Bool,
  DateDay,
  Decimal,
  Dictionary,
  Float32,
  Float64,
  Int16,
  Int32,
  Int64,
  Int8,
  List,
  RecordBatch,
  Table,
  TimestampMicrosecond,
  Uint64,
  Utf8,
} from 'apache-arrow'
import type { Base, Columns, SqlName } from '../src/core/types.ts'
import { type MiniBatch, type Operator, step } from '../src/plan/batches.ts'
import { checkArrow, type FunctionOptions } from '../src/plan/function-code.ts'
import type { FunctionStep } from '../src/plan/step.ts'
import { mappedTold, type MappedOptions, mappedOptions } from './map-rows.ts'

/** The Arrow type of each SQL type. UUID and JSON are text. */
interface ArrowTypes {
  BOOLEAN: Bool
  TINYINT: Int8
  SMALLINT: Int16
  INTEGER: Int32
  BIGINT: Int64
  UBIGINT: Uint64
  FLOAT: Float32
  DOUBLE: Float64
  VARCHAR: Utf8
  UUID: Utf8
  BLOB: Binary
  DATE: DateDay
  TIMESTAMP: TimestampMicrosecond
  TIMESTAMPTZ: TimestampMicrosecond
  JSON: Utf8
}

type ArrowType<T> = T extends SqlName
  ? ArrowTypes[T]
  : T extends `${infer U extends SqlName}[]`
    ? List<ArrowTypes[U]>
    : T extends `DECIMAL(${string})[]`
      ? List<Decimal>
      : T extends `DECIMAL(${string}`
        ? Decimal
        : never

/** The Arrow types of these columns. */
export type ArrowColumns<C> = { [K in keyof C & string]: ArrowType<Base<C[K]>> }
/** What a function may return for a type: text also encoded by a dictionary, as `vectorFromArray` does. */
type Accepted<A> = A extends Utf8 ? Utf8 | Dictionary<Utf8> : A

/** `unknown` when a returned batch has these columns; else a message that names the first that it has not. */
type Fits<R, D> = R extends RecordBatch<infer S> | Table<infer S>
  ? [Misfits<S, D>] extends [never]
    ? unknown
    : Misfits<S, D>
  : never
type Misfits<S, D> = {
  [K in keyof D & string]: K extends keyof S
    ? [S[K]] extends [Accepted<ArrowType<Base<D[K]>>>]
      ? never
      : `column "${K}" of the returned batch has not the Arrow type of ${D[K] & string}`
    : `the returned batch has no column "${K}"`
}[keyof D & string]

/**
 * Batches of rows through a function of TypeScript, as Apache Arrow: for work on whole columns, or for a library that
 * takes Arrow. It gives a row for each row, in order; use `where` or `filterRows` to drop rows, `mapRows` to make more.
 *
 *     import { makeVector, Table } from 'apache-arrow'
 *
 *     trips.pipe(
 *       select('at', 'miles'),
 *       mapBatches(
 *         batch => {
 *           const km = Float64Array.from(batch.getChild('miles')!, miles => (miles ?? NaN) * 1.609344)
 *           return new Table({ at: batch.getChild('at')!, km: makeVector(km) })
 *         },
 *         { at: 'TIMESTAMP NOT NULL', km: 'DOUBLE' },
 *       ))
 *
 * BIGINT is Int64, TIMESTAMP Timestamp(MICROSECOND), TIMESTAMPTZ the same in UTC, DATE Date(DAY), DECIMAL(p,s) a
 * Decimal of 128 bits, BLOB Binary, BIGINT[] a List of Int64; VARCHAR, UUID and JSON are Utf8. Values go both ways bit
 * by bit. Where batches begin and end is the engine's choice and may change, so the function must be a function of each
 * row.
 *
 * @param of Called with a `RecordBatch` of at most 16,384 rows; returns a `RecordBatch` or `Table` of as many rows that
 * has these columns. It may hand columns of its input on. Answers at once: no Promise.
 * @param columns All columns of the result, by SQL type.
 * @throws MillraceError `user` for options that are wrong; `fatal` from the run for an exception inside the function, a
 * missing column, another Arrow type or number of rows, or a value that does not fit its column.
 */
export function mapBatches<C, T, const D extends Columns, R extends RecordBatch<any> | Table<any>>(
  of: (batch: RecordBatch<ArrowColumns<C>>) => R,
  columns: D & Fits<R, D>,
  options: FunctionOptions = {},
): Operator<MiniBatch<C, T>, MiniBatch<D, T>> {
  const mapBatchesStep: FunctionStep<MappedOptions> = {
    is: 'function',
    op: 'mapBatches',
    tells: mappedTold,
    columns(input, { columns }) {
      checkArrow('mapBatches', input)
      return columns
    },
    call: { is: 'map-batches', of },
  }
  return step(mapBatchesStep, mappedOptions('mapBatches', of, columns, options))
}
