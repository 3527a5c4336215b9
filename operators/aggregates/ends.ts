import { whole } from '../../src/core/option-kinds.ts'
import type { OptionTable } from '../../src/core/options.ts'
import { type Aggregate, type AggregateOptions, type AggregateTypes, columnOptions, rowOptions } from './aggregate.ts'
import { collectAggregate } from './collect.ts'

const endsOptions = {
  column: columnOptions.column,
  n: { kind: whole(1, 10_000), isRequired: true, isPositional: true, about: 'How many values are kept.' },
  ...rowOptions,
} satisfies OptionTable<AggregateOptions & { readonly column: string; readonly n: number }>

/** largest and smallest: what `collect` gives where the column is ordered by itself. */
export function ends<T extends AggregateTypes>(
  name: string,
  order: 'ascending' | 'descending',
): Aggregate<typeof endsOptions, T> {
  return {
    name,
    options: endsOptions,
    plan: (type, field, { column, n }, input) =>
      collectAggregate.plan(type, field, { column, max: n, by: column, order }, input),
  }
}
