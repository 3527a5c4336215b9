import type { Json } from './json.ts'

/**
 * A few rows as text that keeps every value exactly: JSON's own numbers lose digits, the sign of zero and what is no
 * number, and the text that DuckDB casts to has other rules for each type and depth. A cell is what its value consists
 * of:
 *
 *     BIGINT, HUGEINT, ...    5, and from 2^53 on "9007199254740993"
 *     DECIMAL(18,2)           1234 for 12.34
 *     DOUBLE, FLOAT           0.1, "-0", "NaN", "Infinity", "-Infinity"
 *     DATE, TIMESTAMP, TIME   days or microseconds since 1970 or midnight; of an infinity the number that stands for it
 *     UUID                    its 128 bits as a whole number
 *     BLOB                    base64
 *     LIST, STRUCT, MAP       an array of cells; of a MAP, of [key, value]
 *     NULL                    null
 *
 * `src/engine/duckdb/text-rows.ts` makes them of a result and puts them into a table.
 */
export interface TextRows {
  /** Name to SQL type, in order. */
  readonly columns: Readonly<Record<string, string>>
  readonly rows: readonly (readonly Json[])[]
}

/** A whole number as a cell. */
export function wholeCell(value: bigint): Json {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value.toString()
}

/** Rows of BIGINT and VARCHAR, which hold no other values than these. */
export function textRowsOf<K extends string>(
  columns: Readonly<Record<K, 'BIGINT' | 'VARCHAR'>>,
  rows: readonly Readonly<Record<K, string | number | bigint | null>>[],
): TextRows {
  const names = Object.keys(columns) as K[]
  const cell = (value: string | number | bigint | null) => (typeof value === 'bigint' ? wholeCell(value) : value)
  return { columns, rows: rows.map(row => names.map(name => cell(row[name]))) }
}
