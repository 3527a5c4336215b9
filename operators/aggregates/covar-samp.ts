import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, WithOptions } from './aggregate.ts'
import { exactCovariance } from './exact-covariance.ts'

export interface CovarSamp<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'covarSamp'
  readonly column: K
  readonly other: B
}

export interface CovarSampTypes extends AggregateTypes {
  readonly call: CovarSamp<KeysOf<this['columns'], Numeric>, KeysOf<this['columns'], Numeric>>
  readonly result: 'DOUBLE'
}

export const covarSampAggregate = exactCovariance<CovarSampTypes>('covarSamp')

/**
 * The covariance of a sample, as SQL's `covar_samp`: over n - 1 and not n, NULL for fewer than two pairs. Otherwise as
 * `covarPop`.
 *
 *     aggregate({ together: covarSamp('tip_amount', 'fare_amount') })
 */
export function covarSamp<const K extends string, const B extends string, const O extends AggregateOptions = {}>(
  column: K,
  other: B,
  options?: O,
): WithOptions<CovarSamp<K, B>, O> {
  return { aggregate: 'covarSamp', column, other, ...options } as WithOptions<CovarSamp<K, B>, O>
}
