/** Queues and topics that tell of objects, in any order, twice, or not at all. */
import { randomUUID } from 'node:crypto'
import { CreateQueueCommand, SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs'
import { Kafka, logLevel } from 'kafkajs'
import { S3_CREDENTIALS } from '../servers/minio.ts'

export interface Announcer {
  /** What the daemon's pipeline reads. */
  readonly env: Readonly<Record<string, string>>
  announce(events: readonly object[]): Promise<void>
  /** Messages as they are; null where a message may have no body. */
  send(bodies: readonly (string | null)[]): Promise<void>
  /** After a restart of a server that keeps nothing: its queue is there again, empty. */
  restore(): Promise<void>
  close(): Promise<void>
}

export async function announceBySqs(endpoint: string): Promise<Announcer> {
  const sqs = new SQSClient({ endpoint, region: 'us-east-1', credentials: S3_CREDENTIALS })
  const name = `trips-${randomUUID().slice(0, 8)}`
  const create = async () => (await sqs.send(new CreateQueueCommand({ QueueName: name }))).QueueUrl as string
  const QueueUrl = await create()
  async function send(bodies: readonly (string | null)[]): Promise<void> {
    const all = bodies.filter(body => body !== null && body !== '') as string[]
    for (let start = 0; start < all.length; start += 10)
      await sqs.send(
        new SendMessageBatchCommand({
          QueueUrl,
          Entries: all.slice(start, start + 10).map((MessageBody, index) => ({ Id: `${index}`, MessageBody })),
        }),
      )
  }
  return {
    env: { TRIPS_QUEUE: QueueUrl, TRIPS_SQS: endpoint },
    announce: events => send(events.map(event => JSON.stringify(event))),
    send,
    async restore() {
      await create()
    },
    async close() {
      sqs.destroy()
    },
  }
}

/** @param brokers 'host:port', or several with commas between: each partition then lies on all of them */
export async function announceByKafka(brokers: string): Promise<Announcer> {
  const all = brokers.split(',')
  const kafka = new Kafka({ brokers: all, clientId: 'announcer', logLevel: logLevel.NOTHING })
  const topic = `trips-${randomUUID().slice(0, 8)}`
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    waitForLeaders: true,
    topics: [{ topic, numPartitions: 3, replicationFactor: all.length }],
  })
  const producer = kafka.producer()
  await producer.connect()
  // Nothing of a record but its value is read.
  const headers = { '': '', 'content-type': Buffer.from([0xff, 0, 0xfe]), ['h'.repeat(1_000)]: 'x'.repeat(10_000) }
  const send = async (bodies: readonly (string | null)[]) => {
    for (let start = 0; start < bodies.length; start += 10) {
      const some = bodies.slice(start, start + 10)
      await producer.send({ topic, messages: some.map(value => ({ value, key: value?.slice(0, 9) ?? null, headers })) })
    }
  }
  return {
    env: { TRIPS_TOPIC: topic, TRIPS_KAFKA: brokers },
    announce: events => send(events.map(event => JSON.stringify(event))),
    send,
    async restore() {},
    async close() {
      await producer.disconnect()
      await admin.disconnect()
    },
  }
}
