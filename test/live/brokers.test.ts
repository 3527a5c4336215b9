/** A daemon whose topic lies on three brokers, of which each dies once. */
import { expect, test } from 'vitest'
import { serverFor } from '../servers/for-tests.ts'
import { startKafkaCluster } from '../servers/kafka.ts'
import { startMinio } from '../servers/minio.ts'
import { announceByKafka } from './announce.ts'
import { expectTrue } from './expect-true.ts'
import { openLiveLab, s3Event } from './live-lab.ts'

const minio = await serverFor(startMinio)
const cluster = await serverFor(startKafkaCluster)

test.skipIf(!minio || !cluster)(
  'a bucket followed through Kafka, whose brokers are killed one after another, counts each object once, and nobody helps',
  async () => {
    if (!minio || !cluster) return
    await using lab = await openLiveLab(minio.endpoint, 'brokers')
    const announcer = await announceByKafka(cluster.endpoint)
    try {
      const cut = await lab.cutMonths(3, 2_000, 150)
      // Nothing but the topic tells.
      const daemon = lab.start({ ...announcer.env, TRIPS_RECONCILE: 'false', TRIPS_OBJECTS_MAX: '5' })
      await daemon.says('"event":"started"')
      const land = async (objects: typeof cut) => {
        // One at a time: what kafkajs sends again to a broker that has answered for another partition is lost.
        for (const { key, file } of objects) await announcer.announce([s3Event(lab.bucket, await lab.put(key, file))])
      }
      const share = Math.ceil(cut.length / 6)
      let landed = 0
      const next = () => cut.slice(landed, (landed += share))
      for (const broker of cluster.brokers) {
        await land(next())
        await broker.kill()
        await land(next())
        // All of it comes while the broker is away.
        await lab.counted(Math.min(landed, cut.length), daemon)
        await broker.restart()
      }
      daemon.kill('SIGTERM')
      const { code, stderr } = await daemon.ended
      expect(code, stderr).toBe(0)
      // One run from its start to its end.
      expect(stderr.match(/"event":"(started|restarting)"/g)).toEqual(['"event":"started"'])
      await expectTrue(lab, cut.length)
    } finally {
      await announcer.close()
    }
  },
  120_000,
)
