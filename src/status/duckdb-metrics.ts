import type { Define, MetricGroup } from './define-metrics.ts'

/** Memory and disk. */
export function duckdbGroup(define: Define): MetricGroup {
  const duckdbMemory = define.gauge('millrace_duckdb_memory_bytes', 'Memory that DuckDB holds.')
  const duckdbLimit = define.gauge('millrace_duckdb_memory_limit_bytes', 'Its limit.')
  const duckdbSpill = define.gauge('millrace_duckdb_spill_bytes', 'What it has spilled to disk.')

  return {
    show({ duckdb }) {
      duckdbMemory.set(duckdb.memoryBytes)
      duckdbLimit.set(duckdb.limitBytes)
      duckdbSpill.set(duckdb.spillBytes)
    },
  }
}
