import { randomUUID } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import {
  CreateBucketCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketNotificationConfigurationCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { Admin } from '@platformatic/kafka'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { components } from '../../../src/engine/components.ts'
import {
  aggregate,
  count,
  files,
  groupBy,
  kafka,
  type NotificationSpec,
  parquet,
  pipeline,
  source,
  sqs,
  to,
  tumbling,
} from '../../../src/index.ts'
import { examine } from '../../../src/status/doctor/doctor.ts'
import type { Finding } from '../../../src/core/finding.ts'
import { rawClient, S3_ENVIRONMENT } from '../../connectors/s3/fixtures.ts'
import { type Lab, openLab, run, windowed } from '../../engine/harness.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startKafka } from '../../servers/kafka.ts'
import { S3_CREDENTIALS } from '../../servers/minio.ts'
import { startMinistack } from '../../servers/ministack.ts'

const ministack = await serverFor(startMinistack)
const broker = await serverFor(startKafka)

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

interface Places {
  readonly objects: string
  readonly output: string
  readonly checkpoint: string
  readonly notifications?: NotificationSpec
}

const watched = ({ objects, output, checkpoint, notifications }: Places) =>
  pipeline(
    'watched',
    { checkpoint },
    source('in', {
      objects,
      format: parquet(),
      columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR' },
      time: 't',
      watermark: { delay: '1 hour', bounds: { lastModifiedSkew: '1 day' } },
      ...(notifications ? { notifications } : {}),
    }).pipe(tumbling('1 hour'), groupBy('k'), aggregate({ n: count() }), to(files(output, { format: 'parquet' }))),
  )

const brief = (findings: readonly Finding[]) => findings.map(({ check, is }) => `${check}: ${is}`)

describe('over a directory', () => {
  test('a checkpoint of another plan is a problem, and one of this plan is well', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k`)
    const same = watched({ objects: lab.input, ...lab })
    await run(same)
    expect((await examine(components, same, {})).filter(({ check }) => check === 'checkpoint')).toMatchObject([
      { is: 'ok' },
      { is: 'ok', message: expect.stringContaining('epoch 2') },
    ])
    const other = windowed(lab, lab, { columns: { t: 'TIMESTAMP NOT NULL' } })
    expect((await examine(components, other, {})).filter(({ is }) => is === 'problem')).toMatchObject([
      { check: 'checkpoint', message: expect.stringContaining('no longer fits its checkpoint') },
    ])
  })

  test('windows without a watermark are warned of', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t`)
    const found = await examine(components, windowed(lab, lab, { columns: { t: 'TIMESTAMP NOT NULL' } }), {})
    expect(found).toContainEqual(expect.objectContaining({ check: 'watermark', is: 'warning' }))
  })

  test('all is well, and nothing is left behind', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k`)
    const found = await examine(components, watched({ objects: lab.input, ...lab }), {})
    expect(brief(found)).toEqual([
      'pipeline: ok',
      'watermark: ok',
      'input: ok',
      'input: ok',
      'checkpoint: ok',
      'output: ok',
    ])
    expect(found[3]?.message).toBe("object 'a.parquet', the first, has 1 row, every column as it is declared")
    expect((await readdir(lab.checkpoint, { recursive: true, withFileTypes: true })).filter(e => e.isFile())).toEqual(
      [],
    )
    expect((await readdir(lab.output, { recursive: true, withFileTypes: true })).filter(e => e.isFile())).toEqual([])
  })

  test.each([
    [
      'no object of its format',
      {},
      'problem',
      /^object 'a\.jsonl', the first, would be quarantined: its gzip stream is broken/,
    ],
    [
      'a field that no line has',
      { seldom: 'VARCHAR' },
      'warning',
      /^column 'seldom' of source in: NULL in all 2 rows of object 'a\.jsonl', the first\./,
    ],
    [
      'a bad row under fail',
      { v: 'BIGINT' },
      'problem',
      /^source in: object 'a\.jsonl', row 1, column 'v': expected BIGINT, found '1\.5'/,
    ],
    [
      'a bad row under quarantine',
      { v: 'BIGINT' },
      'warning',
      /would have 1 of 2 rows set aside; the first: row 1, column 'v': expected BIGINT, found '1\.5'$/,
    ],
    [
      'nothing but bad rows',
      { k: 'DOUBLE' },
      'problem',
      /2 of 2 rows set aside; the first: row 0, column 'k': expected DOUBLE/,
    ],
  ] as const)('the first object is read as a run reads it: %s', async (name, columns, is, message) => {
    const rows = [`{"t":"2022-01-01","k":"a","v":1}`, `{"t":"2022-01-01","k":"a","v":1.5}`]
    if (name.startsWith('no object'))
      await writeFile(join(lab.input, 'a.jsonl'), gzipSync(rows.join('\n')).subarray(0, -9))
    else await lab.lines('a.jsonl', rows)
    await lab.lines('b.jsonl', rows.slice(0, 1))
    const looked = windowed(lab, lab, {
      columns: { t: 'TIMESTAMP NOT NULL', ...columns },
      format: 'json',
      onBadRow: name === 'a bad row under fail' ? 'fail' : 'quarantine',
    })
    const found = (await examine(components, looked, {})).filter(({ check }) => check === 'input')
    expect(found).toMatchObject([{ is: 'ok' }, { is, message: expect.stringMatching(message) }])
  })

  test('a column that is missing, or of a type that never fits, is a problem', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, true AS k`)
    const look = async (columns: object) => {
      const looked = windowed(lab, lab, { columns: { t: 'TIMESTAMP NOT NULL', ...columns } })
      const found = (await examine(components, looked, {})).filter(({ check }) => check === 'input')
      return found.map(({ is, message }) => `${is}: ${message}`)[1]
    }
    expect(await look({ nope: 'BIGINT' })).toMatch(
      /^problem: object 'a\.parquet', the first, .* column 'nope' is missing/,
    )
    expect(await look({ k: 'DATE' })).toMatch(/^problem: .* column 'k': BOOLEAN can never be read as DATE/)
  })

  test('what the checkpoint holds is not new: the next object is looked at, and versions that overwrite are told', async () => {
    const day = (name: string, k: string) =>
      lab.parquet(`${name}.parquet`, `SELECT TIMESTAMP '2022-01-01' AS t, ${k} AS k`)
    const input = async () => {
      const found = await examine(components, watched({ objects: lab.input, ...lab }), {})
      return found.filter(({ check }) => check === 'input').map(({ is, message }) => `${is}: ${message}`)
    }
    await day('a', "'a'")
    await day('b', "'b'")
    await run(watched({ objects: lab.input, ...lab }))
    expect(await input()).toEqual([
      'ok: 2 objects there, none of them new',
      "ok: object 'a.parquet', the first, has 1 row, every column as it is declared",
    ])
    await lab.lines('c.parquet', ['no Parquet'])
    await day('a', "'a longer one'")
    expect(await input()).toEqual([
      'ok: 3 objects there, 2 of them new',
      expect.stringMatching(/^warning: object 'a\.parquet' is another version of what was counted before/),
      expect.stringMatching(/^problem: object 'c\.parquet', the first that is new, would be quarantined/),
    ])
  })

  test('an output folder of another checkpoint, or one that was emptied, is a problem (P8)', async () => {
    await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k`)
    const own = watched({ objects: lab.input, ...lab })
    await run(own)
    const output = async (options: object) =>
      (await examine(components, own, options)).filter(({ check }) => check === 'output')
    expect(brief(await output({}))).toEqual(['output: ok'])
    const { checkpointId } = (await lab.head()).manifest
    const other = lab.place('other')
    expect(await output({ checkpoint: other.checkpoint })).toMatchObject([
      { is: 'ok' },
      { is: 'problem', message: expect.stringContaining(`belongs to checkpoint ${checkpointId}`) },
    ])
    await rm(lab.output, { recursive: true })
    expect(await output({})).toMatchObject([
      { is: 'ok' },
      { is: 'problem', message: expect.stringContaining('Was the folder moved or emptied?') },
    ])
    // And to a new checkpoint it is free.
    expect(brief(await output({ checkpoint: other.checkpoint }))).toEqual(['output: ok'])
  })

  test('what is wrong is told, one by one', async () => {
    await lab.lines('a.csv', ['t,k'])
    const places = { objects: lab.input, output: `${lab.input}/a.csv/out`, checkpoint: lab.checkpoint }
    const found = await examine(components, watched(places), {})
    expect(brief(found)).toEqual([
      'pipeline: ok',
      'watermark: ok',
      'input: problem',
      'checkpoint: ok',
      'output: problem',
    ])
    const elsewhere = await examine(components, watched({ ...places, objects: `${lab.input}/none` }), {
      output: lab.output,
    })
    expect(brief(elsewhere)).toEqual([
      'pipeline: ok',
      'watermark: ok',
      'input: problem',
      'checkpoint: ok',
      'output: ok',
    ])
  })

  test('a pipeline that does not bind is the one problem', async () => {
    const broken = pipeline(
      'broken',
      { checkpoint: lab.checkpoint },
      source('in', { objects: lab.input, format: parquet(), columns: { t: 'TIMESTAMP' }, time: 't' }).pipe(
        tumbling('1 hour'),
        groupBy(),
        aggregate({ n: count({ filter: 'nope > 1' as 't IS NULL' }) }),
        to(files(lab.output, { format: 'parquet' })),
      ),
    )
    const found = await examine(components, broken, {})
    expect(brief(found)).toEqual(['pipeline: problem'])
    expect(found[0]?.message).toContain('nope')
  })
})

describe.skipIf(!ministack)('over S3 and SQS', () => {
  test('a bucket that announces nothing, then one that does, then one that expires the checkpoint', async () => {
    const endpoint = ministack?.endpoint ?? ''
    Object.assign(process.env, S3_ENVIRONMENT)
    const s3 = rawClient(endpoint)
    const client = new SQSClient({ endpoint, region: 'us-east-1', credentials: S3_CREDENTIALS })
    try {
      const Bucket = `doctor-${randomUUID()}`
      await s3.send(new CreateBucketCommand({ Bucket }))
      const file = await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, 'a' AS k`)
      await s3.send(new PutObjectCommand({ Bucket, Key: 'in/a.parquet', Body: await readFile(file) }))
      const { QueueUrl = '' } = await client.send(new CreateQueueCommand({ QueueName: `doctor-${randomUUID()}` }))
      const at = (prefix: string) => `s3://${Bucket}/${prefix}/?endpoint=${endpoint}`
      const places = {
        objects: at('in'),
        output: at('out'),
        checkpoint: at('ck'),
        notifications: sqs({ queueUrl: QueueUrl, endpoint, region: 'us-east-1' }),
      }
      const look = () => examine(components, watched(places), {})
      const ofPlaces = [
        'pipeline: ok',
        'watermark: ok',
        'input: ok',
        'input: ok',
        'checkpoint: ok',
        'checkpoint: ok',
        'output: ok',
        'output: ok',
      ]
      expect(brief(await look())).toEqual([...ofPlaces, 'queue: warning', 'queue: problem', 'notifications: problem'])

      const { Attributes } = await client.send(
        new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] }),
      )
      const QueueArn = Attributes?.QueueArn ?? ''
      const { QueueUrl: deadUrl = '' } = await client.send(
        new CreateQueueCommand({ QueueName: `dead-${randomUUID()}` }),
      )
      const dead = await client.send(new GetQueueAttributesCommand({ QueueUrl: deadUrl, AttributeNames: ['QueueArn'] }))
      await client.send(
        new SetQueueAttributesCommand({
          QueueUrl,
          Attributes: {
            RedrivePolicy: JSON.stringify({ deadLetterTargetArn: dead.Attributes?.QueueArn, maxReceiveCount: '5' }),
            Policy: JSON.stringify({
              Statement: [
                {
                  Effect: 'Allow',
                  Principal: { Service: 's3.amazonaws.com' },
                  Action: 'sqs:SendMessage',
                  Condition: { ArnLike: { 'aws:SourceArn': `arn:aws:s3:::${Bucket}` } },
                },
              ],
            }),
          },
        }),
      )
      const notify = (Events: 's3:ObjectCreated:*'[], suffix: string) =>
        s3.send(
          new PutBucketNotificationConfigurationCommand({
            Bucket,
            NotificationConfiguration: {
              QueueConfigurations: [
                {
                  QueueArn,
                  Events,
                  Filter: {
                    Key: {
                      FilterRules: [
                        { Name: 'prefix', Value: 'in/' },
                        { Name: 'suffix', Value: suffix },
                      ],
                    },
                  },
                },
              ],
            },
          }),
        )
      await notify(['s3:ObjectCreated:*'], '.parquet')
      expect(brief(await look())).toEqual([...ofPlaces, 'queue: ok', 'notifications: ok'])

      await notify(['s3:ObjectCreated:*'], '.csv')
      await s3.send(
        new PutBucketLifecycleConfigurationCommand({
          Bucket,
          LifecycleConfiguration: {
            Rules: [{ ID: 'week', Status: 'Enabled', Filter: { Prefix: 'ck/' }, Expiration: { Days: 7 } }],
          },
        }),
      )
      const found = await look()
      expect(brief(found.filter(({ is }) => is !== 'ok'))).toEqual(['checkpoint: problem', 'notifications: problem'])

      const gone = { ...places, notifications: sqs({ queueUrl: `${QueueUrl}-none`, endpoint, region: 'us-east-1' }) }
      const missing = await examine(components, watched(gone), {})
      expect(missing.find(({ check }) => check === 'queue')?.message).toContain('does not exist')
    } finally {
      s3.destroy()
      client.destroy()
    }
  })
})

describe.skipIf(!ministack || !broker)('over S3 and Kafka', () => {
  test('a topic that is there, and one that is not', async () => {
    const endpoint = ministack?.endpoint ?? ''
    Object.assign(process.env, S3_ENVIRONMENT)
    const s3 = rawClient(endpoint)
    const brokers = [broker?.endpoint ?? '']
    const admin = new Admin({ clientId: 'test', bootstrapBrokers: brokers })
    try {
      const Bucket = `doctor-${randomUUID()}`
      await s3.send(new CreateBucketCommand({ Bucket }))
      const topic = `doctor-${randomUUID()}`
      await admin.createTopics({
        topics: [topic],
        partitions: 3,
        replicas: 1,
        configs: [{ name: 'retention.ms', value: '60000' }],
      })
      const at = (prefix: string) => `s3://${Bucket}/${prefix}/?endpoint=${endpoint}`
      const look = async (name: string) => {
        const notifications = kafka({ brokers, topic: name })
        const places = { objects: at('in'), output: at('out'), checkpoint: at('ck'), notifications }
        return (await examine(components, watched(places), {})).filter(({ check }) => check === 'topic')
      }
      expect(brief(await look(topic))).toEqual(['topic: ok', 'topic: warning'])
      expect(brief(await look(`${topic}-none`))).toEqual(['topic: problem'])
    } finally {
      await admin.close()
      s3.destroy()
    }
  })
})
