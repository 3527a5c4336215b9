import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes } from './aggregate.ts'
import { exactVariance } from './exact-variance.ts'

export interface Variance<out K extends string> extends AggregateCall {
  readonly aggregate: 'variance'
  readonly column: K
}

export interface VarianceTypes extends AggregateTypes {
  readonly call: Variance<KeysOf<this['columns'], Numeric>>
  readonly result: 'DOUBLE'
}

export const varianceAggregate = exactVariance<VarianceTypes>('variance')

/**
 * The variance of a sample, as SQL's `var_samp`: that of exact arithmetic, correctly rounded, whatever the order and
 * the cut. NULLs are ignored; NULL for fewer than two values; NaN where any value is NaN or infinite; an error that
 * names the window beyond 2^30 values of one group. DOUBLE, of integers, FLOAT, DOUBLE and DECIMAL of at most 18 digits
 * and scale 9.
 *
 *     aggregate({ spread: variance('fare_amount') })
 */
export function variance<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Variance<K>, O> {
  return { aggregate: 'variance', column, ...options } as WithOptions<Variance<K>, O>
}
