import { advanceClock, type Clock, type ClockEntry, type ClockShape } from '../../plan/clock.ts'
import { advance } from '../../plan/watermark.ts'
import type { MarkedObject } from '../read/marked-object.ts'
import type { LedgerPosition } from '../state/engine-state.ts'
import type { StampedMark, StampedObject, AdmittedMark } from '../state/ledger.ts'

/** A ledger entry before it has its number. */
export type MarkedEntry = MarkedObject | AdmittedMark

export interface Stamped {
  readonly objects: readonly StampedObject[]
  /** Ticks and flushes of a replayed ledger. */
  readonly marks: readonly StampedMark[]
  /** By stage. */
  readonly clocks: ReadonlyMap<string, Clock>
  readonly after: LedgerPosition
}

/**
 * Numbers a mini-batch's entries and gives each the watermarks before it (S2, S13). Serial, and the only thing that is.
 */
export function stamp(
  from: LedgerPosition,
  entries: readonly MarkedEntry[],
  delayUs: bigint | undefined,
  stages: readonly ClockShape[],
): Stamped {
  let position = from
  const objects: StampedObject[] = []
  const marks: StampedMark[] = []
  const seen = stages.map((): ClockEntry[] => [])
  for (const entry of entries) {
    const { nextSeq: seq, watermarkUs } = position
    if (entry.is === 'object') objects.push({ marked: entry, seq, watermarkUs })
    else marks.push({ ...entry, seq })
    const before = position.clocks
    position = { ...after(position, entry, delayUs, stages), nextSeq: seq + 1 }
    for (const [index, { id }] of stages.entries())
      seen[index]?.push({ seq, beforeUs: before[id] ?? null, afterUs: position.clocks[id] ?? null })
  }
  const clocks = new Map(
    stages.map(({ id }, index) => [
      id,
      { fromUs: from.clocks[id] ?? null, toUs: position.clocks[id] ?? null, entries: seen[index] ?? [] },
    ]),
  )
  return { objects, marks, clocks, after: position }
}

/**
 * The watermarks after an entry. A flush of single stages moves their clocks and leaves the source's watermark alone.
 */
function after(
  { watermarkUs, highMarkUs, clocks }: LedgerPosition,
  entry: MarkedEntry,
  delayUs: bigint | undefined,
  stages: readonly ClockShape[],
): Omit<LedgerPosition, 'nextSeq'> {
  const before = { watermarkUs, highMarkUs }
  const flushed = entry.is === 'flush' ? entry.stages : undefined
  const state =
    entry.is === 'object'
      ? advance(before, entry, delayUs)
      : entry.watermarkUs === null
        ? before
        : advance(before, { is: entry.is, watermarkUs: entry.watermarkUs }, delayUs)
  const next: Record<string, bigint | null> = {}
  for (const shape of stages)
    next[shape.id] = advanceClock(shape, clocks[shape.id] ?? null, state.watermarkUs, next, flushed?.[shape.id] ?? null)
  return { ...state, clocks: next }
}
