import { configError } from '../../src/core/errors.ts'
import type { ParsedType, KeysOf, Numeric } from '../../src/core/types.ts'
import {
  type Aggregate,
  type AggregateCall,
  type AggregateOptions,
  type AggregatePlan,
  columnOptions,
  inputType,
  type WithOptions,
  type AggregateTypes,
  type ColumnOf,
  type Like,
} from './aggregate.ts'
import { exactSumAccumulators, exactSumSide, finishAvg, finishQuotient } from './exact-sum.ts'
import { quickAvg } from './quick-sum.ts'
import { sumAggregate, unscaled } from './sum.ts'

export interface Avg<out K extends string> extends AggregateCall {
  readonly aggregate: 'avg'
  readonly column: K
}

export interface AvgTypes extends AggregateTypes {
  readonly call: Avg<KeysOf<this['columns'], Numeric>>
  readonly result: Like<ColumnOf<this>, 'DOUBLE'>
}

/** Beyond this scale the divisor count * 10^scale leaves too few of 127 bits for the quotient. */
const scaleMax = 9

export const avgAggregate: Aggregate<typeof columnOptions, AvgTypes> = {
  name: 'avg',
  options: columnOptions,
  plan(type, field, options, input) {
    const column = inputType(type, field)
    const result = column.nullable ? 'DOUBLE' : 'DOUBLE NOT NULL'
    if (!column.list && (column.name === 'FLOAT' || column.name === 'DOUBLE'))
      return { result, accumulators: exactSumAccumulators, side: exactSumSide, finish: finishAvg, quick: quickAvg }
    return { ...ofExact(column, field, sumAggregate.plan(type, field, options, input)), result }
  },
}

/** The average of integers or DECIMAL: the exact sum over the count, rounded once. */
function ofExact(column: ParsedType, field: string, sum: AggregatePlan): AggregatePlan {
  const scale = column.scale ?? 0
  if (scale > scaleMax)
    throw configError(
      field,
      column.sql,
      `a scale of at most ${scaleMax}; derive a DOUBLE or a DECIMAL of a smaller scale first`,
    )
  const parts = sum.accumulators.length
  return {
    result: sum.result,
    accumulators: [
      ...sum.accumulators,
      {
        name: 'count',
        type: 'BIGINT',
        partial: value => `count(${value})`,
        merge: count => `CAST(sum(${count}) AS BIGINT)`,
      },
    ],
    finish(accumulators, _side, where) {
      const total = sum.finish(accumulators.slice(0, parts), null, where)
      const count = `CAST(${accumulators[parts]} AS HUGEINT)`
      return finishQuotient(
        scale === 0 ? `CAST(${total} AS HUGEINT)` : unscaled(total),
        `(${count} * ${10n ** BigInt(scale)})`,
      )
    },
  }
}

/**
 * The average, correctly rounded: the exact sum divided by the number of values that are not NULL, rounded once. NULL
 * when there is none. DOUBLE.
 *
 *     aggregate({ mean_tip: avg('tip_amount') })
 */
export function avg<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Avg<K>, O> {
  return { aggregate: 'avg', column, ...options } as WithOptions<Avg<K>, O>
}
