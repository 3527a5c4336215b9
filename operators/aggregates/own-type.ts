import { configError } from '../../src/core/errors.ts'
import { type Aggregate, type AggregateTypes, columnOptions, scalarType } from './aggregate.ts'

/**
 * Aggregates whose one accumulator is the result itself, of the column's own type, and whose merging is the same
 * function of SQL again: boolAnd, bitOr and their kin.
 *
 * @param types names of the SQL types that it takes. @param expected what they are, in an error
 */
export function ownType<T extends AggregateTypes>(
  name: string,
  sqlName: string,
  types: readonly string[],
  expected: string,
): Aggregate<typeof columnOptions, T> {
  const call = (value: string) => `${sqlName}(${value})`
  return {
    name,
    options: columnOptions,
    plan(type, field) {
      const input = scalarType(type, field, expected)
      if (!types.includes(input.name)) throw configError(field, input.sql, expected)
      return {
        result: input.nullable ? input.sql : `${input.sql} NOT NULL`,
        accumulators: [{ name, type: input.sql, partial: call, merge: call }],
        finish: ([accumulator]) => `${accumulator}`,
      }
    },
  }
}
