import { merge, Subject } from 'rxjs'
import { miniBatch } from '../../../operators/mini-batch.ts'
import type { Clock } from '../../core/clock.ts'
import { isSameVersion, type ObjectVersion, type Wanted } from '../../core/object-version.ts'
import type { Notification } from '../../core/ports.ts'
import { type MiniBatchOptions, miniBatchLimits } from '../../plan/mini-batch-options.ts'
import type { Admitted, AdmittedObject, KnownOutcome, MiniBatches } from './admit.ts'
import type { Looks } from './looks.ts'
import type { Identities, Known } from './identities.ts'
import { goneBecause } from '../read/marked-object.ts'

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

/** A message that is held until every object it names is in the ledger (P9). */
interface Held {
  readonly notification: Notification
  /** Objects of it that are not in the ledger yet. */
  open: number
}

interface HeldOffer {
  readonly offer: Offer
  readonly held: Held | undefined
}

/** An object version on its way into the ledger. */
interface Pending {
  readonly version: ObjectVersion
  /** Known not to be there: of such ones several of a key may be under way. */
  readonly isGone: boolean
  readonly sinceMs: number
  /** It was handed out: it may have been looked for by now. */
  isTaken: boolean
  /** Messages that its entry in the ledger settles. */
  readonly holders: Held[]
  /** The same version, told again since it was handed out: judged anew where it is found to be gone (P13). */
  readonly toldAgain: HeldOffer[]
  /**
   * What else is told of its key, under another eTag or versionId: it waits, because whether it overwrites one that counts is
   * not known before, nor whether the store has this version at all, where a message named it.
   */
  readonly parked: HeldOffer[]
}

export interface IntakeContext {
  readonly identities: Identities
  readonly looks: Pick<Looks, 'confirm'>
  readonly miniBatch: MiniBatchOptions
  readonly clock: Clock
  /** A mini-batch waits no longer than this, whatever its `every` says. */
  readonly everyMsMax?: number
  /** Aborted: nothing more is due. */
  readonly signal: AbortSignal
  /** Told when an acknowledgement failed: the message comes again, and is acknowledged on sight. */
  onTrouble(what: string, error: unknown): void
}

/**
 * The head of a live flow: takes object versions as they are announced, drops what the ledger holds (law 3), windows
 * the rest into mini-batches, and tells which messages a commit settles. Holds a bounded number of objects.
 */
export interface Intake extends MiniBatches {
  /**
   * Takes messages with their objects, or what a listing found, in order; resolves when all are admitted or known, which
   * waits for room. How many were in the ledger or under way already.
   */
  offer(offered: readonly Offered[]): Promise<number>
  /** Resolves when there is room. */
  room(): Promise<void>
  /** What is admitted waits no longer for more to join it. */
  flush(): void
  /** Resolves when all that was offered is in the ledger; false where no more mini-batches come before that. */
  idle(): Promise<boolean>
  /** A tick as a mini-batch of its own, when nothing is under way (S5). */
  tick(watermarkUs: bigint): void
  /** Nothing is under way. */
  readonly isIdle: boolean
  /** When something was last admitted or committed, by the monotonic clock. */
  readonly lastMovedMs: number
  /** Object versions on their way into the ledger, and since when the first of them is. */
  readonly inHand: { readonly objects: number; readonly sinceMs: number | undefined }
  /** What was taken in since the start. */
  readonly admitted: { readonly objects: number; readonly bytes: number }
  /**
   * Messages that the commit of this mini-batch settles.
   *
   * @param gone entries of it whose object was not there
   */
  settledBy(batch: readonly Admitted[], gone: ReadonlySet<Admitted>): readonly Notification[]
  /** The mini-batch is committed: acknowledges what that settles (P9), and offers again what may be there by now. */
  committed(batch: readonly Admitted[], gone: ReadonlySet<Admitted>): void
  /** No more mini-batches: `next` ends. */
  end(): void
  /** `next` ends in this error; what is not committed is done again after the next start. */
  fail(error: unknown): void
  /** Waits for acknowledgements under way and gives back every message that is not settled. */
  close(): Promise<void>
}

/** Of an object that the ledger has no version of. */
const unknown: Known = { isSettled: false, isRead: false, overwrites: false }

/** Rows of one look-up in the ledger. */
const lookupMax = 1_000

export function createIntake(context: IntakeContext): Intake {
  const { identities, clock, signal } = context
  const { objectsMax, bytesMax, everyMs } = miniBatchLimits(context.miniBatch, 'miniBatch')
  /** Twice a mini-batch: one is filled while one is worked on. */
  const pendingMax = 2 * objectsMax
  /** By key, in the order in which they were admitted. */
  const pending = new Map<string, readonly Pending[]>()
  let underWay = 0
  /** Keys of which something has come into the ledger since what is judged was looked up there. */
  const arrived = new Set<string>()
  const held = new Set<Held>()
  const acknowledging = new Set<Promise<void>>()
  const ready: (readonly Admitted[])[] = []
  const head = new Subject<AdmittedObject>()
  const flushes = new Subject<void>()
  const news = signalOf()
  const room = signalOf()
  const admitted = { objects: 0, bytes: 0 }
  let parked = 0
  let isEnded = false
  let failure: { readonly error: unknown } | undefined
  let lastMovedMs = clock.nowMs()
  /** Offers are judged one after another, against a ledger and a pending set that agree. */
  let judging: Promise<unknown> = Promise.resolve()

  const gatherMs = Math.min(everyMs, context.everyMsMax ?? Infinity)
  head
    .pipe(miniBatch({ objectsMax, bytesMax }, () => merge(clock.sleep(gatherMs, signal), flushes)))
    .subscribe(batch => {
      ready.push(batch)
      news.give()
    })

  function offer(offered: readonly Offered[]): Promise<number> {
    const all = offered.flatMap(({ offers, notification }) => {
      const holder = notification && { notification, open: offers.length }
      if (holder) {
        held.add(holder)
        // It names nothing that the source reads.
        if (offers.length === 0) settle(holder, 0)
      }
      return offers.map(one => ({ offer: one, held: holder }))
    })
    const judged = judging.then(() => judgeAll(all))
    judging = judged.catch(() => {})
    return judged
  }

  async function judgeAll(all: readonly HeldOffer[]): Promise<number> {
    let duplicates = 0
    for (let start = 0; start < all.length; start += lookupMax)
      duplicates += await judge(all.slice(start, start + lookupMax))
    return duplicates
  }

  async function hasRoom(): Promise<void> {
    while (underWay + parked >= pendingMax && !isEnded) await room.wait()
  }

  /** Admits, parks or drops each offer. How many are in the ledger or under way already. */
  async function judge(all: readonly HeldOffer[]): Promise<number> {
    await hasRoom()
    // What comes after the end is neither admitted nor settled: its message is given back.
    if (isEnded) return 0
    arrived.clear()
    const offers = all.map(one => one.offer)
    // The ledger is read after `pending`: an object leaves that only when the ledger holds it.
    const found = await lookedUp(offers.filter(({ version }) => !pending.has(name(version))))
    const confirmed = await confirmedOf(offers, found)
    const foundNow = await lookedUp([...confirmed.values()])
    let duplicates = 0
    for (const { offer: first, held: holder } of all) {
      const offered = confirmed.get(first) ?? first
      const under = inTheWayOf(offered)
      // A restore tells that the object can be read from now on, so it waits for what became of the read under way.
      const isSame = under && isSameVersion(under.version, offered.version) && !offered.isRestored
      if (isSame) duplicates++
      if (isSame && isNamedAlike(under.version, offered.version) && under.isGone === isGone(offered)) {
        if (!holder) continue
        if (under.isTaken && !under.isGone) under.toldAgain.push({ offer: first, held: holder })
        else under.holders.push(holder)
      } else if (under) {
        parked++
        under.parked.push({ offer: offered, held: holder })
      } else {
        const told = arrived.has(name(offered.version)) ? undefined : (foundNow.get(offered) ?? found.get(offered))
        const known = told ?? (await lookedUp([offered])).get(offered)
        if (known?.isSettled && !(offered.isRestored && !known.isRead)) {
          duplicates++
          if (holder) settle(holder, 1)
        } else admit(offered, known, holder)
      }
    }
    return duplicates
  }

  /** What the ledger says of each. */
  async function lookedUp(offers: readonly Offer[]): Promise<ReadonlyMap<Offer, Known>> {
    const found = await identities.lookUp(offers.map(({ version }) => version))
    return new Map(offers.map(offered => [offered, found.get(offered.version) ?? unknown]))
  }

  /**
   * What becomes of announced versions whose key has another one under way or counted: the store is asked for them. Those that
   * are not there wait for nothing, and hold nothing up: a message may name any number of them.
   */
  async function confirmedOf(
    offers: readonly Offer[],
    found: ReadonlyMap<Offer, Known>,
  ): Promise<ReadonlyMap<Offer, Offer>> {
    const seen = new Map<string, ObjectVersion>()
    const asked = new Map<string, ReturnType<Looks['confirm']>>()
    const confirmed = new Map<Offer, Offer>()
    const ask = async (offered: Offer): Promise<void> => {
      const { bucket, key, eTag, versionId } = offered.version
      const id = JSON.stringify([bucket, key, eTag, versionId])
      const asking = asked.get(id) ?? context.looks.confirm(offered.version)
      asked.set(id, asking)
      const now = await asking
      if (now === undefined) return
      const known = { outcome: 'gone', reason: goneBecause.missing, highMarkUs: null } as const
      if (typeof now !== 'string') confirmed.set(offered, { ...offered, version: now })
      else confirmed.set(offered, { version: offered.version, known: { ...known, reason: goneBecause[now] } })
    }
    const asking: Promise<void>[] = []
    for (const offered of offers) {
      const { version } = offered
      const at = name(version)
      const known = found.get(offered)
      const under = pending.get(at)?.[0]
      const other = under?.version ?? seen.get(at)
      seen.set(at, other ?? version)
      if (!version.isAnnounced || offered.known || known?.isSettled) continue
      const isOther = other !== undefined && (under?.isGone === true || !isNamedAlike(other, version))
      if (known?.overwrites || isOther) asking.push(ask(offered))
    }
    await Promise.all(asking)
    return confirmed
  }

  /** What is to be in the ledger before this offer is judged; the same version, if that is under way. */
  function inTheWayOf(offered: Offer): Pending | undefined {
    const all = pending.get(name(offered.version)) ?? []
    return all.find(one => isSameVersion(one.version, offered.version) || (!one.isGone && !isGone(offered)))
  }

  function admit(offered: Offer, before: Known | undefined, holder: Held | undefined): void {
    const { version, known } = offered
    lastMovedMs = clock.nowMs()
    const one: Pending = {
      version,
      isGone: isGone(offered),
      sinceMs: lastMovedMs,
      isTaken: false,
      holders: holder ? [holder] : [],
      toldAgain: [],
      parked: [],
    }
    pending.set(name(version), [...(pending.get(name(version)) ?? []), one])
    underWay++
    admitted.objects++
    admitted.bytes += version.sizeBytes
    head.next({
      ...version,
      is: 'object',
      overwrites: before?.overwrites === true,
      ...(before?.last === undefined ? {} : { earlier: before.last }),
      ...(known ? { known } : {}),
    })
  }

  /** So many objects of the message are in the ledger; with the last one it is acknowledged. */
  function settle(holder: Held, objects: number): void {
    holder.open -= objects
    if (holder.open > 0 || !held.delete(holder)) return
    const done: Promise<void> = holder.notification
      .acknowledge()
      .catch((error: unknown) => context.onTrouble(`acknowledging message ${holder.notification.id}`, error))
      .finally(() => acknowledging.delete(done))
    acknowledging.add(done)
  }

  function end(): void {
    isEnded = true
    news.give()
    room.give()
  }

  function fail(error: unknown): void {
    failure ??= { error }
    end()
  }

  function pendingOf(entry: AdmittedObject): Pending | undefined {
    return pending.get(name(entry))?.find(({ version }) => isNamedAlike(version, entry))
  }

  /** It is in the ledger. */
  function leave(one: Pending): void {
    const others = (pending.get(name(one.version)) ?? []).filter(other => other !== one)
    if (others.length > 0) pending.set(name(one.version), others)
    else pending.delete(name(one.version))
    arrived.add(name(one.version))
    underWay--
    parked -= one.parked.length
  }

  /** Messages with one object less to wait for once the entry is committed. */
  function holdersOf(entry: AdmittedObject, isGone: boolean): readonly Held[] {
    const { holders = [], toldAgain = [] } = pendingOf(entry) ?? {}
    return isGone ? holders : [...holders, ...toldAgain.flatMap(({ held: holder }) => holder ?? [])]
  }

  const objectsOf = (batch: readonly Admitted[]) => batch.filter(entry => entry.is === 'object')

  return {
    offer,
    room: hasRoom,
    flush: () => flushes.next(),
    async idle() {
      while (!isEnded) {
        const judged = judging
        await judged.catch(() => {})
        if (judged !== judging) continue
        if (underWay === 0 && ready.length === 0) return !isEnded
        await room.wait()
      }
      return false
    },
    tick(watermarkUs) {
      lastMovedMs = clock.nowMs()
      ready.push([{ is: 'tick', watermarkUs, sizeBytes: 0 }])
      news.give()
    },
    get isIdle() {
      return underWay === 0 && ready.length === 0
    },
    get lastMovedMs() {
      return lastMovedMs
    },
    get inHand() {
      const [first] = pending.values()
      return { objects: underWay + parked, sinceMs: first?.[0]?.sinceMs }
    },
    admitted,
    async next() {
      while (ready.length === 0 && !isEnded) await news.wait()
      if (isEnded) {
        if (failure) throw failure.error
        return undefined
      }
      const batch = joined(ready, objectsMax, bytesMax)
      for (const entry of objectsOf(batch)) {
        const taken = pendingOf(entry)
        if (taken) taken.isTaken = true
      }
      return batch
    },
    settledBy(batch, gone) {
      const settled = new Map<Held, number>()
      for (const entry of objectsOf(batch))
        for (const holder of holdersOf(entry, gone.has(entry))) settled.set(holder, (settled.get(holder) ?? 0) + 1)
      return [...settled].filter(([holder, count]) => holder.open === count).map(([{ notification }]) => notification)
    },
    committed(batch, gone) {
      lastMovedMs = clock.nowMs()
      const again: HeldOffer[] = []
      for (const entry of objectsOf(batch)) {
        for (const holder of holdersOf(entry, gone.has(entry))) settle(holder, 1)
        const done = pendingOf(entry)
        if (!done) continue
        leave(done)
        if (gone.has(entry)) again.push(...done.toldAgain)
        again.push(...done.parked)
      }
      room.give()
      // What waited for an earlier version of its key is judged anew, by a ledger that holds that version; so is what was
      // told again of an object that is in the ledger as gone.
      judging = judging.then(() => judgeAll(again))
      judging.catch(fail)
    },
    end,
    fail,
    async close() {
      end()
      await judging.catch(() => {})
      await Promise.all(acknowledging)
      await Promise.all(
        [...held].map(({ notification }) =>
          notification
            .release()
            .catch((error: unknown) => context.onTrouble(`releasing message ${notification.id}`, error)),
        ),
      )
      held.clear()
    },
  }
}

/** The store has said that it is not there. */
function isGone({ known }: Offer): boolean {
  return known?.outcome === 'gone'
}

/** Versions of one key by the same eTag and versionId: the store has both or none. */
function isNamedAlike(a: ObjectVersion, b: ObjectVersion): boolean {
  return a.eTag === b.eTag && a.versionId === b.versionId
}

const name = ({ bucket, key }: ObjectVersion): string => `${bucket}/${key}`

/** The mini-batches that are ready, as one while limits allow: what came during a commit joins the next epoch (P3). */
function joined(ready: (readonly Admitted[])[], objectsMax: number, bytesMax: number): readonly Admitted[] {
  const batch = [...(ready.shift() ?? [])]
  const bytes = (entries: readonly Admitted[]) => entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  for (let next = ready[0]; next; next = ready[0]) {
    if (batch.length + next.length > objectsMax || bytes(batch) + bytes(next) > bytesMax) break
    batch.push(...next)
    ready.shift()
  }
  return batch
}

/** Lets any number wait until somebody gives. */
function signalOf(): { wait(): Promise<void>; give(): void } {
  let waiting: (() => void)[] = []
  return {
    wait: () => new Promise(resolve => waiting.push(resolve)),
    give() {
      const all = waiting
      waiting = []
      for (const resolve of all) resolve()
    },
  }
}
