import { errorMessage, isMillraceError } from '../../src/core/errors.ts'
import type { Announced } from '../../src/core/object-version.ts'
import type { Notification, NotificationSource } from '../../src/core/ports.ts'
import { backoffMs } from '../../src/core/backoff.ts'
import { pauses } from '../notifications/pauses.ts'
import { batched } from '../notifications/batched.ts'
import { createChange } from '../../src/core/change.ts'
import type { NotificationContext } from '../notifications/context.ts'
import { createCounts } from '../notifications/counts.ts'
import { parseMessage } from '../notifications/parse.ts'
import { createRefusals } from '../notifications/refusals.ts'
import type { EntryOutcome, Queue, QueueMessage } from './queue.ts'
import type { SqsSpec } from './spec.ts'

/** SQS takes ten entries a call. */
const BATCH_MAX = 10
/** Long polls at once; one alone while the queue has nothing, since each costs money. */
const RECEIVES_MAX = 10
/** SQS stops at 120,000 in flight for all who read a queue. */
const HELD_MAX = 100_000
/** SQS holds a message for 12 hours from its receipt; the minute is for clocks and latency. */
const HOLD_MS_MAX = 12 * 3_600_000 - 60_000
const DELETES_MAX = 10
/** Of a run that ends when it is idle: SQS asks all of its servers for any wait above zero, so an empty answer is true. */
const IDLE_WAIT_S = 1
const batches = { itemsMax: BATCH_MAX, runsMax: 10 } as const

type SqsSettings = Pick<SqsSpec, 'queueUrl' | 'visibilityTimeoutS' | 'onMalformed' | 'onForeign'>

interface Held {
  readonly id: string
  readonly receipt: string
  readonly objects: readonly Announced[]
  /** Whether acknowledging deletes it: a message with a malformed record is left to the redrive policy. */
  readonly isDeleted: boolean
  readonly receivedAtMs: number
  /** When its time must be extended. */
  dueAtMs: number
  settled?: Promise<void>
}

/**
 * Notifications of an SQS queue. What is received is hidden from others until it is acknowledged or released, for 12
 * hours at most; after that somebody receives it again, and the ledger tells that its objects are counted.
 */
export function createSqsSource(queue: Queue, spec: SqsSettings, context: NotificationContext): NotificationSource {
  const { clock, random, place, untilIdle, onEvent } = context
  const visibilityMs = spec.visibilityTimeoutS * 1_000
  const closing = new AbortController()
  const { counts, count } = createCounts()
  const held = new Set<Held>()
  const ready: Held[] = []
  const change = createChange()
  let receiving = 0
  let receivesWanted = 1
  /** The last receive found nothing, while nothing was held: a held message blocks those of its group. */
  let isEmpty = false
  /** When messages that are left to the redrive policy may be received again. */
  let leftUntilMs: readonly number[] = []
  let failure: Error | undefined
  let closed: Promise<void> | undefined
  const warn = (event: string, message: string, details = {}): void =>
    onEvent({ level: 'warn', event, message, details: { queue: spec.queueUrl, ...details } })
  const refused = createRefusals({ count, warn })

  /** Network and throttling come and go: waited out for as long as the process lives. */
  async function untilItWorks<T>(call: () => Promise<T>): Promise<T | undefined> {
    for (let failures = 0; !closing.signal.aborted; failures++) {
      try {
        const result = await call()
        if (failures > 0) warn('queue-reachable', `Queue ${spec.queueUrl} answers again.`, { failures })
        return result
      } catch (error) {
        if (closing.signal.aborted) return undefined
        if (!isMillraceError(error) || error.kind !== 'retry') throw error
        count('retries')
        if (failures === 0) warn('queue-unreachable', error.message)
        await clock.sleep(backoffMs(pauses, failures, random), closing.signal)
      }
    }
    return undefined
  }

  async function receive(size: number): Promise<void> {
    receiving++
    isEmpty = false
    const before = counts.messages
    const isAlone = held.size === 0
    try {
      const waitS = untilIdle ? IDLE_WAIT_S : undefined
      const messages = (await untilItWorks(() => queue.receive(size, closing.signal, waitS))) ?? []
      isEmpty = isAlone && messages.length === 0 && counts.messages === before
      receivesWanted = messages.length < size ? 1 : Math.min(RECEIVES_MAX, receivesWanted * 2)
      for (const message of messages) take(message)
    } catch (error) {
      failure = error as Error
    } finally {
      receiving--
      change.notify()
    }
  }

  function take({ id, receipt, body }: QueueMessage): void {
    const { objects, refusals } = parseMessage(body, { place, keys: 'encoded' })
    count('messages')
    count('accepted', objects.length)
    const reasons = new Set(refusals.map(({ reason }) => reason))
    const isMalformed = reasons.has('malformed')
    const isForeign = reasons.has('foreign-bucket') || reasons.has('foreign-prefix')
    const isLeft = (isMalformed && spec.onMalformed === 'leave') || (isForeign && spec.onForeign === 'leave')
    refused({ id, name: `Message ${id} of ${spec.queueUrl}`, ...(isLeft ? {} : { quarantined: body }) }, refusals)
    const receivedAtMs = clock.nowMs()
    const message: Held = {
      id,
      receipt,
      objects,
      isDeleted: !isLeft,
      receivedAtMs,
      dueAtMs: receivedAtMs + visibilityMs / 2,
    }
    if (isLeft) leftUntilMs = [...leftUntilMs.filter(untilMs => untilMs > receivedAtMs), receivedAtMs + visibilityMs]
    if (objects.length === 0 && isLeft) return count('left')
    held.add(message)
    if (closing.signal.aborted) void settle(message, giveBack)
    else if (objects.length === 0) void settle(message, remove)
    else ready.push(message)
  }

  function settle(message: Held, how: (message: Held) => Promise<void>): Promise<void> {
    message.settled ??= how(message).finally(() => {
      held.delete(message)
      change.notify()
    })
    return message.settled
  }

  const remove = batched<Held>({
    ...batches,
    run: async messages => {
      let rest = messages
      for (let attempt = 0; rest.length > 0; attempt++) {
        if (attempt > 0) await clock.sleep(backoffMs(pauses, attempt - 1, random), closing.signal)
        const outcomes = await tried(() => queue.remove(rest.map(({ receipt }) => receipt)), rest.length)
        count('deleted', outcomes.filter(outcome => outcome === 'done').length)
        // Somebody else has it now, or it is gone: when it comes again, its objects are in the ledger.
        count('stale-receipts', outcomes.filter(outcome => outcome === 'stale').length)
        rest = rest.filter((_, n) => outcomes[n] === 'failed')
        if (rest.length === 0) return
        count('delete-retries', rest.length)
        if (attempt + 1 < (closing.signal.aborted ? 3 : DELETES_MAX)) continue
        count('deletes-given-up', rest.length)
        warn(
          'deletes-given-up',
          `${rest.length} messages of ${spec.queueUrl} could not be deleted: they will come again.`,
        )
        return
      }
    },
  })

  const giveBack = batched<Held>({
    ...batches,
    run: async messages => {
      const outcomes = await tried(
        () => queue.hide(messages.map(({ receipt }) => ({ receipt, seconds: 0 }))),
        messages.length,
      )
      // What fails comes back by itself when its visibility ends.
      count('released', outcomes.filter(outcome => outcome === 'done').length)
    },
  })

  /** A call whose failure as a whole is that of each entry; one that only a person can mend ends the next pull. */
  async function tried(call: () => Promise<readonly EntryOutcome[]>, size: number): Promise<readonly EntryOutcome[]> {
    try {
      return await call()
    } catch (error) {
      const isRetried = isMillraceError(error) && error.kind === 'retry'
      if (isRetried) count('retries')
      else failure ??= error as Error
      return Array.from({ length: size }, () => (isRetried ? 'failed' : 'stale'))
    }
  }

  /** Every message is due at half its visibility after the last extension, so none can become due in a shorter sleep. */
  async function beat(): Promise<void> {
    while (!closing.signal.aborted) {
      let nextMs = clock.nowMs() + visibilityMs / 2
      for (const { dueAtMs } of held) nextMs = Math.min(nextMs, dueAtMs)
      await clock.sleep(Math.max(1, nextMs - clock.nowMs()), closing.signal)
      if (closing.signal.aborted) return
      const nowMs = clock.nowMs()
      const due = [...held].filter(({ dueAtMs }) => dueAtMs <= nowMs)
      const kept = due.filter(message => {
        const isKept = nowMs - message.receivedAtMs + 1_000 <= HOLD_MS_MAX
        if (!isKept) letGo(message, 'holds-expired', 'has been held for 12 hours, and SQS allows no more')
        return isKept
      })
      const extensions = Array.from({ length: Math.ceil(kept.length / BATCH_MAX) }, (_, n) =>
        extend(kept.slice(n * BATCH_MAX, (n + 1) * BATCH_MAX), nowMs),
      )
      await Promise.all(extensions)
    }
  }

  async function extend(messages: readonly Held[], nowMs: number): Promise<void> {
    const entries = messages.map(({ receipt, receivedAtMs }) => ({
      receipt,
      seconds: Math.min(spec.visibilityTimeoutS, Math.floor((receivedAtMs + HOLD_MS_MAX - nowMs) / 1_000)),
    }))
    const outcomes = await tried(() => queue.hide(entries), messages.length)
    for (const [n, message] of messages.entries()) {
      if (!held.has(message)) continue
      if (outcomes[n] === 'stale') letGo(message, 'holds-lost', 'is no longer hidden from others')
      // After a failure there is time for four more before the visibility ends.
      else message.dueAtMs = nowMs + visibilityMs / (outcomes[n] === 'done' ? 2 : 10)
    }
    count('extended', outcomes.filter(outcome => outcome === 'done').length)
  }

  /** Its objects are counted once all the same: it comes again, and the ledger knows them. */
  function letGo(message: Held, counter: string, why: string): void {
    held.delete(message)
    count(counter)
    warn(counter, `Message ${message.id} of ${spec.queueUrl} ${why}. It will be received again.`, { id: message.id })
    change.notify()
  }

  async function inFlight(): Promise<number> {
    try {
      return (await queue.attributes()).inFlight
    } catch {
      // Who may receive may work without this one: then an empty answer is all that is known.
      count('backlog-unknown')
      return 0
    }
  }

  /** Of messages that this source has not received. */
  async function inFlightBefore(): Promise<number> {
    const messages = await inFlight()
    if (messages > 0)
      onEvent({
        level: 'info',
        event: 'in-flight-elsewhere',
        message: `${messages} messages of ${spec.queueUrl} are in flight elsewhere: this run ends when they have come back or are gone, after ${spec.visibilityTimeoutS} s at the latest.`,
        details: { queue: spec.queueUrl, messages },
      })
    return messages
  }

  /**
   * Whether a process that died holds no messages any more, which come back when their visibility ends. Those that somebody
   * else goes on holding are waited for no longer than that.
   */
  async function isNothingElsewhere(): Promise<boolean> {
    if (!(await elsewhere)) return true
    const nowMs = clock.nowMs()
    if (nowMs >= startedMs + visibilityMs) return true
    return (await inFlight()) <= leftUntilMs.filter(untilMs => untilMs > nowMs).length
  }

  async function end(): Promise<void> {
    closing.abort()
    change.notify()
    while (receiving > 0) await change.next()
    await Promise.all([beating, ...[...held].map(message => settle(message, giveBack))])
    queue.close()
  }

  function notification(message: Held): Notification {
    return {
      id: message.id,
      objects: message.objects,
      acknowledge: () =>
        settle(message, async each => {
          if (each.isDeleted) await remove(each)
          else count('left')
        }),
      release: () => settle(message, giveBack),
    }
  }

  const beating = beat()
  const startedMs = clock.nowMs()
  const elsewhere = untilIdle ? inFlightBefore() : undefined

  return {
    counts,
    positionsAfter: () => null,
    async pull(max, signal) {
      while (!signal.aborted && !closing.signal.aborted) {
        if (failure) throw failure
        if (ready.length > 0) return ready.splice(0, max).map(notification)
        if (untilIdle && isEmpty && receiving === 0 && held.size === 0 && (await isNothingElsewhere())) return []
        const size = Math.min(BATCH_MAX, max)
        while (
          receiving < Math.min(receivesWanted, Math.ceil(max / BATCH_MAX)) &&
          held.size + (receiving + 1) * BATCH_MAX <= HELD_MAX
        )
          void receive(size)
        await change.next(signal)
      }
      return []
    },
    async backlog() {
      try {
        return { messages: (await queue.attributes()).messages }
      } catch {
        // A figure for a screen: what is wrong shows where messages are received.
        count('backlog-unknown')
        return {}
      }
    },
    close: () => (closed ??= end()),
  }
}

/** @throws MillraceError `user` when the queue does not exist or may not be read. */
export async function checkQueue(queue: Queue, spec: SqsSettings, { onEvent }: NotificationContext): Promise<void> {
  try {
    const { hasRedrive } = await queue.attributes()
    if (hasRedrive || spec.onMalformed !== 'leave') return
    onEvent({
      level: 'warn',
      event: 'no-redrive-policy',
      message: `Queue ${spec.queueUrl} has no redrive policy: a message that cannot be read comes again until the queue drops it. Give it a dead-letter queue, or use onMalformed: 'quarantine'.`,
      details: { queue: spec.queueUrl },
    })
  } catch (error) {
    if (isMillraceError(error) && error.kind === 'user' && error.code !== 'queue-access-denied') throw error
    // Who may receive may work without this one; a receive that is denied ends the first pull.
    onEvent({
      level: 'warn',
      event: 'queue-not-described',
      message: `Backlog and redrive policy are not known: ${errorMessage(error)}`,
      details: { queue: spec.queueUrl },
    })
  }
}
