import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, WithOptions } from './aggregate.ts'
import { exactCovariance } from './exact-covariance.ts'

export interface RegrSlope<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'regrSlope'
  readonly column: K
  readonly other: B
}

export interface RegrSlopeTypes extends AggregateTypes {
  readonly call: RegrSlope<KeysOf<this['columns'], Numeric>, KeysOf<this['columns'], Numeric>>
  readonly result: 'DOUBLE'
}

export const regrSlopeAggregate = exactCovariance<RegrSlopeTypes>('regrSlope')

/**
 * The slope of the line that fits y over x by least squares, as SQL's `regr_slope(y, x)`; NULL where x does not vary.
 * From exact sums, within one unit in the last place, and beyond the range of DOUBLE an infinity; which rows count and
 * the types are those of `covarPop`.
 *
 *     aggregate({ fare_per_mile: regrSlope('fare_amount', 'trip_distance') })
 */
export function regrSlope<const K extends string, const B extends string, const O extends AggregateOptions = {}>(
  y: K,
  x: B,
  options?: O,
): WithOptions<RegrSlope<K, B>, O> {
  return { aggregate: 'regrSlope', column: y, other: x, ...options } as WithOptions<RegrSlope<K, B>, O>
}
