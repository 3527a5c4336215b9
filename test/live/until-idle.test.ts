/** Runs that end by themselves, one after another as cron starts them, over a bucket that fills in between. */
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { expect, test } from 'vitest'
import { readCheckpoint } from '../../src/engine/state/read-checkpoint.ts'
import { components } from '../../src/engine/components.ts'
import { engineRecords } from '../../src/engine/state/engine-state.ts'
import { startElasticmq } from '../servers/elasticmq.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startKafka } from '../servers/kafka.ts'
import { S3_CREDENTIALS, startMinio } from '../servers/minio.ts'
import { type Announcer, announceByKafka, announceBySqs } from './announce.ts'
import { expectTrue } from './expect-true.ts'
import { type LiveLab, openLiveLab, s3Event } from './live-lab.ts'

const minio = await serverFor(startMinio)
const elasticmq = await serverFor(startElasticmq)
const kafka = await serverFor(startKafka)

/** Nothing of the queue is left, and nothing in flight. */
async function expectEmptyQueue(_: LiveLab, { env }: Announcer): Promise<void> {
  const sqs = new SQSClient({
    endpoint: env.TRIPS_SQS as string,
    region: 'us-east-1',
    credentials: S3_CREDENTIALS,
  })
  const names = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: env.TRIPS_QUEUE, AttributeNames: [...names] }),
  )
  expect(Attributes).toEqual(Object.fromEntries(names.map(name => [name, '0'])))
  sqs.destroy()
}

/** Positions of the checkpoint count every message. */
async function expectPositions(lab: LiveLab, { env }: Announcer, messages: number): Promise<void> {
  const { head } = await readCheckpoint(components, lab.addresses.checkpoint, 'checkpoint', '/tmp')
  const positions = Object.values(engineRecords(head.manifest).sources)[0]?.positions as Record<
    string,
    Record<string, number>
  >
  const read = Object.values(positions[env.TRIPS_TOPIC ?? ''] ?? {})
  expect(read.reduce((sum, offset) => sum + offset, 0)).toBe(messages)
}

test.skipIf(!minio).each([
  ['SQS', elasticmq?.endpoint, announceBySqs, expectEmptyQueue],
  ['Kafka', kafka?.endpoint, announceByKafka, expectPositions],
] as const)(
  'runs until idle over a bucket announced by %s take what is there each time, settle it, and end with 0',
  async (name, endpoint, open, expectSettled) => {
    if (!minio || !endpoint) return
    await using lab = await openLiveLab(minio.endpoint, `idle-${name.toLowerCase()}`)
    const announcer = await open(endpoint)
    try {
      const cut = await lab.cutMonths(3, 3_000, 150)
      let landed = 0
      let announced = 0
      for (const share of [0.4, 0.4, 0, 1]) {
        const some = cut.slice(landed, landed + Math.ceil(cut.length * share))
        for (const { key, file } of some) {
          const event = s3Event(lab.bucket, await lab.put(key, file))
          await announcer.announce([event])
          announced++
        }
        landed += some.length
        const { code, stderr } = await lab.start(announcer.env, ['--until-idle']).ended
        expect(code, stderr).toBe(0)
        expect(stderr).toContain('"event":"idle"')
        expect(await lab.objects()).toBe(landed)
        await expectSettled(lab, announcer, announced)
      }
      await expectTrue(lab, cut.length)
    } finally {
      await announcer.close()
    }
  },
  180_000,
)
