/** A daemon that follows two sources, each told of in its own way, and is killed now and then. MILLRACE_KILLS=50 kills it longer. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { GetObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3'
import { DuckDBInstance } from '@duckdb/node-api'
import { describe, expect, test } from 'vitest'
import { query } from '../../src/engine/inspect/query.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { startElasticmq } from '../servers/elasticmq.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startKafka } from '../servers/kafka.ts'
import { startMinio } from '../servers/minio.ts'
import { type Announcer, announceByKafka, announceBySqs } from './announce.ts'
import { type LiveLab, openLiveLab, s3Event } from './live-lab.ts'

const minio = await serverFor(startMinio)
const queues = await serverFor(startElasticmq)
const topics = await serverFor(startKafka)
const kills = wholeFromEnvironment('MILLRACE_KILLS', 2)
/** Objects of each source, of an hour each. */
const hours = Math.max(8, kills)
const delayUs = 3 * 3_600_000_000

const sources = ['trips', 'payments'] as const
type Source = (typeof sources)[number]
const timeOf: Readonly<Record<Source, string>> = { trips: '"at"', payments: 'paid_at' }

/** Trips every two minutes, each paid up to 130 minutes later, which is too late for some. */
function linesOf(source: Source, hour: number): string {
  const rows = Array.from({ length: 30 }, (_, index) => {
    const trip = hour * 30 + index
    const at = Date.UTC(2024, 0, 1, hour, 2 * index)
    const text = (ms: number) => new Date(ms).toISOString().slice(0, 19).replace('T', ' ')
    return source === 'trips'
      ? { at: text(at), trip, fare: trip % 97 }
      : { paid_at: text(at + ((trip * 37) % 130) * 60_000), trip, cents: trip % 89 }
  })
  return `${rows.map(row => JSON.stringify(row)).join('\n')}\n`
}

/** The other one of an announcer's settings, for the second source. */
const forPayments = ({ env }: Announcer) =>
  Object.fromEntries(Object.entries(env).map(([name, value]) => [name.replace('TRIPS_', 'PAYMENTS_'), value]))

describe.skipIf(!minio || !queues || !topics)(`two sources of one daemon, which is killed ${kills} times`, () => {
  const all = [
    { what: 'a topic and a queue', trips: announceByKafka, of: () => topics },
    { what: 'two queues', trips: announceBySqs, of: () => queues },
  ]
  test.each(process.env.MILLRACE_KILLS === undefined ? all.slice(0, 1) : all)(
    '$what: every object counts once, and what comes out is one query over the rows that were on time (law 3, S4, I4, I5)',
    async ({ what, trips, of }) => {
      if (!minio || !queues) return
      const { random, label } = drawn()
      await using lab = await openLiveLab(minio.endpoint, 'two', 'paid.ts')
      const folder = await mkdtemp(join(tmpdir(), 'millrace-two-'))
      const announcers = { trips: await trips(of()?.endpoint ?? ''), payments: await announceBySqs(queues.endpoint) }
      const env = { ...announcers.trips.env, ...forPayments(announcers.payments) }
      const landed = { trips: 0, payments: 0 }
      const land = async (source: Source) => {
        const hour = landed[source]++
        const key = `${source}/${String(hour).padStart(3, '0')}.jsonl`
        const file = join(folder, key.replace('/', '-'))
        await writeFile(file, linesOf(source, hour))
        await announcers[source].announce([s3Event(lab.bucket, await lab.put(key, file))])
      }
      try {
        for (let killed = 0; killed < kills; killed++) {
          const daemon = lab.start(env)
          await daemon.says('"event":"started"')
          // One of them is silent now and then.
          for (const source of sources) if (landed[source] < hours && random() < 0.8) await land(source)
          await setTimeout(random() * 1_500)
          daemon.kill('SIGKILL')
          await daemon.ended
        }
        const daemon = lab.start(env)
        for (const source of sources) while (landed[source] < hours) await land(source)
        await lab.counted(2 * hours, daemon)
        daemon.kill('SIGTERM')
        const { code, stderr } = await daemon.ended
        expect(code, stderr).toBe(0)
        await expectRight(lab, folder, `${label}, ${what}`)
      } finally {
        for (const announcer of Object.values(announcers)) await announcer.close()
        await rm(folder, { recursive: true })
      }
    },
    120_000 + kills * 20_000,
  )
})

/** Published rows beside one query over the rows that were on time, by the order of the ledger. */
async function expectRight(lab: LiveLab, folder: string, label: string): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:')
  const db = await instance.connect()
  const texts = async (sql: string) =>
    (await db.runAndReadAll(`SELECT COLUMNS(*)::VARCHAR FROM (${sql}) ORDER BY ALL`)).getRowsJson()
  const { rows: ledger } = await query(
    lab.addresses.checkpoint,
    `SELECT source, key FROM ledger WHERE outcome = 'read' ORDER BY seq`,
  )
  const entries = ledger.map(({ source, key }) => ({ source: source as Source, key: String(key) }))
  expect(new Set(entries.map(({ source, key }) => `${source} ${key}`)).size, label).toBe(2 * hours)
  expect(entries, label).toHaveLength(2 * hours)

  const highs = { trips: Number.NEGATIVE_INFINITY, payments: Number.NEGATIVE_INFINITY }
  const onTime: Record<'join' | 'window', Record<Source, string[]>> = {
    join: { trips: [], payments: [] },
    window: { trips: [], payments: [] },
  }
  for (const { source, key } of entries) {
    const time = timeOf[source]
    const number = key.slice(-'000.jsonl'.length)
    const rows = `SELECT ${time}::TIMESTAMP AS t, * FROM read_json('${join(folder, `${source}-${number}`)}')`
    const clock = Math.min(highs.trips, highs.payments) - delayUs
    const judged = Number.isFinite(clock) ? clock : 'NULL'
    onTime.join[source].push(`${rows} WHERE (epoch_us(${time}::TIMESTAMP) < ${judged}) IS NOT TRUE`)
    onTime.window[source].push(
      `${rows} WHERE ((epoch_us(${time}::TIMESTAMP) // 3600000000 + 1) * 3600000000 <= ${judged}) IS NOT TRUE`,
    )
    const [[high] = []] = (await db.runAndReadAll(`SELECT max(epoch_us(t))::DOUBLE FROM (${rows})`)).getRowsJson()
    highs[source] = Math.max(highs[source], Number(high))
  }
  const all = (parts: readonly string[]) => `(${parts.join(' UNION ALL ')})`
  const pairs = await texts(
    `SELECT t.trip, t.fare, p.cents FROM ${all(onTime.join.trips)} AS t JOIN ${all(onTime.join.payments)} AS p
     ON t.trip = p.trip AND p.t BETWEEN t.t AND t.t + INTERVAL 2 HOUR`,
  )
  expect(pairs.length).toBeGreaterThan(hours)
  expect(await texts(`SELECT trip, fare, cents FROM ${await published(lab, folder, 'paid')}`), label).toEqual(pairs)
  const closed = Math.min(highs.trips, highs.payments) - delayUs
  const counted = await texts(
    `SELECT w, count(*) AS n
     FROM (SELECT epoch_us(t) // 3600000000 * 3600000000 AS w FROM ${all(onTime.window.trips)} UNION ALL SELECT epoch_us(t) // 3600000000 * 3600000000 FROM ${all(onTime.window.payments)})
     WHERE w + 3600000000 <= ${closed} GROUP BY w`,
  )
  expect(counted.length).toBeGreaterThan(1)
  expect(
    await texts(`SELECT epoch_us(window_start) AS w, events AS n FROM ${await published(lab, folder, 'hours')}`),
    label,
  ).toEqual(counted)
  instance.closeSync()
}

/** A flow's files, fetched. */
async function published(lab: LiveLab, folder: string, flow: string): Promise<string> {
  const { Contents = [] } = await lab.s3.send(
    new ListObjectsV2Command({ Bucket: lab.bucket, Prefix: `output/${flow}/part-` }),
  )
  for (const [index, { Key }] of Contents.entries()) {
    const { Body } = await lab.s3.send(new GetObjectCommand({ Bucket: lab.bucket, Key }))
    await writeFile(join(folder, `${flow}-${index}.parquet`), (await Body?.transformToByteArray()) ?? '')
  }
  return `read_parquet('${join(folder, `${flow}-*.parquet`)}')`
}
