import { backoffMs } from '../../src/core/backoff.ts'
import { isMillraceError } from '../../src/core/errors.ts'
import { type Place, parseMessage, type Refusal } from '../notifications/parse.ts'
import { pauses } from '../notifications/pauses.ts'
import type { RefusedMessage } from '../notifications/refusals.ts'
import { batchMax, type HeldMessage, type SqsContext, visibilityMsOf } from './messages.ts'
import type { QueueMessage } from './queue.ts'
import type { Settling } from './settle.ts'

/** Long polls at once; one alone while the queue has nothing, since each costs money. */
const receivesMax = 10
/** SQS stops at 120,000 in flight for all who read a queue. */
const heldMax = 100_000
/**
 * Of a run that ends when it is idle: SQS asks all of its servers for any wait above zero, so an empty answer is true.
 */
const idleWaitS = 1

export interface PollContext extends SqsContext {
  readonly place: Place
  readonly untilIdle: true | undefined
  readonly settling: Settling
  /** Messages received so far. */
  received(): number
  refused(message: RefusedMessage, refusals: readonly Refusal[]): void
}

/** How receiving stands. */
export interface Polling {
  /** Messages that wait to be handed over. */
  readonly ready: HeldMessage[]
  receiving: number
  /** So many receives at once. */
  wanted: number
  /** The last receive found nothing, while nothing was held: a held message blocks those of its group. */
  isEmpty: boolean
  /** When messages that are left to the redrive policy may be received again. */
  leftUntilMs: readonly number[]
}

export const beginPolling = (): Polling => ({ ready: [], receiving: 0, wanted: 1, isEmpty: false, leftUntilMs: [] })

/** Begins as many receives as are wanted for so many messages. */
export function receiveUpTo(context: PollContext, polling: Polling, max: number): void {
  const receives = Math.min(polling.wanted, Math.ceil(max / batchMax))
  while (polling.receiving < receives && context.held.size + (polling.receiving + 1) * batchMax <= heldMax)
    void receive(context, polling, Math.min(batchMax, max))
}

async function receive(context: PollContext, polling: Polling, size: number): Promise<void> {
  const { queue, closing, held, untilIdle, fail, notify, received } = context
  polling.receiving++
  polling.isEmpty = false
  const before = received()
  const isAlone = held.size === 0
  try {
    const waitS = untilIdle ? idleWaitS : undefined
    const messages = (await untilItWorks(context, () => queue.receive(size, closing, waitS))) ?? []
    polling.isEmpty = isAlone && messages.length === 0 && received() === before
    polling.wanted = messages.length < size ? 1 : Math.min(receivesMax, polling.wanted * 2)
    for (const message of messages) take(context, polling, message)
  } catch (error) {
    fail(error as Error)
  } finally {
    polling.receiving--
    notify()
  }
}

/** Network and throttling come and go: waited out for as long as the process lives. */
async function untilItWorks<T>(context: SqsContext, call: () => Promise<T>): Promise<T | undefined> {
  const { spec, clock, random, closing, count, warn } = context
  for (let failures = 0; !closing.aborted; failures++) {
    try {
      const result = await call()
      if (failures > 0) warn('queue-reachable', `Queue ${spec.queueUrl} answers again.`, { failures })
      return result
    } catch (error) {
      if (closing.aborted) return undefined
      if (!isMillraceError(error) || error.kind !== 'retry') throw error
      count('retries')
      if (failures === 0) warn('queue-unreachable', error.message)
      await clock.sleep(backoffMs(pauses, failures, random), closing)
    }
  }
  return undefined
}

function take(context: PollContext, polling: Polling, { id, receipt, body }: QueueMessage): void {
  const { spec, clock, place, held, closing, settling, count, refused } = context
  const { objects, refusals } = parseMessage(body, { place, keys: 'encoded' })
  count('messages')
  count('accepted', objects.length)
  const isLeft = decideLeft(refusals, spec)
  refused({ id, name: `Message ${id} of ${spec.queueUrl}`, ...(isLeft ? {} : { quarantined: body }) }, refusals)
  const nowMs = clock.nowMs()
  const visibilityMs = visibilityMsOf(context)
  if (isLeft) polling.leftUntilMs = [...polling.leftUntilMs.filter(untilMs => untilMs > nowMs), nowMs + visibilityMs]
  if (objects.length === 0 && isLeft) return count('left')
  const times = { receivedAtMs: nowMs, dueAtMs: nowMs + visibilityMs / 2 }
  const message: HeldMessage = { id, receipt, objects, isDeleted: !isLeft, ...times }
  held.add(message)
  if (closing.aborted) void settling.giveBack(message)
  else if (objects.length === 0) void settling.remove(message)
  else polling.ready.push(message)
}

/** Whether a message is left to the queue's redrive policy, for what it was refused for. */
function decideLeft(
  refusals: readonly Refusal[],
  { onMalformed, onForeign }: Pick<SqsContext['spec'], 'onMalformed' | 'onForeign'>,
): boolean {
  const reasons = new Set(refusals.map(({ reason }) => reason))
  const isForeign = reasons.has('foreign-bucket') || reasons.has('foreign-prefix')
  return (reasons.has('malformed') && onMalformed === 'leave') || (isForeign && onForeign === 'leave')
}
