import { type ParsedType } from '../core/types.ts'

/**
 * SQL of a value as a key, and under min and max (S19): -0.0 counts as 0.0 and every NaN is the same NaN. Without it
 * the first to come would decide which one is shown, and the answer would follow threads.
 */
export function normalKey(sql: string, type: ParsedType): string {
  if (type.name !== 'DOUBLE' && type.name !== 'FLOAT') return sql
  const one = (value: string) =>
    `CASE WHEN isnan(${value}) THEN CAST('NaN' AS ${type.name}) ` +
    `WHEN ${value} = 0 THEN CAST(0 AS ${type.name}) ELSE ${value} END`
  return type.list ? `list_transform(${sql}, lambda _x: ${one('_x')})` : one(sql)
}
