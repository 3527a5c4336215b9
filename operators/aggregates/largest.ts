import type { Base, KeysOf, Scalar } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, ColumnOf, Like, WithOptions } from './aggregate.ts'
import { ends } from './ends.ts'

export interface Largest<out K extends string> extends AggregateCall {
  readonly aggregate: 'largest'
  readonly column: K
  readonly n: number
}

export interface LargestTypes extends AggregateTypes {
  readonly call: Largest<KeysOf<this['columns'], Scalar>>
  readonly result: Like<ColumnOf<this>, `${Base<ColumnOf<this>> & string}[]`>
}

export const largestAggregate = ends<LargestTypes>('largest', 'descending')

/**
 * The `n` largest values as a list, the largest first, equal ones as often as they come; NULL when no value was seen.
 * NULLs are left out, NaN is the largest value and -0.0 is 0.0. State holds `n` values for each window and group.
 *
 *     aggregate({ fares: largest('fare_amount', 3) })
 *
 * @param n 1 to 10,000.
 */
export function largest<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  n: number,
  options?: O,
): WithOptions<Largest<K>, O> {
  return { aggregate: 'largest', column, n, ...options } as WithOptions<Largest<K>, O>
}
