import { showCount, showCounted } from '../../core/quantity.ts'
import type { CheckpointReport, ReportedSink } from '../../engine/inspect/report.ts'
import { createAsides } from './asides.ts'
import type { PageFacts, SinkFacts, SourceFacts } from './facts.ts'
import { planFacts, sinkKind } from './plan-facts.ts'
import type { Told } from './sentence.ts'
import { stateFacts, timeMs, totalFacts } from './stored-facts.ts'

export interface ReportOptions {
  readonly version: string
  /** Since 1970. */
  readonly nowMs: number
  /** How millrace is called in commands to copy. */
  readonly invocation: string
}

/** What a checkpoint alone tells for the page. It never has values of rows: the file may go anywhere. */
export function reportFacts(report: CheckpointReport, { version, nowMs, invocation }: ReportOptions): PageFacts {
  const { checkpoint, pipeline, term, epoch, owner, released, plan, size, headWrittenMs } = report
  const sources = report.sources.map(sourceFacts)
  const states = report.states.map(stateFacts)
  const sinks = report.sinks.map((sink): SinkFacts => ({ ...sinkFacts(sink, nowMs), kind: sinkKind(plan, sink.flow) }))
  const totals = totalFacts(report.totals)
  return {
    pipeline,
    version,
    atMs: nowMs,
    ...sentenceOfReport(report),
    checkpoint: {
      address: checkpoint,
      epoch,
      term,
      owner: released ? null : owner,
      ...size,
      commitAgeMs: null,
      headWrittenMs,
    },
    totals,
    process: null,
    epochs: null,
    sources,
    plan: planFacts(plan, { sources, states, sinks, totals }),
    states,
    aside: asides(report, invocation).facts(checkpoint, totals),
    sinks,
    requests: null,
  }
}

function asides({ lateRows, badRows, setAside }: CheckpointReport, invocation: string) {
  const made = createAsides(false, invocation)
  for (const rows of lateRows) made.addLateRows(rows)
  for (const rows of badRows) made.addBadRows(rows)
  for (const object of setAside) made.addObject(object)
  return made
}

/** 'as of epoch 12: 8,610 rows of 14 objects are counted, 3 windows are open, all results are out' */
function sentenceOfReport({ epoch, totals, states, sinks }: CheckpointReport): Told {
  if (epoch === 0) return { sentence: 'has no epoch yet: nothing is counted', mood: 'waits' }
  const open = states.reduce((sum, { openWindows = 0 }) => sum + openWindows, 0)
  const behind = sinks.filter(({ epochs }) => epochs > 0)
  const waits = behind.map(({ flow, epochs }) => `the sink of ${flow} is ${showCounted(epochs, 'epoch')} behind`)
  const parts = [
    `${showCounted(totals.rows, 'row')} of ${showCounted(totals.objects, 'object')} are counted`,
    open === 1 ? '1 window is open' : `${open === 0 ? 'no' : showCount(open)} windows are open`,
    ...(waits.length > 0 ? waits : ['all results are out']),
  ]
  return {
    sentence: `as of epoch ${showCount(epoch)}: ${parts.join(', ')}`,
    mood: behind.length > 0 ? 'waits' : 'well',
  }
}

function sourceFacts({
  source,
  watermarkUs,
  highMarkUs,
  objects,
  rows,
}: CheckpointReport['sources'][number]): SourceFacts {
  return {
    name: source,
    address: '',
    watermarkMs: timeMs(watermarkUs),
    highestMs: timeMs(highMarkUs),
    read: { objects, rows },
    rowsPerSecond: null,
    rows: null,
    bytesPerSecond: null,
    inHand: null,
    backlog: null,
  }
}

function sinkFacts({ held, ...waiting }: ReportedSink, nowMs: number): Omit<SinkFacts, 'kind'> {
  const sinceMs = held?.sinceMs ?? null
  const heldMs = sinceMs === null ? 0 : Math.max(0, nowMs - sinceMs)
  return { ...waiting, retries: null, heldRows: held?.rows ?? 0, heldMs }
}
