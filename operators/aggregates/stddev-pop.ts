import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes, ColumnOf, Like } from './aggregate.ts'
import { exactVariance } from './exact-variance.ts'

export interface StddevPop<out K extends string> extends AggregateCall {
  readonly aggregate: 'stddevPop'
  readonly column: K
}

export interface StddevPopTypes extends AggregateTypes {
  readonly call: StddevPop<KeysOf<this['columns'], Numeric>>
  readonly result: Like<ColumnOf<this>, 'DOUBLE'>
}

export const stddevPopAggregate = exactVariance<StddevPopTypes>('stddevPop')

/** The standard deviation of a whole population, as SQL's `stddev_pop`. Otherwise as `stddev`; 0 for one value. */
export function stddevPop<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<StddevPop<K>, O> {
  return { aggregate: 'stddevPop', column, ...options } as WithOptions<StddevPop<K>, O>
}
