import { configError } from '../../src/core/errors.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  rowOptions,
  type AggregateTypes,
} from './aggregate.ts'

export interface Count extends AggregateCall {
  readonly aggregate: 'count'
}

export interface CountTypes extends AggregateTypes {
  readonly call: Count
  readonly result: 'BIGINT NOT NULL'
  readonly isCount: true
}

export const countAggregate: Aggregate<typeof rowOptions, CountTypes> = {
  name: 'count',
  options: rowOptions,
  isCount: true,
  plan: () => ({
    result: 'BIGINT NOT NULL',
    accumulators: [
      {
        name: 'count',
        type: 'BIGINT',
        partial: (_value, { filter }) => (filter === undefined ? 'count(*)' : `count(*) FILTER (WHERE ${filter})`),
        merge: count => `CAST(sum(${count}) AS BIGINT)`,
      },
    ],
    finish: ([count]) => `${count}`,
  }),
}

/** The number of rows, NULLs included; with a filter, of those for which it is true. BIGINT. */
export function count(options: AggregateOptions = {}): Count {
  if (typeof options !== 'object')
    throw configError(
      'count',
      options,
      "no column, as it counts rows: count(). Values of a column are count({ filter: 'name IS NOT NULL' })",
    )
  return { aggregate: 'count', ...options }
}
