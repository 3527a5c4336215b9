import type { ParsedType } from '../../src/core/types.ts'

/**
 * SQL of a value as JSON output has it. DuckDB would write NaN and the infinities bare, which is no JSON: they become
 * the texts that a DOUBLE column reads back.
 */
export function jsonValue(sql: string, type: ParsedType): string {
  if (type.value !== undefined) {
    const value = jsonValue('_x."value"', type.value)
    return value === '_x."value"' ? sql : `list_transform(${sql}, lambda _x: {'value': ${value}, 'count': _x.count})`
  }
  if (type.name !== 'DOUBLE' && type.name !== 'FLOAT') return sql
  const one = (value: string) =>
    `CASE WHEN isnan(${value}) THEN JSON '"NaN"' WHEN isinf(${value}) THEN CASE WHEN ${value} > 0 THEN JSON '"Infinity"' ` +
    `ELSE JSON '"-Infinity"' END ELSE to_json(${value}) END`
  return type.list ? `list_transform(${sql}, lambda _x: ${one('_x')})` : one(sql)
}
