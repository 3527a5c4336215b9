import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { FormatSpec } from '../../src/plan/source-options.ts'

export const parquetOptions = {} satisfies OptionTable<object>

/**
 * Apache Parquet: files that end in `.parquet`. Columns are matched by name, whatever the case and the order;
 * a field of a struct is a column by its path, 'address.city'. Nested columns can be declared as JSON.
 */
export function parquet(): FormatSpec
export function parquet(options?: unknown): FormatSpec {
  readCall('parquet', parquetOptions, [], options)
  return { format: 'parquet', settings: {} }
}
