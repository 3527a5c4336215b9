import { connectorOf } from '../../connectors/registry.ts'
import { parseS3Address, toSpec } from '../../connectors/s3/spec.ts'
import { errorMessage } from '../core/errors.ts'
import type { NotificationSource } from '../core/ports.ts'
import { systemRandom } from '../core/random.ts'
import type { Components } from './components.ts'
import type { Listed } from './intake/admit.ts'
import { type FeedLedger, nothingListed, startFeeds } from './intake/feed.ts'
import type { Identities } from './intake/identities.ts'
import { createIntake, type Intake } from './intake/intake.ts'
import { createLooks } from './intake/looks.ts'
import type { Run } from './open-run.ts'
import type { FollowOptions } from './options.ts'
import { engineRecords } from './state/engine-state.ts'

/** A run that ends when it is idle gathers no longer for a mini-batch: what is there comes without a pause. */
const idleGatherMs = 1_000

/** A source that is followed: its listing, what announces its objects, and the intake that both feed. */
export interface LiveSource {
  readonly intake: Intake
  /** What announces objects, once it is opened. */
  readonly notifications: NotificationSource | undefined
  /** What listings have shown. */
  readonly listed: Listed
  /** Objects that were admitted when what lay there at the start was; undefined before. */
  readonly historyObjects: number | undefined
  /** Nothing is left of what was there: a run that ends then has been told so. */
  readonly isIdle: boolean
  /** Opens what announces objects. */
  open(): Promise<void>
  /** Feeds the intake until the end, a drain or a stop. */
  begin(): void
  /** Ends what feeds it. May be called again. */
  end(): Promise<void>
}

export function createLiveSource(
  parts: Components,
  run: Run,
  options: FollowOptions,
  ledger: FeedLedger,
  identities: Identities,
): LiveSource {
  const { source, clock, onEvent } = run
  const closing = new AbortController()
  const signal = AbortSignal.any([closing.signal, run.signal, ...(options.drain ? [options.drain] : [])])
  const looks = createLooks(source.fetch.store, clock, signal)
  const intake = createIntake({
    source: source.fetch.settings.name,
    identities,
    looks,
    miniBatch: source.miniBatch,
    clock,
    ...(options.untilIdle ? { everyMsMax: idleGatherMs } : {}),
    signal,
    onTrouble: (what, error) => onEvent({ is: 'trouble', what, error: errorMessage(error) }),
  })
  run.signal.addEventListener('abort', intake.end, { once: true })
  const listed = nothingListed()
  const isFirstStart = run.claim.position.nextSeq === 1
  const work: Promise<void>[] = []
  let notifications: NotificationSource | undefined
  let historyObjects: number | undefined
  let isIdle = false
  const onHistory = () => {
    if (!signal.aborted) historyObjects = intake.admitted.objects
  }
  const onIdle = () => {
    isIdle = true
    onEvent({ is: 'idle' })
    intake.end()
  }
  const shared = { source, lookUps: run.lookUps, options, isFirstStart, looks, intake, ledger, listed, onEvent }
  return {
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
    async open() {
      notifications = await openNotifications(parts, run, options)
    },
    begin() {
      const context = { ...shared, onHistory, onIdle, signal }
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

async function openNotifications(
  parts: Components,
  { source: { notifications, fetch }, clock, claim: { head }, onEvent }: Run,
  { untilIdle }: Pick<FollowOptions, 'untilIdle'>,
): Promise<NotificationSource | undefined> {
  if (!notifications) return undefined
  const at = `source ${fetch.settings.name}`
  const { bucket, prefix } = toSpec(parseS3Address(fetch.store.address, `${at}: objects`))
  return connectorOf(notifications, `${at}: notifications`, parts.connectors).open(notifications, {
    clock,
    random: systemRandom,
    place: { bucket, prefix },
    positions: engineRecords(head.manifest).positions,
    term: head.term,
    ...(untilIdle ? { untilIdle } : {}),
    onEvent: notification => onEvent({ is: 'notification', notification }),
  })
}
