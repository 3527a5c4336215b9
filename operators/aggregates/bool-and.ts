import type { KeysOf } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, ColumnOf, WithOptions } from './aggregate.ts'
import { ownType } from './own-type.ts'

export interface BoolAnd<out K extends string> extends AggregateCall {
  readonly aggregate: 'boolAnd'
  readonly column: K
}

export interface BoolAndTypes extends AggregateTypes {
  readonly call: BoolAnd<KeysOf<this['columns'], 'BOOLEAN'>>
  readonly result: ColumnOf<this>
}

export const boolAndAggregate = ownType<BoolAndTypes>('boolAnd', 'bool_and', ['BOOLEAN'], 'a BOOLEAN')

/**
 * Whether every value is true; NULLs are ignored, NULL when no value was seen. BOOLEAN.
 *
 *     aggregate({ all_paid: boolAnd('is_paid') })
 */
export function boolAnd<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<BoolAnd<K>, O> {
  return { aggregate: 'boolAnd', column, ...options } as WithOptions<BoolAnd<K>, O>
}
