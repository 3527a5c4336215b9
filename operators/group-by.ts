import { configError } from '../src/core/errors.ts'
import { type Grouped, type Operator, step, type Windowed } from '../src/plan/batches.ts'
import type { GroupStep } from '../src/plan/step.ts'
import { columnType } from './columns.ts'

interface GroupByOptions {
  readonly [key: string]: readonly string[]
  readonly keys: readonly string[]
}

export const groupByStep: GroupStep<GroupByOptions> = {
  is: 'group',
  op: 'groupBy',
  columns(input, { keys }) {
    for (const key of keys) columnType('groupBy', key, input)
    return input
  },
  keys: ({ keys }) => keys,
}

/**
 * Groups the rows of each window by these columns. NULL is a group of its own, -0.0 is 0.0, NaN is one value. Without
 * keys the whole window is one group.
 *
 *     trips.pipe(tumbling('1 hour'), groupBy('PULocationID', 'payment_type'), aggregate({ trips: count() }))
 *
 * @throws MillraceError `user` for an unknown or repeated column.
 */
export function groupBy<C, T, const K extends keyof C & string = never>(
  ...keys: K[]
): Operator<Windowed<C, T>, Grouped<C, K, T>> {
  const repeated = keys.find((name, index) => keys.indexOf(name) !== index)
  if (repeated !== undefined) throw configError('groupBy', repeated, 'each column once')
  return step(groupByStep, { keys })
}
