import type { KeysOf } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, ColumnOf, WithOptions } from './aggregate.ts'
import { ownType } from './own-type.ts'

export interface BoolOr<out K extends string> extends AggregateCall {
  readonly aggregate: 'boolOr'
  readonly column: K
}

export interface BoolOrTypes extends AggregateTypes {
  readonly call: BoolOr<KeysOf<this['columns'], 'BOOLEAN'>>
  readonly result: ColumnOf<this>
}

export const boolOrAggregate = ownType<BoolOrTypes>('boolOr', 'bool_or', ['BOOLEAN'], 'a BOOLEAN')

/**
 * Whether any value is true; NULLs are ignored, NULL when no value was seen. BOOLEAN.
 *
 *     aggregate({ any_failed: boolOr('has_failed') })
 */
export function boolOr<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<BoolOr<K>, O> {
  return { aggregate: 'boolOr', column, ...options } as WithOptions<BoolOr<K>, O>
}
