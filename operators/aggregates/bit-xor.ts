import { type KeysOf, type Whole, wholeNames } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, ColumnOf, WithOptions } from './aggregate.ts'
import { ownType } from './own-type.ts'

export interface BitXor<out K extends string> extends AggregateCall {
  readonly aggregate: 'bitXor'
  readonly column: K
}

export interface BitXorTypes extends AggregateTypes {
  readonly call: BitXor<KeysOf<this['columns'], Whole>>
  readonly result: ColumnOf<this>
}

export const bitXorAggregate = ownType<BitXorTypes>('bitXor', 'bit_xor', wholeNames, 'a whole number')

/**
 * The bits that an odd number of values have, of whole numbers; NULLs are ignored, NULL when no value was seen. The
 * column's own type.
 *
 *     aggregate({ parity: bitXor('checksum') })
 */
export function bitXor<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<BitXor<K>, O> {
  return { aggregate: 'bitXor', column, ...options } as WithOptions<BitXor<K>, O>
}
