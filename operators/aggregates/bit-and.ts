import { type KeysOf, type Whole, wholeNames } from '../../src/core/types.ts'
import type { AggregateCall, AggregateOptions, AggregateTypes, ColumnOf, WithOptions } from './aggregate.ts'
import { ownType } from './own-type.ts'

export interface BitAnd<out K extends string> extends AggregateCall {
  readonly aggregate: 'bitAnd'
  readonly column: K
}

export interface BitAndTypes extends AggregateTypes {
  readonly call: BitAnd<KeysOf<this['columns'], Whole>>
  readonly result: ColumnOf<this>
}

export const bitAndAggregate = ownType<BitAndTypes>('bitAnd', 'bit_and', wholeNames, 'a whole number')

/**
 * The bits that all values have, of whole numbers; NULLs are ignored, NULL when no value was seen. The column's own
 * type.
 *
 *     aggregate({ common: bitAnd('flags') })
 */
export function bitAnd<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<BitAnd<K>, O> {
  return { aggregate: 'bitAnd', column, ...options } as WithOptions<BitAnd<K>, O>
}
