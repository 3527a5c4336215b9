import { isSameVersion, type ObjectVersion } from '../../core/object-version.ts'
import { goneBecause } from '../read/marked-object.ts'
import type { Known } from './identities.ts'
import type { Looks } from './looks.ts'
import { isGone, isNamedAlike, nameOf, type Offer } from './offer.ts'
import type { Pending, PendingObjects } from './pending.ts'

/** What becomes of an offer. */
export type Judgement =
  /** The same version is on its way: its entry settles the message. */
  | { readonly is: 'held'; readonly under: Pending }
  /** The same, but it may have been looked for by now: judged anew where it is found to be gone. */
  | { readonly is: 'told-again'; readonly under: Pending }
  /** It waits until what is on its way under its key is in the ledger. */
  | { readonly is: 'parked'; readonly under: Pending; readonly isDuplicate: boolean }
  /** The ledger holds it. */
  | { readonly is: 'settled' }
  | { readonly is: 'admitted' }

/**
 * @param under what is to be in the ledger before it
 * @param known what the ledger says of it; asked only where nothing is in its way
 */
export function judgeOffer(
  offered: Offer,
  under: Pending | undefined,
  known: Pick<Known, 'isSettled' | 'isRead'> | undefined,
): Judgement {
  if (!under) {
    const isSettled = known?.isSettled === true && !(offered.isRestored && !known.isRead)
    return { is: isSettled ? 'settled' : 'admitted' }
  }
  // A restore tells that the object can be read from now on, so it waits for what became of the read under way.
  const isDuplicate = isSameVersion(under.version, offered.version) && !offered.isRestored
  const isSame = isDuplicate && isNamedAlike(under.version, offered.version) && under.isGone === isGone(offered)
  if (!isSame) return { is: 'parked', under, isDuplicate }
  return { is: under.isTaken && !under.isGone ? 'told-again' : 'held', under }
}

/**
 * What becomes of announced versions whose key has another one under way or counted: the store is asked for them. Those
 * that are not there wait for nothing, and hold nothing up: a message may name any number of them.
 */
export async function confirmedOf(
  offers: readonly Offer[],
  found: ReadonlyMap<Offer, Known>,
  pending: Pick<PendingObjects, 'firstOf'>,
  confirm: Looks['confirm'],
): Promise<ReadonlyMap<Offer, Offer>> {
  const asked = new Map<string, ReturnType<Looks['confirm']>>()
  const confirmed = new Map<Offer, Offer>()
  const ask = async (offered: Offer): Promise<void> => {
    const { bucket, key, eTag, versionId } = offered.version
    const id = JSON.stringify([bucket, key, eTag, versionId])
    const asking = asked.get(id) ?? confirm(offered.version)
    asked.set(id, asking)
    const now = await asking
    if (now === undefined) return
    const known = { outcome: 'gone', reason: goneBecause.missing, highMarkUs: null } as const
    if (typeof now !== 'string') confirmed.set(offered, { ...offered, version: now })
    else confirmed.set(offered, { version: offered.version, known: { ...known, reason: goneBecause[now] } })
  }
  await Promise.all(doubtful(offers, found, pending).map(ask))
  return confirmed
}

/** Announced versions whose key has another one under way, counted, or among these. */
function doubtful(
  offers: readonly Offer[],
  found: ReadonlyMap<Offer, Known>,
  pending: Pick<PendingObjects, 'firstOf'>,
): readonly Offer[] {
  const seen = new Map<string, ObjectVersion>()
  return offers.filter(offered => {
    const { version } = offered
    const at = nameOf(version)
    const known = found.get(offered)
    const under = pending.firstOf(version)
    const other = under?.version ?? seen.get(at)
    seen.set(at, other ?? version)
    if (!version.isAnnounced || offered.known || known?.isSettled) return false
    const isOther = other !== undefined && (under?.isGone === true || !isNamedAlike(other, version))
    return known?.overwrites === true || isOther
  })
}
