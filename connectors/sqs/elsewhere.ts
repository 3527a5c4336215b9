import type { NotificationContext } from '../notifications/context.ts'
import { type SqsContext, visibilityMsOf } from './messages.ts'

type ElsewhereContext = Pick<SqsContext, 'queue' | 'spec' | 'clock' | 'count'> & Pick<NotificationContext, 'onEvent'>

/**
 * For a run that ends when it is idle: tells whether a process that died holds no messages any more, which come back
 * when their visibility ends. Those that somebody else goes on holding are waited for no longer than that.
 *
 * @returns asked with the times until which messages are hidden that this source has left to the redrive policy
 */
export function watchElsewhere(context: ElsewhereContext): (leftUntilMs: readonly number[]) => Promise<boolean> {
  const { clock } = context
  const startedMs = clock.nowMs()
  const before = inFlightBefore(context)
  return async leftUntilMs => {
    if (!(await before)) return true
    const nowMs = clock.nowMs()
    if (nowMs >= startedMs + visibilityMsOf(context)) return true
    return (await inFlight(context)) <= leftUntilMs.filter(untilMs => untilMs > nowMs).length
  }
}

/** Of messages that this source has not received. */
async function inFlightBefore(context: ElsewhereContext): Promise<number> {
  const { queueUrl, visibilityTimeoutS } = context.spec
  const messages = await inFlight(context)
  if (messages > 0)
    context.onEvent({
      level: 'info',
      event: 'in-flight-elsewhere',
      message:
        `${messages} messages of ${queueUrl} are in flight elsewhere: this run ends when they have come back or are ` +
        `gone, after ${visibilityTimeoutS} s at the latest.`,
      details: { queue: queueUrl, messages },
    })
  return messages
}

async function inFlight({ queue, count }: ElsewhereContext): Promise<number> {
  try {
    return (await queue.attributes()).inFlight
  } catch {
    // Who may receive may work without this one: then an empty answer is all that is known.
    count('backlog-unknown')
    return 0
  }
}
