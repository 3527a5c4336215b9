import { configError } from '../../src/core/errors.ts'
import { type KeysOf, type SumOf, type Whole, wholeNames } from '../../src/core/types.ts'
import { text } from '../../src/plan/sql.ts'
import {
  type Accumulator,
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
import { counted } from './exact-variance.ts'
import { scaled, unscaled } from './sum.ts'

export interface Product<out K extends string> extends AggregateCall {
  readonly aggregate: 'product'
  readonly column: K
}

export interface ProductTypes extends AggregateTypes {
  readonly call: Product<KeysOf<this['columns'], Whole | `DECIMAL(${string})`>>
  readonly result: Like<ColumnOf<this>, SumOf<ColumnOf<this>>>
}

/**
 * The largest magnitude that is kept, 38 digits. What passes it is -1 from there on: no further factor brings it back.
 */
const most = `CAST('${'9'.repeat(38)}' AS HUGEINT)`
/**
 * Zeros are counted beside the product, so that one of them makes it 0 whatever the others are and in whatever order.
 */
const magnitudes = (all: string) =>
  `coalesce(list_reduce(${all}, lambda a, b: ` +
  `CASE WHEN a < 0 OR b < 0 OR a > ${most} // b THEN CAST(-1 AS HUGEINT) ELSE a * b END), 1)`
const magnitude = (parts: string) => `CAST(${magnitudes(parts)} AS DECIMAL(38,0))`

export const productAggregate: Aggregate<typeof columnOptions, ProductTypes> = {
  name: 'product',
  options: columnOptions,
  plan(type, field) {
    const input = scalarType(type, field, 'a whole number or a DECIMAL')
    const isDecimal = input.name === 'DECIMAL'
    if (!isDecimal && !wholeNames.includes(input.name))
      throw configError(field, input.sql, 'a whole number or a DECIMAL')
    const scale = isDecimal ? (input.scale as number) : 0
    const integer = isDecimal ? unscaled : (value: string) => `CAST(${value} AS HUGEINT)`
    return {
      result: `DECIMAL(38,${scale})${input.nullable ? '' : ' NOT NULL'}`,
      accumulators: accumulatorsOf(integer),
      finish: ([count, zeros, negatives, product], _side, where) =>
        finish({ count, zeros, negatives, product } as Parts, scale, field, where),
    }
  },
}

function accumulatorsOf(integer: (value: string) => string): readonly Accumulator[] {
  const countedWhere = (name: string, predicate: string): Accumulator => ({
    ...counted,
    name,
    partial: value => `count(*) FILTER (${value} ${predicate})`,
  })
  return [
    counted,
    countedWhere('zeros', '= 0'),
    countedWhere('negatives', '< 0'),
    {
      name: 'product',
      type: 'DECIMAL(38,0)',
      partial: value => magnitude(`list(abs(${integer(value)})) FILTER (abs(${integer(value)}) > 1)`),
      merge: product => magnitude(`list(CAST(${product} AS HUGEINT))`),
    },
  ]
}

type Parts = Readonly<Record<'count' | 'zeros' | 'negatives' | 'product', string>>

/** Of the exact product of unscaled integers, which has `scale` decimal places for each value, rounded once. */
function finish({ count, zeros, negatives, product }: Parts, scale: number, field: string, where: string): string {
  const overflow = `error(${text(`${field}: the product passes 38 digits in the window and group `)} || ${where})`
  const exact = `CAST(${product} AS HUGEINT)`
  const places = `(${scale} * (${count} - 1))`
  // Half of 10^39 and more passes every product of 38 digits.
  const unit = `CAST('1' || repeat('0', CAST(${places} AS INTEGER)) AS HUGEINT)`
  const isUp = `${exact} % ${unit} >= ${unit} - ${exact} % ${unit}`
  const rounded = `(${exact} // ${unit} + CASE WHEN ${isUp} THEN 1 ELSE 0 END)`
  const whole = scale === 0 ? exact : `CASE WHEN ${places} > 38 THEN 0 ELSE ${rounded} END`
  const signed = `(CASE WHEN ${negatives} % 2 = 1 THEN -1 ELSE 1 END * ${whole})`
  return (
    `CASE WHEN ${count} = 0 THEN NULL WHEN ${zeros} > 0 THEN 0 WHEN ${product} < 0 THEN ${overflow} ` +
    `ELSE ${scaled(signed, scale)} END`
  )
}

/**
 * The exact product; NULLs are ignored, NULL when no value was seen. DECIMAL(38,0) of integers. DECIMAL(38,s) of
 * DECIMAL(p,s): the exact product, rounded once to s places, half away from zero. A product that passes 38 digits, the
 * decimal places of all its values among them, is an error that names the window, unless a value is 0.
 *
 *     aggregate({ ways: product('choices') })
 */
export function product<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Product<K>, O> {
  return { aggregate: 'product', column, ...options } as WithOptions<Product<K>, O>
}
