/** A pipeline whose input, checkpoint and output lie in S3, on a real MinIO: every command, beside the same run on a disk. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { DeleteObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runMillrace } from '../cli/child.ts'
import { openLab } from './harness.ts'
import { BUCKET, makeBucket, rawClient, S3_ENVIRONMENT } from '../connectors/s3/fixtures.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startMinio } from '../servers/minio.ts'
import { startMinistack } from '../servers/ministack.ts'

const minio = await serverFor(startMinio)
const ministack = await serverFor(startMinistack)

const pipelineText = `
import { aggregate, count, files, groupBy, json, pipeline, source, sum, to, tumbling } from 'millrace'
const events = source('events', {
  objects: process.env.INPUT ?? '', format: json(), time: 't', watermark: { delay: '1 hour' },
  columns: { t: 'TIMESTAMP NOT NULL', zone: 'VARCHAR', amount: 'DECIMAL(18,2)' },
})
export default pipeline('zones', { checkpoint: process.env.CHECKPOINT ?? '' },
  events.pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ n: count(), amount: sum('amount') }),
    to(files(process.env.OUTPUT ?? '', { format: 'json' }))))
`

/** Keys with what S3, URLs and globs give a meaning to. */
const keys = [
  '2022/a b.jsonl',
  '2022/a+b.jsonl',
  '2022/gréen%20[1].jsonl',
  '2022/x#y?z.jsonl',
  'other.jsonl',
  'read me.txt',
]

const lines = (object: number): string =>
  Array.from({ length: 50 }, (_, row) =>
    JSON.stringify({
      t: `2022-01-0${1 + object} ${String(row % 24).padStart(2, '0')}:00:00`,
      zone: `z${row % 3}`,
      amount: `${object}.${String(row).padStart(2, '0')}`,
    }),
  ).join('\n')

describe.skipIf(!minio)('a pipeline in S3', () => {
  const endpoint = minio?.endpoint ?? ''
  const client = rawClient(endpoint)
  const root = `s3://${BUCKET}/zones`
  const at = (path: string): string => `${root}/${path}?endpoint=${endpoint}`
  const environment = {
    ...S3_ENVIRONMENT,
    INPUT: at('input'),
    CHECKPOINT: at('checkpoint'),
    OUTPUT: at('output'),
  }
  let folder: string
  const millrace = async (...args: readonly string[]) => {
    const ended = await runMillrace(args, folder, environment)
    expect(ended.stderr + ended.stdout, args.join(' ')).toSatisfy(() => ended.code === 0)
    return ended.stdout
  }
  const rowsOf = (checkpoint: string): Promise<string> =>
    millrace('sql', checkpoint, 'SELECT * FROM output ORDER BY ALL', '--json')
  const listed = async (prefix: string): Promise<readonly string[]> => {
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket: BUCKET, Prefix: prefix }))
    return Contents.map(({ Key = '' }) => Key)
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-s3-'))
    await writeFile(join(folder, 'pipeline.ts'), pipelineText)
    await makeBucket(endpoint)
    for (const [i, key] of keys.entries()) {
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `zones/input/${key}`, Body: lines(i) }))
      await mkdir(dirname(join(folder, 'input', key)), { recursive: true })
      await writeFile(join(folder, 'input', key), lines(i))
    }
  })
  afterAll(async () => {
    client.destroy()
    await rm(folder, { recursive: true })
  })

  test('gives the rows of the same run on a disk, and every command reads it', async () => {
    const local = ['--input', 'input', '--checkpoint', 'checkpoint', '--output', 'output']
    await millrace('backfill', 'pipeline.ts', ...local)
    const summary = JSON.parse(await millrace('backfill', 'pipeline.ts', '--objects-per-epoch', '2', '--json'))
    expect(summary).toMatchObject({ objects: 5, rows: 250, ignored: 1, quarantined: 0 })
    expect(summary.outputFiles.toSorted()).toEqual(
      (await listed('zones/output/part-')).map(key => `s3://${BUCKET}/${key}`).toSorted(),
    )
    expect(await rowsOf(environment.CHECKPOINT)).toEqual(await rowsOf('checkpoint'))

    expect(JSON.parse(await millrace('backfill', 'pipeline.ts', '--json'))).toMatchObject({ nothingToDo: true })
    expect(JSON.parse(await millrace('inspect', environment.CHECKPOINT, '--json'))).toMatchObject({
      outputFiles: summary.outputFiles,
    })
    const zones = { Bucket: BUCKET, Key: 'zones/names.csv', Body: 'zone,name\nz0,Zero\nz1,One\n' }
    await client.send(new PutObjectCommand(zones))
    const joined = 'SELECT name, sum(n)::BIGINT AS n FROM output JOIN zones USING (zone) GROUP BY name ORDER BY name'
    expect(await millrace('sql', environment.CHECKPOINT, joined, '--with', `zones=${at('names.csv')}`, '--json')).toBe(
      '{"name":"One","n":"85"}\n{"name":"Zero","n":"85"}\n',
    )
    expect(await millrace('verify', 'pipeline.ts')).toContain('same')
    expect(await millrace('explain', 'pipeline.ts')).toContain('zone')
    const inferred = await millrace('infer', at('input/2022/gréen%20[1].jsonl'))
    expect(inferred).toBe(await millrace('infer', 'input/2022/gréen%20[1].jsonl'))
    expect(inferred).toContain("zone: 'VARCHAR'")
    await millrace(
      'backfill',
      'pipeline.ts',
      '--ledger',
      environment.CHECKPOINT,
      '--checkpoint',
      at('again'),
      '--output',
      at('again-output'),
    )
    expect(await rowsOf(at('again'))).toEqual(await rowsOf('checkpoint'))
    // Nothing of a probe stays, nor of staged output.
    expect((await listed('zones/output/')).filter(key => !/part-/.test(key))).toEqual([
      'zones/output/_millrace/owner.json',
    ])
    expect((await listed('zones/checkpoint/')).filter(key => /probe/.test(key))).toEqual([])
  })

  test.each([
    ['a glob', 'input/2022/*.jsonl', 4],
    ['a deep glob', 'input/**/a*.jsonl', 2],
    ['one object', 'input/2022/a+b.jsonl', 1],
    ['one object whose name is also a glob', 'input/2022/gréen%20[1].jsonl', 1],
    ['a prefix', 'input/2022', 4],
    ['a prefix with nothing below', 'nothing/', 0],
  ])('reads %s', async (name, input, objects) => {
    const place = name.replaceAll(' ', '-')
    const run = ['--input', at(input), '--checkpoint', join(folder, place), '--output', join(folder, `${place}-output`)]
    expect(JSON.parse(await millrace('backfill', 'pipeline.ts', ...run, '--json'))).toMatchObject({ objects })
  })

  test.each([
    ['output below the input', { OUTPUT: 'input/results' }, /a folder outside the input/],
    ['the checkpoint in the input', { CHECKPOINT: 'input/' }, /a folder outside the input/],
    ['output below the checkpoint', { OUTPUT: 'checkpoint/output' }, /a folder outside the checkpoint/],
  ])('refuses %s', async (_, changed, message) => {
    const places = Object.fromEntries(Object.entries(changed).map(([name, path]) => [name, at(path)]))
    const ended = await runMillrace(['backfill', 'pipeline.ts'], folder, { ...environment, ...places })
    expect(ended.code).toBe(2)
    expect(ended.stderr).toMatch(message)
  })

  test('a checkpoint that lost HEAD is refused, repaired, and goes on to the rows of a run that met no trouble', async () => {
    const places = ['--input', at('lost/in'), '--checkpoint', at('lost/ck'), '--output', at('lost/out')]
    const backfill = (...more: readonly string[]) => millrace('backfill', 'pipeline.ts', ...places, ...more)
    const land = (object: number) =>
      client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `zones/lost/in/${object}.jsonl`, Body: lines(object) }))
    for (const object of [0, 1]) await land(object)
    await backfill('--no-flush')
    const copies = await listed('zones/lost/ck/manifests/')
    for (const object of [2, 3]) await land(object)
    await backfill('--objects-per-epoch', '1')
    const lost = (await listed('zones/lost/ck/manifests/')).filter(key => !copies.includes(key))
    for (const Key of [...lost, 'zones/lost/ck/HEAD'])
      await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key }))

    const [before, published] = [await listed('zones/lost/ck/'), await listed('zones/lost/out/part-')]
    for (const [args, message] of [
      [['backfill', 'pipeline.ts', ...places], /no HEAD.*millrace repair/],
      [['sql', at('lost/ck'), 'FROM ledger'], /no HEAD.*millrace repair/],
      [['repair', at('lost/ck')], /3 files of output.*--withdraw/],
    ] as const) {
      const ended = await runMillrace(args, folder, environment)
      expect([ended.code, ended.stderr]).toEqual([2, expect.stringMatching(message)])
    }
    expect([await listed('zones/lost/ck/'), await listed('zones/lost/out/part-')]).toEqual([before, published])

    expect(await millrace('repair', at('lost/ck'), '--withdraw')).toMatch(
      /HEAD is there again, at epoch 1.*epochs 2 to 4/s,
    )
    expect(await listed('zones/lost/out/_millrace/withdrawn/')).toHaveLength(3)
    await backfill()
    await millrace('backfill', 'pipeline.ts', ...places.slice(0, 2), '--checkpoint', 'whole', '--output', 'whole-out')
    expect(await rowsOf(at('lost/ck'))).toEqual(await rowsOf('whole'))
    const names = (await listed('zones/lost/out/part-')).filter(key => published.includes(key))
    expect(names).toEqual(published.slice(0, 1))
  })

  test('infers the columns of a Parquet object, and refuses what is no object', async () => {
    await using lab = await openLab()
    const file = await lab.parquet('big.parquet', 'SELECT i AS n, md5(i::VARCHAR) AS text FROM range(200000) AS r(i)')
    await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'zones/big.parquet', Body: await readFile(file) }))
    expect(await millrace('infer', at('big.parquet'))).toBe(await millrace('infer', file))
    const unnamed = { 'stream-1': await readFile(file), 'stream-2': gzipSync('{"n":1,"text":"a"}') }
    for (const [name, Body] of Object.entries(unnamed)) {
      await client.send(new PutObjectCommand({ Bucket: BUCKET, Key: `zones/${name}`, Body }))
      expect(await millrace('infer', at(name))).toBe(await millrace('infer', file))
    }
    for (const path of ['big', 'input/', '']) {
      const ended = await runMillrace(['infer', at(path)], folder, environment)
      expect([ended.code, ended.stderr]).toEqual([
        2,
        expect.stringContaining('a Parquet, JSON or CSV file that is there'),
      ])
    }
  })

  test('names the bucket that is not there', async () => {
    const INPUT = `s3://no-such-bucket/input/?endpoint=${endpoint}`
    const ended = await runMillrace(['backfill', 'pipeline.ts'], folder, {
      ...environment,
      INPUT,
      CHECKPOINT: 'c',
      OUTPUT: 'o',
    })
    expect(ended.stderr).toContain("Create the bucket 'no-such-bucket'")
    expect(ended.code).toBe(2)
  })
})

describe.skipIf(!ministack)('an object of storage class GLACIER', () => {
  const endpoint = ministack?.endpoint ?? ''
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-s3-'))
    await writeFile(join(folder, 'pipeline.ts'), pipelineText)
    await makeBucket(endpoint)
    const client = rawClient(endpoint)
    for (const [i, StorageClass] of (['STANDARD', 'GLACIER', 'STANDARD_IA'] as const).entries())
      await client.send(
        new PutObjectCommand({ Bucket: BUCKET, Key: `archive/${i}.jsonl`, Body: lines(i), StorageClass }),
      )
    client.destroy()
  })
  afterAll(() => rm(folder, { recursive: true }))

  test('is set aside with its reason, and what lies beside it counts', async () => {
    const environment = {
      ...S3_ENVIRONMENT,
      INPUT: `s3://${BUCKET}/archive?endpoint=${endpoint}`,
      CHECKPOINT: './checkpoint',
      OUTPUT: './output',
    }
    const ended = await runMillrace(['backfill', 'pipeline.ts', '--json'], folder, environment)
    expect(ended.stderr, ended.stderr + ended.stdout).toSatisfy(() => ended.code === 0)
    expect(JSON.parse(ended.stdout)).toMatchObject({ rows: 100, quarantined: 1 })
    const sql = ['sql', 'checkpoint', "SELECT key, outcome, reason FROM ledger WHERE outcome = 'quarantined'"]
    const { stdout } = await runMillrace([...sql, '--json'], folder, environment)
    expect(JSON.parse(stdout.trim())).toMatchObject({
      key: '1.jsonl',
      outcome: 'quarantined',
      reason: /archive|GLACIER|restore/i,
    })
  })
})
