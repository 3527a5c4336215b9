import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { pause } from '../golden/golden.ts'
import { startElasticmq } from '../servers/elasticmq.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startKafka } from '../servers/kafka.ts'
import { startMinio } from '../servers/minio.ts'
import { type Announcer, announceByKafka, announceBySqs } from './announce.ts'
import { expectTrue } from './expect-true.ts'
import { type Landed, type LiveLab, openLiveLab, s3Event } from './live-lab.ts'

const minio = await serverFor(startMinio)
const elasticmq = await serverFor(startElasticmq)
const kafka = await serverFor(startKafka)

const transports: readonly [
  name: string,
  endpoint: string | undefined,
  open: (endpoint: string) => Promise<Announcer>,
][] = [
  ['SQS', elasticmq?.endpoint, announceBySqs],
  ['Kafka', kafka?.endpoint, announceByKafka],
]

describe.each(transports)('a bucket followed through %s', (name, endpoint, open) => {
  let lab: LiveLab
  let announcer: Announcer
  beforeAll(async () => {
    if (!minio || !endpoint) return
    lab = await openLiveLab(minio.endpoint, name.toLowerCase())
    announcer = await open(endpoint)
  })
  afterAll(async () => {
    await announcer?.close()
    await lab?.[Symbol.asyncDispose]()
  })

  test.skipIf(!minio || !endpoint)(
    'months in many small objects, announced out of order, twice, and some never, count once; rows equal the oracle and the replay',
    async () => {
      const { random, label } = drawn()
      const cut = await lab.cutMonths(3, 6_000, 150)
      const daemon = lab.start({ ...announcer.env, TRIPS_RECONCILE: '3s' })
      // Month by month, as they land.
      for (const month of ['2022-01', '2022-02', '2022-03']) {
        const landed: Landed[] = []
        for (const { key, file } of cut.filter(({ key }) => key.includes(month))) landed.push(await lab.put(key, file))
        const told = landed.filter(() => random() < 0.9)
        const twice = told.filter(() => random() < 0.2)
        const events = [...told, ...twice]
          .map(one => ({ one, at: random() }))
          .toSorted((a, b) => a.at - b.at)
          .map(({ one }) => s3Event(lab.bucket, one))
        await announcer.announce(events)
      }
      await lab.counted(cut.length, daemon)
      // What is told again is known.
      await announcer.announce([s3Event(lab.bucket, { key: cut[0]?.key ?? '', eTag: '', size: 0 })])
      daemon.kill('SIGTERM')
      const { code, stderr } = await daemon.ended
      expect(code, `${label}\n${stderr}`).toBe(0)
      await expectTrue(lab, cut.length)
    },
    240_000,
  )
})

/** Kills in each of the two tests, with one of the store and one of the queue among eight; MILLRACE_KILLS=25 is fifty in all. */
const kills = wholeFromEnvironment('MILLRACE_KILLS', 8)

describe.each([
  ['SQS', elasticmq, announceBySqs],
  ['Kafka', kafka, announceByKafka],
] as const)('a daemon that follows a bucket through %s', (name, queue, open) => {
  test.skipIf(!minio || !queue)(
    'killed again and again, with store and queue killed in between, loses and doubles no row (I1 to I10)',
    async () => {
      if (!minio || !queue) return
      await using lab = await openLiveLab(minio.endpoint, `kills-${name.toLowerCase()}`)
      const announcer = await open(queue.endpoint)
      try {
        const { random, label } = drawn()
        const cut = await lab.cutMonths(3, 6_000, 120)
        const shuffled = cut.map(one => ({ one, at: random() })).toSorted((a, b) => a.at - b.at)
        const env = { ...announcer.env, TRIPS_EVERY: '50ms', TRIPS_OBJECTS_MAX: '5', TRIPS_RECONCILE: '2s' }
        let landed = 0
        for (let kill = 0; kill < kills; kill++) {
          const daemon = lab.start(env)
          // A share of what is left lands in this life, and most of it is told of.
          const share = shuffled.slice(landed, Math.ceil(((kill + 1) / kills) * shuffled.length))
          landed += share.length
          for (const { one } of share) {
            const put = await lab.put(one.key, one.file)
            if (random() < 0.9) await announcer.announce([s3Event(lab.bucket, put)])
          }
          await pause(random() * 2_500)
          daemon.kill('SIGKILL')
          const { code, stderr } = await daemon.ended
          // It died of the signal, and of nothing before.
          expect(code, `${label}, kill ${kill}\n${stderr}`).toBe(null)
          if (kill % 8 === 3) {
            await minio.kill()
            await minio.restart()
          }
          if (kill % 8 === 7) {
            await queue.kill()
            await queue.restart()
            await announcer.restore()
          }
        }
        const daemon = lab.start(env)
        await lab.counted(Math.ceil(cut.length / 2), daemon)
        // The store goes while the daemon lives: it waits, and goes on.
        await minio.kill()
        await minio.restart()
        await lab.counted(cut.length, daemon)
        daemon.kill('SIGTERM')
        const { code, stderr } = await daemon.ended
        expect(code, `${label}\n${stderr}`).toBe(0)
        await expectTrue(lab, cut.length)
      } finally {
        await announcer.close()
      }
    },
    600_000,
  )
})
