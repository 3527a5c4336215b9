/** A daemon whose queue or topic anybody may write to: what it is told wrongly ends nothing and hides nothing. */
import { PutBucketVersioningCommand } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { query } from '../../src/engine/inspect/query.ts'
import { forge, messageOf, recordOf, type Told } from '../engine/forge.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { startElasticmq } from '../servers/elasticmq.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startKafka } from '../servers/kafka.ts'
import { startMinio } from '../servers/minio.ts'
import { announceByKafka, announceBySqs } from './announce.ts'
import { expectTrue } from './expect-true.ts'
import { openLiveLab } from './live-lab.ts'

const minio = await serverFor(startMinio)
const elasticmq = await serverFor(startElasticmq)
const kafka = await serverFor(startKafka)

/** Forged messages in each of the tests. */
const forged = wholeFromEnvironment('MILLRACE_FORGED_LIVE', 200)

describe.each([
  ['SQS', elasticmq, announceBySqs, 'Enabled'],
  ['SQS', elasticmq, announceBySqs, 'Suspended'],
  ['Kafka', kafka, announceByKafka, 'Enabled'],
  ['Kafka', kafka, announceByKafka, 'Suspended'],
] as const)('a daemon that follows a bucket through %s', (name, queue, open, Status) => {
  test.skipIf(!minio || !queue)(
    `counts what is there, once, whatever it is told of it: versions ${Status}`,
    async () => {
      if (!minio || !queue) return
      const { random, label } = drawn()
      await using lab = await openLiveLab(minio.endpoint, `forged-${name.toLowerCase()}`)
      const announcer = await open(queue.endpoint)
      try {
        await lab.s3.send(new PutBucketVersioningCommand({ Bucket: lab.bucket, VersioningConfiguration: { Status } }))
        const cut = await lab.cutMonths(3, 2_000, 200)
        const stored: Told[] = []
        const bodies: (string | null)[] = [null, '', '\u0000', '[]', 'null']
        const land = async ({ key, file }: (typeof cut)[number]) => {
          const { eTag, size, versionId } = await lab.put(key, file)
          stored.push({ bucket: lab.bucket, key, eTag, sizeBytes: size, ...(versionId ? { versionId } : {}) })
        }
        const [good, ...others] = cut
        if (!good) throw new Error('nothing to land')
        // Nothing but the topic tells.
        const env = { ...announcer.env, TRIPS_RECONCILE: 'false', TRIPS_EVERY: '50ms' }
        const share = Math.ceil(forged / others.length)
        const half = Math.ceil(others.length / 2)
        const lives = [others.slice(0, half), others.slice(half)]
        for (const [life, own] of lives.entries()) {
          for (const one of own) {
            await land(one)
            const told = recordOf(stored.at(-1) as Told, 'input/')
            for (let n = 0; n < share; n++) bodies.push(forge(stored, random, 'input/'))
            bodies.splice(Math.floor(random() * bodies.length), 0, messageOf(told))
          }
          const daemon = lab.start(env, ['--log-level', 'debug'])
          await announcer.send(bodies.splice(0))
          // After all of them, one is read that nobody lied about.
          if (life === 1) {
            await land(good)
            await announcer.send([messageOf(recordOf(stored.at(-1) as Told, 'input/'))])
          }
          const expected = stored.length
          while ((await lab.ledgerKeys().catch(() => [])).length < expected && daemon.child.exitCode === null)
            await new Promise(resolve => setTimeout(resolve, 100))
          daemon.kill('SIGTERM')
          const { code, stderr } = await daemon.ended
          expect(code, `${label}\n${stderr.slice(-3_000)}`).toBe(0)
          expect(stderr.match(/"event":"(started|restarting)"/g), label).toEqual(['"event":"started"'])
        }
        // What the ledger says of what was read is what the store says.
        const { rows } = await query(
          lab.addresses.checkpoint,
          `SELECT key, e_tag, version_id, size_bytes::INTEGER AS size FROM ledger WHERE outcome = 'read'`,
        )
        for (const row of rows) {
          const one = stored.find(({ key }) => key === row.key)
          expect([label, row]).toEqual([
            label,
            { key: one?.key, e_tag: one?.eTag, version_id: row.version_id && one?.versionId, size: one?.sizeBytes },
          ])
        }
        await expectTrue(lab, cut.length)
      } finally {
        await announcer.close()
      }
    },
    180_000,
  )
})
