import type { OptionTable } from '../../src/core/options.ts'
import { type ParsedType, parseColumnType } from '../../src/core/types.ts'
import { normalKey } from '../../src/plan/normal-key.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import { columnType } from '../columns.ts'
import {
  type AggregateOptions,
  type Aggregate,
  type AggregateTypes,
  columnName,
  columnOptions,
  inputType,
  rowOptions,
} from './aggregate.ts'

const byOptions = {
  column: columnOptions.column,
  by: { kind: columnName, isRequired: true, isPositional: true, about: 'The column that rows are compared by.' },
  ...rowOptions,
} satisfies OptionTable<AggregateOptions & { readonly column: string; readonly by: string }>

/**
 * first, last, argMin, argMax: the value of one picked row. The accumulator is a struct that begins with what rows are
 * compared by and ends with the value; (`_seq`, `_row`) between them makes the order total, so that no two rows are
 * equal and the value itself is never compared.
 */
export function picked<T extends AggregateTypes>(
  name: 'first' | 'last' | 'argMin' | 'argMax',
  by: 'time' | 'column',
  extreme: 'min' | 'max',
  ties: 'earliest' | 'latest',
): Aggregate<any, T> {
  return {
    name,
    options: by === 'column' ? byOptions : columnOptions,
    plan(type, field, options, input) {
      const value = inputType(type, field)
      const other = by === 'column' ? comparedType(options.by, field, input) : undefined
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
              const at = other ? normalKey(column(String(options.by)), other) : timeUs
              const wanted = [
                other ? `${column(String(options.by))} IS NOT NULL` : `${sql} IS NOT NULL`,
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

/** The type of the column that an option names: the one that rows are compared by. */
export function comparedType(by: string, field: string, input: ColumnTypes, option = 'by'): ParsedType {
  return parseColumnType(columnType(`${field}: ${option}`, by, input), field)
}
