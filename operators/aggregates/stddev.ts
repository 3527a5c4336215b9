import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, WithOptions, AggregateTypes } from './aggregate.ts'
import { exactVariance } from './exact-variance.ts'

export interface Stddev<out K extends string> extends AggregateCall {
  readonly aggregate: 'stddev'
  readonly column: K
}

export interface StddevTypes extends AggregateTypes {
  readonly call: Stddev<KeysOf<this['columns'], Numeric>>
  readonly result: 'DOUBLE'
}

export const stddevAggregate = exactVariance<StddevTypes>('stddev')

/**
 * The standard deviation of a sample, as SQL's `stddev_samp`: the square root of the exact variance, within one unit in
 * the last place, without overflow on its way. Otherwise as `variance`.
 *
 *     aggregate({ deviation: stddev('fare_amount') })
 */
export function stddev<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Stddev<K>, O> {
  return { aggregate: 'stddev', column, ...options } as WithOptions<Stddev<K>, O>
}
