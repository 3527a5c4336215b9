import { advanceClock, type Clock, type ClockEntry, type ClockShape } from '../../plan/clock.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'
import { advance, beginning, type WatermarkState } from '../../plan/watermark.ts'
import type { MarkedObject } from '../read/marked-object.ts'
import { type LedgerPosition, sourceClocks } from '../state/engine-state.ts'
import type { AdmittedMark, StampedMark, StampedObject } from '../state/ledger.ts'
import { type LookupsMet, lookupsMet, stampedVersion } from './lookups-met.ts'

/** A ledger entry before it has its number. */
export type MarkedEntry = MarkedObject | AdmittedMark

export interface Stamped {
  readonly objects: readonly StampedObject[]
  /** Entries that are no objects. */
  readonly marks: readonly StampedMark[]
  /** By stage. */
  readonly clocks: ReadonlyMap<string, Clock>
  /** The versions of lookups that rows of these entries may meet. */
  readonly lookups: LookupsMet
  readonly after: LedgerPosition
}

/** The delay of a source's watermark, by its name; undefined where only ticks and flushes move it. */
export type Delays = ReadonlyMap<string, bigint | undefined>

export function delaysOf(sources: Iterable<SourceSettings>): Delays {
  return new Map([...sources].map(({ name, delayUs }) => [name, delayUs === undefined ? undefined : BigInt(delayUs)]))
}

/**
 * Numbers a mini-batch's entries and gives each the watermarks before it (S2, S13). Serial, and the only thing that is.
 */
export function stamp(
  from: LedgerPosition,
  entries: readonly MarkedEntry[],
  delays: Delays,
  stages: readonly ClockShape[],
): Stamped {
  let position = from
  const objects: StampedObject[] = []
  const marks: StampedMark[] = []
  const seen = stages.map((): ClockEntry[] => [])
  for (const entry of entries) {
    const { nextSeq: seq, sources } = position
    if (entry.is === 'object')
      objects.push({ marked: entry, seq, watermarkUs: sources[entry.source]?.watermarkUs ?? null })
    else marks.push({ ...entry, seq })
    const before = position.clocks
    position = { ...afterEntry(position, entry, delays, stages), nextSeq: seq + 1 }
    for (const [index, { id }] of stages.entries())
      seen[index]?.push({ seq, beforeUs: before[id] ?? null, afterUs: position.clocks[id] ?? null })
  }
  const clocks = new Map(
    stages.map(({ id }, index) => [
      id,
      { fromUs: from.clocks[id] ?? null, toUs: position.clocks[id] ?? null, entries: seen[index] ?? [] },
    ]),
  )
  return { objects, marks, clocks, lookups: lookupsMet(from, marks), after: position }
}

/** What of an entry moves watermarks. */
export type ClockedEntry = Pick<MarkedObject, 'is' | 'source' | 'highMarkUs'> | AdmittedMark

/**
 * The watermarks after an entry. A flush of single stages moves their clocks and leaves the watermarks of the sources
 * alone.
 */
export function afterEntry(
  { sources: before, clocks, lookups, nextSeq }: LedgerPosition,
  entry: ClockedEntry,
  delays: Delays,
  stages: readonly ClockShape[],
): Omit<LedgerPosition, 'nextSeq'> {
  const flushed = entry.is === 'flush' ? entry.stages : undefined
  const sources = sourcesAfter(before, entry, delays)
  const sourcesUs = sourceClocks({ sources })
  const next: Record<string, bigint | null> = {}
  for (const shape of stages)
    next[shape.id] = advanceClock(shape, clocks[shape.id] ?? null, sourcesUs, next, flushed?.[shape.id] ?? null)
  const version = entry.is === 'lookup' ? { [entry.source]: stampedVersion({ ...entry, seq: nextSeq }) } : {}
  return { sources, clocks: next, lookups: { ...lookups, ...version } }
}

/** An object and a tick move their own source; a flush that says one watermark moves all of them, late rows none. */
function sourcesAfter(
  before: LedgerPosition['sources'],
  entry: ClockedEntry,
  delays: Delays,
): LedgerPosition['sources'] {
  const of = (name: string): WatermarkState => before[name] ?? beginning
  if (entry.is === 'object') {
    const { source } = entry
    return { ...before, [source]: advance(of(source), entry, delays.get(source)) }
  }
  if (entry.is === 'apply' || entry.is === 'lookup' || entry.watermarkUs === null) return before
  const { watermarkUs } = entry
  const moved = entry.is === 'tick' ? [entry.source] : Object.keys(before)
  const states = moved.map(name => [name, advance(of(name), { is: entry.is, watermarkUs }, undefined)])
  return { ...before, ...Object.fromEntries(states) }
}
