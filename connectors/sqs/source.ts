import { createChange } from '../../src/core/change.ts'
import type { Backlog, Notification, NotificationSource } from '../../src/core/ports.ts'
import type { NotificationContext } from '../notifications/context.ts'
import { createCounts } from '../notifications/counts.ts'
import { createRefusals } from '../notifications/refusals.ts'
import { watchElsewhere } from './elsewhere.ts'
import { keepHidden } from './hold.ts'
import type { HeldMessage, SqsContext } from './messages.ts'
import { beginPolling, receiveUpTo } from './poll.ts'
import type { Queue } from './queue.ts'
import { createSettling, type Settling } from './settle.ts'

/**
 * Notifications of an SQS queue. What is received is hidden from others until it is acknowledged or released, for 12
 * hours at most; after that somebody receives it again, and the ledger tells that its objects are counted.
 */
export function createSqsSource(
  queue: Queue,
  spec: SqsContext['spec'],
  { clock, random, place, untilIdle, onEvent }: NotificationContext,
): NotificationSource {
  const closing = new AbortController()
  const { counts, count } = createCounts()
  const { notify, next } = createChange()
  const held = new Set<HeldMessage>()
  let failure: Error | undefined
  let closed: Promise<void> | undefined
  const warn: SqsContext['warn'] = (event, message, details = {}) =>
    onEvent({ level: 'warn', event, message, details: { queue: spec.queueUrl, ...details } })
  const fail = (error: Error): void => {
    failure ??= error
  }
  const context = { queue, spec, clock, random, held, closing: closing.signal, count, warn, fail, notify }
  const settling = createSettling(context)
  const refused = createRefusals({ count, warn })
  const polling = beginPolling()
  const receiver = { ...context, place, untilIdle, settling, received: () => counts.messages ?? 0, refused }
  const hidden = keepHidden(context)
  const isNothingElsewhere = untilIdle && watchElsewhere({ queue, spec, clock, count, onEvent })

  const isSettled = (): boolean => polling.isEmpty && polling.receiving === 0 && held.size === 0

  async function end(): Promise<void> {
    closing.abort()
    notify()
    while (polling.receiving > 0) await next()
    await Promise.all([hidden, ...[...held].map(settling.giveBack)])
    queue.close()
  }

  return {
    counts,
    positionsAfter: () => null,
    async pull(max, signal) {
      while (!signal.aborted && !closing.signal.aborted) {
        if (failure) throw failure
        if (polling.ready.length > 0)
          return polling.ready.splice(0, max).map(message => notification(message, settling))
        if (isNothingElsewhere && isSettled() && (await isNothingElsewhere(polling.leftUntilMs))) return []
        receiveUpTo(receiver, polling, max)
        await next(signal)
      }
      return []
    },
    backlog: () => backlogOf(context),
    close: () => (closed ??= end()),
  }
}

function notification(message: HeldMessage, settling: Settling): Notification {
  return {
    id: message.id,
    objects: message.objects,
    acknowledge: () => settling.acknowledge(message),
    release: () => settling.giveBack(message),
  }
}

async function backlogOf({ queue, count }: Pick<SqsContext, 'queue' | 'count'>): Promise<Backlog> {
  try {
    return { messages: (await queue.attributes()).messages }
  } catch {
    // A figure for a screen: what is wrong shows where messages are received.
    count('backlog-unknown')
    return {}
  }
}
