import type { Define, MetricGroup } from './define-metrics.ts'

/** What rows are joined with. */
export function lookupGroup(define: Define): MetricGroup {
  const rows = define.gauge('millrace_lookup_rows', 'Rows of the version that was read last.', 'lookup')
  const versions = define.counter('millrace_lookup_versions_total', 'Versions that were read.', 'lookup')
  const failures = define.counter(
    'millrace_lookup_failures_total',
    'Looks that found a lookup away or wrong, so that its last version goes on.',
    'lookup',
  )
  return {
    onEvent(event) {
      if (event.is === 'lookup') {
        rows.set({ lookup: event.lookup }, event.rows)
        versions.inc({ lookup: event.lookup })
      } else if (event.is === 'lookup-failed') failures.inc({ lookup: event.lookup })
    },
  }
}
