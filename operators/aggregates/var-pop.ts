import type { Aggregate, AggregateCall, AggregateOptions, WithOptions } from './aggregate.ts'
import { exactVariance } from './exact-variance.ts'

export interface VarPop<out K extends string> extends AggregateCall {
  readonly aggregate: 'varPop'
  readonly column: K
}

export const varPopAggregate: Aggregate = exactVariance('varPop')

/**
 * The variance of a whole population, as SQL's `var_pop`: over n and not n - 1; 0 for one value, NULL for none. Otherwise
 * as `variance`.
 */
export function varPop<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<VarPop<K>, O> {
  return { aggregate: 'varPop', column, ...options } as WithOptions<VarPop<K>, O>
}
