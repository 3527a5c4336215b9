import type { FormatSpec } from '../../src/plan/source.ts'

/**
 * Apache Parquet: files that end in `.parquet`. Columns are matched by name, whatever the case and the order;
 * a field of a struct is a column by its path, 'address.city'. Nested columns can be declared as JSON.
 */
export function parquet(): FormatSpec {
  return { format: 'parquet' }
}
