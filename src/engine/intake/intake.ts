import { type Change, createChange } from '../../core/change.ts'
import type { Notification } from '../../core/ports.ts'
import { type MiniBatchOptions, miniBatchLimits } from '../../plan/mini-batch-options.ts'
import type { Admitted, AdmittedObject, MiniBatches } from './admit.ts'
import { createHeldMessages, type HeldMessage, type HeldMessages } from './held-messages.ts'
import type { Identities, Known } from './identities.ts'
import { confirmedOf, judgeOffer } from './judge.ts'
import type { Looks } from './looks.ts'
import { type HeldOffer, nameOf, type Offer, type Offered } from './offer.ts'
import { createPending, type PendingObjects } from './pending.ts'
import { createQueue, type Queue, type QueueContext } from './queue.ts'

export interface IntakeContext extends QueueContext {
  readonly identities: Identities
  readonly looks: Pick<Looks, 'confirm'>
  readonly miniBatch: MiniBatchOptions
  /** Told when an acknowledgement failed: the message comes again, and is acknowledged on sight. */
  onTrouble(what: string, error: unknown): void
}

/**
 * The head of a live flow: takes object versions as they are announced, drops what the ledger holds (law 3), windows
 * the rest into mini-batches, and tells which messages a commit settles. Holds a bounded number of objects.
 */
export interface Intake extends MiniBatches {
  /**
   * Takes messages with their objects, or what a listing found, in order; resolves when all are admitted or known,
   * which waits for room. How many were in the ledger or under way already.
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
  /** When an object was last admitted or committed, by the monotonic clock. */
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

/** What the parts of an intake share. */
interface Parts {
  readonly context: IntakeContext
  readonly pending: PendingObjects
  readonly messages: HeldMessages
  /** Keys of which something has come into the ledger since what is judged was looked up there. */
  readonly arrived: Set<string>
  readonly queue: Queue
  /** Resolves when there is room, or no more to come. */
  hasRoom(): Promise<void>
}

export function createIntake(context: IntakeContext): Intake {
  const room = createChange()
  const parts = openParts(context, room)
  const { pending, messages, queue } = parts
  /** Offers are judged one after another, against a ledger and a pending set that agree. */
  let judging: Promise<unknown> = Promise.resolve()

  function judgedInTurn(all: readonly HeldOffer[]): Promise<number> {
    const judged = judging.then(() => judgeAll(parts, all))
    judging = judged.catch(() => {})
    return judged
  }

  return {
    offer: offered => judgedInTurn(heldOffers(messages, offered)),
    room: parts.hasRoom,
    flush: queue.flush,
    async idle() {
      while (!queue.isEnded) {
        const judged = judging
        await judged
        if (judged !== judging) continue
        if (isIdle(parts)) return !queue.isEnded
        await room.next()
      }
      return false
    },
    tick: queue.tick,
    get isIdle() {
      return isIdle(parts)
    },
    get lastMovedMs() {
      return queue.lastMovedMs
    },
    get inHand() {
      return { objects: pending.objects, sinceMs: pending.sinceMs }
    },
    admitted: queue.admitted,
    async next() {
      const batch = await queue.next()
      if (batch) handOut(pending, batch)
      return batch
    },
    settledBy: (batch, gone) => settledBy(pending, batch, gone),
    committed(batch, gone) {
      if (objectsOf(batch).length > 0) queue.moved()
      const again = settleBatch(parts, batch, gone)
      room.notify()
      // What waited for an earlier version of its key is judged anew, by a ledger that holds that version; so is what
      // was told again of an object that is in the ledger as gone.
      judgedInTurn(again).catch(queue.fail)
    },
    end: queue.end,
    fail: queue.fail,
    async close() {
      queue.end()
      await judging
      await messages.acknowledged()
      await messages.release()
    },
  }
}

/** The offers of messages, which are held from now on, and of listings. */
function heldOffers(messages: HeldMessages, offered: readonly Offered[]): readonly HeldOffer[] {
  return offered.flatMap(({ offers, notification }) => {
    const held = notification && messages.hold(notification, offers.length)
    return offers.map(offer => ({ offer, held }))
  })
}

/** Admits, parks or drops each offer. How many are in the ledger or under way already. */
async function judgeAll(parts: Parts, all: readonly HeldOffer[]): Promise<number> {
  let duplicates = 0
  for (let start = 0; start < all.length; start += lookupMax)
    duplicates += await judgeSome(parts, all.slice(start, start + lookupMax))
  return duplicates
}

async function judgeSome(parts: Parts, all: readonly HeldOffer[]): Promise<number> {
  const { context, pending, arrived } = parts
  await parts.hasRoom()
  // What comes after the end is neither admitted nor settled: its message is given back.
  if (parts.queue.isEnded) return 0
  arrived.clear()
  const offers = all.map(({ offer }) => offer)
  // The ledger is read after `pending`: an object leaves that only when the ledger holds it.
  const found = await lookedUp(
    context,
    offers.filter(({ version }) => !pending.has(version)),
  )
  const confirmed = await confirmedOf(offers, found, pending, context.looks.confirm)
  const foundNow = await lookedUp(context, [...confirmed.values()])
  let duplicates = 0
  for (const { offer: first, held } of all) {
    const offer = confirmed.get(first) ?? first
    const told = arrived.has(nameOf(offer.version)) ? undefined : (foundNow.get(offer) ?? found.get(offer))
    if (await judgeOne(parts, { offer, held }, first, told)) duplicates++
  }
  return duplicates
}

/**
 * @param first the offer before the store was asked for it
 * @param told what the ledger said of it, where that still holds
 * @returns whether the version is in the ledger or under way already
 */
async function judgeOne(
  { context, pending, messages, queue }: Parts,
  offered: HeldOffer,
  first: Offer,
  told: Known | undefined,
): Promise<boolean> {
  const { offer, held } = offered
  const under = pending.inTheWayOf(offer)
  const known = under ? undefined : (told ?? (await lookedUp(context, [offer])).get(offer))
  const judgement = judgeOffer(offer, under, known)
  switch (judgement.is) {
    case 'held':
      if (held) judgement.under.holders.push(held)
      return true
    case 'told-again':
      if (held) judgement.under.toldAgain.push({ offer: first, held })
      return true
    case 'parked':
      pending.park(judgement.under, offered)
      return judgement.isDuplicate
    case 'settled':
      if (held) messages.settle(held, 1)
      return true
    case 'admitted':
      pending.add(offer, held, context.clock.nowMs())
      queue.admit(admittedOf(context.source, offer, known))
      return false
  }
}

function admittedOf(source: string, { version, known }: Offer, before: Known | undefined): AdmittedObject {
  return {
    ...version,
    is: 'object',
    source,
    overwrites: before?.overwrites === true,
    ...(before?.last === undefined ? {} : { earlier: before.last }),
    ...(known ? { known } : {}),
  }
}

/** What the ledger says of each. */
async function lookedUp(
  { identities }: Pick<IntakeContext, 'identities'>,
  offers: readonly Offer[],
): Promise<ReadonlyMap<Offer, Known>> {
  const found = await identities.lookUp(offers.map(({ version }) => version))
  return new Map(offers.map(offered => [offered, found.get(offered.version) ?? unknown]))
}

function openParts(context: IntakeContext, room: Change): Parts {
  const limits = miniBatchLimits(context.miniBatch, 'miniBatch')
  /** Twice a mini-batch: one is filled while one is worked on. */
  const pendingMax = 2 * limits.objectsMax
  const pending = createPending()
  const queue = createQueue(context, limits, room.notify)
  return {
    context,
    pending,
    messages: createHeldMessages(context.onTrouble),
    arrived: new Set(),
    queue,
    async hasRoom() {
      while (pending.objects >= pendingMax && !queue.isEnded) await room.next()
    },
  }
}

function isIdle({ pending, queue }: Pick<Parts, 'pending' | 'queue'>): boolean {
  return pending.underWay === 0 && queue.isEmpty
}

function handOut(pending: PendingObjects, batch: readonly Admitted[]): void {
  for (const entry of objectsOf(batch)) {
    const taken = pending.of(entry)
    if (taken) taken.isTaken = true
  }
}

const objectsOf = (batch: readonly Admitted[]) => batch.filter(entry => entry.is === 'object')

/** Messages with one object less to wait for once the entry is committed. */
function holdersOf(pending: PendingObjects, entry: AdmittedObject, isGone: boolean): readonly HeldMessage[] {
  const { holders = [], toldAgain = [] } = pending.of(entry) ?? {}
  return isGone ? holders : [...holders, ...toldAgain.flatMap(({ held }) => held ?? [])]
}

function settledBy(
  pending: PendingObjects,
  batch: readonly Admitted[],
  gone: ReadonlySet<Admitted>,
): readonly Notification[] {
  const settled = new Map<HeldMessage, number>()
  for (const entry of objectsOf(batch))
    for (const held of holdersOf(pending, entry, gone.has(entry))) settled.set(held, (settled.get(held) ?? 0) + 1)
  return [...settled].filter(([held, count]) => held.open === count).map(([{ notification }]) => notification)
}

/** Acknowledges what the commit of a mini-batch settles. @returns what is to be judged anew */
function settleBatch(
  { pending, messages, arrived }: Parts,
  batch: readonly Admitted[],
  gone: ReadonlySet<Admitted>,
): readonly HeldOffer[] {
  const again: HeldOffer[] = []
  for (const entry of objectsOf(batch)) {
    for (const held of holdersOf(pending, entry, gone.has(entry))) messages.settle(held, 1)
    const done = pending.of(entry)
    if (!done) continue
    pending.leave(done)
    arrived.add(nameOf(done.version))
    if (gone.has(entry)) again.push(...done.toldAgain)
    again.push(...done.parked)
  }
  return again
}
