/** Queues and topics that tell of objects, in any order, twice, or not at all. */
import { CreateQueueCommand, GetQueueAttributesCommand, SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs'
import { Kafka, logLevel } from 'kafkajs'
import { S3_CREDENTIALS } from '../servers/minio.ts'

export interface Announcer {
  /** What the daemon's pipeline reads. */
  readonly env: Readonly<Record<string, string>>
  announce(events: readonly object[]): Promise<void>
  /** Messages that nobody has taken yet, or that are held. */
  waiting(): Promise<number>
  close(): Promise<void>
}

export async function announceBySqs(endpoint: string): Promise<Announcer> {
  const sqs = new SQSClient({ endpoint, region: 'us-east-1', credentials: S3_CREDENTIALS })
  const name = `trips-${Math.trunc(Math.random() * 1e9)}`
  const create = async () => (await sqs.send(new CreateQueueCommand({ QueueName: name }))).QueueUrl as string
  const QueueUrl = await create()
  return {
    env: { TRIPS_QUEUE: QueueUrl, TRIPS_SQS: endpoint },
    async announce(events) {
      // ElasticMQ keeps its queues in memory: after a restart they are gone.
      await create()
      for (let start = 0; start < events.length; start += 10)
        await sqs.send(
          new SendMessageBatchCommand({
            QueueUrl,
            Entries: events.slice(start, start + 10).map((event, index) => ({ Id: `${index}`, MessageBody: JSON.stringify(event) })),
          }),
        )
    },
    async waiting() {
      const { Attributes = {} } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }))
      return Number(Attributes.ApproximateNumberOfMessages) + Number(Attributes.ApproximateNumberOfMessagesNotVisible)
    },
    async close() {
      sqs.destroy()
    },
  }
}

export async function announceByKafka(broker: string): Promise<Announcer> {
  const kafka = new Kafka({ brokers: [broker], clientId: 'announcer', logLevel: logLevel.NOTHING })
  const topic = `trips-${Math.trunc(Math.random() * 1e9)}`
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 3 }] })
  const producer = kafka.producer()
  await producer.connect()
  return {
    env: { TRIPS_TOPIC: topic, TRIPS_KAFKA: broker },
    async announce(events) {
      await producer.send({ topic, messages: events.map(event => ({ value: JSON.stringify(event) })) })
    },
    async waiting() {
      return 0
    },
    async close() {
      await producer.disconnect()
      await admin.disconnect()
    },
  }
}
