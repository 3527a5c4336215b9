import { isSameVersion, type ObjectVersion } from '../../core/object-version.ts'
import type { AdmittedObject } from './admit.ts'
import type { HeldMessage } from './held-messages.ts'
import { type HeldOffer, isGone, isNamedAlike, nameOf, type Offer } from './offer.ts'

/** An object version on its way into the ledger. */
export interface Pending {
  readonly version: ObjectVersion
  /** Known not to be there: of such ones several of a key may be under way. */
  readonly isGone: boolean
  readonly sinceMs: number
  /** It was handed out: it may have been looked for by now. */
  isTaken: boolean
  /** Messages that its entry in the ledger settles. */
  readonly holders: HeldMessage[]
  /** The same version, told again since it was handed out: judged anew where it is found to be gone (P13). */
  readonly toldAgain: HeldOffer[]
  /**
   * What else is told of its key, under another eTag or versionId: it waits, because whether it overwrites one that
   * counts is not known before, nor whether the store has this version at all, where a message named it.
   */
  readonly parked: HeldOffer[]
}

/** What is on its way into the ledger, by key. */
export interface PendingObjects {
  has(version: ObjectVersion): boolean
  /** The first of this key. */
  firstOf(version: ObjectVersion): Pending | undefined
  /** What is to be in the ledger before this offer is judged; the same version, if that is under way. */
  inTheWayOf(offered: Offer): Pending | undefined
  /** The one that the entry was made for. */
  of(entry: AdmittedObject): Pending | undefined
  add(offered: Offer, held: HeldMessage | undefined, sinceMs: number): void
  park(under: Pending, offered: HeldOffer): void
  /** It is in the ledger. */
  leave(one: Pending): void
  /** On their way. */
  readonly underWay: number
  /** On their way, or waiting for another of their key. */
  readonly objects: number
  /** Since when the first of them is. */
  readonly sinceMs: number | undefined
}

export function createPending(): PendingObjects {
  /** In the order in which they were admitted. */
  const byName = new Map<string, readonly Pending[]>()
  let underWay = 0
  let parked = 0
  return {
    has: version => byName.has(nameOf(version)),
    firstOf: version => byName.get(nameOf(version))?.[0],
    inTheWayOf(offered) {
      const all = byName.get(nameOf(offered.version)) ?? []
      return all.find(one => isSameVersion(one.version, offered.version) || (!one.isGone && !isGone(offered)))
    },
    of: entry => byName.get(nameOf(entry))?.find(({ version }) => isNamedAlike(version, entry)),
    add(offered, held, sinceMs) {
      const { version } = offered
      const one: Pending = {
        version,
        isGone: isGone(offered),
        sinceMs,
        isTaken: false,
        holders: held ? [held] : [],
        toldAgain: [],
        parked: [],
      }
      byName.set(nameOf(version), [...(byName.get(nameOf(version)) ?? []), one])
      underWay++
    },
    park(under, offered) {
      parked++
      under.parked.push(offered)
    },
    leave(one) {
      const others = (byName.get(nameOf(one.version)) ?? []).filter(other => other !== one)
      if (others.length > 0) byName.set(nameOf(one.version), others)
      else byName.delete(nameOf(one.version))
      underWay--
      parked -= one.parked.length
    },
    get underWay() {
      return underWay
    },
    get objects() {
      return underWay + parked
    },
    get sinceMs() {
      const [first] = byName.values()
      return first?.[0]?.sinceMs
    },
  }
}
