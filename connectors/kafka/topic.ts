import type { Clock } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { Json } from '../../src/core/json.ts'
import type { Extent, Log } from './log.ts'
import { decideMeeting } from './meeting.ts'
import { type Entry, type Partition, partitionFrom } from './partitions.ts'
import type { KafkaSpec } from './spec.ts'

type Details = Readonly<Record<string, Json>>

/** What the parts of a source share. */
export interface TopicContext {
  readonly log: Log
  readonly spec: Pick<KafkaSpec, 'topic' | 'from' | 'keys'>
  readonly clock: Clock
  /** Numbers in [0, 1), to spread retries. */
  readonly random: () => number
  readonly untilIdle: boolean
  /** Positions that the checkpoint has of the topic. */
  readonly given: ReadonlyMap<number, number> | undefined
  /** Aborted when the source is closed. */
  readonly closing: AbortSignal
  count(name: string, by?: number): void
  tell(level: 'warn' | 'error', event: string, message: string, details?: Details): void
  /** Warns once of each `what`. */
  warnOnce(what: string, event: string, message: string, details: Details): void
}

/** How reading the topic stands. */
export interface Topic {
  readonly partitions: Map<number, Partition>
  /** Of a run that ends when it is idle: the end of each partition as it was first seen. Nothing is read beyond it. */
  readonly ends: Map<number, number>
  /** Messages that wait to be handed over. */
  readonly ready: Entry[]
  isDescribed: boolean
  describedAtMs: number
  /** Fetches in a row that failed. */
  failures: number
}

export const unseenTopic = (): Topic => ({
  partitions: new Map(),
  ends: new Map(),
  ready: [],
  isDescribed: false,
  describedAtMs: Number.NEGATIVE_INFINITY,
  failures: 0,
})

/** Takes up what the topic tells of its partitions. */
export function meet(context: TopicContext, topic: Topic, extents: ReadonlyMap<number, Extent | undefined>): void {
  const { spec, given, untilIdle, clock, tell } = context
  const { isDescribed } = topic
  const known = new Set(topic.partitions.keys())
  const met = decideMeeting({ extents, given, known, isDescribed, untilIdle, from: spec.from })
  if (met === 'unknown')
    throw new MillraceError(
      'retry',
      'kafka-unreachable',
      `Topic ${spec.topic} cannot be read: some of its partitions have no leader. It is tried again.`,
    )
  for (const { partition, begin, end, isNew } of met) {
    topic.partitions.set(partition, partitionFrom(begin))
    if (end !== undefined) topic.ends.set(partition, end)
    const message = `Topic ${spec.topic} has a new partition ${partition}: it is read from its beginning.`
    if (isNew) tell('warn', 'partition-added', message, { partition })
  }
  topic.isDescribed = true
  topic.describedAtMs = clock.nowMs()
}

/** Of a run that ends when it is idle: whether all is read. */
export function isAtEnds({ partitions, ends }: Topic): boolean {
  return [...partitions].every(([partition, { next }]) => next === ends.get(partition))
}
