/** The guides of a followed bucket, step by step: what their commands set up, doctor, a run, and the objects that land then. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CreateBucketCommand,
  type NotificationConfiguration,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { CreateQueueCommand, SQSClient } from '@aws-sdk/client-sqs'
import { Kafka } from 'kafkajs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { root, runMillrace, startNode } from '../cli/child.ts'
import { S3_ENVIRONMENT } from '../connectors/s3/fixtures.ts'
import { readPage } from '../docs/pages.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startKafka } from '../servers/kafka.ts'
import { S3_CREDENTIALS, startMinio } from '../servers/minio.ts'
import { startMinistack } from '../servers/ministack.ts'

const region = 'eu-west-1'
const ministack = await serverFor(startMinistack)
const kafka = await serverFor(() => startKafka())
const minio = kafka && (await serverFor(() => startMinio({ kafka: { brokers: kafka.endpoint, topic: 'landed' } })))

const sqsGuide = await readPage('docs/guides/follow-a-bucket-with-sqs.md')
const kafkaGuide = await readPage('docs/guides/follow-a-bucket-with-kafka.md')
const pipelineOf = (guide: string) => /^```ts\n([\s\S]*?)^```/m.exec(guide)?.[1] ?? ''
/** What a command of a guide is given as JSON, for the account of the test's server. */
const given = (guide: string, option: string) =>
  JSON.parse((new RegExp(`--${option} '([^']*)'`).exec(guide)?.[1] ?? '').replaceAll('123456789012', '000000000000'))

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-bucket-guide-'))
})
afterEach(() => rm(folder, { recursive: true }))

const clientOf = (endpoint: string) =>
  new S3Client({ endpoint, region, forcePathStyle: true, credentials: S3_CREDENTIALS })

async function announce(s3: S3Client, guide: string): Promise<void> {
  const NotificationConfiguration: NotificationConfiguration = given(guide, 'notification-configuration')
  await s3.send(new PutBucketNotificationConfigurationCommand({ Bucket: 'bucket', NotificationConfiguration }))
}

const [, shown] = /^```text\n([\s\S]*?)^```/m.exec(sqsGuide) ?? []

/** Doctor, the run, and what the guide of SQS lets land: the results that are there then, as `sql` shows them. */
async function follow(s3: S3Client, pipeline: string, checkpoint: string, env: Readonly<Record<string, string>>) {
  await writeFile(join(folder, 'pipeline.ts'), pipeline)
  const judged = await runMillrace(['doctor', 'pipeline.ts'], folder, env)
  expect(judged.code, judged.stdout + judged.stderr).toBe(0)
  expect(judged.stdout).toContain("announces new objects below 'input/'")
  const args = ['run', 'pipeline.ts', '--no-http', '--threads', '1', '--log-level', 'debug', '--log', 'json']
  const child = startNode([join(root, 'src/cli/bin.ts'), ...args], folder, env)
  try {
    // The next listing is a quarter of an hour away: what lands now is announced.
    await child.says('"event":"listed"')
    const landing = [...sqsGuide.matchAll(/^echo '(.*)' > (\S+)$/gm)]
    expect(landing).toHaveLength(2)
    for (const [, row = '', name = ''] of landing)
      await s3.send(new PutObjectCommand({ Bucket: 'bucket', Key: `input/${name}`, Body: `${row}\n` }))
    await child.says('/hourly/part-')
  } finally {
    child.kill('SIGINT')
  }
  expect(await child.ended).toMatchObject({ code: 0 })
  const asked = await runMillrace(['sql', checkpoint, 'FROM output'], folder, env)
  expect(asked.code, asked.stderr).toBe(0)
  return asked.stdout
}

test.skipIf(!ministack)('a bucket is followed with SQS', async () => {
  const endpoint = ministack?.endpoint ?? ''
  const s3 = clientOf(endpoint)
  const sqs = new SQSClient({ endpoint, region, credentials: S3_CREDENTIALS })
  await s3.send(new CreateBucketCommand({ Bucket: 'bucket' }))
  await sqs.send(new CreateQueueCommand({ QueueName: 'landed-dead' }))
  const Attributes = given(sqsGuide, 'attributes')
  const { QueueUrl = '' } = await sqs.send(new CreateQueueCommand({ QueueName: 'landed', Attributes }))
  await announce(s3, sqsGuide)
  const pipeline = pipelineOf(sqsGuide).replace(/https:\/\/sqs[^']*/, QueueUrl)
  const env = { ...S3_ENVIRONMENT, AWS_REGION: region, AWS_ENDPOINT_URL: endpoint }
  expect(await follow(s3, pipeline, 's3://bucket/checkpoint/', env)).toBe(shown)
})

test.skipIf(!minio)('a bucket is followed with Kafka', async () => {
  const endpoint = minio?.endpoint ?? ''
  const brokers = [kafka?.endpoint ?? '']
  const admin = new Kafka({ brokers }).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'landed', numPartitions: 4 }] })
  await admin.disconnect()
  const s3 = clientOf(endpoint)
  await s3.send(new CreateBucketCommand({ Bucket: 'bucket' }))
  await announce(s3, kafkaGuide)
  const pipeline = pipelineOf(kafkaGuide)
    .replaceAll('http://minio:9000', endpoint)
    .replace(/brokers: \[.*?\]/, `brokers: ${JSON.stringify(brokers)}`)
  const checkpoint = `s3://bucket/checkpoint/?endpoint=${endpoint}`
  expect(await follow(s3, pipeline, checkpoint, S3_ENVIRONMENT)).toBe(shown)
})
