import { connectorOf } from '../../connectors/registry.ts'
import { parseS3Address, toSpec } from '../../connectors/s3/spec.ts'
import { errorMessage } from '../core/errors.ts'
import type { NotificationSource } from '../core/ports.ts'
import { systemRandom } from '../core/random.ts'
import type { Components } from './components.ts'
import type { Listed } from './intake/admit.ts'
import { type FeedContext, type FeedLedger, nothingListed, startFeeds, untilSilentMs } from './intake/feed.ts'
import { createIdentities } from './intake/identities.ts'
import { createIntake, type Intake } from './intake/intake.ts'
import { createLooks, type Looks } from './intake/looks.ts'
import type { OpenSource } from './intake/source.ts'
import type { Run } from './open-run.ts'
import type { FollowOptions } from './options.ts'
import { sourceRecords } from './state/engine-state.ts'
import { recentLedger } from './state/open-ledger.ts'

/** A run that ends when it is idle gathers no longer for a mini-batch: what is there comes without a pause. */
const idleGatherMs = 1_000

/** A source that is followed: its listing, what announces its objects, and the intake that both feed. */
export interface LiveSource {
  /** Its name. */
  readonly name: string
  readonly intake: Intake
  /** What announces objects, once it is opened. */
  readonly notifications: NotificationSource | undefined
  /** What listings have shown. */
  readonly listed: Listed
  /** Objects that were admitted when what lay there at the start was; undefined before. */
  readonly historyObjects: number | undefined
  /** Nothing is left of what was there: a run that ends then has been told so. */
  readonly isIdle: boolean
  /** Something may come any time: it has not been silent for as long as it says. */
  readonly isBusy: boolean
  /** Opens what announces objects. */
  open(): Promise<void>
  /** Feeds the intake until the end, a drain or a stop. */
  begin(): void
  /** Ends what feeds it. May be called again. */
  end(): Promise<void>
}

/** @param others tells of the other sources of the run */
export async function createLiveSource(
  parts: Components,
  run: Run,
  source: OpenSource,
  options: FollowOptions,
  ledger: FeedLedger,
  others: Pick<FeedContext, 'busySources' | 'isFirstStart'> & {
    onIdle(): void
    historyBegun(of: string): Promise<void>
  },
): Promise<LiveSource> {
  const { onEvent } = run
  const closing = new AbortController()
  const signal = AbortSignal.any([closing.signal, run.signal, ...(options.drain ? [options.drain] : [])])
  const looks = createLooks(source.fetch.store, run.clock, signal)
  const intake = await openIntake(run, source, options, looks, signal)
  const listed = nothingListed()
  const work: Promise<void>[] = []
  let notifications: NotificationSource | undefined
  let historyObjects: number | undefined
  let isIdle = false
  let begunMs: number | undefined
  const onHistory = () => {
    begunMs = run.clock.nowMs()
    if (!signal.aborted) historyObjects = intake.admitted.objects
  }
  const onIdle = () => {
    isIdle = true
    intake.end()
    others.onIdle()
  }
  const { busySources, isFirstStart } = others
  const historyBegun = () => others.historyBegun(source.fetch.settings.name)
  const feeding = { source, lookUps: run.lookUps, options, isFirstStart, looks, intake, ledger, listed, onEvent }
  return {
    name: source.fetch.settings.name,
    intake,
    get notifications() {
      return notifications
    },
    listed,
    get historyObjects() {
      return historyObjects
    },
    get isIdle() {
      return isIdle
    },
    get isBusy() {
      return isBusy(source, intake, begunMs)
    },
    async open() {
      notifications = await openNotifications(parts, run, source, options)
    },
    begin() {
      const context = { ...feeding, busySources, historyBegun, onHistory, onIdle, signal }
      if (!signal.aborted) work.push(...startFeeds(notifications ? { ...context, notifications } : context))
    },
    async end() {
      // A listing may wait for room that no commit will give any more, so the intake ends first.
      intake.end()
      closing.abort()
      await Promise.all(work)
      // Both at once: a queue that does not answer is given up on sooner when it is closing.
      await Promise.all([intake.close(), notifications?.close()])
    },
  }
}

async function openIntake(
  run: Run,
  { fetch, miniBatch, place }: OpenSource,
  { untilIdle }: Pick<FollowOptions, 'untilIdle'>,
  looks: Looks,
  signal: AbortSignal,
): Promise<Intake> {
  const { name } = fetch.settings
  const intake = createIntake({
    source: name,
    identities: await createIdentities(run.lookUps, name, `identities_${place}`, recentLedger),
    looks,
    miniBatch,
    clock: run.clock,
    ...(untilIdle ? { everyMsMax: idleGatherMs } : {}),
    signal,
    onTrouble: (what, error) => run.onEvent({ is: 'trouble', what, error: errorMessage(error) }),
  })
  run.signal.addEventListener('abort', intake.end, { once: true })
  return intake
}

/**
 * Whether something of it may come any time. Nothing waits for a source without event time.
 *
 * @param begunMs when all that lay there at the start was admitted; undefined before
 */
function isBusy(
  { fetch: { settings, clock }, live: { idleMs } }: OpenSource,
  intake: Intake,
  begunMs: number | undefined,
): boolean {
  if (settings.time === undefined) return false
  if (begunMs === undefined || idleMs === undefined || !intake.isIdle) return true
  return untilSilentMs(intake, begunMs, idleMs, clock.nowMs()) > 0
}

async function openNotifications(
  parts: Components,
  { clock, claim: { head }, onEvent }: Run,
  { notifications, fetch }: OpenSource,
  { untilIdle }: Pick<FollowOptions, 'untilIdle'>,
): Promise<NotificationSource | undefined> {
  if (!notifications) return undefined
  const { name } = fetch.settings
  const at = `source ${name}`
  const { bucket, prefix } = toSpec(parseS3Address(fetch.store.address, `${at}: objects`))
  return connectorOf(notifications, `${at}: notifications`, parts.connectors).open(notifications, {
    clock,
    random: systemRandom,
    place: { bucket, prefix },
    positions: sourceRecords(head.manifest, name).positions,
    term: head.term,
    ...(untilIdle ? { untilIdle } : {}),
    ...(parts.onRequest && { onRequest: parts.onRequest }),
    onEvent: notification => onEvent({ is: 'notification', notification }),
  })
}
