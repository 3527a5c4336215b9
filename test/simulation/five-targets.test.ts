import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, startNode } from '../cli/child.ts'
import { BUCKET, makeBucket, rawClient, S3_ENVIRONMENT } from '../connectors/s3/fixtures.ts'
import { type Lab, openLab } from '../engine/harness.ts'
import { drawn, wholeFromEnvironment } from '../golden/drawn.ts'
import { serverFor } from '../servers/for-tests.ts'
import { openLakeReaders } from '../servers/lake-readers.ts'
import { startMinio } from '../servers/minio.ts'
import { psql, startPostgres } from '../servers/postgres.ts'
import { joined, type When } from './killed-backfills.ts'
import { lakes, readLines } from './lake-lines.ts'
import { pgLines } from './pg-lines.ts'

/** MILLRACE_MONTHS=150 is the long form: about an hour on two cores. */
const months = wholeFromEnvironment('MILLRACE_MONTHS', 2)
/** So often at most a process dies in a month. */
const deathsMax = 3
/** All targets are compared after so many months, and at the end. */
const comparedEvery = 20
const minio = await serverFor(startMinio)
const server = await serverFor(startPostgres)
const readers = await serverFor(openLakeReaders)

const columns = 'window_start, zone, trips, fares'
const items = "window_start, coalesce(zone::VARCHAR, ''), trips, fares"

/** Two objects a month, which overlap by a day, so that windows of the first wait for rows of the second. */
const objectsOf = (month: number) =>
  [0, 15].map((from, index) => {
    const first = `TIMESTAMP '2015-01-01' + to_months(${month})`
    const seconds = from === 0 ? 16 * 86_400 : 12 * 86_400
    return {
      key: `month-${String(month).padStart(4, '0')}-${index}.parquet`,
      sql: `SELECT ${first} + to_days(${from}) + to_seconds((i * 7919 + ${month}) % ${seconds}) AS at,
          CASE WHEN i % 5 > 0 THEN i % 5 END AS zone, (i % 1000 / 100)::DECIMAL(18,2) AS fare
        FROM range(1, ${200 + ((month * 37) % 100)}) AS r(i)`,
    }
  })

/** A real bucket and database, real processes and real SIGKILLs. */
describe.skipIf(!minio || !server || !readers)('one pipeline from a bucket into five targets', () => {
  if (!minio || !server || !readers) return
  let lab: Lab
  const client = rawClient(minio.endpoint)

  beforeAll(async () => {
    lab = await openLab()
    await makeBucket(minio.endpoint)
    await psql(server, 'CREATE SCHEMA five')
  })
  afterAll(async () => {
    client.destroy()
    await lab[Symbol.asyncDispose]()
  })

  async function putMonth(month: number): Promise<void> {
    for (const { key, sql } of objectsOf(month)) {
      const Body = await readFile(await lab.parquet(key, sql))
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `five/${key}`, Body }))
    }
  }

  const live = (killAt: number, when: When) =>
    startNode(
      [
        join(root, 'test/simulation/deadly-five-targets.ts'),
        `s3://${BUCKET}/five/?endpoint=${minio.endpoint}`,
        join(lab.root, 'place'),
        server.endpoint,
        'five',
        String(killAt),
        when,
      ],
      lab.root,
      S3_ENVIRONMENT,
    ).ended

  async function expectSame(where: string): Promise<void> {
    const lines = async (sql: string) => (await lab.sql(sql)).map(({ line }) => String(line))
    const expected = joined(
      await lines(
        `SELECT concat_ws('|', ${items}) AS line FROM (
           SELECT date_trunc('day', "at")::TIMESTAMP AS window_start, zone, count(*) AS trips, sum(fare) AS fares
           FROM read_parquet('${lab.input}/*.parquet') GROUP BY ALL)`,
      ),
    )
    expect(expected).not.toBe('')
    const place = join(lab.root, 'place')
    const files = await lines(
      `SELECT concat_ws('|', ${items}) AS line FROM read_parquet('${place}/files/part-*.parquet')`,
    )
    expect(joined(files), `${where}: files by DuckDB`).toBe(expected)
    const query = `SELECT ${columns} FROM five.daily`
    expect(joined((await psql(server as never, query)).split('\n')), `${where}: psql`).toBe(expected)
    expect(joined(await pgLines(server as never, query)), `${where}: pg`).toBe(expected)
    for (const lake of lakes) {
      const folder = join(place, lake)
      for (const [reader, found] of await readLines(readers as never, lake, folder, 'daily', items))
        expect(joined(found), `${where}: ${lake} by ${reader}`).toBe(expected)
    }
  }

  test(`of ${months} months, killed all the time, has the same rows in each (P15, I5, I6, I8, I10)`, async () => {
    const { label, random } = drawn()
    const whole = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
    const whens: readonly When[] = ['before', 'after', 'during']
    let calls = 60
    let kills = 0
    for (let month = 1; month <= months; month++) {
      await putMonth(month)
      for (let deaths = whole(1, deathsMax), isWhole = false; !isWhole; deaths--) {
        const killAt = deaths > 0 ? whole(1, calls) : 0
        const { code, stdout, stderr } = await live(killAt, whens[whole(0, 2)] as When)
        expect(code === null || code === 0, `${label}, month ${month}, call ${killAt}: ${stderr}`).toBe(true)
        // Of what is left of a month there may be fewer calls.
        isWhole = code === 0
        if (isWhole) calls = Math.max(calls, Number(stdout.trim().split('\n').at(-1)))
        else kills++
      }
      if (month % comparedEvery > 0 && month < months) continue
      await expectSame(`${label}, after month ${month}`)
      console.info(`equal after ${month} months and ${kills} kills`)
    }
    expect(kills).toBeGreaterThan(0)
  }, 14_400_000)
})
