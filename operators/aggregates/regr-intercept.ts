import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, WithOptions } from './aggregate.ts'
import { exactCovariance } from './exact-covariance.ts'

export interface RegrIntercept<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'regrIntercept'
  readonly column: K
  readonly other: B
}

export interface RegrInterceptTypes extends AggregateTypes {
  readonly call: RegrIntercept<KeysOf<this['columns'], Numeric>, KeysOf<this['columns'], Numeric>>
  readonly result: 'DOUBLE'
}

export const regrInterceptAggregate = exactCovariance<RegrInterceptTypes>('regrIntercept')

/**
 * Where the line of `regrSlope` is at x = 0, as SQL's `regr_intercept(y, x)`. Otherwise as `regrSlope`.
 *
 *     aggregate({ base_fare: regrIntercept('fare_amount', 'trip_distance') })
 */
export function regrIntercept<const K extends string, const B extends string, const O extends AggregateOptions = {}>(
  y: K,
  x: B,
  options?: O,
): WithOptions<RegrIntercept<K, B>, O> {
  return { aggregate: 'regrIntercept', column: y, other: x, ...options } as WithOptions<RegrIntercept<K, B>, O>
}
