import { advance, type WatermarkState } from '../plan/watermark.ts'
import type { MarkedObject } from './fetch.ts'
import type { StampedObject } from './ledger.ts'

/** Where the ledger stands: the next sequence number and the watermark so far. */
export interface LedgerPosition extends WatermarkState {
  readonly nextSeq: number
}

export interface Stamped {
  readonly objects: readonly StampedObject[]
  readonly after: LedgerPosition
}

/** Numbers a mini-batch's objects and gives each the watermark before it (S2). Serial, and the only thing that is. */
export function stamp(from: LedgerPosition, objects: readonly MarkedObject[], delayUs: bigint | undefined): Stamped {
  let position = from
  const stamped = objects.map(marked => {
    const here = position
    position = { ...advance(here, { is: 'object', highMarkUs: marked.highMarkUs }, delayUs), nextSeq: here.nextSeq + 1 }
    return { marked, seq: here.nextSeq, watermarkUs: here.watermarkUs }
  })
  return { objects: stamped, after: position }
}
