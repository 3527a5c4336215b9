/** Archived objects on a server that knows storage classes and restores, and sends its own messages to a queue. */
import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { PutBucketNotificationConfigurationCommand, RestoreObjectCommand } from '@aws-sdk/client-s3'
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  type QueueAttributeName,
  SendMessageCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { describe, expect, test } from 'vitest'
import { query } from '../../src/engine/inspect/query.ts'
import { serverFor } from '../servers/for-tests.ts'
import { S3_CREDENTIALS } from '../servers/minio.ts'
import { startMinistack } from '../servers/ministack.ts'
import { expectTrue } from './expect-true.ts'
import { openLiveLab, s3Event } from './live-lab.ts'

const ministack = await serverFor(startMinistack)

describe('an object of storage class GLACIER that is announced', () => {
  test.skipIf(!ministack)(
    'is set aside, and counts exactly once when its restore is announced, twice even (P9, law 3)',
    async () => {
      const { endpoint } = ministack ?? { endpoint: '' }
      await using lab = await openLiveLab(endpoint, 'restore')
      const sqs = new SQSClient({ endpoint, region: 'us-east-1', credentials: S3_CREDENTIALS })
      try {
        const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: `trips-${randomUUID().slice(0, 8)}` }))
        const attributes = async (...AttributeNames: QueueAttributeName[]) =>
          (await sqs.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames }))).Attributes ?? {}
        await lab.s3.send(
          new PutBucketNotificationConfigurationCommand({
            Bucket: lab.bucket,
            NotificationConfiguration: {
              QueueConfigurations: [
                {
                  QueueArn: (await attributes('QueueArn')).QueueArn,
                  Events: ['s3:ObjectCreated:*', 's3:ObjectRestore:Completed'],
                  Filter: { Key: { FilterRules: [{ Name: 'prefix', Value: 'input/' }] } },
                },
              ],
            },
          }),
        )
        // Nothing but the queue tells.
        const daemon = lab.start({ TRIPS_QUEUE: QueueUrl ?? '', TRIPS_SQS: endpoint, TRIPS_RECONCILE: 'false' })
        await daemon.says('"event":"started"')
        const cut = await lab.cutMonths(3, 2_000, 500)
        const months = ['2022-01', '2022-02', '2022-03'].map(month => cut.filter(({ key }) => key.includes(month)))
        const [early, , late] = months.map(([first]) => first)
        const land = async (objects: typeof cut) => {
          for (const one of objects)
            await lab.put(one.key, one.file, one === early || one === late ? 'GLACIER' : 'STANDARD')
        }
        const restore = (one: typeof early) =>
          lab.s3.send(
            new RestoreObjectCommand({
              Bucket: lab.bucket,
              Key: `input/${one?.key}`,
              RestoreRequest: { Days: 1, GlacierJobParameters: { Tier: 'Expedited' } },
            }),
          )

        /** Resolves when the ledger has so many entries; one that is restored has two, and is one object. */
        const entries = async (number: number, objects: number) => {
          const found = async () =>
            (await query(lab.addresses.checkpoint, `SELECT count(*) AS n FROM ledger WHERE "is" = 'object'`)).rows[0]?.n
          while (Number(await found()) < number) {
            if (daemon.child.exitCode !== null) throw new Error(daemon.said().slice(-3000))
            await setTimeout(100)
          }
          expect(await lab.objects()).toBe(objects)
        }
        await land(months[0] ?? [])
        await lab.counted(months[0]?.length ?? 0, daemon)
        // The one is restored while its windows are open, the other when all of the rest has come.
        await restore(early)
        await entries((months[0]?.length ?? 0) + 1, months[0]?.length ?? 0)
        await land([...(months[1] ?? []), ...(months[2] ?? [])])
        await entries(cut.length + 1, cut.length)
        const outcomes = async () =>
          (
            await query(
              lab.addresses.checkpoint,
              `SELECT key, outcome, reason FROM ledger WHERE key IN ('${early?.key}', '${late?.key}') ORDER BY seq`,
            )
          ).rows.map(({ key, outcome, reason }) => [key, outcome, reason])
        const archived = expect.stringContaining('archived')
        expect(await outcomes()).toEqual([
          [early?.key, 'quarantined', archived],
          [early?.key, 'read', null],
          [late?.key, 'quarantined', archived],
        ])
        await restore(late)
        await entries(cut.length + 2, cut.length)

        // Whatever is told again is known: a restore, a creation.
        for (const one of [early, late])
          for (const eventName of ['s3:ObjectRestore:Completed', 'ObjectCreated:Put'])
            await sqs.send(
              new SendMessageCommand({
                QueueUrl,
                MessageBody: JSON.stringify(s3Event(lab.bucket, await lab.landed(one?.key ?? ''), eventName)),
              }),
            )
        const isEmpty = async () => {
          const { ApproximateNumberOfMessages: visible, ApproximateNumberOfMessagesNotVisible: held } =
            await attributes('ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible')
          return visible === '0' && held === '0'
        }
        while (!(await isEmpty())) await setTimeout(100)
        daemon.kill('SIGTERM')
        const { code, stderr } = await daemon.ended
        expect(code, stderr).toBe(0)
        expect((await outcomes()).map(([key, outcome]) => [key, outcome])).toEqual([
          [early?.key, 'quarantined'],
          [early?.key, 'read'],
          [late?.key, 'quarantined'],
          [late?.key, 'read'],
        ])
        await expectTrue(lab, cut.length)
      } finally {
        sqs.destroy()
      }
    },
    120_000,
  )
})
