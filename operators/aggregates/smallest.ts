import type { Base, KeysOf, Scalar } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, ColumnOf, Like, WithOptions } from './aggregate.ts'
import { ends } from './ends.ts'

export interface Smallest<out K extends string> extends AggregateCall {
  readonly aggregate: 'smallest'
  readonly column: K
  readonly n: number
}

export interface SmallestTypes extends AggregateTypes {
  readonly call: Smallest<KeysOf<this['columns'], Scalar>>
  readonly result: Like<ColumnOf<this>, `${Base<ColumnOf<this>> & string}[]`>
}

export const smallestAggregate = ends<SmallestTypes>('smallest', 'ascending')

/**
 * The `n` smallest values as a list, the smallest first, equal ones as often as they come; NULL when no value was seen.
 * NULLs are left out, NaN is the largest value and -0.0 is 0.0. State holds `n` values for each window and group.
 *
 *     aggregate({ fares: smallest('fare_amount', 3) })
 *
 * @param n 1 to 10,000.
 */
export function smallest<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  n: number,
  options?: O,
): WithOptions<Smallest<K>, O> {
  return { aggregate: 'smallest', column, n, ...options } as WithOptions<Smallest<K>, O>
}
