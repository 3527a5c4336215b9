import type { KeysOf, Numeric, SumOf } from '../../src/core/types.ts'
import { configError } from '../../src/core/errors.ts'
import { exactSumAccumulators, exactSumSide, finishSum } from './exact-sum.ts'
import { quickSum } from './quick-sum.ts'
import { text } from '../../src/plan/sql.ts'
import {
  type Accumulator,
  type Aggregate,
  type AggregateCall,
  columnOptions,
  inputType,
  type AggregateOptions,
  type WithOptions,
  type AggregateTypes,
  type ColumnOf,
  type Like,
} from './aggregate.ts'

export interface Sum<out K extends string> extends AggregateCall {
  readonly aggregate: 'sum'
  readonly column: K
}

export interface SumTypes extends AggregateTypes {
  readonly call: Sum<KeysOf<this['columns'], Numeric>>
  readonly result: Like<ColumnOf<this>, SumOf<ColumnOf<this>>>
}

/** Sums are kept as high * 10^19 + low beyond 18 digits: no order of additions can then overflow on its way (S21). */
const splitAt = '10000000000000000000'

export const sumAggregate: Aggregate<typeof columnOptions, SumTypes> = {
  name: 'sum',
  options: columnOptions,
  plan(type, field) {
    const input = inputType(type, field)
    const nullable = (result: string) => (input.nullable ? result : `${result} NOT NULL`)
    if (input.list) throw configError(field, input.sql, 'a number, not a list')
    switch (input.name) {
      case 'TINYINT':
      case 'SMALLINT':
      case 'INTEGER':
      case 'BIGINT':
      case 'UBIGINT': {
        // 64-bit values in a 127-bit sum: 5 * 10^18 rows fit.
        const sum = 'DECIMAL(38,0)'
        const add = (value: string) => `CAST(sum(CAST(${value} AS HUGEINT)) AS ${sum})`
        return {
          result: nullable(sum),
          accumulators: [{ name: 'sum', type: sum, partial: add, merge: value => `sum(${value})` }],
          finish: ([value]) => `${value}`,
        }
      }
      case 'DECIMAL': {
        const scale = input.scale as number
        const result = `DECIMAL(38,${scale})`
        if ((input.precision as number) <= 18) {
          // At most 18 digits each: DuckDB sums them as 128-bit integers and 10^20 rows fit into 38 digits.
          const add = (value: string) => `sum(${value})`
          return {
            result: nullable(result),
            accumulators: [{ name: 'sum', type: result, partial: add, merge: add }],
            finish: ([value]) => `${value}`,
          }
        }
        return {
          result: nullable(result),
          accumulators: wideParts,
          finish: (parts, _side, where) => joinParts(parts, scale, field, where),
        }
      }
      case 'FLOAT':
      case 'DOUBLE':
        return {
          result: nullable('DOUBLE'),
          accumulators: exactSumAccumulators,
          side: exactSumSide,
          finish: finishSum,
          quick: quickSum,
        }
      default:
        throw configError(field, input.sql, 'a number')
    }
  },
}

/** The unscaled integer of a wide DECIMAL. By its text: every product or cast that would do it passes 38 digits. */
export function unscaled(value: string): string {
  return `CAST(replace(CAST(${value} AS VARCHAR), '.', '') AS HUGEINT)`
}

/** The DECIMAL(38, scale) of this unscaled integer of at most 38 digits. */
export function scaled(integer: string, scale: number): string {
  const unit = scale === 0 ? '1' : `CAST('0.${'0'.repeat(scale - 1)}1' AS DECIMAL(${Math.min(scale + 1, 38)},${scale}))`
  return `CAST(CAST(${integer} AS DECIMAL(38,0)) * ${unit} AS DECIMAL(38,${scale}))`
}

const wideParts: readonly Accumulator[] = [
  {
    name: 'high',
    type: 'DECIMAL(38,0)',
    partial: value => wideSum(`${unscaled(value)} // ${splitAt}`),
    merge: part => `sum(${part})`,
  },
  {
    name: 'low',
    type: 'DECIMAL(38,0)',
    partial: value => wideSum(`${unscaled(value)} % ${splitAt}`),
    merge: part => `sum(${part})`,
  },
]

function wideSum(part: string): string {
  return `CAST(sum(${part}) AS DECIMAL(38,0))`
}

/** high * 10^19 + low as DECIMAL(38, scale), or an error that names the window when that passes 38 digits. */
function joinParts([high, low]: readonly string[], scale: number, field: string, where: string): string {
  const lowInt = `CAST(${low} AS HUGEINT)`
  // Carry first, so that the high part alone tells whether the sum fits.
  const carried = `(CAST(${high} AS HUGEINT) + ${lowInt} // ${splitAt})`
  const sum = `(${carried} * ${splitAt} + ${lowInt} % ${splitAt})`
  const overflow = `error(${text(`${field}: the sum passes 38 digits in the window and group `)} || ${where})`
  // |carried| up to 10^19 keeps the product inside 127 bits; CASE evaluates a branch for its own rows only.
  return (
    `CASE WHEN ${high} IS NULL THEN NULL WHEN abs(${carried}) > ${splitAt} THEN ${overflow} ` +
    `WHEN abs(${sum}) >= CAST('1${'0'.repeat(38)}' AS HUGEINT) THEN ${overflow} ` +
    `ELSE ${scaled(sum, scale)} END`
  )
}

/**
 * The exact sum; NULLs are ignored, NULL when no value was seen. DECIMAL(38,0) of integers, DECIMAL(38,s) of
 * DECIMAL(p,s), where a sum that passes 38 digits is an error that names the window. DOUBLE of FLOAT and DOUBLE: the
 * correctly rounded sum of all values, whatever their order and the cut.
 */
export function sum<const K extends string, const O extends AggregateOptions = {}>(
  column: K,
  options?: O,
): WithOptions<Sum<K>, O> {
  return { aggregate: 'sum', column, ...options } as WithOptions<Sum<K>, O>
}
