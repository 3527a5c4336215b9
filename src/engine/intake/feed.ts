import type { Announced } from '../../core/object-version.ts'
import type { Executor, NotificationSource } from '../../core/ports.ts'
import { beginning } from '../../plan/watermark.ts'
import type { RunEvent } from '../report/events.ts'
import { countKey, type Counts } from '../report/ignored-keys.ts'
import { highMarkOf, type LedgerPosition } from '../state/engine-state.ts'
import type { KnownOutcome, Listed } from './admit.ts'
import type { Intake } from './intake.ts'
import type { Looks } from './looks.ts'
import type { Offer } from './offer.ts'
import { createPace } from './pace.ts'
import { createReconciler, type History } from './reconcile.ts'
import type { OpenSource } from './source.ts'

export interface FeedContext {
  readonly source: OpenSource
  /** For listings, which wait for no epoch. */
  readonly lookUps: Executor
  readonly options: {
    /** Default true. */
    readonly catchUp?: boolean
    readonly untilIdle?: boolean
  }
  /** Nothing is in the ledger yet. */
  readonly isFirstStart: boolean
  readonly looks: Looks
  readonly intake: Intake
  readonly ledger: FeedLedger
  /** The other sources of the run of which something may come any time. */
  busySources(): readonly string[]
  /**
   * What counts as history of this source is on record. Resolves when that is so of every source whose history is to be
   * recorded as skipped: none of them is the first to write into the ledger, after which no start is a first one.
   */
  historyBegun(): Promise<void>
  /** Counts what listings have shown, for the summary. */
  readonly listed: Mutable<Listed>
  readonly notifications?: NotificationSource
  onEvent(event: RunEvent): void
  /** What lay there at the start is admitted, unless the run ended before. */
  onHistory(): void
  /** Of a run that ends then: nothing is left of what was there. */
  onIdle(): void
  readonly signal: AbortSignal
}

/** What is committed, as far as feeding goes by it. */
export interface FeedLedger {
  readonly position: Pick<LedgerPosition, 'sources'>
  /** While history of the source is being recorded as skipped: what was last modified by then is history. */
  recordsOf(source: string): { readonly historyToMs: number | null }
  /** Commits what counts as history before any of it is recorded as skipped: a later start goes on with that. */
  beginHistory(source: string, toMs: number): Promise<void>
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export const nothingListed = (): Mutable<Listed> => ({
  objects: 0,
  bytes: 0,
  ignored: {},
  matched: 0,
  leftOut: 0,
  withoutPeriod: [],
})

/** How often a place is listed, unless the source says: what announces, misses little. */
const reconcileMsDefault = { directory: 1_000, bucket: 60_000, announced: 15 * 60_000 } as const

/**
 * What keeps object versions coming: the listing first, so that history lies before the live stream; then messages, a
 * listing now and then for what no message named, and ticks. Each ends with the signal; one that fails ends the run. A
 * run that ends when it is idle lists no more after the start.
 */
export function startFeeds(context: FeedContext): readonly Promise<void>[] {
  const history = followListing(context)
  history.begun.then(context.onHistory, () => {})
  const works = [history.ended, history.begun.then(() => watchIdle(context))]
  const { notifications, options } = context
  const received = notifications
    ? history.begun.then(() => unlessOver(context, () => receive(context, notifications)))
    : history.begun
  works.push(options.untilIdle ? received.then(() => tellIdle(context)) : received)
  return works.map(work => work.catch(context.intake.fail))
}

/** Everything that was there has been offered. */
async function tellIdle({ intake, signal, onIdle }: FeedContext): Promise<void> {
  intake.flush()
  if ((await intake.idle()) && !signal.aborted) onIdle()
}

/** Whether this start records what lies there as skipped: a first one that is told to, or one that goes on with it. */
export function isHistorySkipped(
  { options, isFirstStart, ledger }: Pick<FeedContext, 'options' | 'isFirstStart' | 'ledger'>,
  source: string,
): boolean {
  return ledger.recordsOf(source).historyToMs !== null || (options.catchUp === false && isFirstStart)
}

const skippedHistory: KnownOutcome = {
  outcome: 'skipped',
  reason: 'was there before the first start, which was told to take nothing of that (--no-catch-up)',
  highMarkUs: null,
}

/** `begun` resolves when what lay there at the start is admitted. */
function followListing(context: FeedContext): { readonly begun: Promise<void>; readonly ended: Promise<void> } {
  const { source, options, intake, ledger, signal, notifications, onEvent, listed } = context
  const { store, clock, settings } = source.fetch
  const { name } = settings
  const { reconcileMs = defaultMs() } = source.live
  const reconciler = createReconciler(source, intake, context.lookUps, signal)
  // Whoever says how often, means it.
  const isUnchanged = source.live.reconcileMs === undefined && !notifications ? reconciler.isUnchanged : undefined
  const pace = createPace({ everyMs: reconcileMs || 0, isUnchanged, clock })
  const tellIgnored = whenDoubled(ignored => onEvent({ is: 'ignored', by: 'listing', ignored }))
  let toldWithoutPeriod = 0

  function defaultMs(): number {
    if (notifications) return reconcileMsDefault.announced
    return store.showsUnfinished ? reconcileMsDefault.directory : reconcileMsDefault.bucket
  }

  async function list(history?: History): Promise<void> {
    const startedMs = clock.nowMs()
    const found = await reconciler.run(history)
    Object.assign(listed, { ...found, objects: listed.objects + found.found, bytes: listed.bytes + found.bytes })
    const tookMs = clock.nowMs() - startedMs
    pace.listed(tookMs, found)
    onEvent({ is: 'reconciled', listed: found.matched, found: found.found, ignored: found.ignored, tookMs })
    tellIgnored(found.ignored)
    const [withoutPeriod] = found.withoutPeriod
    if (withoutPeriod && withoutPeriod.count >= 2 * toldWithoutPeriod) {
      toldWithoutPeriod = withoutPeriod.count
      onEvent({ is: 'without-period', withoutPeriod })
    }
  }

  async function begin(toMs: number, isNew: boolean): Promise<void> {
    if (isNew) await ledger.beginHistory(name, toMs)
    await unlessAborted(context.historyBegun(), signal)
  }

  async function history(): Promise<void> {
    // A start that was killed while it recorded history is finished by the next one, and what has come since is read.
    const { historyToMs: toMs } = ledger.recordsOf(name)
    const isSkipped = isHistorySkipped(context, name)
    if (isSkipped) await list({ known: skippedHistory, toMs, begin })
    // Only a first start skips: what has come since is read by the others.
    if (isSkipped && toMs === null) return
    await list()
    // The first listing of a directory only says what to look at again.
    if (store.showsUnfinished) {
      await clock.sleep(Math.min(reconcileMs || reconcileMsDefault.directory, reconcileMsDefault.directory), signal)
      if (!signal.aborted) await list()
    }
  }

  async function again(): Promise<void> {
    while (reconcileMs !== false && !options.untilIdle) {
      await pace.wait(signal)
      if (signal.aborted) return
      await list()
    }
  }

  const begun = unlessOver(context, history)
  return { begun, ended: begun.then(() => unlessOver(context, again)) }
}

/** Waits no longer than the run. */
function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<void>(resolve => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  return Promise.race([work, aborted])
}

/** What the end of the run interrupts is no failure. */
async function unlessOver({ signal }: FeedContext, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

/** Tells of the first of each kind, and again whenever there are twice as many. */
function whenDoubled(tell: (counts: Counts) => void): (counts: Readonly<Counts>) => void {
  const told = new Map<string, number>()
  return counts => {
    const news = Object.entries(counts).filter(([kind, { count }]) => count >= 2 * (told.get(kind) ?? 0))
    for (const [kind, { count }] of news) told.set(kind, count)
    if (news.length > 0) tell(Object.fromEntries(news))
  }
}

/** Messages of one pull. */
const pullMax = 100

async function receive(context: FeedContext, notifications: NotificationSource): Promise<void> {
  const { source, options, looks, intake, signal, onEvent } = context
  // What lies there waits for no message.
  if (options.untilIdle) intake.flush()
  const named: Counts = {}
  const tellIgnored = whenDoubled(ignored => onEvent({ is: 'ignored', by: 'messages', ignored }))
  const toOffer = async (announced: Announced): Promise<Offer> => ({
    version: await looks.wanted(announced),
    ...(announced.isRestored ? { isRestored: true } : {}),
  })
  while (!signal.aborted) {
    // What is received is held, so nothing is received that has to wait.
    await intake.room()
    const messages = await notifications.pull(pullMax, signal)
    if (messages.length === 0 && options.untilIdle) return
    if (messages.length === 0) continue
    const ignored: Counts = {}
    // A key that a listing would pass over is passed over here.
    const isObject = ({ key }: Announced) => {
      const kind = source.kindOf(key)
      if (kind === 'object') return true
      countKey(ignored, kind, key)
      countKey(named, kind, key)
      return false
    }
    const offered = await Promise.all(
      messages.map(async notification => ({
        notification,
        offers: await Promise.all(notification.objects.filter(isObject).map(toOffer)),
      })),
    )
    const objects = offered.reduce((sum, { offers }) => sum + offers.length, 0)
    const duplicates = await intake.offer(offered)
    onEvent({ is: 'received', messages: messages.length, objects, duplicates, ignored })
    tellIgnored(named)
  }
}

/**
 * Ticks (S5): the clock decides only when one is written; its value comes from event times seen. A source whose history
 * is still being listed is not idle, however long that takes.
 */
async function watchIdle({ source, intake, ledger, busySources, signal }: FeedContext): Promise<void> {
  const { idleMs } = source.live
  const { clock, settings } = source.fetch
  const { name } = settings
  let toldUs: bigint | null = null
  if (idleMs === undefined) return
  const begunMs = clock.nowMs()
  while (!signal.aborted) {
    const leftMs = untilSilentMs(intake, begunMs, idleMs, clock.nowMs())
    if (leftMs > 0 || !intake.isIdle) {
      await clock.sleep(Math.max(leftMs, idleMs / 10), signal)
      continue
    }
    const { watermarkUs } = ledger.position.sources[name] ?? beginning
    const tickUs = idleWatermark(ledger.position, name, busySources())
    const isNews = tickUs !== null && (watermarkUs === null || watermarkUs < tickUs) && tickUs !== toldUs
    if (isNews) intake.tick(tickUs)
    if (isNews) toldUs = tickUs
    // Where others go on, this one follows them without another hour of silence.
    await clock.sleep(isNews ? idleMs / 10 : idleMs, signal)
  }
}

/**
 * How long it takes until a source of which nothing comes counts as silent; 0 or less where it does.
 *
 * @param begunMs when all that lay there at the start was admitted, by the monotonic clock
 */
export function untilSilentMs(
  { lastMovedMs }: Pick<Intake, 'lastMovedMs'>,
  begunMs: number,
  idleMs: number,
  nowMs: number,
): number {
  return Math.max(lastMovedMs, begunMs) + idleMs - nowMs
}

/**
 * The watermark that an idle source is given (S5). While others go on, it holds none of them back. Where all are idle,
 * it is the highest event time that any has had.
 */
function idleWatermark(position: FeedLedger['position'], name: string, busy: readonly string[]): bigint | null {
  const others = busy.filter(other => other !== name).map(other => position.sources[other]?.watermarkUs ?? null)
  if (others.length === 0) return highMarkOf(position)
  return others.reduce((a, b) => (a === null || b === null ? null : a < b ? a : b))
}
