import { type KeysOf, type Whole, wholeNames } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, ColumnOf, WithOptions } from './aggregate.ts'
import { ownType } from './own-type.ts'

export interface BitOr<out K extends string> extends AggregateCall {
  readonly aggregate: 'bitOr'
  readonly column: K
}

export interface BitOrTypes extends AggregateTypes {
  readonly call: BitOr<KeysOf<this['columns'], Whole>>
  readonly result: ColumnOf<this>
}

export const bitOrAggregate = ownType<BitOrTypes>('bitOr', 'bit_or', wholeNames, 'a whole number')

/**
 * The bits that any value has, of whole numbers; NULLs are ignored, NULL when no value was seen. The column's own type.
 *
 *     aggregate({ seen: bitOr('flags') })
 */
export function bitOr<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<BitOr<K>, O> {
  return { aggregate: 'bitOr', column, ...options } as WithOptions<BitOr<K>, O>
}
