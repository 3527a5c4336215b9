/** What becomes of objects of a bucket once they are committed, on a real MinIO: whole runs, and replays of them. */
import { randomUUID } from 'node:crypto'
import {
  CreateBucketCommand,
  GetObjectTaggingCommand,
  ListObjectsV2Command,
  PutBucketVersioningCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { components } from '../../src/engine/components.ts'
import { followWith } from '../../src/engine/follow.ts'
import { verify } from '../../src/index.ts'
import { rawClient, S3_ENVIRONMENT } from '../connectors/s3/fixtures.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startMinio } from '../servers/minio.ts'
import { failure, type Lab, openLab, run, windowed, type WindowedFlow } from './harness.ts'

const minio = await serverFor(startMinio)

describe.skipIf(!minio).each(['plain', 'versioned'])('objects of a bucket that is %s', kind => {
  const endpoint = minio?.endpoint ?? ''
  const client = rawClient(endpoint)
  const Bucket = `after-${kind}`
  let lab: Lab
  let root: string
  beforeAll(async () => {
    Object.assign(process.env, S3_ENVIRONMENT)
    await client.send(new CreateBucketCommand({ Bucket }))
    const VersioningConfiguration = { Status: 'Enabled' as const }
    if (kind === 'versioned') await client.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration }))
  })
  afterAll(() => client.destroy())
  beforeEach(async () => {
    lab = await openLab()
    root = randomUUID()
    for (const day of ['01', '02']) await put(`in/dt=${day}/a b.jsonl`, day)
  })
  afterEach(() => lab[Symbol.asyncDispose]())

  const put = (key: string, day: string) =>
    client.send(
      new PutObjectCommand({ Bucket, Key: `${root}/${key}`, Body: `{"t":"2022-01-${day} 01:00:00","k":1}\n` }),
    )
  const keys = async (prefix: string): Promise<readonly string[]> => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: `${root}/${prefix}` }))
    return Contents.map(({ Key = '' }) => Key.slice(root.length + 1))
  }
  const at = (path: string) => `s3://${Bucket}/${root}/${path}?endpoint=${endpoint}`
  const of = (after: WindowedFlow['after'] = 'keep', place = lab as { checkpoint: string; output: string }) =>
    windowed({ input: at('in/') }, place, {
      columns: { t: 'TIMESTAMP', k: 'BIGINT' },
      format: 'json',
      delay: '1 hour',
      after,
    })

  test('move to another prefix, where a replay reads them', async () => {
    const move = { moveTo: at('in-done/') }
    await run(of(move), { objectsPerEpoch: 1 })
    expect(await keys('in/')).toEqual([])
    expect(await keys('in-done/')).toEqual(['in-done/dt=01/a b.jsonl', 'in-done/dt=02/a b.jsonl'])
    const versions = (await lab.channel('after')).filter(({ is }) => is === 'moved').map(row => row.version_id !== null)
    expect(versions).toEqual(kind === 'versioned' ? [true, true] : [false, false])
    const found = await verify(of(move), { threads: 2, memory: '500MB' })
    expect(found).toMatchObject({ gone: [], changed: [], differences: [], rows: 2 })
    // Overwritten at its new place: a bucket that keeps versions still has the one that was moved.
    await put('in-done/dt=01/a b.jsonl', '09')
    const copy = lab.place('copy')
    const again = run(of(move, copy), { ledger: lab.checkpoint })
    if (kind === 'versioned') {
      await again
      expect(await lab.rows(copy)).toEqual(await lab.rows())
    } else expect((await failure(again)).message).toContain("object 'dt=01/a b.jsonl'")
  })

  test('get a tag, which a run that follows gives as well', async () => {
    await followWith(components, of('tag'), { untilIdle: true, threads: 2, memory: '500MB' })
    for (const Key of await keys('in/')) {
      const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket, Key: `${root}/${Key}` }))
      expect(TagSet).toEqual([{ Key: 'millrace:tested', Value: 'committed' }])
    }
    expect(await keys('in/')).toHaveLength(2)
    expect(await lab.channel('after')).toHaveLength(2)
  })

  test('go, and a version that was written since stays', async () => {
    await run(of())
    await put('in/dt=02/a b.jsonl', '03')
    await run(of('delete'))
    expect(await keys('in/')).toEqual(['in/dt=02/a b.jsonl'])
    expect((await lab.channel('after')).map(({ is, note }) => [is, note])).toEqual([
      ['deleted', null],
      ['left', 'another version lies there, which is left alone'],
    ])
  })

  test.each(['in/', 'in/deeper/', '', 'in'])('refuses to move to %s', async place => {
    const error = await failure(run(of({ moveTo: at(place) })))
    expect(error.message).toContain('a place that lies neither in nor above')
    expect((await failure(run(of({ moveTo: lab.root })))).message).toContain('an s3:// address of the same server')
    expect(await keys('in/')).toHaveLength(2)
  })
})
