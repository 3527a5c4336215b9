import type { Executor } from '../core/ports.ts'
import type { FileColumn } from './format.ts'

/** What DuckDB finds in a relation: `read_csv(...)`. */
export async function describeColumns(executor: Executor, from: string): Promise<readonly FileColumn[]> {
  const columns = await executor.rows(`DESCRIBE FROM ${from}`)
  return columns.map(row => ({ name: String(row.column_name), physical: String(row.column_type) }))
}

/**
 * The same columns by their own names, where they are known one for one: DuckDB renames those that differ only by case.
 */
export function named(columns: readonly FileColumn[], names: readonly string[]): readonly FileColumn[] {
  if (names.length !== columns.length) return columns
  return columns.map((column, index) => ({ ...column, name: names[index] ?? column.name }))
}

/** Rows that are looked at, of files that do not say what they hold. */
export const rowsLookedAt = 100_000
