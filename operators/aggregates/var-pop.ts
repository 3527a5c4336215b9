import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes, ColumnOf, Like } from './aggregate.ts'
import { exactVariance } from './exact-variance.ts'

export interface VarPop<out K extends string> extends AggregateCall {
  readonly aggregate: 'varPop'
  readonly column: K
}

export interface VarPopTypes extends AggregateTypes {
  readonly call: VarPop<KeysOf<this['columns'], Numeric>>
  readonly result: Like<ColumnOf<this>, 'DOUBLE'>
}

export const varPopAggregate = exactVariance<VarPopTypes>('varPop')

/**
 * The variance of a whole population, as SQL's `var_pop`: over n and not n - 1; 0 for one value, NULL for none.
 * Otherwise as `variance`.
 */
export function varPop<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<VarPop<K>, O> {
  return { aggregate: 'varPop', column, ...options } as WithOptions<VarPop<K>, O>
}
