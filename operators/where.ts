import { configError } from '../src/core/errors.ts'
import { type ColumnsOf, type OfRows, type Operator, type Passed, type Sql, step } from '../src/plan/batches.ts'
import { inputColumn, wrap } from '../src/plan/relation.ts'
import type { StatelessStep } from '../src/plan/step.ts'

interface WhereOptions {
  readonly [key: string]: string
  readonly predicate: string
}

export const whereStep: StatelessStep<WhereOptions> = {
  is: 'stateless',
  op: 'where',
  tells: ({ predicate }) => [predicate],
  columns: input => input,
  expressions: ({ predicate }) => [{ field: 'where', sql: predicate, mustBe: 'BOOLEAN' }],
  carries: column => column,
  canonical: (_options, [predicate = null]) => ({ predicate }),
  sql: (input, _options, [predicate]) => wrap(input, Object.keys(input.columns).map(inputColumn), `WHERE ${predicate}`),
}

/**
 * Keeps the rows for which a SQL predicate is true; false and NULL drop the row.
 *
 *     trips.pipe(where("total_amount > 0 and payment_type in (1, 2)"))
 *
 * @param predicate A DuckDB expression over the columns in scope, BOOLEAN, a function of the row alone (no `now()`,
 * `random()`, subqueries, aggregates). Checked by the compiler for column names and by DuckDB before data is read.
 * @throws MillraceError `user` when the pipeline is bound: unknown column, wrong type, refused function.
 */
export function where<I, const S extends string>(predicate: OfRows<I, Sql<S, ColumnsOf<I>>>): Operator<I, Passed<I>> {
  const text: unknown = predicate
  if (typeof text !== 'string' || text.trim() === '') throw configError('where', predicate, 'a SQL predicate')
  return step(whereStep, { predicate: text })
}
