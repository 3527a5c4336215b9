import type { KeysOf, Numeric } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, WithOptions } from './aggregate.ts'
import { exactCovariance } from './exact-covariance.ts'

export interface Corr<out K extends string, out B extends string> extends AggregateCall {
  readonly aggregate: 'corr'
  readonly column: K
  readonly other: B
}

export interface CorrTypes extends AggregateTypes {
  readonly call: Corr<KeysOf<this['columns'], Numeric>, KeysOf<this['columns'], Numeric>>
  readonly result: 'DOUBLE'
}

export const corrAggregate = exactCovariance<CorrTypes>('corr')

/**
 * The correlation of two columns, as SQL's `corr`: from -1 to 1, which it is exactly where they lie on a line. NULL
 * where one of them does not vary. From exact sums, within one unit in the last place; which rows count and the types
 * are those of `covarPop`.
 *
 *     aggregate({ related: corr('tip_amount', 'fare_amount') })
 */
export function corr<const K extends string, const B extends string, const O extends AggregateOptions = {}>(
  column: K,
  other: B,
  options?: O,
): WithOptions<Corr<K, B>, O> {
  return { aggregate: 'corr', column, other, ...options } as WithOptions<Corr<K, B>, O>
}
