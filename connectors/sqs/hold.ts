import { batchMax, type HeldMessage, numberOf, outcomesOf, type SqsContext, visibilityMsOf } from './messages.ts'

/** SQS holds a message for 12 hours from its receipt; the minute is for clocks and latency. */
const holdMsMax = 12 * 3_600_000 - 60_000

/**
 * Keeps what is held hidden from others, until the source is closed. Every message is due at half its visibility after
 * the last extension, so none can become due in a shorter sleep.
 */
export async function keepHidden(context: SqsContext): Promise<void> {
  const { clock, closing, held } = context
  while (!closing.aborted) {
    let nextMs = clock.nowMs() + visibilityMsOf(context) / 2
    for (const { dueAtMs } of held) nextMs = Math.min(nextMs, dueAtMs)
    await clock.sleep(Math.max(1, nextMs - clock.nowMs()), closing)
    if (closing.aborted) return
    await extendDue(context, clock.nowMs())
  }
}

async function extendDue(context: SqsContext, nowMs: number): Promise<void> {
  const due = [...context.held].filter(({ dueAtMs }) => dueAtMs <= nowMs)
  const kept = due.filter(message => {
    const isKept = nowMs - message.receivedAtMs + 1_000 <= holdMsMax
    if (!isKept) letGo(context, message, 'holds-expired', 'has been held for 12 hours, and SQS allows no more')
    return isKept
  })
  const extensions = Array.from({ length: Math.ceil(kept.length / batchMax) }, (_, n) =>
    extend(context, kept.slice(n * batchMax, (n + 1) * batchMax), nowMs),
  )
  await Promise.all(extensions)
}

async function extend(context: SqsContext, messages: readonly HeldMessage[], nowMs: number): Promise<void> {
  const { queue, spec, held, count } = context
  const entries = messages.map(({ receipt, receivedAtMs }) => ({
    receipt,
    seconds: Math.min(spec.visibilityTimeoutS, Math.floor((receivedAtMs + holdMsMax - nowMs) / 1_000)),
  }))
  const outcomes = await outcomesOf(context, messages.length, () => queue.hide(entries))
  for (const [n, message] of messages.entries()) {
    if (!held.has(message)) continue
    if (outcomes[n] === 'stale') letGo(context, message, 'holds-lost', 'is no longer hidden from others')
    // After a failure there is time for four more before the visibility ends.
    else message.dueAtMs = nowMs + visibilityMsOf(context) / (outcomes[n] === 'done' ? 2 : 10)
  }
  count('extended', numberOf(outcomes, 'done'))
}

/** Its objects are counted once all the same: it comes again, and the ledger knows them. */
function letGo({ held, spec, count, warn, notify }: SqsContext, message: HeldMessage, counter: string, why: string) {
  held.delete(message)
  count(counter)
  warn(counter, `Message ${message.id} of ${spec.queueUrl} ${why}. It will be received again.`, { id: message.id })
  notify()
}
