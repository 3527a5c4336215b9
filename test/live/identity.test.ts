/** Objects that a server both announces and lists, with the names that it gives them in either: P1 and P2. */
import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import {
  type Event,
  PutBucketNotificationConfigurationCommand,
  PutBucketVersioningCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { CreateQueueCommand, GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { Admin } from '@platformatic/kafka'
import { describe, expect, test } from 'vitest'
import { query } from '../../src/engine/inspect/query.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startKafka } from '../servers/kafka.ts'
import { S3_CREDENTIALS, startMinio } from '../servers/minio.ts'
import { startMinistack } from '../servers/ministack.ts'
import { startVersitygw } from '../servers/versitygw.ts'
import { expectTrue } from './expect-true.ts'
import { type Daemon, openLiveLab } from './live-lab.ts'

const topic = 'from-minio'
const kafka = await serverFor(startKafka)
if (kafka) {
  // Two of MinIO's buckets announce to the same one: to each, messages about the other are foreign.
  const admin = new Admin({ clientId: 'test', bootstrapBrokers: [kafka.endpoint] })
  await admin.createTopics({ topics: [topic, 'from-versitygw'], partitions: 3, replicas: 1 })
  await admin.close()
}
const minio = kafka && (await serverFor(() => startMinio({ kafka: { brokers: kafka.endpoint, topic } })))
const versitygw =
  kafka && (await serverFor(() => startVersitygw({ kafka: { brokers: kafka.endpoint, topic: 'from-versitygw' } })))
const ministack = await serverFor(startMinistack)

const Events: Event[] = ['s3:ObjectCreated:*']
const Filter = { Key: { FilterRules: [{ Name: 'prefix' as const, Value: 'input/' }] } }

/** Lets the bucket announce what lands under `input/`; what the daemon then reads. */
type Announce = (s3: S3Client, bucket: string) => Promise<Readonly<Record<string, string>>>

const byKafka: Announce = async (s3, Bucket) => {
  const QueueConfigurations = [{ QueueArn: 'arn:minio:sqs::PRIMARY:kafka', Events, Filter }]
  await s3.send(
    new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration: { QueueConfigurations } }),
  )
  return { TRIPS_TOPIC: topic, TRIPS_KAFKA: kafka?.endpoint ?? '' }
}

/** It announces whatever happens in it, with keys as they are. */
const raw: Announce = async () => ({
  TRIPS_TOPIC: 'from-versitygw',
  TRIPS_KAFKA: kafka?.endpoint ?? '',
  TRIPS_KEYS: 'raw',
})

const bySqs: Announce = async (s3, Bucket) => {
  const endpoint = ministack?.endpoint ?? ''
  const sqs = new SQSClient({ endpoint, region: 'us-east-1', credentials: S3_CREDENTIALS })
  const { QueueUrl = '' } = await sqs.send(new CreateQueueCommand({ QueueName: `trips-${randomUUID().slice(0, 8)}` }))
  const { Attributes } = await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }))
  sqs.destroy()
  const QueueConfigurations = [{ QueueArn: Attributes?.QueueArn, Events, Filter }]
  await s3.send(
    new PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration: { QueueConfigurations } }),
  )
  return { TRIPS_QUEUE: QueueUrl, TRIPS_SQS: endpoint }
}

/** What S3, URLs, forms and XML give a meaning to. versitygw cannot list the last by its name. */
const oddities = [
  'a b',
  'a+b',
  'a%20b',
  '100%',
  '%2F%zz',
  'gréen 😀',
  'e\u0301+é',
  'x&y=z;?#[1]',
  '"<\'>',
  'tab\t',
  'ctl\u0001\u007f',
]

/** Objects that messages have named so far, of those that this daemon received. */
const received = (daemon: Daemon): number =>
  daemon
    .said()
    .split('\n')
    .filter(line => line.includes('"event":"received"'))
    .reduce((sum, line) => sum + (JSON.parse(line) as { objects: number }).objects, 0)

describe.each([
  ['MinIO, through Kafka', minio, byKafka, ['with', 'without'], oddities],
  ['MiniStack, through SQS', ministack, bySqs, ['with', 'without'], oddities],
  ['versitygw, through Kafka', versitygw, raw, ['without'], oddities.slice(0, -1)],
] as const)('what is announced and listed by %s', (_, server, announce, kinds, names) => {
  test.skipIf(!server).each(kinds)(
    'counts once in a bucket %s versions, whatever its key, also one that is overwritten while its message waits (P1, P2)',
    async versions => {
      await using lab = await openLiveLab(server?.endpoint ?? '', 'identity')
      const { s3, bucket } = lab
      if (versions === 'with')
        await s3.send(
          new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }),
        )
      const env = await announce(s3, bucket)
      const cut = (await lab.cutMonths(3, 2_000, 200)).map(({ key, file }, n) => ({
        key: key.replace(/part (\d+).*\./, (_match, part) => `${part} ${names[n % names.length]}.`),
        file,
      }))
      expect(new Set(cut.map(({ key }) => key)).size).toBe(cut.length)
      let puts = 0
      const put = async (key: string, file: string) => {
        puts++
        return lab.put(key, file)
      }
      // Half lies there at the start: the listing finds it, and then the messages about it come.
      const half = Math.ceil(cut.length / 2)
      const [changed, same] = cut
      for (const { key, file } of cut.slice(0, half)) {
        // Overwritten while its message waits: by other content, and by its own.
        if (key === changed?.key) await put(key, cut.at(-1)?.file ?? '')
        if (key === same?.key) await put(key, file)
        await put(key, file)
      }
      const daemon = lab.start({ ...env, TRIPS_RECONCILE: '1s' }, ['--log', 'json', '--log-level', 'debug'])
      await daemon.says('"event":"started"')
      // The other half is told first, and listed a little later.
      for (const { key, file } of cut.slice(half)) await put(key, file)
      await lab.counted(cut.length, daemon)
      while (received(daemon) < puts) await setTimeout(100)
      // Two more listings: the second one begins after the last message was taken.
      const listings = () => daemon.said().split('"event":"listed"').length
      for (const until = listings() + 2; listings() < until; ) await setTimeout(100)
      daemon.kill('SIGTERM')
      const { code, stderr } = await daemon.ended
      expect(code, stderr).toBe(0)
      expect(received(daemon)).toBe(puts)

      // What was overwritten was not read: its version is told by the message only, and comes after the newer one. Where
      // versions are kept it is there all the same.
      const { rows } = await query(
        lab.addresses.checkpoint,
        `SELECT key, outcome, reason FROM ledger WHERE "is" = 'object' AND outcome <> 'read' ORDER BY seq`,
      )
      expect(rows).toEqual([
        versions === 'with'
          ? { key: changed?.key, outcome: 'quarantined', reason: expect.stringContaining('was counted before') }
          : { key: changed?.key, outcome: 'gone', reason: 'the object changed after it was listed' },
      ])
      await expectTrue(lab, cut.length)
    },
    120_000,
  )
})
