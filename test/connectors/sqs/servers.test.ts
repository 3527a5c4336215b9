import {
  CreateBucketCommand,
  DeleteObjectCommand,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createQueue as createSdkQueue } from '../../../connectors/sqs/client.ts'
import { sqs, type SqsOptions } from '../../../connectors/sqs/spec.ts'
import { openSqs } from '../../../connectors/sqs/open.ts'
import type { Notification } from '../../../src/core/ports.ts'
import { describeNotificationSource } from '../../contracts/notification-source.ts'
import { startElasticmq } from '../../servers/elasticmq.ts'
import { startFaultyProxy } from '../../servers/faulty-proxy.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinistack } from '../../servers/ministack.ts'
import { contextOf, messageOf, type TestContext } from '../notifications/fixtures.ts'

const elasticmq = await serverFor(startElasticmq)
const ministack = await serverFor(startMinistack)
const credentials = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'testtest', AWS_REGION: 'us-east-1' }
const never = new AbortController().signal
let queues = 0

beforeAll(() => void Object.assign(process.env, credentials))

function clientOf(endpoint: string): SQSClient {
  const client = new SQSClient({ endpoint })
  afterAll(() => client.destroy())
  return client
}

async function createQueue(client: SQSClient, attributes: Record<string, string> = {}): Promise<string> {
  const suffix = attributes.FifoQueue ? '.fifo' : ''
  const QueueName = `landed-${process.pid}-${++queues}${suffix}`
  return (await client.send(new CreateQueueCommand({ QueueName, Attributes: attributes }))).QueueUrl as string
}

const open = (queueUrl: string, options: Partial<SqsOptions> = {}, context: TestContext = contextOf()) =>
  openSqs(sqs({ queueUrl, visibilityTimeout: '2s', ...options }), context)

const keys = (messages: readonly Notification[]) => messages.flatMap(({ objects }) => objects.map(({ key }) => key))

for (const [name, server] of [
  ['SQS of ElasticMQ', elasticmq],
  ['SQS of MiniStack', ministack],
] as const) {
  if (!server) continue
  const client = clientOf(server.endpoint)
  describeNotificationSource(name, async () => {
    const QueueUrl = await createQueue(client)
    return {
      async send(bodies) {
        for (let from = 0; from < bodies.length; from += 10) {
          const Entries = bodies.slice(from, from + 10).map((MessageBody, n) => ({ Id: `${n}`, MessageBody }))
          await client.send(new SendMessageBatchCommand({ QueueUrl, Entries }))
        }
      },
      open: (_, options) => open(QueueUrl, {}, contextOf(options)),
      close: async () => void (await client.send(new DeleteQueueCommand({ QueueUrl }))),
    }
  })
}

describe.skipIf(!elasticmq)('an SQS queue', () => {
  const client = elasticmq ? clientOf(elasticmq.endpoint) : (undefined as never)
  const send = (QueueUrl: string, MessageBody: string, fifo?: { group: string }) =>
    client.send(
      new SendMessageCommand({
        QueueUrl,
        MessageBody,
        ...(fifo && { MessageGroupId: fifo.group, MessageDeduplicationId: `${process.hrtime.bigint()}` }),
      }),
    )
  const visible = async (QueueUrl: string): Promise<number> => {
    const AttributeNames = ['ApproximateNumberOfMessages'] as const
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] }),
    )
    return Number(Attributes?.ApproximateNumberOfMessages)
  }

  test('gives nobody else a message that is held for several times its visibility', async () => {
    const queueUrl = await createQueue(client)
    const source = await open(queueUrl)
    await send(queueUrl, messageOf('a'))
    const [message] = await source.pull(1, never)
    await expect.poll(() => source.counts.extended ?? 0, { timeout: 30_000 }).toBeGreaterThanOrEqual(5)
    expect(await visible(queueUrl)).toBe(0)
    await message?.acknowledge()
    await source.close()
    await expect.poll(() => visible(queueUrl)).toBe(0)
    expect(source.counts).toMatchObject({ messages: 1, deleted: 1 })
  })

  test('gives a message again when its holder is gone without a word', async () => {
    const queueUrl = await createQueue(client)
    await send(queueUrl, messageOf('a'))
    // What a process that was killed leaves behind: a message that it received and nobody extends.
    await client.send(new ReceiveMessageCommand({ QueueUrl: queueUrl, VisibilityTimeout: 2 }))
    const source = await open(queueUrl)
    expect(keys(await source.pull(1, never))).toEqual(['a'])
    await source.close()
  })

  test('waits, in a run that ends when it is idle, for what a process that was killed still hides', async () => {
    const queueUrl = await createQueue(client)
    await send(queueUrl, messageOf('a'))
    await client.send(new ReceiveMessageCommand({ QueueUrl: queueUrl, VisibilityTimeout: 3 }))
    const context = contextOf({ untilIdle: true })
    const source = await open(queueUrl, { visibilityTimeout: '60s' }, context)
    const [message] = await source.pull(10, never)
    expect(keys([message as Notification])).toEqual(['a'])
    expect(context.events.map(({ event }) => event)).toContain('in-flight-elsewhere')
    await message?.acknowledge()
    expect(await source.pull(10, never)).toEqual([])
    await source.close()
  })

  test('tells a receipt that has become stale from one that holds', async () => {
    const queueUrl = await createQueue(client)
    const queue = createSdkQueue({ queueUrl, visibilityTimeoutS: 2 })
    await send(queueUrl, messageOf('a'))
    const [first] = await queue.receive(1, never)
    const [second] = await queue.receive(1, never)
    expect(second?.id).toBe(first?.id)
    const receipts = [first?.receipt ?? '', second?.receipt ?? '']
    expect(await queue.remove(receipts)).toEqual(['stale', 'done'])
    expect(await queue.hide(receipts.map(receipt => ({ receipt, seconds: 2 })))).toEqual(['stale', 'stale'])
    queue.close()
  })

  test('counts each request that reaches the queue, one that failed and was sent again as two', async () => {
    const queueUrl = await createQueue(client)
    const proxy = await startFaultyProxy(elasticmq?.endpoint ?? '')
    onTestFinished(() => proxy.close())
    const counted: string[] = []
    const context = contextOf({ onRequest: kind => counted.push(kind) })
    const source = await open(queueUrl.replace(new URL(queueUrl).origin, proxy.endpoint), {}, context)
    proxy.next('POST', { is: 'reset-before' })
    await send(queueUrl, messageOf('a'))
    const [message] = await source.pull(1, never)
    await expect.poll(() => source.counts.extended ?? 0, { timeout: 30_000 }).toBeGreaterThan(0)
    await message?.acknowledge()
    await expect.poll(() => source.counts.deleted, { timeout: 30_000 }).toBe(1)
    expect(source.counts.retries).toBe(1)
    // What is counted is on its way: it arrives before the next is sent, or soon after.
    await expect.poll(() => proxy.requests.length - counted.length, { timeout: 30_000 }).toBe(0)
    // Attributes, a receive that failed and one that did not, an extension, a delete.
    expect(counted.length).toBeGreaterThanOrEqual(5)
    expect(new Set(counted)).toEqual(new Set(['queue']))
    await source.close()
  })

  test('moves a malformed message to its dead-letter queue', async () => {
    const dead = await createQueue(client)
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl: dead, AttributeNames: ['QueueArn'] }),
    )
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: Attributes?.QueueArn, maxReceiveCount: '2' })
    const queueUrl = await createQueue(client, { RedrivePolicy })
    const context = contextOf()
    const source = await open(queueUrl, {}, context)
    await send(queueUrl, 'no event')
    const stop = new AbortController()
    const pulled = source.pull(10, stop.signal)
    await expect.poll(() => visible(dead), { timeout: 30_000 }).toBe(1)
    stop.abort()
    expect(await pulled).toEqual([])
    await source.close()
    expect(source.counts).toEqual({ messages: 2, malformed: 2, left: 2 })
    expect(context.events.map(({ event }) => event)).toEqual(['malformed', 'malformed'])
  })

  test('keeps the order of each group of a FIFO queue, while it is held and when it was given back', async () => {
    const queueUrl = await createQueue(client, { FifoQueue: 'true' })
    const source = await open(queueUrl)
    const sent = Array.from({ length: 24 }, (_, n) => ({
      group: `g${n % 3}`,
      key: `g${n % 3}/${String(n).padStart(2, '0')}`,
    }))
    for (const { group, key } of sent) await send(queueUrl, messageOf(key), { group })
    const seen: string[] = []
    let hasReleased = false
    while (seen.length < sent.length) {
      const messages = await source.pull(100, never)
      if (!hasReleased) {
        hasReleased = true
        await Promise.all(messages.map(message => message.release()))
        continue
      }
      await expect.poll(() => source.counts.extended ?? 0, { timeout: 10_000 }).toBeGreaterThan(0)
      seen.push(...keys(messages))
      await Promise.all(messages.map(message => message.acknowledge()))
    }
    await source.close()
    for (const group of ['g0', 'g1', 'g2'])
      expect(seen.filter(key => key.startsWith(group))).toEqual(
        sent.filter(each => each.group === group).map(({ key }) => key),
      )
    expect(source.counts).toMatchObject({ deleted: 24 })
  })

  test('that is not there is refused by name, and so is one without a server only later', async () => {
    const queueUrl = `${elasticmq?.endpoint}/000000000000/nobody`
    await expect(open(queueUrl)).rejects.toMatchObject({
      kind: 'user',
      code: 'queue-not-found',
      message: expect.stringContaining(`Queue ${queueUrl} does not exist`),
    })
    const context = contextOf()
    const away = await open('http://127.0.0.1:1/000000000000/landed', {}, context)
    await away.pull(1, AbortSignal.timeout(1_000))
    await away.close()
    expect(context.events.map(({ event }) => event)).toEqual(['queue-not-described', 'queue-unreachable'])
    expect(away.counts.retries).toBeGreaterThan(0)
  })
})

describe.skipIf(!ministack)('S3 announces to SQS, as AWS does', () => {
  test('what lands under the prefix, by the name that it has; all else is settled and counted', async () => {
    const endpoint = ministack?.endpoint as string
    const client = clientOf(endpoint)
    const queueUrl = await createQueue(client)
    const { Attributes } = await client.send(
      new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['QueueArn'] }),
    )
    const s3 = new S3Client({ endpoint, forcePathStyle: true })
    afterAll(() => s3.destroy())
    const Bucket = 'landed'
    await s3.send(new CreateBucketCommand({ Bucket }))
    const QueueConfigurations = [
      { QueueArn: Attributes?.QueueArn, Events: ['s3:ObjectCreated:*', 's3:ObjectRemoved:*'] },
    ]
    await s3.send(
      new PutBucketNotificationConfigurationCommand({
        Bucket,
        NotificationConfiguration: { QueueConfigurations },
      } as never),
    )
    const names = ['trip data/gréen+2022%.parquet', "dt=2022-01-01/a&b=c;d,e:f@g$h!i*j(k)'l~m%25n#o?p😀.csv", 'plain']
    for (const name of names) await s3.send(new PutObjectCommand({ Bucket, Key: `in/${name}`, Body: 'four' }))
    await s3.send(new PutObjectCommand({ Bucket, Key: 'out/x', Body: 'four' }))
    await s3.send(new DeleteObjectCommand({ Bucket, Key: 'out/x' }))
    const source = await open(queueUrl)
    const messages: Notification[] = []
    while (messages.length < names.length) messages.push(...(await source.pull(10, AbortSignal.timeout(30_000))))
    const stop = new AbortController()
    const rest = source.pull(10, stop.signal)
    await expect.poll(() => source.counts.deleted, { timeout: 30_000 }).toBe(3)
    stop.abort()
    expect(await rest).toEqual([])
    expect(keys(messages).toSorted()).toEqual(names.toSorted())
    expect(messages[0]?.objects[0]).toMatchObject({ sizeBytes: 4, eTag: expect.stringMatching(/^[0-9a-f]{32}$/) })
    await Promise.all(messages.map(message => message.acknowledge()))
    await source.close()
    expect(source.counts).toMatchObject({
      accepted: 3,
      'foreign-prefix': 1,
      'not-created': 1,
      'test-event': 1,
      deleted: 6,
    })
  })
})
