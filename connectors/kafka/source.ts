import { configError, isMillraceError, MillraceError } from '../../src/core/errors.ts'
import type { Json } from '../../src/core/json.ts'
import type { Announced } from '../../src/core/object-version.ts'
import type { Notification, NotificationSource } from '../../src/core/ports.ts'
import { backoffMs } from '../../src/core/backoff.ts'
import { pauses } from '../notifications/pauses.ts'
import { createChange } from '../../src/core/change.ts'
import type { NotificationContext } from '../notifications/context.ts'
import { createCounts } from '../notifications/counts.ts'
import { parseMessage } from '../notifications/parse.ts'
import { createRefusals } from '../notifications/refusals.ts'
import type { Extent, Fetched, Log } from './log.ts'
import type { KafkaSpec } from './spec.ts'

/** How often a topic is asked for new partitions. */
const DESCRIBE_MS = 30_000
/** How often offsets are committed, for tools that show lag. */
const COMMIT_MS = 5_000
/** Messages read past the oldest that is not settled: what positions cannot pass yet. */
const OUTSTANDING_MAX = 100_000

type KafkaSettings = Pick<KafkaSpec, 'topic' | 'groupId' | 'from' | 'keys'>

interface Entry {
  readonly id: string
  readonly partition: number
  readonly offset: number
  readonly timestampMs: number
  readonly objects: readonly Announced[]
  isSettled: boolean
}

interface Partition {
  /** What is fetched next. */
  next: number
  /** In the log's order. */
  entries: Entry[]
  /** Index of the oldest entry that is not settled: what lies before it is done for good. */
  head: number
}

/**
 * Notifications of a Kafka topic. This process reads every partition by itself from the checkpoint's positions: there
 * is no group to join, so nothing can move a position or take a partition away. What is fetched waits in order until
 * it is settled, and positions never pass it.
 */
export function createKafkaSource(log: Log, spec: KafkaSettings, context: NotificationContext): NotificationSource {
  const { clock, random, place, untilIdle, onEvent } = context
  const { topic } = spec
  const groupId = `${spec.groupId}-${context.term}`
  const given = positionsOf(context.positions, topic)
  const closing = new AbortController()
  const { counts, count } = createCounts()
  const change = createChange()
  const partitions = new Map<number, Partition>()
  /** Of a run that ends when it is idle: the end of each partition as it was first seen. Nothing is read beyond it. */
  const ends = new Map<number, number>()
  const ready: Entry[] = []
  const logged = new Set<string>()
  let fetching: Promise<void> | undefined
  let committing: Promise<void> | undefined
  let closed: Promise<void> | undefined
  let describedAtMs = Number.NEGATIVE_INFINITY
  let isDescribed = false
  let committedAtMs = Number.NEGATIVE_INFINITY
  let failures = 0
  let failure: Error | undefined

  const tell = (
    level: 'warn' | 'error',
    event: string,
    message: string,
    details: Readonly<Record<string, Json>> = {},
  ): void => onEvent({ level, event, message, details: { topic, ...details } })
  const refused = createRefusals({ count, warn: (...told) => tell('warn', ...told) })

  const outstanding = (): number => {
    let sum = 0
    for (const { entries, head } of partitions.values()) sum += entries.length - head
    return sum
  }

  /** Partitions that were not there are read from their beginning; at the very first start from where `from` says. */
  function meet(extents: ReadonlyMap<number, Extent | undefined>): void {
    const isFirstStart = given === undefined && !isDescribed
    const unknown = [...extents].find(([, extent]) => extent === undefined)
    // What was there when it was first seen is all that an idle run reads.
    if (untilIdle && isDescribed) {
      describedAtMs = clock.nowMs()
      return
    }
    // Where all of it begins, or ends, is settled once.
    if ((isFirstStart || untilIdle) && unknown)
      throw new MillraceError(
        'retry',
        'kafka-unreachable',
        `Topic ${topic} cannot be read: some of its partitions have no leader. It is tried again.`,
      )
    for (const [partition, extent] of extents) {
      if (partitions.has(partition)) continue
      const position = given?.get(partition)
      const begin = position ?? (isFirstStart && spec.from === 'latest' ? extent?.next : extent?.earliest)
      // A new one, met when its leader is there.
      if (begin === undefined) continue
      partitions.set(partition, { next: begin, entries: [], head: 0 })
      if (untilIdle && extent) ends.set(partition, extent.next)
      if (isDescribed || (given !== undefined && position === undefined))
        tell(
          'warn',
          'partition-added',
          `Topic ${topic} has a new partition ${partition}: it is read from its beginning.`,
          { partition },
        )
    }
    isDescribed = true
    describedAtMs = clock.nowMs()
  }

  async function look(): Promise<void> {
    try {
      meet(await log.describe())
    } catch (error) {
      // A broker that is away holds up no partition that is known; that all are away shows when they are fetched.
      if (!isDescribed || !isMillraceError(error) || error.kind !== 'retry') throw error
      describedAtMs = clock.nowMs()
    }
  }

  async function fetchOnce(): Promise<void> {
    try {
      if (clock.nowMs() - describedAtMs >= DESCRIBE_MS) await look()
      const offsets = new Map(
        [...partitions].flatMap(([partition, { next }]) =>
          next === ends.get(partition) ? [] : [[partition, next] as const],
        ),
      )
      if (offsets.size === 0) return
      let isPatient = false
      const lost: number[] = []
      for (const each of await log.fetch(offsets)) {
        if (each.is === 'records') take(each)
        else if (each.is === 'out-of-range') lost.push(each.partition)
        else isPatient = warnUnavailable(each.partition, each.why)
      }
      // This asks the brokers again and may fail, which holds up nobody else's records.
      for (const partition of lost) await restart(partition)
      if (failures > 0) tell('warn', 'kafka-reachable', `Topic ${topic} answers again.`, { failures })
      failures = 0
      if (isPatient) await clock.sleep(backoffMs(pauses, 0, random), closing.signal)
    } catch (error) {
      // After it has been seen, a topic is missing while brokers start; at the first look it is a mistake.
      const isRetried =
        isMillraceError(error) && (error.kind === 'retry' || (isDescribed && error.code === 'topic-not-found'))
      if (closing.signal.aborted) return
      if (!isRetried) {
        failure = error as Error
        return
      }
      count('retries')
      if (failures === 0) tell('warn', 'kafka-unreachable', error.message)
      await clock.sleep(backoffMs(pauses, failures++, random), closing.signal)
    }
  }

  function warnUnavailable(partition: number, why: string): boolean {
    count('retries')
    if (!logged.has(`${partition} ${why}`))
      tell(
        'warn',
        'partition-unavailable',
        `Partition ${partition} of ${topic} cannot be read: ${why}. It is tried again.`,
        { partition },
      )
    logged.add(`${partition} ${why}`)
    return true
  }

  /** Retention has deleted what was not read yet, or the topic was made anew: loud, and on from what there is. */
  async function restart(partition: number): Promise<void> {
    const state = partitions.get(partition)
    const extent = (await log.describe()).get(partition)
    if (!state || !extent) return
    const lost = Math.max(0, extent.earliest - state.next)
    count('positions-lost')
    count('messages-lost', lost)
    tell(
      'error',
      'positions-lost',
      `Topic ${topic} no longer has offset ${state.next} of partition ${partition}: ${lost > 0 ? `${lost} messages are lost to its retention` : 'it was made anew or cut off'}. Reading goes on from ${extent.earliest}; listing the source's objects finds what those messages named.`,
      { partition, position: state.next, earliest: extent.earliest },
    )
    // What is still held of before is committed or not, but cannot be read again: positions do not wait for it.
    partitions.set(partition, { next: extent.earliest, entries: [], head: 0 })
    if (untilIdle) ends.set(partition, extent.next)
  }

  function take({ partition, records, next }: Extract<Fetched, { is: 'records' }>): void {
    const state = partitions.get(partition)
    if (!state) return
    const end = ends.get(partition) ?? Infinity
    state.next = Math.min(next, end)
    for (const { offset, timestampMs, value } of records) {
      if (offset >= end) break
      const id = `${topic}/${partition}/${offset}`
      const { objects, refusals } = parseMessage(value, { place, keys: spec.keys })
      count('messages')
      count('accepted', objects.length)
      // A log passes it: the warning is where what it said is kept.
      refused({ id, name: `Message ${id}`, quarantined: value }, refusals)
      const entry = { id, partition, offset, timestampMs, objects, isSettled: objects.length === 0 }
      // Settled ones matter only where something before them is not.
      if (!entry.isSettled || state.head < state.entries.length) state.entries.push(entry)
      if (!entry.isSettled) ready.push(entry)
    }
  }

  function isAtEnds(): boolean {
    return [...partitions].every(([partition, { next }]) => next === ends.get(partition))
  }

  function settled(entry: Entry): void {
    entry.isSettled = true
    const state = partitions.get(entry.partition)
    if (state) {
      while (state.entries[state.head]?.isSettled) state.head++
      // Half of it is done: the rest moves, so each entry moves once on average.
      if (state.head * 2 >= state.entries.length) {
        state.entries = state.entries.slice(state.head)
        state.head = 0
      }
    }
    change.notify()
    commitSoon()
  }

  /** The offset before which all is settled, if these were. */
  function positionOf({ entries, head, next }: Partition, committed: ReadonlySet<string>): number {
    for (let n = head; n < entries.length; n++) {
      const { id, offset, isSettled } = entries[n] as Entry
      if (!isSettled && !committed.has(id)) return offset
    }
    return next
  }

  function positions(committed: ReadonlySet<string>): ReadonlyMap<number, number> {
    return new Map([...partitions].map(([partition, state]) => [partition, positionOf(state, committed)]))
  }

  function commitSoon(): void {
    if (committing || closing.signal.aborted || clock.nowMs() - committedAtMs < COMMIT_MS) return
    committing = commit().finally(() => {
      committing = undefined
    })
  }

  async function commit(): Promise<void> {
    committedAtMs = clock.nowMs()
    try {
      await log.commit(groupId, positions(new Set()))
    } catch (error) {
      // Nothing reads these offsets but people: positions are in the checkpoint.
      count('group-commits-failed')
      if (!logged.has('group-commit')) tell('warn', 'group-commit-failed', (error as Error).message, { groupId })
      logged.add('group-commit')
    }
  }

  async function end(): Promise<void> {
    closing.abort()
    change.notify()
    await Promise.all([fetching, committing])
    if (isDescribed && counts.acknowledged) await commit()
    await log.close()
  }

  function notification(entry: Entry): Notification {
    let isTold = false
    const once = async (then: () => void): Promise<void> => {
      if (!isTold) then()
      isTold = true
    }
    return {
      id: entry.id,
      objects: entry.objects,
      acknowledge: () =>
        once(() => {
          count('acknowledged')
          settled(entry)
        }),
      release: () =>
        once(() => {
          count('released')
          const later = ready.findIndex(
            ({ partition, offset }) => partition === entry.partition && offset > entry.offset,
          )
          ready.splice(later === -1 ? ready.length : later, 0, entry)
          change.notify()
        }),
    }
  }

  return {
    counts,
    async pull(max, signal) {
      while (!signal.aborted && !closing.signal.aborted) {
        if (failure) throw failure
        if (ready.length > 0) return ready.splice(0, max).map(notification)
        if (untilIdle && isDescribed && isAtEnds()) return []
        if (!fetching && outstanding() < OUTSTANDING_MAX)
          fetching = fetchOnce().finally(() => {
            fetching = undefined
            change.notify()
          })
        await change.next(signal)
      }
      return []
    },
    positionsAfter(committed) {
      // Before the topic was seen, there is nothing to add to what the checkpoint has.
      if (!isDescribed) return context.positions
      const ids = new Set(committed.map(({ id }) => id))
      return { [topic]: Object.fromEntries(positions(ids)) }
    },
    async backlog() {
      try {
        const extents = await log.describe()
        if (!isDescribed) meet(extents)
        const now = positions(new Set())
        let messages = 0
        for (const [partition, extent] of extents) {
          if (extent === undefined) return {}
          messages += Math.max(0, extent.next - (now.get(partition) ?? 0))
        }
        const waiting = [...partitions.values()].flatMap(({ entries, head }) => entries[head]?.timestampMs ?? [])
        const nowMs = clock.startedAtMs + clock.nowMs()
        return { messages, ...(waiting.length > 0 ? { oldestAgeMs: Math.max(0, nowMs - Math.min(...waiting)) } : {}) }
      } catch {
        // A figure for a screen: what is wrong shows where messages are fetched.
        count('backlog-unknown')
        return {}
      }
    },
    close: () => (closed ??= end()),
  }
}

/**
 * Positions of the topic, or undefined where the checkpoint has none of it.
 *
 * @throws MillraceError `user` for what this source never wrote.
 */
export function positionsOf(positions: Json, topic: string): ReadonlyMap<number, number> | undefined {
  if (positions === null) return undefined
  const expected = '{ topic: { partition: offset } }, as a Kafka source leaves it in the checkpoint'
  if (!isRecord(positions)) throw configError('positions', positions, expected)
  const own = Object.hasOwn(positions, topic) ? positions[topic] : undefined
  if (own === undefined) return undefined
  if (!isRecord(own)) throw configError('positions', positions, expected)
  return new Map(
    Object.entries(own).map(([partition, offset]) => {
      if (!/^\d{1,9}$/.test(partition) || !Number.isSafeInteger(offset) || (offset as number) < 0)
        throw configError('positions', positions, expected)
      return [Number(partition), offset as number]
    }),
  )
}

function isRecord(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
