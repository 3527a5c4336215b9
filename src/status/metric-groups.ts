import type { Gauge, Registry } from 'prom-client'
import type { Reason } from '../../connectors/notifications/parse.ts'
import { type Define, definer, type MetricGroup } from './define-metrics.ts'
import { duckdbGroup } from './duckdb-metrics.ts'
import { lookupGroup } from './lookup-metrics.ts'
import { requestGroup } from './request-metrics.ts'
import type { RequestMeter } from './requests.ts'

export interface RunName {
  readonly pipeline: string
  readonly version: string
}

const refusals: Readonly<Record<Reason, true>> = {
  'not-created': true,
  'test-event': true,
  'foreign-bucket': true,
  'foreign-prefix': true,
  folder: true,
  malformed: true,
}

/** All metrics of a run but those of the process. */
export function metricGroups(
  registry: Registry,
  run: RunName,
  requests: Pick<RequestMeter, 'totals'>,
): readonly MetricGroup[] {
  const define = definer(registry)
  return [
    runGroup(define, run),
    inputGroup(define),
    lookupGroup(define),
    epochGroup(define),
    workGroup(define),
    timeGroup(define),
    stateGroup(define),
    sinkGroup(define),
    heldGroup(define),
    checkpointGroup(define),
    notificationGroup(define),
    requestGroup(define, requests),
    duckdbGroup(define),
  ]
}

/** What it is, and how it does. */
function runGroup(define: Define, { pipeline, version }: RunName): MetricGroup {
  const info = define.gauge('millrace_build_info', 'Always 1; version and pipeline as labels.', 'version', 'pipeline')
  const ready = define.gauge('millrace_ready', '1 when the checkpoint is claimed and the run follows its source.')
  const standby = define.gauge('millrace_standby', '1 while another process owns the checkpoint and this one waits.')
  const restarts = define.counter('millrace_restarts_total', 'Starts again from the checkpoint after trouble outside.')
  const trouble = define.counter(
    'millrace_trouble_total',
    'What failed outside and is tried again, such as an acknowledgement.',
  )
  const term = define.gauge('millrace_term', 'Term of the claim of the checkpoint.')
  const epoch = define.gauge('millrace_epoch', 'Number of the last committed epoch.')

  info.set({ version, pipeline }, 1)
  return {
    onEvent(event) {
      if (event.is === 'epoch') epoch.set(event.result.epoch)
      else if (event.is === 'trouble') trouble.inc()
      else if (event.is === 'restarting') restarts.inc()
      else if (event.is === 'started') term.set(event.term)
    },
    show(found) {
      term.set(found.term)
      epoch.set(found.epoch)
    },
    watch({ health: { state, isReady } }) {
      ready.set(isReady ? 1 : 0)
      standby.set(state === 'standby' ? 1 : 0)
    },
  }
}

/** What comes in. */
function inputGroup(define: Define): MetricGroup {
  const admittedObjects = define.counter('millrace_admitted_objects_total', 'Input: new object versions taken in.')
  const admittedBytes = define.counter(
    'millrace_admitted_bytes_total',
    'Input: their bytes, as a listing or a message told.',
  )
  const inHand = define.gauge('millrace_in_hand_objects', 'Object versions taken in and not committed yet.')
  const duplicates = define.counter(
    'millrace_duplicate_objects_total',
    'Announced objects that the ledger held or that were on their way into it.',
  )
  const listings = define.counter('millrace_listings_total', 'Listings of the source.')
  const listingFound = define.counter(
    'millrace_listing_found_objects_total',
    'New objects that a listing found: with a queue or topic, those that it did not announce.',
  )
  const listingIgnored = define.gauge(
    'millrace_listing_ignored_objects',
    'Keys that the last listing found and that are not read: hidden, behind symbolic links, or with another ending.',
    'reason',
  )
  const listingSeconds = define.gauge('millrace_listing_duration_seconds', 'Duration of the last listing.')

  const admittedObjectsBy = rising(value => admittedObjects.inc(value))
  const admittedBytesBy = rising(value => admittedBytes.inc(value))
  return {
    onEvent(event) {
      if (event.is === 'received') duplicates.inc(event.duplicates)
      if (event.is !== 'reconciled') return
      listings.inc()
      listingFound.inc(event.found)
      listingIgnored.reset()
      for (const [reason, { count }] of Object.entries(event.ignored)) listingIgnored.set({ reason }, count)
      listingSeconds.set(event.tookMs / 1000)
    },
    show(found) {
      admittedObjectsBy(found.admitted.objects)
      admittedBytesBy(found.admitted.bytes)
      inHand.set(found.inHand)
    },
  }
}

/** What epochs commit. */
function epochGroup(define: Define): MetricGroup {
  const objects = define.counter(
    'millrace_objects_total',
    'Committed entries of the ledger for objects: read, quarantined, skipped, gone or suspect.',
    'outcome',
  )
  const bytes = define.counter('millrace_bytes_total', 'Bytes of committed objects.')
  const rows = define.counter('millrace_rows_total', 'Rows of committed objects, before any where.')
  const late = define.counter('millrace_late_total', '(row, window) pairs that came after their window had closed.')
  const quarantinedRows = define.counter('millrace_quarantined_rows_total', 'Rows set aside.')
  const outputFiles = define.counter('millrace_output_files_total', 'Output files committed.')

  return {
    onEvent(event) {
      if (event.is === 'held-written') outputFiles.inc(event.outputFiles.length)
      if (event.is !== 'epoch') return
      const { result, quarantined, skipped, gone, suspect } = event
      const aside = { quarantined, skipped, gone, suspect }
      objects.inc({ outcome: 'read' }, result.objects - quarantined - skipped - gone - suspect)
      for (const [outcome, number] of Object.entries(aside)) objects.inc({ outcome }, number)
      bytes.inc(event.bytes)
      rows.inc(result.rows)
      late.inc(result.late)
      quarantinedRows.inc(event.quarantinedRows)
      outputFiles.inc(result.outputFiles.length)
    },
  }
}

/** The parts of an epoch, and what comes after it. */
function workGroup(define: Define): MetricGroup {
  const deliveredRows = define.counter(
    'millrace_delivered_rows_total',
    'Rows that flows ending in rows() or batches() took.',
    'flow',
  )
  const afterObjects = define.counter(
    'millrace_after_objects_total',
    'Committed objects that were tagged, moved or deleted, as `after` says.',
    'deed',
  )
  const afterFailed = define.counter(
    'millrace_after_failures_total',
    'Tries of that which failed, for want of a permission say; each is tried again.',
    'deed',
  )
  const afterLeft = define.counter(
    'millrace_after_left_total',
    'Committed objects that were found gone or overwritten, and were left alone.',
    'deed',
  )
  const epochSeconds = define.histogram({
    name: 'millrace_epoch_duration_seconds',
    help: 'From the fetch of the first object of an epoch to its commit; epochs overlap.',
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
  })
  const phaseSeconds = define.histogram({
    name: 'millrace_epoch_phase_duration_seconds',
    help: 'Parts of an epoch: mark (fetch and check), partial, apply, commit, publish.',
    labelNames: ['phase'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300],
  })

  return {
    onEvent(event) {
      if (event.is === 'epoch') epochSeconds.observe(event.tookMs / 1000)
      else if (event.is === 'phase') phaseSeconds.observe({ phase: event.phase }, event.ms / 1000)
      else if (event.is === 'delivered') deliveredRows.inc({ flow: event.flow }, event.rows)
      else if (event.is === 'afterwards') {
        const { deed } = event
        afterObjects.inc({ deed }, event.objects)
        afterFailed.inc({ deed }, event.failed)
        afterLeft.inc({ deed }, event.left.length)
      }
    },
  }
}

/** How far event time is. */
function timeGroup(define: Define): MetricGroup {
  const watermark = define.gauge(
    'millrace_watermark_event_time_seconds',
    'The watermark: an event time, seconds since 1970, as are all *_event_time_seconds.',
    'source',
  )
  const highMark = define.gauge(
    'millrace_highest_event_time_seconds',
    'The highest event time that moved the watermark.',
    'source',
  )
  const watermarkLag = define.gauge(
    'millrace_watermark_lag_event_time_seconds',
    'Highest event time less watermark. Of event times alone: no clock is in it.',
    'source',
  )
  const commitAge = define.gauge('millrace_last_commit_age_seconds', 'Since the last commit, or the start.')

  return {
    show({ sources }) {
      for (const { source, watermarkUs, highMarkUs } of sources) {
        if (watermarkUs !== null) watermark.set({ source }, Number(watermarkUs) / 1e6)
        if (highMarkUs !== null) highMark.set({ source }, Number(highMarkUs) / 1e6)
        if (watermarkUs !== null && highMarkUs !== null)
          watermarkLag.set({ source }, Number(highMarkUs - watermarkUs) / 1e6)
      }
    },
    watch({ commitAgeMs }) {
      commitAge.set(commitAgeMs / 1000)
    },
  }
}

/** Open windows. */
function stateGroup(define: Define): MetricGroup {
  const stateRows = define.gauge('millrace_state_rows', 'Partial rows of open windows.', 'state')
  const stateBytes = define.gauge('millrace_state_segment_bytes', 'Segments of a state in the checkpoint.', 'state')
  const openWindows = define.gauge('millrace_open_windows', 'Windows that are open.', 'state')

  return {
    show({ states }) {
      for (const { name: state, ...measured } of states) {
        stateRows.set({ state }, measured.rows)
        stateBytes.set({ state }, measured.bytes)
        if (measured.openWindows !== undefined) openWindows.set({ state }, measured.openWindows)
      }
    },
  }
}

/** What waits for those who take it. */
function sinkGroup(define: Define): MetricGroup {
  const undeliveredEpochs = define.gauge(
    'millrace_undelivered_epochs',
    'Committed epochs that a flow has not taken yet.',
    'flow',
  )
  const undeliveredBytes = define.gauge(
    'millrace_undelivered_bytes',
    'Bytes of Parquet that they take in the checkpoint.',
    'flow',
  )
  const sinkLagEpochs = define.gauge(
    'millrace_sink_lag_epochs',
    'Committed epochs that a sink does not have yet.',
    'flow',
  )
  const sinkLagBytes = define.gauge('millrace_sink_lag_bytes', 'Bytes of their files.', 'flow')
  const sinkRetries = define.counter(
    'millrace_sink_retries_total',
    'Times that an epoch was published again after a pause, as its sink was away.',
    'flow',
  )

  const retriesBy = new Map<string, (value: number) => void>()
  return {
    show(found) {
      undeliveredEpochs.reset()
      undeliveredBytes.reset()
      for (const { flow, epochs, bytes } of found.undelivered) {
        undeliveredEpochs.set({ flow }, epochs)
        undeliveredBytes.set({ flow }, bytes)
      }
      for (const { flow, epochs, bytes, retries } of found.sinks) {
        sinkLagEpochs.set({ flow }, epochs)
        sinkLagBytes.set({ flow }, bytes)
        const raise = retriesBy.get(flow) ?? rising(by => sinkRetries.inc({ flow }, by))
        retriesBy.set(flow, raise)
        raise(retries)
      }
    },
  }
}

/** What waits until it is worth a file. */
function heldGroup(define: Define): MetricGroup {
  const heldRows = define.gauge('millrace_held_rows', 'Committed rows that wait until they are worth a file.', 'flow')
  const heldBytes = define.gauge('millrace_held_bytes', 'Bytes that they take in the checkpoint.', 'flow')
  const heldAge = define.gauge('millrace_held_age_seconds', 'Since the first of them was committed.', 'flow')

  return {
    show({ held }) {
      for (const gauge of [heldRows, heldBytes, heldAge]) gauge.reset()
      for (const { flow, rows, bytes, ageMs } of held) {
        heldRows.set({ flow }, rows)
        heldBytes.set({ flow }, bytes)
        heldAge.set({ flow }, ageMs / 1000)
      }
    },
  }
}

/** What the checkpoint takes. */
function checkpointGroup(define: Define): MetricGroup {
  const headBytes = define.gauge('millrace_checkpoint_head_bytes', 'Size of HEAD, which every commit writes.')
  const checkpointBytes = define.gauge('millrace_checkpoint_bytes', 'Bytes of all files that HEAD names.')
  const checkpointFiles = define.gauge('millrace_checkpoint_files', 'Files that HEAD names, those inside it apart.')

  return {
    show({ checkpoint }) {
      headBytes.set(checkpoint.headBytes)
      checkpointBytes.set(checkpoint.bytes)
      checkpointFiles.set(checkpoint.files)
    },
  }
}

/** The queue or topic. */
function notificationGroup(define: Define): MetricGroup {
  const messages = define.counter('millrace_messages_received_total', 'Messages received of the queue or topic.')
  const announced = define.counter('millrace_announced_objects_total', 'Objects that they named.')
  const refused = define.counter(
    'millrace_refused_records_total',
    'Records of messages that name no object of the source.',
    'reason',
  )
  const notifications = define.counter(
    'millrace_notification_events_total',
    'What else the queue or topic client counts, such as deleted, retries, holds-lost.',
    'event',
  )
  const backlog = define.gauge(
    'millrace_backlog_messages',
    'Messages that wait in the queue or topic, as the server tells.',
  )
  const backlogAge = define.gauge(
    'millrace_backlog_oldest_age_seconds',
    'Age of the oldest of them, where the server tells.',
  )

  const notificationsBy = new Map<string, (value: number) => void>()

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

  return {
    onEvent(event) {
      if (event.is !== 'received') return
      messages.inc(event.messages)
      announced.inc(event.objects)
      for (const [reason, { count: by }] of Object.entries(event.ignored)) refused.inc({ reason }, by)
    },
    show(found) {
      const { messages: waiting, oldestAgeMs } = found.backlog
      setKnown(backlog, waiting)
      setKnown(backlogAge, oldestAgeMs === undefined ? undefined : oldestAgeMs / 1000)
      for (const [name, value] of Object.entries(found.notifications)) count(name, value)
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
