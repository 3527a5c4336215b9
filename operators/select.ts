import { configError } from '../src/core/errors.ts'
import { type MiniBatch, type Operator, step } from '../src/plan/batches.ts'
import { inputColumn, wrap } from '../src/plan/relation.ts'
import type { StatelessStep } from '../src/plan/step.ts'
import { columnType } from './columns.ts'

interface SelectOptions {
  readonly [key: string]: readonly string[]
  readonly columns: readonly string[]
}

export const selectStep: StatelessStep<SelectOptions> = {
  is: 'stateless',
  op: 'select',
  columns: (input, { columns }) => Object.fromEntries(columns.map(name => [name, columnType('select', name, input)])),
  expressions: () => [],
  sql: (input, { columns }) => wrap(input, columns.map(inputColumn)),
}

/**
 * Keeps these columns, in this order.
 *
 *     trips.pipe(select('PULocationID', 'total_amount'))
 *
 * @throws MillraceError `user` for an unknown or repeated column.
 */
export function select<C, T, const K extends keyof C & string>(
  ...columns: K[]
): Operator<MiniBatch<C, T>, MiniBatch<Pick<C, K>, T>> {
  if (columns.length === 0) throw configError('select', columns, 'at least one column name')
  const repeated = columns.find((name, index) => columns.indexOf(name) !== index)
  if (repeated !== undefined) throw configError('select', repeated, 'each column once')
  return step(selectStep, { columns })
}
