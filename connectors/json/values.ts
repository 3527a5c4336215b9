import type { ParsedType } from '../../src/core/types.ts'

/**
 * SQL of a value as JSON output has it. DuckDB would write NaN and the infinities bare, which is no JSON: they become
 * the texts that a DOUBLE column reads back. A DECIMAL of fractions alone it writes as `.9`, which is none either.
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

function oneValue(type: ParsedType, zone: 'Z' | undefined): ((value: string) => string) | undefined {
  const { name } = type
  if (name === 'DOUBLE' || name === 'FLOAT') return finite
  if (isLongFraction(type)) return withZero
  return zone === 'Z' && (name === 'TIMESTAMP' || name === 'TIMESTAMPTZ') ? rfc3339 : undefined
}

const finite = (value: string) =>
  `CASE WHEN isnan(${value}) THEN JSON '"NaN"' WHEN isinf(${value}) ` +
  `THEN CASE WHEN ${value} > 0 THEN JSON '"Infinity"' ` +
  `ELSE JSON '"-Infinity"' END ELSE to_json(${value}) END`

/** DuckDB writes a DECIMAL of so many digits by its digits, and shorter ones as a DOUBLE, which begins with a zero. */
const digitsMin = 16

function isLongFraction({ precision = 0, scale }: ParsedType): boolean {
  return precision >= digitsMin && precision === scale
}

const withZero = (value: string) => `CAST(regexp_replace(CAST(${value} AS VARCHAR), '^(-?)[.]', '\\10.') AS JSON)`

/** A session is in UTC, so that DuckDB's text ends with the seconds, or with +00 where the type has a zone. */
const rfc3339 = (value: string) =>
  `CASE WHEN year(${value}) BETWEEN 1 AND 9999 ` +
  `THEN replace(replace(CAST(${value} AS VARCHAR), ' ', 'T'), '+00', '') || 'Z' ` +
  `ELSE CAST(${value} AS VARCHAR) END`
