import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, WithOptions } from './aggregate.ts'
import { exactCovariance } from './exact-covariance.ts'

export interface RegrR2<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'regrR2'
  readonly column: K
  readonly other: B
}

export interface RegrR2Types extends AggregateTypes {
  readonly call: RegrR2<KeysOf<this['columns'], Numeric>, KeysOf<this['columns'], Numeric>>
  readonly result: 'DOUBLE'
}

export const regrR2Aggregate = exactCovariance<RegrR2Types>('regrR2')

/**
 * The share of y's variance that the line of `regrSlope` explains, as SQL's `regr_r2(y, x)`: 0 to 1, and 1 where y does
 * not vary. Otherwise as `regrSlope`.
 *
 *     aggregate({ fit: regrR2('fare_amount', 'trip_distance') })
 */
export function regrR2<const K extends string, const B extends string, const O extends AggregateOptions = {}>(
  y: K,
  x: B,
  options?: O,
): WithOptions<RegrR2<K, B>, O> {
  return { aggregate: 'regrR2', column: y, other: x, ...options } as WithOptions<RegrR2<K, B>, O>
}
