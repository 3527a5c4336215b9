import { type Columns, columnsOf, type Row } from '../src/core/types.ts'
import { type ColumnsOf, type MiniBatch, type OfRows, type Operator, step, type TimeOf } from '../src/plan/batches.ts'
import { type FunctionCode, functionCode, type FunctionOptions, functionTold } from '../src/plan/function-code.ts'
import { type ColumnTypes, columnsTold } from '../src/plan/relation.ts'
import type { FunctionStep } from '../src/plan/step.ts'

/** The plan's record of a function that gives rows of new columns. */
export interface MappedOptions {
  readonly [key: string]: ColumnTypes | FunctionCode | boolean
  readonly columns: ColumnTypes
  readonly function: FunctionCode
  /** Only this program, and not SQL, can say what the step does. */
  readonly portable: false
}

/** Checks what `mapRows` and `mapBatches` are given. */
export function mappedOptions(op: string, of: unknown, columns: Columns, options: FunctionOptions): MappedOptions {
  const code = functionCode(op, of, options)
  const parsed = columnsOf(columns, `${op}: columns`)
  return {
    columns: Object.fromEntries(
      Object.entries(parsed).map(([name, { sql, nullable }]) => [name, nullable ? sql : `${sql} NOT NULL`]),
    ),
    function: code,
    portable: false,
  }
}

/** As a person reads it. */
export function mappedTold({ function: code, columns }: MappedOptions): readonly string[] {
  return [functionTold(code), `gives ${columnsTold(columns)}`]
}

/**
 * Each row through a function of TypeScript, to one row, several, or none (null).
 *
 *     trips.pipe(
 *       mapRows(
 *         ({ at, zone, agent }) => ({ at, zone, browser: parseAgent(agent).name }),
 *         { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', browser: 'VARCHAR' },
 *       ),
 *       tumbling('1 hour'), groupBy('browser'), aggregate({ n: count() }))
 *
 * BIGINT is a bigint, DECIMAL, DATE, UUID and JSON are text, BLOB a Uint8Array, TIMESTAMP and TIMESTAMPTZ a Date; a
 * Date that is handed on as it is keeps the microseconds that a Date cannot show. Fields beyond `columns` are left out.
 * Values must fit their columns exactly (only FLOAT rounds); null is NULL, undefined is a mistake.
 *
 * The function must be a function of the row alone: a restart, a replay and `verify` call it again. Before a window the
 * event time is handed on unchanged. Costs far more than SQL (docs/performance.md): use `select` before it, so that
 * only what it reads is handed over.
 *
 * @param of Called with each row, in ledger order within an epoch. Answers at once: no Promise. At most 1,048,576 rows
 * for one.
 * @param columns All columns of the result, by SQL type.
 * @throws MillraceError `user` for options that are wrong; `fatal` from the run, naming object, row and field, for an
 * exception inside the function or a value that does not fit its column. Nothing of that epoch is counted.
 */
export function mapRows<I, const D extends Columns>(
  of: NoInfer<OfRows<I, (row: Row<ColumnsOf<I>>) => Row<D> | readonly Row<D>[] | null>>,
  columns: D,
  options: FunctionOptions = {},
): Operator<I, MiniBatch<D, TimeOf<I>>> {
  const mapRowsStep: FunctionStep<MappedOptions> = {
    is: 'function',
    op: 'mapRows',
    tells: mappedTold,
    columns: (_input, { columns }) => columns,
    call: { is: 'map-rows', of: of as (row: never) => unknown },
  }
  return step(mapRowsStep, mappedOptions('mapRows', of, columns, options))
}
