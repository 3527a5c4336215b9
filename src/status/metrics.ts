import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Reason } from '../../connectors/notifications/parse.ts'
import type { RunEvent } from '../engine/report/events.ts'
import type { Measurement } from '../engine/report/running.ts'
import type { Monitor } from './monitor.ts'

export interface Metrics {
  readonly registry: Registry
  onEvent(event: RunEvent): void
  /** Text in Prometheus' format, with figures as new as the monitor has them. */
  render(): Promise<string>
}

const refusals: Readonly<Record<Reason, true>> = {
  'not-created': true,
  'test-event': true,
  'foreign-bucket': true,
  'foreign-prefix': true,
  folder: true,
  malformed: true,
}

/** The metrics of one run, in a registry of their own. `docs/metrics.md` lists them; a test compares. */
export function createMetrics(
  monitor: Monitor,
  { pipeline, version }: { readonly pipeline: string; readonly version: string },
): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const counter = <L extends string = never>(name: string, help: string, ...labelNames: L[]) =>
    new Counter({ name, help, labelNames, registers })
  const gauge = <L extends string = never>(name: string, help: string, ...labelNames: L[]) =>
    new Gauge({ name, help, labelNames, registers })

  const info = gauge('millrace_build_info', 'Always 1; version and pipeline as labels.', 'version', 'pipeline')
  const ready = gauge('millrace_ready', '1 when the checkpoint is claimed and the run follows its source.')
  const standby = gauge('millrace_standby', '1 while another process owns the checkpoint and this one waits.')
  const restarts = counter('millrace_restarts_total', 'Starts again from the checkpoint after trouble outside.')
  const trouble = counter(
    'millrace_trouble_total',
    'What failed outside and is tried again, such as an acknowledgement.',
  )
  const term = gauge('millrace_term', 'Term of the claim of the checkpoint.')
  const epoch = gauge('millrace_epoch', 'Number of the last committed epoch.')

  const admittedObjects = counter('millrace_admitted_objects_total', 'Input: new object versions taken in.')
  const admittedBytes = counter('millrace_admitted_bytes_total', 'Input: their bytes, as a listing or a message told.')
  const inHand = gauge('millrace_in_hand_objects', 'Object versions taken in and not committed yet.')
  const duplicates = counter(
    'millrace_duplicate_objects_total',
    'Announced objects that the ledger held or that were on their way into it.',
  )
  const listings = counter('millrace_listings_total', 'Listings of the source.')
  const listingFound = counter(
    'millrace_listing_found_objects_total',
    'New objects that a listing found: with a queue or topic, those that it did not announce.',
  )
  const listingIgnored = gauge(
    'millrace_listing_ignored_objects',
    'Keys that the last listing found and that are not read: hidden, behind symbolic links, or with another ending.',
    'reason',
  )
  const listingSeconds = gauge('millrace_listing_duration_seconds', 'Duration of the last listing.')

  const objects = counter(
    'millrace_objects_total',
    'Committed entries of the ledger for objects: read, quarantined, skipped, gone or suspect.',
    'outcome',
  )
  const bytes = counter('millrace_bytes_total', 'Bytes of committed objects.')
  const rows = counter('millrace_rows_total', 'Rows of committed objects, before any where.')
  const late = counter('millrace_late_total', '(row, window) pairs that came after their window had closed.')
  const quarantinedRows = counter('millrace_quarantined_rows_total', 'Rows set aside.')
  const outputFiles = counter('millrace_output_files_total', 'Output files committed.')
  const deliveredRows = counter(
    'millrace_delivered_rows_total',
    'Rows that flows ending in rows() or batches() took.',
    'flow',
  )
  const afterObjects = counter(
    'millrace_after_objects_total',
    'Committed objects that were tagged, moved or deleted, as `after` says.',
    'deed',
  )
  const afterFailed = counter(
    'millrace_after_failures_total',
    'Tries of that which failed, for want of a permission say; each is tried again.',
    'deed',
  )
  const afterLeft = counter(
    'millrace_after_left_total',
    'Committed objects that were found gone or overwritten, and were left alone.',
    'deed',
  )
  const epochSeconds = new Histogram({
    name: 'millrace_epoch_duration_seconds',
    help: 'From the fetch of the first object of an epoch to its commit; epochs overlap.',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    registers,
  })
  const phaseSeconds = new Histogram({
    name: 'millrace_epoch_phase_duration_seconds',
    help: 'Parts of an epoch: mark (fetch and check), partial, apply, commit, publish.',
    labelNames: ['phase'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
    registers,
  })

  const watermark = gauge(
    'millrace_watermark_event_time_seconds',
    'The watermark: an event time, seconds since 1970, as are all *_event_time_seconds.',
  )
  const highMark = gauge('millrace_highest_event_time_seconds', 'The highest event time that moved the watermark.')
  const watermarkLag = gauge(
    'millrace_watermark_lag_event_time_seconds',
    'Highest event time less watermark. Of event times alone: no clock is in it.',
  )
  const commitAge = gauge('millrace_last_commit_age_seconds', 'Since the last commit, or the start.')

  const stateRows = gauge('millrace_state_rows', 'Partial rows of open windows.', 'state')
  const stateBytes = gauge('millrace_state_segment_bytes', 'Segments of a state in the checkpoint.', 'state')
  const openWindows = gauge('millrace_open_windows', 'Windows that are open.', 'state')
  const undeliveredEpochs = gauge(
    'millrace_undelivered_epochs',
    'Committed epochs that a flow has not taken yet.',
    'flow',
  )
  const undeliveredBytes = gauge(
    'millrace_undelivered_bytes',
    'Bytes of Parquet that they take in the checkpoint.',
    'flow',
  )
  const sinkLagEpochs = gauge('millrace_sink_lag_epochs', 'Committed epochs that a sink does not have yet.', 'flow')
  const sinkLagBytes = gauge('millrace_sink_lag_bytes', 'Bytes of their files.', 'flow')
  const sinkRetries = counter(
    'millrace_sink_retries_total',
    'Times that an epoch was published again after a pause, as its sink was away.',
    'flow',
  )
  const headBytes = gauge('millrace_checkpoint_head_bytes', 'Size of HEAD, which every commit writes.')
  const checkpointBytes = gauge('millrace_checkpoint_bytes', 'Bytes of all files that HEAD names.')
  const checkpointFiles = gauge('millrace_checkpoint_files', 'Files that HEAD names, those inside it apart.')

  const messages = counter('millrace_messages_received_total', 'Messages received of the queue or topic.')
  const announced = counter('millrace_announced_objects_total', 'Objects that they named.')
  const refused = counter(
    'millrace_refused_records_total',
    'Records of messages that name no object of the source.',
    'reason',
  )
  const notifications = counter(
    'millrace_notification_events_total',
    'What else the queue or topic client counts, such as deleted, retries, holds-lost.',
    'event',
  )
  const backlog = gauge('millrace_backlog_messages', 'Messages that wait in the queue or topic, as the server tells.')
  const backlogAge = gauge('millrace_backlog_oldest_age_seconds', 'Age of the oldest of them, where the server tells.')

  const duckdbMemory = gauge('millrace_duckdb_memory_bytes', 'Memory that DuckDB holds.')
  const duckdbLimit = gauge('millrace_duckdb_memory_limit_bytes', 'Its limit.')
  const duckdbSpill = gauge('millrace_duckdb_spill_bytes', 'What it has spilled to disk.')

  info.set({ version, pipeline }, 1)
  collectDefaultMetrics({ register: registry })

  const admittedObjectsBy = rising(value => admittedObjects.inc(value))
  const admittedBytesBy = rising(value => admittedBytes.inc(value))
  const notificationsBy = new Map<string, (value: number) => void>()
  const retriesBy = new Map<string, (value: number) => void>()

  function count(name: string, value: number): void {
    let raise = notificationsBy.get(name)
    if (!raise) {
      raise = rising(by =>
        Object.hasOwn(refusals, name) ? refused.inc({ reason: name }, by) : notifications.inc({ event: name }, by),
      )
      notificationsBy.set(name, raise)
    }
    raise(value)
  }

  function retried(flow: string, retries: number): void {
    const raise = retriesBy.get(flow) ?? rising(by => sinkRetries.inc({ flow }, by))
    retriesBy.set(flow, raise)
    raise(retries)
  }

  function show(found: Measurement): void {
    term.set(found.term)
    epoch.set(found.epoch)
    admittedObjectsBy(found.admitted.objects)
    admittedBytesBy(found.admitted.bytes)
    inHand.set(found.inHand)
    const { watermarkUs, highMarkUs } = found
    if (watermarkUs !== null) watermark.set(Number(watermarkUs) / 1e6)
    if (highMarkUs !== null) highMark.set(Number(highMarkUs) / 1e6)
    if (watermarkUs !== null && highMarkUs !== null) watermarkLag.set(Number(highMarkUs - watermarkUs) / 1e6)
    for (const { name: state, ...measured } of found.states) {
      stateRows.set({ state }, measured.rows)
      stateBytes.set({ state }, measured.bytes)
      if (measured.openWindows !== undefined) openWindows.set({ state }, measured.openWindows)
    }
    undeliveredEpochs.reset()
    undeliveredBytes.reset()
    for (const { flow, epochs, bytes: waiting } of found.undelivered) {
      undeliveredEpochs.set({ flow }, epochs)
      undeliveredBytes.set({ flow }, waiting)
    }
    for (const { flow, epochs, bytes: waiting, retries } of found.sinks) {
      sinkLagEpochs.set({ flow }, epochs)
      sinkLagBytes.set({ flow }, waiting)
      retried(flow, retries)
    }
    headBytes.set(found.checkpoint.headBytes)
    checkpointBytes.set(found.checkpoint.bytes)
    checkpointFiles.set(found.checkpoint.files)
    setKnown(backlog, found.backlog.messages)
    setKnown(backlogAge, found.backlog.oldestAgeMs === undefined ? undefined : found.backlog.oldestAgeMs / 1000)
    for (const [name, value] of Object.entries(found.notifications)) count(name, value)
    duckdbMemory.set(found.duckdb.memoryBytes)
    duckdbLimit.set(found.duckdb.limitBytes)
    duckdbSpill.set(found.duckdb.spillBytes)
  }

  return {
    registry,
    onEvent(event) {
      if (event.is === 'epoch') {
        const { result } = event
        epoch.set(result.epoch)
        const { quarantined, skipped, gone, suspect } = event
        const aside = { quarantined, skipped, gone, suspect }
        objects.inc({ outcome: 'read' }, result.objects - quarantined - skipped - gone - suspect)
        for (const [outcome, number] of Object.entries(aside)) objects.inc({ outcome }, number)
        bytes.inc(event.bytes)
        rows.inc(result.rows)
        late.inc(result.late)
        quarantinedRows.inc(event.quarantinedRows)
        outputFiles.inc(result.outputFiles.length)
        epochSeconds.observe(event.tookMs / 1000)
      } else if (event.is === 'phase') phaseSeconds.observe({ phase: event.phase }, event.ms / 1000)
      else if (event.is === 'delivered') deliveredRows.inc({ flow: event.flow }, event.rows)
      else if (event.is === 'afterwards') {
        const { deed } = event
        afterObjects.inc({ deed }, event.objects)
        afterFailed.inc({ deed }, event.failed)
        afterLeft.inc({ deed }, event.left.length)
      } else if (event.is === 'received') {
        messages.inc(event.messages)
        announced.inc(event.objects)
        duplicates.inc(event.duplicates)
        for (const [reason, { count: by }] of Object.entries(event.ignored)) refused.inc({ reason }, by)
      } else if (event.is === 'reconciled') {
        listings.inc()
        listingFound.inc(event.found)
        listingIgnored.reset()
        for (const [reason, { count: found }] of Object.entries(event.ignored)) listingIgnored.set({ reason }, found)
        listingSeconds.set(event.tookMs / 1000)
      } else if (event.is === 'trouble') trouble.inc()
      else if (event.is === 'restarting') restarts.inc()
      else if (event.is === 'started') term.set(event.term)
    },
    async render() {
      const found = await monitor.measured()
      if (found) show(found)
      const { state, isReady } = monitor.health
      ready.set(isReady ? 1 : 0)
      commitAge.set(monitor.commitAgeMs / 1000)
      standby.set(state === 'standby' ? 1 : 0)
      return registry.metrics()
    },
  }
}

/** What the server no longer tells is no longer shown. */
function setKnown(gauge: Gauge, value: number | undefined): void {
  if (value === undefined) gauge.remove()
  else gauge.set(value)
}

/** Counts on from totals that begin at 0 again when the run starts again. */
function rising(raise: (by: number) => void): (total: number) => void {
  let last = 0
  return total => {
    raise(total < last ? total : total - last)
    last = total
  }
}
