import { concatMap, EMPTY, of } from 'rxjs'
import { callSite } from '../src/core/call-site.ts'
import { configError, withCallSite } from '../src/core/errors.ts'
import { type Columns, columnsOf, type Show } from '../src/core/types.ts'
import type { WrittenStep } from '../src/plan/asked-steps.ts'
import type { MiniBatch, OfRows, Operator, TimeOf } from '../src/plan/batches.ts'
import { plannedBatch } from '../src/plan/mini-batch.ts'
import { checkOrder } from '../src/plan/node.ts'

/** Columns of which the compiler knows nothing: any name is one, of any type. */
export type UnknownColumns = Readonly<Record<string, any>>

/**
 * Steps written as one SELECT over the rows before it, which are called `_in`.
 *
 *     trips.pipe(
 *       sql('SELECT at, zone, tip / fare AS share FROM _in WHERE fare > 0',
 *         { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', share: 'DOUBLE' }),
 *       tumbling('1 hour'), groupBy('zone'), aggregate({ best: max('share') }))
 *
 * It becomes `where`, `derive`, `select` and `rename`: the plan is theirs, so a checkpoint goes on with either. A cast
 * gives a column its type; without one DuckDB's type is taken. What keeps state is refused with the operator that does
 * it: GROUP BY, ORDER BY, DISTINCT, joins, UNION, OVER.
 *
 * @param query One SELECT of DuckDB. Its expressions are functions of the row, as those of `where` and `derive`. WITH
 * and queries in brackets are allowed, each over `_in` or over one of them.
 * @param columns All columns of the result, by SQL type, in any order: so the compiler knows them. They are checked
 * before any data is read. Without them any column may be named in the steps behind, and is looked for only then.
 * @throws MillraceError `user` when the pipeline is bound, with the place in the query: no SELECT, unknown column,
 * refused function, a column that is not as `columns` says.
 */
export function sql<I, const C extends Columns>(
  query: OfRows<I, string>,
  columns: C,
): Operator<I, MiniBatch<Show<C>, TimeOf<I>>>
export function sql<I>(query: OfRows<I, string>): Operator<I, MiniBatch<UnknownColumns, TimeOf<I>>>
export function sql(query: unknown, columns?: Columns): Operator<unknown, unknown> {
  if (typeof query !== 'string' || query.trim() === '')
    throw configError('sql', query, "a query, such as 'SELECT a, a + b AS c FROM _in WHERE a > 0'")
  const declared = columns === undefined ? undefined : declaredColumns(columns)
  const at = callSite()
  const known = new Map<string, readonly WrittenStep[]>()
  const run = concatMap((value: unknown) => {
    try {
      const batch = plannedBatch(value, 'sql')
      checkOrder(batch.node, { is: 'sink', op: 'sql', columns: input => input })
      const key = JSON.stringify(batch.columns)
      const steps = known.get(key)
      if (steps) return of(steps.reduce((last, { step, options }) => last.apply(step, options as never, at), batch))
      batch.ask({
        query,
        ...(declared && { columns: declared }),
        ...(at && { at }),
        answer: answered => known.set(key, answered),
      })
      return EMPTY
    } catch (error) {
      throw withCallSite(error, at)
    }
  })
  return Object.assign((source: Parameters<typeof run>[0]) => run(source), { step: { op: 'sql' }, options: {} })
}

function declaredColumns(columns: Columns): Readonly<Record<string, string>> {
  const parsed = columnsOf(columns, 'sql: columns')
  return Object.fromEntries(
    Object.entries(parsed).map(([name, { sql: type, nullable }]) => [name, nullable ? type : `${type} NOT NULL`]),
  )
}
