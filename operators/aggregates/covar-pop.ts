import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, WithOptions } from './aggregate.ts'
import { exactCovariance, type LikeBoth } from './exact-covariance.ts'

export interface CovarPop<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'covarPop'
  readonly column: K
  readonly other: B
}

export interface CovarPopTypes extends AggregateTypes {
  readonly call: CovarPop<KeysOf<this['columns'], Numeric>, KeysOf<this['columns'], Numeric>>
  readonly result: LikeBoth<this>
}

export const covarPopAggregate = exactCovariance<CovarPopTypes>('covarPop')

/**
 * The covariance of two columns over a whole population, as SQL's `covar_pop`: that of exact arithmetic, correctly
 * rounded, whatever the order and the cut. Only rows in which both have a value count; NULL where there is none, NaN
 * where a value of these is NaN or infinite; an error that names the window beyond 2^30 rows of one group. DOUBLE, of
 * integers, FLOAT, DOUBLE and DECIMAL of at most 18 digits and scale 9.
 *
 *     aggregate({ together: covarPop('tip_amount', 'fare_amount') })
 */
export function covarPop<const K extends string, const B extends string, const O extends AggregateOptions = {}>(
  column: K,
  other: B,
  options?: O,
): WithOptions<CovarPop<K, B>, O> {
  return { aggregate: 'covarPop', column, other, ...options } as WithOptions<CovarPop<K, B>, O>
}
