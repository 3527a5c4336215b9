import { backoffMs } from '../../src/core/backoff.ts'
import { isMillraceError } from '../../src/core/errors.ts'
import { type Place, parseMessage, type Refusal } from '../notifications/parse.ts'
import { pauses } from '../notifications/pauses.ts'
import type { RefusedMessage } from '../notifications/refusals.ts'
import type { Fetched } from './log.ts'
import { enter, partitionFrom } from './partitions.ts'
import { meet, type Topic, type TopicContext } from './topic.ts'

/** How often a topic is asked for new partitions. */
const describeMs = 30_000

export interface PollContext extends TopicContext {
  readonly place: Place
  refused(message: RefusedMessage, refusals: readonly Refusal[]): void
}

/**
 * Fetches once, of every partition. What may succeed later is waited out here.
 *
 * @throws what only a person can mend
 */
export async function poll(context: PollContext, topic: Topic): Promise<void> {
  const { clock, random, closing, count, tell } = context
  try {
    await fetchOnce(context, topic)
  } catch (error) {
    if (closing.aborted) return
    // After it has been seen, a topic is missing while brokers start; at the first look it is a mistake.
    const isRetried =
      isMillraceError(error) && (error.kind === 'retry' || (topic.isDescribed && error.code === 'topic-not-found'))
    if (!isRetried) throw error
    count('retries')
    if (topic.failures === 0) tell('warn', 'kafka-unreachable', error.message)
    await clock.sleep(backoffMs(pauses, topic.failures++, random), closing)
  }
}

async function fetchOnce(context: PollContext, topic: Topic): Promise<void> {
  const { log, spec, clock, random, closing, tell } = context
  if (clock.nowMs() - topic.describedAtMs >= describeMs) await look(context, topic)
  const offsets = offsetsToFetch(topic)
  if (offsets.size === 0) return
  let isPatient = false
  const lost: number[] = []
  for (const each of await log.fetch(offsets)) {
    if (each.is === 'records') take(context, topic, each)
    else if (each.is === 'out-of-range') lost.push(each.partition)
    else {
      isPatient = true
      warnUnavailable(context, each.partition, each.why)
    }
  }
  // This asks the brokers again and may fail, which holds up nobody else's records.
  for (const partition of lost) await restart(context, topic, partition)
  const { failures } = topic
  if (failures > 0) tell('warn', 'kafka-reachable', `Topic ${spec.topic} answers again.`, { failures })
  topic.failures = 0
  if (isPatient) await clock.sleep(backoffMs(pauses, 0, random), closing)
}

function offsetsToFetch({ partitions, ends }: Topic): ReadonlyMap<number, number> {
  const unread = [...partitions].filter(([partition, { next }]) => next !== ends.get(partition))
  return new Map(unread.map(([partition, { next }]) => [partition, next]))
}

async function look(context: TopicContext, topic: Topic): Promise<void> {
  try {
    meet(context, topic, await context.log.describe())
  } catch (error) {
    // A broker that is away holds up no partition that is known; that all are away shows when they are fetched.
    if (!topic.isDescribed || !isMillraceError(error) || error.kind !== 'retry') throw error
    topic.describedAtMs = context.clock.nowMs()
  }
}

function take(
  { spec, place, count, refused }: PollContext,
  { partitions, ends, ready }: Topic,
  { partition, records, next }: Extract<Fetched, { is: 'records' }>,
): void {
  const state = partitions.get(partition)
  if (!state) return
  const end = ends.get(partition) ?? Infinity
  state.next = Math.min(next, end)
  for (const { offset, timestampMs, value } of records) {
    if (offset >= end) break
    const id = `${spec.topic}/${partition}/${offset}`
    const { objects, refusals } = parseMessage(value, { place, keys: spec.keys })
    count('messages')
    count('accepted', objects.length)
    // A log passes it: the warning is where what it said is kept.
    refused({ id, name: `Message ${id}`, quarantined: value }, refusals)
    const entry = { id, partition, offset, timestampMs, objects, isSettled: objects.length === 0 }
    enter(state, entry)
    if (!entry.isSettled) ready.push(entry)
  }
}

function warnUnavailable({ spec, count, warnOnce }: TopicContext, partition: number, why: string): void {
  count('retries')
  const message = `Partition ${partition} of ${spec.topic} cannot be read: ${why}. It is tried again.`
  warnOnce(`${partition} ${why}`, 'partition-unavailable', message, { partition })
}

/** Retention has deleted what was not read yet, or the topic was made anew: loud, and on from what there is. */
async function restart(context: TopicContext, topic: Topic, partition: number): Promise<void> {
  const { log, spec, untilIdle, count, tell } = context
  const state = topic.partitions.get(partition)
  const extent = (await log.describe()).get(partition)
  if (!state || !extent) return
  const { earliest } = extent
  const lost = Math.max(0, earliest - state.next)
  count('positions-lost')
  count('messages-lost', lost)
  const how = lost > 0 ? `${lost} messages are lost to its retention` : 'it was made anew or cut off'
  tell(
    'error',
    'positions-lost',
    `Topic ${spec.topic} no longer has offset ${state.next} of partition ${partition}: ${how}. Reading goes on from ` +
      `${earliest}; listing the source's objects finds what those messages named.`,
    { partition, position: state.next, earliest },
  )
  // What is still held of before is committed or not, but cannot be read again: positions do not wait for it.
  topic.partitions.set(partition, partitionFrom(earliest))
  if (untilIdle) topic.ends.set(partition, extent.next)
}
