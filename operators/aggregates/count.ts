import type { Aggregate, AggregateCall } from './aggregate.ts'

export interface Count extends AggregateCall {
  readonly aggregate: 'count'
}

export const countAggregate: Aggregate = {
  name: 'count',
  plan: () => ({
    result: 'BIGINT NOT NULL',
    accumulators: [
      {
        name: 'count',
        type: 'BIGINT',
        partial: () => 'count(*)',
        merge: count => `CAST(sum(${count}) AS BIGINT)`,
      },
    ],
    finish: ([count]) => `${count}`,
  }),
}

/** The number of rows, NULLs included. BIGINT. */
export function count(): Count {
  return { aggregate: 'count' }
}
