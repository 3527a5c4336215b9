import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { RunEvent } from '../../src/engine/report/events.ts'
import type { Measurement } from '../../src/engine/report/running.ts'
import { createMetrics } from '../../src/status/metrics.ts'
import type { Monitor } from '../../src/status/monitor.ts'
import { measurement } from './measurement.ts'

function metricsOf(found: () => Measurement | undefined, health: Partial<Monitor['health']> = {}) {
  return createMetrics(
    {
      onEvent: () => {},
      onRunning: () => {},
      health: { state: 'running', isLive: true, isReady: true, ...health },
      commitAgeMs: 2_500,
      plan: undefined,
      measured: async () => found(),
    },
    { pipeline: 'p', version: '1.2.3' },
    { totals: { put: 5, list: 4, get: 3, delete: 2, queue: 1 } },
  )
}

/** Samples by their line's beginning. */
const samples = (text: string): Readonly<Record<string, number>> =>
  Object.fromEntries(
    text
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'))
      .map(line => {
        const at = line.lastIndexOf(' ')
        return [line.slice(0, at), Number(line.slice(at + 1))]
      }),
  )

const epoch: RunEvent = {
  is: 'epoch',
  result: { epoch: 7, objects: 5, rows: 100, late: 2, outputFiles: ['a', 'b'], totals: measurement.totals },
  tookMs: 300,
  bytes: 1_000,
  sources: [{ source: 'trips', objects: 5, rows: 100, bytes: 1_000 }],
  quarantined: 2,
  skipped: 1,
  gone: 0,
  suspect: 0,
  quarantinedRows: 4,
  badRows: [],
  lateRows: [],
  setAside: [],
}

describe('metrics', () => {
  test('events count', async () => {
    const metrics = metricsOf(() => undefined)
    const events: readonly RunEvent[] = [
      { is: 'started', term: 3, epoch: 6, checkpoint: 'file:///ck' },
      epoch,
      epoch,
      { is: 'phase', phase: 'commit', ms: 20 },
      { is: 'received', messages: 3, objects: 5, duplicates: 1, ignored: { hidden: { count: 2, first: '_a' } } },
      { is: 'reconciled', listed: 10, found: 2, ignored: { suffix: { count: 3, first: 'a' } }, tookMs: 500 },
      { is: 'trouble', what: 'x', error: 'y' },
      { is: 'restarting', error: 'y', inMs: 1 },
    ]
    for (const event of events) metrics.onEvent(event)
    expect(samples(await metrics.render())).toMatchObject({
      'millrace_build_info{version="1.2.3",pipeline="p"}': 1,
      millrace_ready: 1,
      millrace_standby: 0,
      millrace_term: 3,
      millrace_epoch: 7,
      'millrace_objects_total{outcome="read"}': 4,
      'millrace_objects_total{outcome="quarantined"}': 4,
      'millrace_objects_total{outcome="skipped"}': 2,
      millrace_bytes_total: 2_000,
      millrace_rows_total: 200,
      millrace_late_total: 4,
      millrace_quarantined_rows_total: 8,
      millrace_output_files_total: 4,
      'millrace_epoch_duration_seconds_bucket{le="0.25"}': 0,
      'millrace_epoch_duration_seconds_bucket{le="0.5"}': 2,
      'millrace_epoch_phase_duration_seconds_sum{phase="commit"}': 0.02,
      millrace_messages_received_total: 3,
      millrace_announced_objects_total: 5,
      millrace_duplicate_objects_total: 1,
      millrace_listings_total: 1,
      millrace_listing_found_objects_total: 2,
      millrace_listing_duration_seconds: 0.5,
      'millrace_listing_ignored_objects{reason="suffix"}': 3,
      'millrace_refused_records_total{reason="hidden"}': 2,
      millrace_trouble_total: 1,
      millrace_restarts_total: 1,
      millrace_last_commit_age_seconds: 2.5,
    })
  })

  test('what is measured shows; process figures are there', async () => {
    const found = samples(await metricsOf(() => measurement).render())
    expect(found).toMatchObject({
      millrace_admitted_objects_total: 15,
      millrace_admitted_bytes_total: 1_500,
      millrace_in_hand_objects: 5,
      'millrace_watermark_event_time_seconds{source="trips"}': 1_640_995_200,
      'millrace_highest_event_time_seconds{source="trips"}': 1_640_998_800,
      'millrace_watermark_lag_event_time_seconds{source="trips"}': 3_600,
      'millrace_state_rows{state="aggregate-1"}': 12,
      'millrace_state_segment_bytes{state="aggregate-1-values"}': 900,
      'millrace_open_windows{state="aggregate-1"}': 2,
      'millrace_undelivered_epochs{flow="flow-2"}': 3,
      'millrace_undelivered_bytes{flow="flow-2"}': 700,
      'millrace_sink_lag_epochs{flow="flow-1"}': 2,
      'millrace_sink_lag_bytes{flow="flow-1"}': 500,
      'millrace_sink_retries_total{flow="flow-1"}': 4,
      'millrace_held_rows{flow="flow-1"}': 70,
      'millrace_held_bytes{flow="flow-1"}': 900,
      'millrace_held_age_seconds{flow="flow-1"}': 45,
      millrace_checkpoint_head_bytes: 4_000,
      millrace_checkpoint_bytes: 9_000,
      millrace_checkpoint_files: 2,
      millrace_backlog_messages: 11,
      millrace_backlog_oldest_age_seconds: 2.5,
      'millrace_refused_records_total{reason="malformed"}': 1,
      'millrace_notification_events_total{event="deleted"}': 9,
      millrace_duckdb_memory_bytes: 1_000_000,
      millrace_duckdb_memory_limit_bytes: 2_000_000,
      millrace_duckdb_spill_bytes: 0,
    })
    expect(found).not.toHaveProperty('millrace_open_windows{state="aggregate-1-values"}')
    expect(found.process_resident_memory_bytes).toBeGreaterThan(1e6)
    expect(found).toHaveProperty('nodejs_eventloop_lag_p99_seconds')
  })

  test('event time has no value before the first, nor where a source has none: 0 would be 1970', async () => {
    const found = samples(await metricsOf(() => ({ ...measurement, watermarkUs: null, highMarkUs: null })).render())
    expect(Object.keys(found).filter(name => name.endsWith('_event_time_seconds'))).toEqual([])
    expect(found).toMatchObject({ millrace_in_hand_objects: 5 })
  })

  test('counters go on when the run starts again and its own totals begin at 0', async () => {
    let now = measurement
    const metrics = metricsOf(() => now)
    await metrics.render()
    await metrics.render()
    now = { ...measurement, admitted: { objects: 4, bytes: 40 }, notifications: { malformed: 1, deleted: 10 } }
    expect(samples(await metrics.render())).toMatchObject({
      millrace_admitted_objects_total: 19,
      millrace_admitted_bytes_total: 1_540,
      'millrace_refused_records_total{reason="malformed"}': 1,
      'millrace_notification_events_total{event="deleted"}': 10,
    })
  })

  test('a backlog that the server no longer tells is no longer shown', async () => {
    let now = measurement
    const metrics = metricsOf(() => now)
    expect(samples(await metrics.render())).toHaveProperty('millrace_backlog_messages')
    now = { ...measurement, backlog: {} }
    expect(samples(await metrics.render())).not.toHaveProperty('millrace_backlog_messages')
  })

  test('rows that are taken are counted, and a flow that has caught up is no longer shown', async () => {
    let now = measurement
    const metrics = metricsOf(() => now)
    for (const epoch of [6, 7]) metrics.onEvent({ is: 'delivered', flow: 'flow-2', epoch, rows: 10, tookMs: 5 })
    expect(samples(await metrics.render())).toMatchObject({ 'millrace_delivered_rows_total{flow="flow-2"}': 20 })
    now = { ...measurement, undelivered: [] }
    expect(samples(await metrics.render())).not.toHaveProperty('millrace_undelivered_epochs{flow="flow-2"}')
  })

  test('a standby is not ready', async () => {
    const found = samples(await metricsOf(() => undefined, { state: 'standby', isReady: false }).render())
    expect(found).toMatchObject({ millrace_ready: 0, millrace_standby: 1 })
  })

  test('two runs of one process share nothing', async () => {
    const [one, other] = [metricsOf(() => undefined), metricsOf(() => undefined)]
    one.onEvent(epoch)
    expect(samples(await other.render()).millrace_rows_total).toBe(0)
  })

  test('docs/metrics.md lists exactly these', async () => {
    const { registry } = metricsOf(() => undefined)
    const rows = registry.getMetricsAsArray().flatMap(({ name, help, type }) => {
      if (!name.startsWith('millrace_')) return []
      const { labelNames } = registry.getSingleMetric(name) as unknown as { readonly labelNames: readonly string[] }
      const labels = labelNames.map(label => `\`${label}\``).join(', ')
      return [`| \`${name}\` | ${String(type)} | ${labels} | ${help} |`]
    })
    const page = await readFile(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
    const listed = page.split('\n').filter(line => line.startsWith('| `millrace_'))
    expect(listed.join('\n')).toBe(rows.join('\n'))
  })
})
