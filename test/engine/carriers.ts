/** A queue and a topic in this process, behind the sources that read real ones. */
import type { Log } from '../../connectors/kafka/log.ts'
import { createKafkaSource } from '../../connectors/kafka/source.ts'
import type { NotificationContext } from '../../connectors/notifications/context.ts'
import type { Queue } from '../../connectors/sqs/queue.ts'
import { createSqsSource } from '../../connectors/sqs/source.ts'
import type { NotificationSource } from '../../src/core/ports.ts'

export interface Carrier {
  send(body: string): void
  /** Messages that were not received yet. */
  readonly waiting: number
  open(context: NotificationContext): NotificationSource
}

/** What waits for a message wakes when one is sent. */
function bodies() {
  const all: string[] = []
  const wakers = new Set<() => void>()
  return {
    all,
    send(body: string) {
      all.push(body)
      for (const wake of wakers) wake()
    },
    async more(signal: AbortSignal): Promise<void> {
      await new Promise<void>(resolve => {
        wakers.add(resolve)
        signal.addEventListener('abort', () => resolve(), { once: true })
        if (signal.aborted) resolve()
      })
      wakers.clear()
    },
  }
}

function createSqs(): Carrier {
  const { all, send, more } = bodies()
  let received = 0
  const done = (entries: readonly unknown[]) => Promise.resolve(entries.map(() => 'done' as const))
  const queue: Queue = {
    async receive(count, signal) {
      while (received === all.length && !signal.aborted) await more(signal)
      return all.slice(received, (received += Math.min(count, all.length - received))).map((body, index) => {
        const id = `m${received}-${index}`
        return { id, receipt: id, body }
      })
    },
    hide: done,
    remove: done,
    attributes: async () => ({ messages: all.length - received, inFlight: 0, hasRedrive: true }),
    close() {},
  }
  const spec = {
    queueUrl: 'http://queue/1',
    visibilityTimeoutS: 120,
    onMalformed: 'leave',
    onForeign: 'acknowledge',
  } as const
  return {
    send,
    get waiting() {
      return all.length - received
    },
    open: context => createSqsSource(queue, spec, context),
  }
}

function createKafka(): Carrier {
  const { all, send } = bodies()
  let received = 0
  const opened = (context: NotificationContext): Log => ({
    describe: async () => new Map([[0, { earliest: 0, next: all.length }]]),
    async fetch(offsets) {
      const from = offsets.get(0) ?? 0
      if (from === all.length) await context.clock.sleep(5)
      received = Math.min(from + 200, all.length)
      const records = all.slice(from, received).map((body, index) => ({
        offset: from + index,
        timestampMs: -1,
        // A tombstone has no value.
        value: body === '' ? null : Buffer.from(body),
      }))
      return [{ partition: 0, is: 'records', records, next: received }]
    },
    async commit() {},
    async close() {},
  })
  const spec = { topic: 't', groupId: 'g', from: 'earliest', keys: 'encoded' } as const
  return {
    send,
    get waiting() {
      return all.length - received
    },
    open: context => createKafkaSource(opened(context), spec, context),
  }
}

export const carriers = { SQS: createSqs, Kafka: createKafka } as const
