import { configError } from '../src/core/errors.ts'
import {
  type ColumnsOf,
  type Grouped,
  type MiniBatch,
  type OfWindow,
  type Operator,
  step,
  type TimeOf,
} from '../src/plan/batches.ts'
import type { GroupStep } from '../src/plan/step.ts'
import { checkNames, columnType } from './columns.ts'

interface GroupByOptions {
  readonly [key: string]: readonly string[]
  readonly keys: readonly string[]
}

export const groupByStep: GroupStep<GroupByOptions> = {
  is: 'group',
  op: 'groupBy',
  tells: ({ keys }) => [keys.length === 0 ? 'all rows of a window together' : keys.join(', ')],
  columns(input, { keys }) {
    for (const key of keys) columnType('groupBy', key, input)
    return input
  },
  keys: ({ keys }) => keys,
}

type OfUngrouped<I, P> =
  I extends Grouped<unknown, unknown, unknown> ? 'name all keys in one groupBy(...)' : OfWindow<I, P>
/** Without a window and keys nothing is told here: `aggregate` tells it. With keys it was told, and once is enough. */
type Regrouped<I, K> =
  I extends MiniBatch<unknown, unknown>
    ? [K] extends [never]
      ? I
      : Grouped<ColumnsOf<I>, K, TimeOf<I>>
    : Grouped<ColumnsOf<I>, K, TimeOf<I>>

/**
 * Groups the rows of each window by these columns. NULL is a group of its own, -0.0 is 0.0, NaN is one value. Without
 * keys the whole window is one group, as it is without `groupBy`.
 *
 *     trips.pipe(tumbling('1 hour'), groupBy('PULocationID', 'payment_type'), aggregate({ trips: count() }))
 *
 * @throws MillraceError `user` for an unknown or repeated column.
 */
export function groupBy<I, const K extends keyof ColumnsOf<I> & string = never>(
  ...keys: OfUngrouped<I, K>[]
): Operator<I, Regrouped<I, K>> {
  checkNames('groupBy', keys)
  const repeated = keys.find((name, index) => keys.indexOf(name) !== index)
  if (repeated !== undefined) throw configError('groupBy', repeated, 'each column once')
  return step(groupByStep, { keys })
}
