import { configError } from '../src/core/errors.ts'
import { type ColumnsOf, type MiniBatch, type OfRows, type Operator, step, type TimeOf } from '../src/plan/batches.ts'
import { inputColumn, wrap } from '../src/plan/relation.ts'
import type { StatelessStep } from '../src/plan/step.ts'
import { checkNames, columnType } from './columns.ts'

interface SelectOptions {
  readonly [key: string]: readonly string[]
  readonly columns: readonly string[]
}

export const selectStep: StatelessStep<SelectOptions> = {
  is: 'stateless',
  op: 'select',
  tells: ({ columns }) => [columns.join(', ')],
  columns: (input, { columns }) => Object.fromEntries(columns.map(name => [name, columnType('select', name, input)])),
  expressions: () => [],
  carries: (column, { columns }) => (columns.includes(column) ? column : undefined),
  sql: (input, { columns }) => wrap(input, columns.map(inputColumn)),
}

/**
 * Keeps these columns, in this order.
 *
 *     trips.pipe(select('PULocationID', 'total_amount'))
 *
 * @throws MillraceError `user` for an unknown or repeated column.
 */
export function select<I, const K extends keyof ColumnsOf<I> & string>(
  ...columns: OfRows<I, K>[]
): Operator<I, MiniBatch<Pick<ColumnsOf<I>, K>, TimeOf<I>>> {
  if (columns.length === 0) throw configError('select', columns, 'at least one column name')
  checkNames('select', columns)
  const repeated = columns.find((name, index) => columns.indexOf(name) !== index)
  if (repeated !== undefined) throw configError('select', repeated, 'each column once')
  return step(selectStep, { columns })
}
