import {
  DuckDBBlobValue,
  DuckDBDateValue,
  DuckDBDecimalValue,
  DuckDBListValue,
  DuckDBStructValue,
  DuckDBTimestampTZValue,
  DuckDBTimestampValue,
  type DuckDBValue,
  DuckDBUUIDValue,
} from '@duckdb/node-api'

/**
 * A DuckDB value as `Row` promises it: DECIMAL as text, times as Date, BIGINT as bigint, the rest as it is.
 *
 * @param beyondDate what a time becomes that no Date holds: infinity, or after the year 275760
 */
export function plainValue(value: DuckDBValue, beyondDate: 'text' | 'invalid-date'): unknown {
  if (value === null || typeof value !== 'object') return value
  if (value instanceof DuckDBTimestampValue || value instanceof DuckDBTimestampTZValue) {
    const date = new Date(Number(floorDiv(value.micros, 1000n)))
    return beyondDate === 'text' && Number.isNaN(date.getTime()) ? timeText(value) : date
  }
  // The binding writes the days that stand for the infinities.
  if (value instanceof DuckDBDateValue && !value.isFinite) return value.days > 0 ? 'infinity' : '-infinity'
  // Whoever has it may keep it: the bytes of a chunk are gone after it.
  if (value instanceof DuckDBBlobValue) return Uint8Array.from(value.bytes)
  if (value instanceof DuckDBListValue) return value.items.map(item => plainValue(item, beyondDate))
  if (value instanceof DuckDBStructValue)
    return Object.fromEntries(
      Object.entries(value.entries).map(([name, entry]) => [name, plainValue(entry, beyondDate)]),
    )
  if (value instanceof DuckDBDecimalValue || value instanceof DuckDBDateValue || value instanceof DuckDBUUIDValue)
    return value.toString()
  return value.toString()
}

function timeText(value: DuckDBTimestampValue | DuckDBTimestampTZValue): string {
  const most = 2n ** 63n - 1n
  return value.micros === most ? 'infinity' : value.micros === -most ? '-infinity' : value.toString()
}

function floorDiv(value: bigint, by: bigint): bigint {
  const quotient = value / by
  return value % by < 0n ? quotient - 1n : quotient
}
