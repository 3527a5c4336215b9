/** A backfill in S3 whose process is killed at a request, again and again, and one beside another: on a real MinIO. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seed } from '../seed.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { type Child, root as checkout, runMillrace, startNode } from '../cli/child.ts'
import { BUCKET, makeBucket, newStore, rawClient, S3_ENVIRONMENT } from '../connectors/s3/fixtures.ts'
import { type FaultyProxy, startFaultyProxy } from '../servers/faulty-proxy.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startMinio } from '../servers/minio.ts'

const minio = await serverFor(startMinio)
const OBJECTS = 8
const KILLS = 6
const isWrite = (request: string): boolean => /^(PUT|POST|DELETE) /.test(request)

const pipelineText = `
import { aggregate, count, files, groupBy, json, pipeline, source, sum, to, tumbling } from 'millrace'
const events = source('events', {
  objects: process.env.INPUT ?? '', format: json(), time: 't', watermark: { delay: '1 hour' },
  columns: { t: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', amount: 'DECIMAL(18,2)' },
})
export default pipeline('kills', { checkpoint: process.env.CHECKPOINT ?? '' },
  events.pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ n: count(), amount: sum('amount') }),
    to(files(process.env.OUTPUT ?? '', { format: 'parquet' }))))
`

/** Enough groups that staged output is no inline file, so that it is copied (P8). */
const lines = (day: number): string =>
  Array.from({ length: 4_000 }, (_, row) =>
    JSON.stringify({
      t: `2022-01-0${1 + day} ${String(row % 24).padStart(2, '0')}:00:00`,
      zone: `zone-${(row * 7_919) % 1_009}`,
      amount: `${row}.25`,
    }),
  ).join('\n')

describe.skipIf(!minio)(`backfills in S3 that are killed (seed ${seed})`, () => {
  const endpoint = minio?.endpoint ?? ''
  let folder: string
  let proxy: FaultyProxy
  let onRequest: (request: string, stage: 'came' | 'applied') => void = () => {}
  let expected: string
  /** Of a run that nobody disturbs. */
  let writes: number

  const place = (name: string, through: string) => ({
    ...S3_ENVIRONMENT,
    INPUT: `s3://${BUCKET}/kills/input/?endpoint=${through}`,
    CHECKPOINT: `s3://${BUCKET}/kills/${name}/checkpoint/?endpoint=${through}`,
    OUTPUT: `s3://${BUCKET}/kills/${name}/output/?endpoint=${through}`,
  })
  const arguments_ = [`${checkout}src/cli/bin.ts`, 'backfill', 'pipeline.ts', '--objects-per-epoch', '1']
  const start = (name: string): Child => startNode(arguments_, folder, place(name, proxy.endpoint))
  const rowsOf = async (name: string): Promise<string> => {
    const { CHECKPOINT } = place(name, endpoint)
    const sql = 'SELECT * FROM output ORDER BY ALL'
    const ended = await runMillrace(['sql', CHECKPOINT, sql, '--json'], folder, place(name, endpoint))
    expect(ended.stderr, ended.stdout).toSatisfy(() => ended.code === 0)
    return ended.stdout
  }
  const keysOf = async (name: string, prefix: string): Promise<readonly string[]> => {
    const keys: string[] = []
    for await (const { key } of (await newStore(endpoint, { spec: { prefix: `kills/${name}/` } })).list(prefix))
      keys.push(key)
    return keys
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-s3-'))
    await writeFile(join(folder, 'pipeline.ts'), pipelineText)
    await makeBucket(endpoint)
    const client = rawClient(endpoint)
    for (let i = 0; i < OBJECTS; i++)
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `kills/input/${i}.jsonl`, Body: lines(i) }))
    client.destroy()
    proxy = await startFaultyProxy(endpoint, (request, stage) => onRequest(request, stage))
    const { code, stderr } = await start('straight').ended
    if (code !== 0) throw new Error(stderr)
    writes = proxy.requests.filter(isWrite).length
    expected = await rowsOf('straight')
  })
  afterAll(async () => {
    await proxy?.close()
    await rm(folder, { recursive: true })
  })

  test('comes to the same rows, files and nothing else after kills at writes (I2, I5, I6, I8, I10)', async () => {
    const random = seededRandom(seed)
    let kills = 0
    let code: number | null = null
    // After so many kills it is left alone.
    for (let attempt = 0; code !== 0; attempt++) {
      expect(attempt).toBeLessThan(2 * KILLS)
      const stage = random() < 0.5 ? 'came' : 'applied'
      let left = kills < KILLS ? 1 + Math.floor(random() * writes) : Number.POSITIVE_INFINITY
      const child = start('killed')
      onRequest = (request, at) => {
        if (at !== stage || !isWrite(request) || --left > 0) return
        onRequest = () => {}
        child.kill('SIGKILL')
      }
      const ended = await child.ended
      code = ended.code
      if (code === null) kills++
      else expect(ended.stderr).toSatisfy(() => code === 0)
    }
    expect(kills).toBeGreaterThan(0)
    expect(expected.split('\n').length).toBeGreaterThan(OBJECTS)
    expect(await rowsOf('killed')).toBe(expected)
    expect(await keysOf('killed', 'output/part-')).toEqual(await keysOf('straight', 'output/part-'))
    expect(await keysOf('killed', 'output/_millrace/staged/')).toEqual([])
  }, 180_000)
})
