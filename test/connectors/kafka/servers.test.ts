import {
  CreateBucketCommand,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { Admin, Producer } from '@platformatic/kafka'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { kafka, type KafkaOptions } from '../../../connectors/kafka/spec.ts'
import { systemClock } from '../../../src/core/clock.ts'
import type { Json } from '../../../src/core/json.ts'
import type { Notification, NotificationSource } from '../../../src/core/ports.ts'
import { openKafka } from '../../../connectors/kafka/open.ts'
import { describeNotificationSource } from '../../contracts/notification-source.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startKafka } from '../../servers/kafka.ts'
import { S3_CREDENTIALS, startMinio } from '../../servers/minio.ts'
import { contextOf, messageOf, type TestContext } from '../notifications/fixtures.ts'

const newest = await serverFor(() => startKafka({ version: '4.4.0' }))
const older = await serverFor(() => startKafka({ version: '3.9.2' }))
const minio =
  newest && (await serverFor(() => startMinio({ kafka: { brokers: newest.endpoint, topic: 'from-minio' } })))
const never = new AbortController().signal
const keys = (messages: readonly Notification[]) => messages.flatMap(({ objects }) => objects.map(({ key }) => key))
let topics = 0

function labOf(endpoint: string) {
  const options = { clientId: 'test', bootstrapBrokers: [endpoint] }
  const admin = new Admin(options)
  // Right after a topic is made only some partitions take what is sent, and the rest is sent again: not twice to any.
  const producer = new Producer({ ...options, idempotent: true })
  afterAll(async () => {
    await producer.close()
    await admin.close()
  })
  return {
    admin,
    async topic(partitions = 3, configs: { name: string; value: string }[] = []): Promise<string> {
      const topic = `landed-${++topics}`
      await admin.createTopics({ topics: [topic], partitions, replicas: 1, configs })
      return topic
    },
    async send(
      topic: string,
      bodies: readonly string[],
      to: { partition?: number; compression?: 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd' } = {},
    ) {
      const { partition, compression = 'none' } = to
      const messages = bodies.map(body => ({
        topic,
        value: Buffer.from(body),
        ...(partition === undefined ? {} : { partition }),
      }))
      await producer.send({ messages, compression })
    },
    open: (topic: string, given: Partial<KafkaOptions> = {}, context: TestContext = contextOf()) =>
      openKafka(kafka({ brokers: [endpoint], topic, ...given }), context),
  }
}

async function pullObjects(source: NotificationSource, count: number): Promise<readonly Notification[]> {
  const messages: Notification[] = []
  while (keys(messages).length < count) messages.push(...(await source.pull(100, AbortSignal.timeout(30_000))))
  return messages
}

for (const [version, server] of [
  ['4.4.0', newest],
  ['3.9.2', older],
] as const) {
  if (!server) continue
  const lab = labOf(server.endpoint)
  describeNotificationSource(`Kafka ${version}`, async () => {
    const topic = await lab.topic()
    return {
      send: bodies => lab.send(topic, bodies),
      open: (positions, options) => lab.open(topic, {}, contextOf({ positions, ...options })),
      close: () => lab.admin.deleteTopics({ topics: [topic] }),
    }
  })
}

describe.skipIf(!newest)('a Kafka topic', () => {
  const lab = newest ? labOf(newest.endpoint) : (undefined as never)

  test('of the beginning or the end, at the first start; later starts go on from positions', async () => {
    const topic = await lab.topic(1)
    await lab.send(topic, [messageOf('old')])
    const late = await lab.open(topic, { from: 'latest' })
    expect(keys(await late.pull(10, AbortSignal.timeout(1_500)))).toEqual([])
    await lab.send(topic, [messageOf('new')])
    expect(keys(await pullObjects(late, 1))).toEqual(['new'])
    const positions = late.positionsAfter([])
    expect(positions).toEqual({ [topic]: { 0: 1 } })
    await late.close()
    const again = await lab.open(topic, { from: 'latest' }, contextOf({ positions }))
    expect(keys(await pullObjects(again, 1))).toEqual(['new'])
    await again.close()
    const early = await lab.open(topic)
    expect(keys(await pullObjects(early, 2))).toEqual(['old', 'new'])
    await early.close()
  })

  test('has positions that never pass what is not settled, whatever was settled after it', async () => {
    const topic = await lab.topic(1)
    const source = await lab.open(topic)
    await lab.send(topic, ['no event', messageOf('a'), messageOf('b'), 'no event', messageOf('c')])
    const [a, b, c] = await pullObjects(source, 3)
    const at = (...committed: (Notification | undefined)[]) => source.positionsAfter(committed as Notification[])
    expect([at(), at(a), at(b), at(a, b), at(b, c), at(a, b, c)]).toEqual(
      [1, 2, 1, 4, 1, 5].map(n => ({ [topic]: { 0: n } })),
    )
    await b?.acknowledge()
    await c?.release()
    expect([at(), at(a)]).toEqual([1, 4].map(n => ({ [topic]: { 0: n } })))
    await a?.acknowledge()
    expect(keys(await source.pull(10, never))).toEqual(['c'])
    expect(at()).toEqual({ [topic]: { 0: 4 } })
    await source.close()
  })

  test('shows its lag under a group of the term, which nothing reads', async () => {
    const topic = await lab.topic(1)
    await lab.send(topic, [messageOf('a'), messageOf('b')])
    const source = await lab.open(topic, { groupId: 'lag' }, contextOf({ term: 7 }))
    const [a] = await pullObjects(source, 2)
    await a?.acknowledge()
    expect((await source.backlog()).messages).toBe(1)
    expect((await source.backlog()).oldestAgeMs).toBeLessThan(60_000)
    await source.close()
    const [group] = await lab.admin.listConsumerGroupOffsets({ groups: ['lag-7'] })
    expect(group?.topics[0]?.partitions[0]).toMatchObject({ partitionIndex: 0, committedOffset: 1n })
    // The next term begins where its checkpoint says, which here is nowhere.
    const next = await lab.open(topic, { groupId: 'lag' }, contextOf({ term: 7 }))
    expect(keys(await pullObjects(next, 2))).toEqual(['a', 'b'])
    await next.close()
  })

  test('is read in every compression', async () => {
    const topic = await lab.topic(1)
    const all = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
    for (const compression of all)
      await lab.send(topic, [messageOf(`${compression}-1`), messageOf(`${compression}-2`)], { compression })
    const source = await lab.open(topic)
    expect(keys(await pullObjects(source, 10))).toEqual(all.flatMap(each => [`${each}-1`, `${each}-2`]))
    await source.close()
  })

  test('that grows is read from the beginning of each new partition, now and after a start', async () => {
    const topic = await lab.topic(1)
    // An hour in a minute, so that partitions are asked for at once.
    const clock = { ...systemClock, nowMs: () => systemClock.nowMs() * 60 }
    const context = contextOf({ clock })
    const source = await lab.open(topic, { from: 'latest' }, context)
    expect(await source.pull(1, AbortSignal.timeout(500))).toEqual([])
    const positions = source.positionsAfter([])
    await lab.admin.createPartitions({ topics: [{ name: topic, count: 3, assignments: null }] } as never)
    await lab.send(topic, [messageOf('grown')], { partition: 2 })
    expect(keys(await pullObjects(source, 1))).toEqual(['grown'])
    expect(context.events.map(({ event, details }) => [event, details.partition])).toEqual([
      ['partition-added', 1],
      ['partition-added', 2],
    ])
    await source.close()
    const again = await lab.open(topic, { from: 'latest' }, contextOf({ positions }))
    expect(keys(await pullObjects(again, 1))).toEqual(['grown'])
    await again.close()
  })

  test('that no longer has a position is loud about it, and read on from what there is', async () => {
    const topic = await lab.topic(2)
    for (let n = 0; n < 5; n++) await lab.send(topic, [messageOf(`a${n}`)], { partition: 1 })
    await lab.admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition: 1, offset: 4n }] }] } as never)
    const context = contextOf({ positions: { [topic]: { 0: 0, 1: 1 } } })
    const source = await lab.open(topic, {}, context)
    const messages = await pullObjects(source, 1)
    expect(keys(messages)).toEqual(['a4'])
    expect(source.counts).toMatchObject({ 'positions-lost': 1, 'messages-lost': 3 })
    expect(context.events).toMatchObject([
      { level: 'error', event: 'positions-lost', details: { partition: 1, position: 1, earliest: 4 } },
    ])
    expect(source.positionsAfter(messages)).toEqual({ [topic]: { 0: 0, 1: 5 } })
    await source.close()
  })

  test('whose positions were never such is refused', async () => {
    const topic = await lab.topic(1)
    for (const positions of [
      5,
      { [topic]: 5 },
      { [topic]: { x: 1 } },
      { [topic]: { 0: -1 } },
      { [topic]: { 0: '1' } },
    ] as Json[])
      await expect(lab.open(topic, {}, contextOf({ positions }))).rejects.toMatchObject({
        kind: 'user',
        message: expect.stringContaining('positions:'),
      })
    // Positions of another topic are none of this one's.
    const source = await lab.open(topic, {}, contextOf({ positions: { other: { 0: 9 } } }))
    await lab.send(topic, [messageOf('a')])
    expect(keys(await pullObjects(source, 1))).toEqual(['a'])
    await source.close()
  })

  test('that is not there is refused by name', async () => {
    await expect(lab.open('nobody')).rejects.toMatchObject({
      kind: 'user',
      code: 'topic-not-found',
      message: expect.stringContaining(`Topic nobody at ${newest?.endpoint} does not exist`),
    })
  })

  test('whose brokers do not answer is waited for', async () => {
    const context = contextOf()
    const source = await openKafka(kafka({ brokers: ['127.0.0.1:1'], topic: 't' }), context)
    expect(await source.pull(1, AbortSignal.timeout(1_000))).toEqual([])
    expect(source.positionsAfter([])).toBe(null)
    await source.close()
    expect(source.counts.retries).toBeGreaterThan(0)
    expect(context.events.map(({ event }) => event)).toEqual(['kafka-unreachable'])
  })

  test('goes on after its broker was killed and started again', async () => {
    const server = await startKafka({ version: '4.4.0' })
    try {
      const own = labOf(server.endpoint)
      const topic = await own.topic(3)
      const context = contextOf()
      const source = await own.open(topic, {}, context)
      await own.send(
        topic,
        Array.from({ length: 10 }, (_, n) => messageOf(`a${n}`)),
      )
      const seen = new Set(keys(await pullObjects(source, 10)))
      await server.kill()
      expect(await source.pull(1, AbortSignal.timeout(1_000))).toEqual([])
      await server.restart()
      const after = labOf(server.endpoint)
      await after.send(
        topic,
        Array.from({ length: 10 }, (_, n) => messageOf(`b${n}`)),
      )
      while (seen.size < 20) for (const key of keys(await pullObjects(source, 1))) seen.add(key)
      expect(context.events.map(({ event }) => event)).toEqual(
        expect.arrayContaining(['kafka-unreachable', 'kafka-reachable']),
      )
      await source.close()
    } finally {
      await server.stop()
    }
  })
})

describe.skipIf(!minio)('MinIO announces to Kafka', () => {
  const lab = minio && newest ? labOf(newest.endpoint) : (undefined as never)
  const s3 = new S3Client({
    endpoint: minio?.endpoint ?? '',
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: S3_CREDENTIALS,
  })
  afterAll(() => s3.destroy())
  beforeAll(async () => {
    await lab.admin.createTopics({ topics: ['from-minio'], partitions: 2, replicas: 1 }).catch(() => {})
    await s3.send(new CreateBucketCommand({ Bucket: 'landed' }))
    await s3.send(
      new PutBucketNotificationConfigurationCommand({
        Bucket: 'landed',
        NotificationConfiguration: {
          QueueConfigurations: [
            { QueueArn: 'arn:minio:sqs::PRIMARY:kafka', Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'] },
          ],
        },
      }),
    )
  })

  test('what lands under the prefix, by the name that it has', async () => {
    const source = await lab.open('from-minio')
    const names = ['trip data/gréen+2022%.parquet', 'a&b=c;d.csv', 'plain']
    for (const name of names) await s3.send(new PutObjectCommand({ Bucket: 'landed', Key: `in/${name}`, Body: 'four' }))
    await s3.send(new PutObjectCommand({ Bucket: 'landed', Key: 'out/x', Body: 'four' }))
    const messages = await pullObjects(source, 3)
    expect(keys(messages).toSorted()).toEqual(names.toSorted())
    expect(messages[0]?.objects[0]).toMatchObject({
      bucket: 'landed',
      sizeBytes: 4,
      eTag: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
    await source.close()
  })
})
