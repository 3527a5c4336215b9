import type { ParsedType } from '../../src/core/types.ts'

/**
 * SQL of a value as JSON output has it. DuckDB would write NaN and the infinities bare, which is no JSON: they become
 * the texts that a DOUBLE column reads back.
 *
 * @param zone as in `FilesOptions`
 */
export function jsonValue(sql: string, type: ParsedType, zone?: 'Z'): string {
  if (type.value !== undefined) {
    const value = jsonValue('_x."value"', type.value, zone)
    return value === '_x."value"' ? sql : `list_transform(${sql}, lambda _x: {'value': ${value}, 'count': _x.count})`
  }
  const one = oneValue(type, zone)
  if (!one) return sql
  return type.list ? `list_transform(${sql}, lambda _x: ${one('_x')})` : one(sql)
}

function oneValue({ name }: ParsedType, zone: 'Z' | undefined): ((value: string) => string) | undefined {
  if (name === 'DOUBLE' || name === 'FLOAT') return finite
  return zone === 'Z' && (name === 'TIMESTAMP' || name === 'TIMESTAMPTZ') ? rfc3339 : undefined
}

const finite = (value: string) =>
  `CASE WHEN isnan(${value}) THEN JSON '"NaN"' WHEN isinf(${value}) ` +
  `THEN CASE WHEN ${value} > 0 THEN JSON '"Infinity"' ` +
  `ELSE JSON '"-Infinity"' END ELSE to_json(${value}) END`

/** A session is in UTC, so that DuckDB's text ends with the seconds, or with +00 where the type has a zone. */
const rfc3339 = (value: string) =>
  `CASE WHEN year(${value}) BETWEEN 1 AND 9999 ` +
  `THEN replace(replace(CAST(${value} AS VARCHAR), ' ', 'T'), '+00', '') || 'Z' ` +
  `ELSE CAST(${value} AS VARCHAR) END`
