import { configError } from '../../src/core/errors.ts'
import { type ParsedType, parseColumnType } from '../../src/core/types.ts'
import { normalKey } from '../../src/plan/normal-key.ts'
import { type Aggregate, inputType } from './aggregate.ts'

/**
 * first, last, argMin, argMax: the value of one picked row. The accumulator is a struct that begins with what rows are
 * compared by and ends with the value; (`_seq`, `_row`) between them makes the order total, so that no two rows are
 * equal and the value itself is never compared.
 */
export function picked(
  name: 'first' | 'last' | 'argMin' | 'argMax',
  by: 'time' | 'column',
  extreme: 'min' | 'max',
  ties: 'earliest' | 'latest',
): Aggregate {
  return {
    name,
    ...(by === 'column' ? { settings: ['by'] } : {}),
    plan(type, field, call, input) {
      const value = inputType(type, field)
      const other = by === 'column' ? comparedType(call.by, field, input) : undefined
      const struct = `STRUCT("at" ${other?.sql ?? 'BIGINT'}, seq BIGINT, "row" BIGINT, picked ${value.sql})`
      // Where the largest struct wins, the earliest row must have the largest numbers.
      const sign = (extreme === 'max') === (ties === 'earliest') ? '-' : ''
      return {
        result: value.nullable || other?.nullable ? value.sql : `${value.sql} NOT NULL`,
        accumulators: [
          {
            name,
            type: struct,
            partial(sql, { timeUs, seq, row, filter, column }) {
              const at = other ? normalKey(column(String(call.by)), other) : timeUs
              const wanted = [
                other ? `${column(String(call.by))} IS NOT NULL` : `${sql} IS NOT NULL`,
                ...(filter === undefined ? [] : [filter]),
              ].join(' AND ')
              const item = `{'at': ${at}, 'seq': ${sign}${seq}, 'row': ${sign}${row}, 'picked': ${sql}}`
              return `${extreme}(CAST(${item} AS ${struct})) FILTER (WHERE ${wanted})`
            },
            merge: accumulator => `${extreme}(${accumulator})`,
          },
        ],
        finish: ([accumulator]) => `struct_extract(${accumulator}, 'picked')`,
      }
    },
  }
}

/** The type of the column that rows are compared by. */
export function comparedType(by: unknown, field: string, input: Readonly<Record<string, string>>): ParsedType {
  const type = typeof by === 'string' && Object.hasOwn(input, by) ? input[by] : undefined
  if (type === undefined) throw configError(`${field} by`, by, `a column: ${Object.keys(input).join(', ')}`)
  return parseColumnType(type, field)
}
