import { advance, type WatermarkState } from '../plan/watermark.ts'
import type { AdmittedMark } from './admit.ts'
import type { MarkedObject } from './marked-object.ts'
import type { StampedMark, StampedObject } from './ledger.ts'

/** Where the ledger stands: the next sequence number and the watermark so far. */
export interface LedgerPosition extends WatermarkState {
  readonly nextSeq: number
}

/** A ledger entry before it has its number. */
export type MarkedEntry = MarkedObject | AdmittedMark

export interface Stamped {
  readonly objects: readonly StampedObject[]
  /** Ticks and flushes of a replayed ledger. */
  readonly marks: readonly StampedMark[]
  readonly after: LedgerPosition
}

/** Numbers a mini-batch's entries and gives each object the watermark before it (S2). Serial, and the only thing that is. */
export function stamp(from: LedgerPosition, entries: readonly MarkedEntry[], delayUs: bigint | undefined): Stamped {
  let position = from
  const objects: StampedObject[] = []
  const marks: StampedMark[] = []
  for (const entry of entries) {
    const { nextSeq: seq, watermarkUs } = position
    if (entry.is === 'object') objects.push({ marked: entry, seq, watermarkUs })
    else marks.push({ is: entry.is, watermarkUs: entry.watermarkUs, seq })
    position = { ...advance(position, entry, delayUs), nextSeq: seq + 1 }
  }
  return { objects, marks, after: position }
}
