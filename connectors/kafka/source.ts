import { wallMs } from '../../src/core/clock.ts'
import { createChange } from '../../src/core/change.ts'
import type { Backlog, NotificationSource } from '../../src/core/ports.ts'
import type { NotificationContext } from '../notifications/context.ts'
import { createCounts } from '../notifications/counts.ts'
import { createRefusals } from '../notifications/refusals.ts'
import { createGroupCommits } from './group-commits.ts'
import type { Log } from './log.ts'
import { outstandingIn, positionsIn, waitingSinceMs } from './partitions.ts'
import { poll } from './poll.ts'
import { positionsOf } from './positions.ts'
import { notificationOf } from './settle.ts'
import type { KafkaSpec } from './spec.ts'
import { isAtEnds, meet, type Topic, type TopicContext, unseenTopic } from './topic.ts'

/** Messages read past the oldest that is not settled: what positions cannot pass yet. */
const outstandingMax = 100_000

type KafkaSettings = Pick<KafkaSpec, 'topic' | 'groupId' | 'from' | 'keys'>

/**
 * Notifications of a Kafka topic. This process reads every partition by itself from the checkpoint's positions: there
 * is no group to join, so nothing can move a position or take a partition away. What is fetched waits in order until
 * it is settled, and positions never pass it.
 */
export function createKafkaSource(
  log: Log,
  spec: KafkaSettings,
  notifications: NotificationContext,
): NotificationSource {
  const { place, untilIdle, term } = notifications
  const closing = new AbortController()
  const { counts, count } = createCounts()
  const { notify, next } = createChange()
  const context = { ...contextOf(log, spec, notifications), closing: closing.signal, count }
  const polling = { ...context, place, refused: createRefusals({ count, warn: context.tell.bind(undefined, 'warn') }) }
  const topic = unseenTopic()
  const commits = createGroupCommits({ ...context, groupId: `${spec.groupId}-${term}` }, topic)
  const settling = { count, notify, onSettled: commits.commitSoon }
  let fetching: Promise<void> | undefined
  let failure: Error | undefined
  let closed: Promise<void> | undefined

  function fetch(): void {
    fetching = poll(polling, topic)
      .catch((error: unknown) => {
        failure = error as Error
      })
      .finally(() => {
        fetching = undefined
        notify()
      })
  }

  async function end(): Promise<void> {
    closing.abort()
    notify()
    await Promise.all([fetching, commits.underWay])
    if (topic.isDescribed && counts.acknowledged) await commits.commit()
    await log.close()
  }

  return {
    counts,
    async pull(max, signal) {
      const { ready, partitions } = topic
      while (!signal.aborted && !closing.signal.aborted) {
        if (failure) throw failure
        if (ready.length > 0) return ready.splice(0, max).map(entry => notificationOf(settling, topic, entry))
        if (untilIdle && topic.isDescribed && isAtEnds(topic)) return []
        if (!fetching && outstandingIn(partitions) < outstandingMax) fetch()
        await next(signal)
      }
      return []
    },
    positionsAfter(committed) {
      // Before the topic was seen, there is nothing to add to what the checkpoint has.
      if (!topic.isDescribed) return notifications.positions
      const ids = new Set(committed.map(({ id }) => id))
      return { [spec.topic]: Object.fromEntries(positionsIn(topic.partitions, ids)) }
    },
    backlog: () => backlogOf(context, topic),
    close: () => (closed ??= end()),
  }
}

function contextOf(
  log: Log,
  spec: KafkaSettings,
  { clock, random, positions, untilIdle, onEvent }: NotificationContext,
): Omit<TopicContext, 'closing' | 'count'> {
  const { topic } = spec
  const warned = new Set<string>()
  const tell: TopicContext['tell'] = (level, event, message, details = {}) =>
    onEvent({ level, event, message, details: { topic, ...details } })
  const warnOnce: TopicContext['warnOnce'] = (what, event, message, details) => {
    if (!warned.has(what)) tell('warn', event, message, details)
    warned.add(what)
  }
  const given = positionsOf(positions, topic)
  return { log, spec, clock, random, untilIdle: untilIdle === true, given, tell, warnOnce }
}

async function backlogOf(context: TopicContext, topic: Topic): Promise<Backlog> {
  const { log, clock, count } = context
  try {
    const extents = await log.describe()
    if (!topic.isDescribed) meet(context, topic, extents)
    const now = positionsIn(topic.partitions)
    let messages = 0
    for (const [partition, extent] of extents) {
      if (extent === undefined) return {}
      messages += Math.max(0, extent.next - (now.get(partition) ?? 0))
    }
    const sinceMs = waitingSinceMs(topic.partitions)
    const nowMs = wallMs(clock)
    return { messages, ...(sinceMs.length > 0 ? { oldestAgeMs: Math.max(0, nowMs - Math.min(...sinceMs)) } : {}) }
  } catch {
    // A figure for a screen: what is wrong shows where messages are fetched.
    count('backlog-unknown')
    return {}
  }
}
