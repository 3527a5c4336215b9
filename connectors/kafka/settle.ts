import type { Notification } from '../../src/core/ports.ts'
import { type Entry, passSettled } from './partitions.ts'
import type { Topic, TopicContext } from './topic.ts'

export interface SettleContext extends Pick<TopicContext, 'count'> {
  /** Something has changed: who waits in `pull` looks again. */
  notify(): void
  /** Positions have moved. */
  onSettled(): void
}

/** A message as it is handed over: it is settled once, by the first who does. */
export function notificationOf(context: SettleContext, topic: Topic, entry: Entry): Notification {
  let isTold = false
  const once = async (then: () => void): Promise<void> => {
    if (!isTold) then()
    isTold = true
  }
  return {
    id: entry.id,
    objects: entry.objects,
    acknowledge: () => once(() => settle(context, topic, entry)),
    release: () => once(() => putBack(context, topic, entry)),
  }
}

function settle({ count, notify, onSettled }: SettleContext, { partitions }: Topic, entry: Entry): void {
  count('acknowledged')
  entry.isSettled = true
  const partition = partitions.get(entry.partition)
  if (partition) passSettled(partition)
  notify()
  onSettled()
}

/** It is handed over again, in the log's order. */
function putBack({ count, notify }: SettleContext, { ready }: Topic, entry: Entry): void {
  count('released')
  const later = ready.findIndex(({ partition, offset }) => partition === entry.partition && offset > entry.offset)
  ready.splice(later === -1 ? ready.length : later, 0, entry)
  notify()
}
