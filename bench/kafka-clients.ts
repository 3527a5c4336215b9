/**
 * Which client reads a topic of notifications: kafkajs or @platformatic/kafka (docs/decisions). Each runs in a process
 * of its own, against one broker that is started for it: throughput, memory, a broker's death and return, a position
 * that retention has passed, and compressions.
 *
 *     node bench/kafka-clients.ts [messages]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { Admin, Consumer, Producer } from '@platformatic/kafka'
import { Kafka, logLevel } from 'kafkajs'
import { startKafka } from '../test/servers/kafka.ts'

const messages = Number(process.argv[2] ?? 200_000)
const partitions = 4
/** As large as MinIO's. */
const body = Buffer.from(JSON.stringify({ Records: [{ eventVersion: '2.0', padding: 'x'.repeat(1_100) }] }))

interface Reader {
  /** Reads from these offsets on, and tells each batch. Ends when it is stopped. */
  read(topic: string, from: number, seen: (count: number, offset: number) => void): Promise<() => Promise<void>>
}

const readers = {
  kafkajs: (broker: string): Reader => ({
    async read(topic, from, seen) {
      const kafka = new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING })
      // It has no way to read partitions without a group: the group is a fresh one, whose offsets are set beforehand.
      const groupId = `bench-${process.pid}-${Math.random()}`
      const admin = kafka.admin()
      await admin.connect()
      const offsets = Array.from({ length: partitions }, (_, partition) => ({ partition, offset: String(from) }))
      await admin.setOffsets({ groupId, topic, partitions: offsets })
      await admin.disconnect()
      const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 500 })
      await consumer.connect()
      await consumer.subscribe({ topic, fromBeginning: true })
      consumer.on(consumer.events.CRASH, ({ payload }) => say(payload.error.message))
      await consumer.run({
        autoCommit: false,
        eachBatch: async ({ batch }) => seen(batch.messages.length, Number(batch.messages[0]?.offset)),
      })
      return () => consumer.disconnect()
    },
  }),
  platformatic: (broker: string): Reader => ({
    async read(topic, from, seen) {
      const consumer = new Consumer({ clientId: 'bench', groupId: 'bench', bootstrapBrokers: [broker], retries: 0 })
      consumer.topics.trackAll(topic)
      const next = Array.from({ length: partitions }, () => BigInt(from))
      let isOpen = true
      const reading = (async () => {
        while (isOpen) {
          try {
            const found = (await consumer.metadata({ topics: [topic] })).topics.get(topic)
            const request = next.map((fetchOffset, partition) => ({
              partition,
              fetchOffset,
              currentLeaderEpoch: -1,
              lastFetchedEpoch: -1,
              partitionMaxBytes: 1_048_576,
            }))
            const { responses } = await consumer.fetch({
              node: found?.partitions[0]?.leader ?? 1,
              topics: [{ topicId: found?.id ?? '', partitions: request }],
              maxWaitTime: 500,
              minBytes: 1,
              maxBytes: 8 * 1_048_576,
            })
            for (const { partitionIndex, records } of responses.flatMap(each => each.partitions))
              for (const batch of records ?? []) {
                const count = batch.records.filter(
                  ({ offsetDelta }) => batch.firstOffset + BigInt(offsetDelta) >= (next[partitionIndex] ?? 0n),
                ).length
                next[partitionIndex] = batch.firstOffset + BigInt(batch.lastOffsetDelta + 1)
                seen(count, Number(batch.firstOffset))
              }
          } catch (error) {
            const errors = error instanceof AggregateError ? error.errors : [error]
            for (const each of errors as readonly Error[]) say(each.message)
            await new Promise(resolve => setTimeout(resolve, 200))
          }
        }
      })()
      return async () => {
        isOpen = false
        await reading
        await consumer.close()
      }
    },
  }),
}

const said = new Set<string>()

/** What a client tells its user, once each. */
function say(message: string): void {
  if (!said.has(message)) console.log(`  says: ${message}`)
  said.add(message)
}

const compressions = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

async function main(): Promise<void> {
  for (const name of Object.keys(readers)) {
    const child = fork(import.meta.filename, [String(messages), name], { execArgv: process.execArgv })
    await once(child, 'exit')
  }
}

async function measure(name: keyof typeof readers): Promise<void> {
  const server = await startKafka({ version: '4.4.0' })
  const reader = readers[name](server.endpoint)
  const options = { clientId: 'bench', bootstrapBrokers: [server.endpoint] }
  const admin = new Admin(options)
  const producer = new Producer(options)
  const topic = async (topicName: string): Promise<string> => {
    await admin.createTopics({ topics: [topicName], partitions, replicas: 1 })
    await new Promise(resolve => setTimeout(resolve, 1_000))
    return topicName
  }
  const send = async (
    to: string,
    count: number,
    compression: (typeof compressions)[number] = 'none',
  ): Promise<void> => {
    for (let sent = 0; sent < count; sent += 500) {
      const batch = Array.from({ length: Math.min(500, count - sent) }, (_, n) => ({
        topic: to,
        partition: n % partitions,
        value: body,
      }))
      await producer.send({ messages: batch, compression, acks: 1 })
    }
  }
  /** Milliseconds until so many were read, or 'never' after half a minute. */
  const timed = async (
    from: string,
    offset: number,
    count: number,
    before?: () => Promise<void>,
  ): Promise<number | 'never'> => {
    let read = 0
    let finish = (): void => {}
    const done = new Promise<void>(resolve => (finish = resolve))
    let start = performance.now()
    const stop = await reader.read(from, offset, n => {
      read += n
      if (read >= count) finish()
    })
    if (before) {
      await before()
      start = performance.now()
    }
    const timer = new Promise(resolve => setTimeout(resolve, 30_000, 'never'))
    const result = (await Promise.race([done, timer])) === 'never' ? 'never' : performance.now() - start
    await stop()
    return result
  }
  const shown = (ms: number | 'never'): string => (ms === 'never' ? 'never (30 s)' : `${(ms / 1_000).toFixed(2)} s`)

  const big = await topic('big')
  await send(big, messages)
  const atRest = process.memoryUsage().rss
  let peak = 0
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20)
  const all = await timed(big, 0, messages)
  clearInterval(watch)
  const rate = all === 'never' ? 0 : Math.round((messages / all) * 1_000)
  console.log(
    `${name}: ${messages} messages in ${shown(all)}, ${rate} a second, ` +
      `${Math.round((peak - atRest) / 1_048_576)} MB more at the peak`,
  )
  console.log(`${name}: first message after a start ${shown(await timed(big, 0, 1))}`)
  for (const compression of compressions) {
    const packed = await topic(`of-${compression}`)
    await send(packed, 1_000, compression)
    console.log(`${name}: ${compression} ${shown(await timed(packed, 0, 1_000))}`)
  }
  const passed = await topic('passed')
  await send(passed, 1_000)
  await admin.deleteRecords({
    topics: [
      { name: passed, partitions: Array.from({ length: partitions }, (_, partition) => ({ partition, offset: 100n })) },
    ],
  } as never)
  console.log(`${name}: 150 of each partition that are left after retention ${shown(await timed(passed, 10, 600))}`)
  const restarted = await topic('restarted')
  const again = timed(restarted, 0, 4, async () => {
    await new Promise(resolve => setTimeout(resolve, 2_000))
    await server.kill()
    await new Promise(resolve => setTimeout(resolve, 3_000))
    await server.restart()
    await new Producer(options).send({
      messages: [0, 1, 2, 3].map(partition => ({ topic: restarted, partition, value: body })),
      acks: 1,
    })
  })
  console.log(`${name}: first messages after a broker was killed for 3 s ${shown(await again)}`)
  await server.stop()
  process.exit()
}

const chosen = process.argv[3]
await (chosen === undefined ? main() : measure(chosen as keyof typeof readers))
