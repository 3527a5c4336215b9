import type { ObjectVersion, Wanted } from '../../core/object-version.ts'
import type { Notification } from '../../core/ports.ts'
import type { KnownOutcome } from './admit.ts'
import type { HeldMessage } from './held-messages.ts'

/** An object version that may be new: announced by a message, or found by a listing. */
export interface Offer {
  readonly version: Wanted
  /** An archived object can be read now: it counts unless it was read before. */
  readonly isRestored?: true
  /** The outcome is settled: the object is not read. */
  readonly known?: KnownOutcome
}

/** Objects of one message, or of a listing. */
export interface Offered {
  readonly offers: readonly Offer[]
  readonly notification?: Notification
}

/** An offer with the message that made it. */
export interface HeldOffer {
  readonly offer: Offer
  readonly held: HeldMessage | undefined
}

/** The store has said that it is not there. */
export function isGone({ known }: Offer): boolean {
  return known?.outcome === 'gone'
}

/** Versions of one key by the same eTag and versionId: the store has both or none. */
export function isNamedAlike(a: ObjectVersion, b: ObjectVersion): boolean {
  return a.eTag === b.eTag && a.versionId === b.versionId
}

/** A key of any bucket. */
export const nameOf = ({ bucket, key }: Pick<ObjectVersion, 'bucket' | 'key'>): string => `${bucket}/${key}`
