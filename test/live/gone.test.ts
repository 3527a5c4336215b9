/** Objects that are announced and not there, on a real bucket and a real queue (P13). */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { DeleteObjectCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3'
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { expect, test } from 'vitest'
import { query } from '../../src/engine/inspect/query.ts'
import { startElasticmq } from '../servers/elasticmq.ts'
import { serverFor } from '../servers/for-tests.ts'
import { S3_CREDENTIALS, startMinio } from '../servers/minio.ts'
import { announceBySqs } from './announce.ts'
import { expectTrue } from './expect-true.ts'
import { type Landed, openLiveLab, s3Event } from './live-lab.ts'

const minio = await serverFor(startMinio)
const elasticmq = await serverFor(startElasticmq)

test.skipIf(!minio || !elasticmq)(
  'what is announced too early, after it was deleted, or with a versionId that nothing has, counts once it is announced as it is there',
  async () => {
    if (!minio || !elasticmq) return
    await using lab = await openLiveLab(minio.endpoint, 'gone')
    await lab.s3.send(
      new PutBucketVersioningCommand({ Bucket: lab.bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    )
    const announcer = await announceBySqs(elasticmq.endpoint)
    const sqs = new SQSClient({ endpoint: elasticmq.endpoint, region: 'us-east-1', credentials: S3_CREDENTIALS })
    const isEmpty = async () => {
      const AttributeNames = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const
      const QueueUrl = announcer.env.TRIPS_QUEUE
      const { Attributes } = await sqs.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: [...AttributeNames] }),
      )
      return AttributeNames.every(name => Attributes?.[name] === '0')
    }
    try {
      const cut = await lab.cutMonths(3, 2_000, 500)
      const [first, early, removed, forged, refused, ...others] = cut
      await lab.put(first?.key ?? '', first?.file ?? '')
      const daemon = lab.start({ ...announcer.env, TRIPS_RECONCILE: 'false' })
      await daemon.says('"event":"started"')
      const land = async (one: typeof early) => lab.put(one?.key ?? '', one?.file ?? '')
      const tell = (landed: Landed, versionId?: string) => {
        const event = s3Event(lab.bucket, landed) as { Records: { s3: { object: object } }[] }
        const [record] = event.Records
        if (record && versionId !== undefined) Object.assign(record.s3.object, { versionId })
        return announcer.announce([event])
      }
      const entries = async (outcome: string, number: number) => {
        const sql = `SELECT count(*) AS n FROM ledger WHERE outcome = '${outcome}'`
        while (Number((await query(lab.addresses.checkpoint, sql)).rows[0]?.n) < number) {
          if (daemon.child.exitCode !== null) throw new Error(daemon.said().slice(-3000))
          await setTimeout(100)
        }
      }

      // The listing of the start is over: it finds nothing of what follows.
      await entries('read', 1)
      const body = await readFile(early?.file ?? '')
      const eTag = createHash('md5').update(body).digest('hex')
      await tell({ key: early?.key ?? '', eTag, size: body.length })
      const deleted = await land(removed)
      await lab.s3.send(new DeleteObjectCommand({ Bucket: lab.bucket, Key: `input/${deleted.key}` }))
      await tell(deleted)
      // Of MinIO's form, and of none.
      await tell(await land(forged), '11111111-2222-3333-4444-555555555555')
      await tell(await land(refused), 'none-of-minio')
      await entries('gone', 4)
      // Its entry is what settles a message.
      while (!(await isEmpty())) await setTimeout(100)

      for (const one of [early, removed]) await tell(await land(one))
      for (const one of [forged, refused]) await tell(await lab.landed(one?.key ?? ''))
      for (const one of others) await tell(await land(one))
      await entries('read', cut.length)
      while (!(await isEmpty())) await setTimeout(100)
      daemon.kill('SIGTERM')
      const { code, stderr } = await daemon.ended
      expect(code, stderr).toBe(0)

      // A listing finds nothing that is not known.
      const listing = lab.start({ ...announcer.env, TRIPS_RECONCILE: '200ms' }, ['--log-level', 'debug'])
      for (const wanted of [1, 2, 3])
        while (listing.said().split('"event":"listed"').length <= wanted) await setTimeout(50)
      listing.kill('SIGTERM')
      expect((await listing.ended).code).toBe(0)
      await expectTrue(lab, cut.length)
    } finally {
      sqs.destroy()
      await announcer.close()
    }
  },
  120_000,
)
