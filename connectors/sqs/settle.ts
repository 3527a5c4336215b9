import { backoffMs } from '../../src/core/backoff.ts'
import { batched } from '../notifications/batched.ts'
import { pauses } from '../notifications/pauses.ts'
import { batchMax, type HeldMessage, numberOf, outcomesOf, type SqsContext } from './messages.ts'

/** What becomes of messages that are held, each once: the first call decides. */
export interface Settling {
  /** Deletes it, or leaves it to the redrive policy. */
  acknowledge(message: HeldMessage): Promise<void>
  /** Deletes it: nothing of it is ours. */
  remove(message: HeldMessage): Promise<void>
  /** Somebody else may have it at once. */
  giveBack(message: HeldMessage): Promise<void>
}

const deletesMax = 10
/** Of a source that is closed. */
const lastDeletesMax = 3
const batches = { itemsMax: batchMax, runsMax: 10 } as const

export function createSettling(context: SqsContext): Settling {
  const { held, count, notify } = context
  const remove = batched<HeldMessage>({ ...batches, run: messages => removeAll(context, messages) })
  const giveBack = batched<HeldMessage>({ ...batches, run: messages => giveAllBack(context, messages) })

  function settle(message: HeldMessage, how: (message: HeldMessage) => Promise<void>): Promise<void> {
    message.settled ??= how(message).finally(() => {
      held.delete(message)
      notify()
    })
    return message.settled
  }

  return {
    acknowledge: message =>
      settle(message, async each => {
        if (each.isDeleted) await remove(each)
        else count('left')
      }),
    remove: message => settle(message, remove),
    giveBack: message => settle(message, giveBack),
  }
}

async function removeAll(context: SqsContext, messages: readonly HeldMessage[]): Promise<void> {
  const { queue, spec, clock, random, closing, count, warn } = context
  let rest = messages
  for (let attempt = 0; rest.length > 0; attempt++) {
    if (attempt > 0) await clock.sleep(backoffMs(pauses, attempt - 1, random), closing)
    const receipts = rest.map(({ receipt }) => receipt)
    const outcomes = await outcomesOf(context, rest.length, () => queue.remove(receipts))
    count('deleted', numberOf(outcomes, 'done'))
    // Somebody else has it now, or it is gone: when it comes again, its objects are in the ledger.
    count('stale-receipts', numberOf(outcomes, 'stale'))
    rest = rest.filter((_, n) => outcomes[n] === 'failed')
    if (rest.length === 0) return
    count('delete-retries', rest.length)
    if (attempt + 1 < (closing.aborted ? lastDeletesMax : deletesMax)) continue
    count('deletes-given-up', rest.length)
    warn('deletes-given-up', `${rest.length} messages of ${spec.queueUrl} could not be deleted: they will come again.`)
    return
  }
}

async function giveAllBack(context: SqsContext, messages: readonly HeldMessage[]): Promise<void> {
  const { queue, count } = context
  const entries = messages.map(({ receipt }) => ({ receipt, seconds: 0 }))
  const outcomes = await outcomesOf(context, messages.length, () => queue.hide(entries))
  // What fails comes back by itself when its visibility ends.
  count('released', numberOf(outcomes, 'done'))
}
