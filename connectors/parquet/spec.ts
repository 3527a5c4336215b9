import type { FormatSpec } from '../../src/plan/source.ts'

/** Apache Parquet: files that end in `.parquet`. Columns are matched by name, whatever the case and the order. */
export function parquet(): FormatSpec {
  return { format: 'parquet' }
}
