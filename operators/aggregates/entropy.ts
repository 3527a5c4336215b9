import { valueCounts } from './value-counts.ts'
import type { KeysOf, Scalar } from '../../src/core/types.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  type AggregateTypes,
  type ColumnOf,
  columnOptions,
  type Like,
  scalarType,
  type WithOptions,
} from './aggregate.ts'

export interface Entropy<out K extends string> extends AggregateCall {
  readonly aggregate: 'entropy'
  readonly column: K
}

export interface EntropyTypes extends AggregateTypes {
  readonly call: Entropy<KeysOf<this['columns'], Scalar>>
  readonly result: Like<ColumnOf<this>, 'DOUBLE'>
}

export const entropyAggregate: Aggregate<typeof columnOptions, EntropyTypes> = {
  name: 'entropy',
  options: columnOptions,
  plan(type, field) {
    const input = scalarType(type, field, 'single values')
    return {
      result: input.nullable ? 'DOUBLE' : 'DOUBLE NOT NULL',
      accumulators: [],
      side: valueCounts(
        input,
        (rows, groups) =>
          `SELECT ${groups}, list_reduce(list_transform(list(_count ORDER BY _count), lambda _en: ` +
          '(_en / sum(_count)) * log2(sum(_count) / _en)), lambda _en_a, _en_b: ' +
          `_en_a + _en_b) AS _folded FROM ${rows} GROUP BY ${groups}`,
      ),
      finish: (_accumulators, side) => side ?? 'CAST(NULL AS DOUBLE)',
    }
  },
}

/**
 * Shannon's entropy of the values in bits: 0 where all are equal, log2(n) where n values are equally frequent. NULLs
 * are ignored, NULL when no value was seen; -0.0 is 0.0 and NaN is one value. DOUBLE, added up in the order of the
 * counts, so that its bits do not depend on the cut. State is a row for each window, group and value.
 *
 *     aggregate({ spread: entropy('DOLocationID') })
 */
export function entropy<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Entropy<K>, O> {
  return { aggregate: 'entropy', column, ...options } as WithOptions<Entropy<K>, O>
}
