import { describe, expect, test } from 'vitest'
import type { BucketFacts, BucketNotification, LifecycleRule } from '../../../connectors/s3/describe.ts'
import { topicTarget } from '../../../connectors/kafka/index.ts'
import { judgeTopic } from '../../../connectors/kafka/judge.ts'
import type { QueueFacts } from '../../../connectors/sqs/describe.ts'
import { queueTarget } from '../../../connectors/sqs/index.ts'
import { judgeQueue, maySend } from '../../../connectors/sqs/judge.ts'
import { kafka, sqs } from '../../../src/index.ts'
import { judgeInput, judgeWatermark } from '../../../src/status/doctor/judge-input.ts'
import type { Finding } from '../../../src/core/finding.ts'
import { judgeAnnouncements, judgeKeeping } from '../../../src/status/doctor/judge-bucket.ts'

const known = <T>(value: T) => ({ is: 'known', value }) as const
const arn = 'arn:aws:sqs:eu-west-1:123456789012:landed'
/** What was found, and a part of each message. */
const expectFindings = (found: readonly Finding[], expected: readonly (readonly [Finding['is'], string])[]) => {
  expect(found.map(({ is }) => is)).toEqual(expected.map(([is]) => is))
  for (const [n, [, part]] of expected.entries()) expect(found[n]?.message).toContain(part)
}

const bucket = (facts: Partial<BucketFacts> = {}): BucketFacts => ({
  bucket: 'b',
  prefix: 'in/',
  notifications: known([]),
  isVersioned: known(false),
  lifecycle: known([]),
  ...facts,
})
const told = (one: Partial<BucketNotification> = {}): BucketNotification => ({
  to: 'queue',
  arn,
  events: ['s3:ObjectCreated:*'],
  prefix: '',
  suffix: '',
  ...one,
})

describe('what a bucket announces', () => {
  type Case = readonly [
    name: string,
    notifications: BucketFacts['notifications'],
    expected: readonly (readonly [Finding['is'], string])[],
  ]
  const each: readonly Case[] = [
    ['all of it', known([told()]), [['ok', "below 'in/'"]]],
    ['exactly the prefix and the extension', known([told({ prefix: 'in/', suffix: '.parquet' })]), [['ok', '']]],
    ['nothing', known([]), [['problem', 's3:ObjectCreated:*']]],
    ['to another queue', known([told({ arn: `${arn}-2` })]), [['problem', `but to ${arn}-2`]]],
    ['another prefix', known([told({ prefix: 'out/' })]), [['problem', "Use prefix 'in/'"]]],
    ['a part of the prefix', known([told({ prefix: 'in/2022/' })]), [['warning', "only keys below 'in/2022/'"]]],
    ['another extension', known([told({ suffix: '.csv' })]), [['problem', "only keys that end in '.csv'"]]],
    ['some of the extension', known([told({ suffix: '-final.parquet' })]), [['warning', '.parquet are read but not']]],
    [
      'puts only',
      known([told({ events: ['s3:ObjectCreated:Put'] })]),
      [['problem', 's3:ObjectCreated:Copy, s3:ObjectCreated:CompleteMultipartUpload']],
    ],
    [
      'each event by a rule of its own',
      known([
        told({ events: ['s3:ObjectCreated:Put', 's3:ObjectCreated:Copy'] }),
        told({ events: ['s3:ObjectCreated:CompleteMultipartUpload'] }),
      ]),
      [['ok', '']],
    ],
    ['to EventBridge', known([told({ to: 'event-bridge', arn: '' })]), [['unknown', 'event-bridge']]],
    ['not to be asked', { is: 'denied', action: 's3:GetBucketNotification' }, [['unknown', 'needs s3:GetBucketN']]],
  ]
  test.each(each)('%s', (_, notifications, expected) => {
    const facts = bucket({ notifications })
    expectFindings(judgeAnnouncements({ facts, suffixes: ['.parquet'], target: queueTarget(arn) }), expected)
  })

  test('one of two extensions', () => {
    const facts = bucket({ notifications: known([told({ suffix: '.jsonl' })]) })
    expectFindings(judgeAnnouncements({ facts, suffixes: ['.jsonl', '.ndjson'], target: queueTarget(arn) }), [
      ['warning', '.ndjson are read'],
    ])
  })

  test.each([
    ['', '', [['ok', '']]],
    ['', '.gz', [['warning', "objects of any name are read but not all announced (suffix '.gz')"]]],
    ['.gz', 'z', [['ok', '']]],
  ] as const)("the source's own suffix '%s', and '%s' of the bucket", (own, suffix, expected) => {
    const facts = bucket({ notifications: known([told({ suffix })]) })
    expectFindings(judgeAnnouncements({ facts, suffixes: [own], target: queueTarget(arn) }), expected)
  })

  test('to Kafka, as MinIO names it', () => {
    const facts = bucket({ notifications: known([told({ arn: 'arn:minio:sqs::PRIMARY:kafka' })]) })
    expectFindings(judgeAnnouncements({ facts, suffixes: ['.parquet'], target: topicTarget }), [['ok', '']])
    const other = bucket({ notifications: known([told()]) })
    expectFindings(judgeAnnouncements({ facts: other, suffixes: ['.parquet'], target: topicTarget }), [
      ['problem', 'to a Kafka topic'],
    ])
  })
})

describe('what a bucket takes away', () => {
  const rule = (one: Partial<LifecycleRule>): LifecycleRule => ({
    id: 'r',
    prefix: '',
    expires: false,
    transitions: false,
    expiresNoncurrent: false,
    ...one,
  })

  test.each([
    [[], [['ok', '']], [['ok', '']]],
    [[rule({ expires: true })], [['problem', "rule 'r' expires"]], [['warning', "rule 'r' expires"]]],
    [[rule({ expires: true, prefix: 'in/deep/' })], [['problem', 'expires']], [['warning', 'expires']]],
    [[rule({ expires: true, prefix: 'tmp/' })], [['ok', '']], [['ok', '']]],
    [[rule({ transitions: true })], [['problem', 'storage class']], [['ok', '']]],
  ] as const)('%j', (rules, checkpoint, output) => {
    expectFindings(judgeKeeping('checkpoint', bucket({ lifecycle: known(rules) })), checkpoint)
    expectFindings(judgeKeeping('output', bucket({ lifecycle: known(rules) })), output)
  })

  test('old versions of HEAD gather where nothing expires them', () => {
    const isVersioned = known(true)
    expectFindings(judgeKeeping('checkpoint', bucket({ isVersioned })), [
      ['ok', ''],
      ['warning', 'keeps versions'],
    ])
    const lifecycle = known([rule({ expiresNoncurrent: true })])
    expectFindings(judgeKeeping('checkpoint', bucket({ isVersioned, lifecycle })), [['ok', '']])
  })

  test('what may not be read is unknown', () => {
    const lifecycle = { is: 'denied', action: 's3:GetLifecycleConfiguration' } as const
    expectFindings(judgeKeeping('output', bucket({ lifecycle })), [['unknown', 'needs s3:GetLifecycleConfiguration']])
  })
})

const policy = (statement: object) => JSON.stringify({ Version: '2012-10-17', Statement: statement })
const s3Sends = {
  Effect: 'Allow',
  Principal: { Service: 's3.amazonaws.com' },
  Action: 'sqs:SendMessage',
  Condition: { ArnLike: { 'aws:SourceArn': 'arn:aws:s3:::b' } },
}

describe('who may announce', () => {
  test.each([
    ['S3 for the bucket', [s3Sends], true],
    [
      'S3 for all buckets of a name',
      [{ ...s3Sends, Condition: { ArnLike: { 'AWS:SourceArn': ['arn:aws:s3:*:*:b*'] } } }],
      true,
    ],
    [
      'S3 for another bucket',
      [{ ...s3Sends, Condition: { ArnEquals: { 'aws:SourceArn': 'arn:aws:s3:::other' } } }],
      false,
    ],
    [
      'S3 for any bucket of an account',
      [{ ...s3Sends, Condition: { StringEquals: { 'aws:SourceAccount': '1' } } }],
      true,
    ],
    ['anybody, of every action', { ...s3Sends, Principal: '*', Action: ['SQS:*'] }, true],
    ['SNS', [{ ...s3Sends, Principal: { Service: ['sns.amazonaws.com'] }, Condition: {} }], true],
    ['S3 denied', [{ ...s3Sends, Effect: 'Deny' }], false],
    ['S3 of another action', [{ ...s3Sends, Action: 'sqs:ReceiveMessage' }], false],
    ['an account', [{ ...s3Sends, Principal: { AWS: 'arn:aws:iam::1:root' } }], false],
  ])('%s', (_, statement, expected) => {
    expect(maySend(policy(statement), 'b')).toBe(expected)
  })

  test.each(['', 'not JSON', '{}', '{"Statement":[null,7]}'])("nobody by '%s'", text => {
    expect(maySend(text, 'b')).toBe(false)
  })
})

describe('a queue', () => {
  const spec = sqs({ queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed' })
  const attributes = { arn, retentionS: 345_600, maxReceiveCount: 5, policy: policy(s3Sends), messages: 3 }
  const judge = (facts: Partial<QueueFacts>, over: Partial<typeof spec> = {}, everyMs = 10_000) =>
    judgeQueue({
      spec: { ...spec, ...over },
      facts: { isMissing: false, attributes: known(attributes), refused: [], ...facts },
      bucket: 'b',
      everyMs,
    })

  test.each([
    ['as it should be', judge({}), [['ok', 'with 3 messages']]],
    ['that is not there', judge({ isMissing: true }), [['problem', 'does not exist']]],
    [
      'without a redrive policy',
      judge({ attributes: known({ ...attributes, maxReceiveCount: undefined }) }),
      [['warning', 'no redrive policy']],
    ],
    [
      'that quarantines instead',
      judge({ attributes: known({ ...attributes, maxReceiveCount: undefined }) }, { onMalformed: 'quarantine' }),
      [['ok', '']],
    ],
    [
      'that gives up early',
      judge({ attributes: known({ ...attributes, maxReceiveCount: 1 }) }),
      [['warning', 'maxReceiveCount is 1']],
    ],
    ['that forgets', judge({ attributes: known({ ...attributes, retentionS: 3_600 }) }), [['warning', '3600 s']]],
    [
      'that S3 may not write to',
      judge({ attributes: known({ ...attributes, policy: '' }) }),
      [['problem', 'arn:aws:s3:::b']],
    ],
    [
      'with a visibility shorter than a mini-batch',
      judge({}, { visibilityTimeoutS: 20 }),
      [
        ['warning', 'at least 30 s'],
        ['ok', ''],
      ],
    ],
    [
      'in order',
      judge({}, { queueUrl: 'https://sqs.eu-west-1.amazonaws.com/1/landed.fifo' }),
      [
        ['warning', 'FIFO'],
        ['ok', ''],
      ],
    ],
    [
      'that may not be deleted from, nor described',
      judge({ refused: ['sqs:DeleteMessage'], attributes: { is: 'denied', action: 'sqs:GetQueueAttributes' } }),
      [
        ['problem', 'may not sqs:DeleteMessage'],
        ['unknown', 'needs sqs:GetQueueAttributes'],
      ],
    ],
  ] as readonly (readonly [string, readonly Finding[], readonly (readonly [Finding['is'], string])[]])[])(
    '%s',
    (_, found, expected) => expectFindings(found, expected),
  )
})

describe('a topic', () => {
  const spec = kafka({ brokers: ['b:9092'], topic: 't' })
  const topic = known({ partitions: 2, messages: 7 })

  test.each([
    [{ topic, settings: known({ retentionMs: undefined, cleanup: 'delete' }) }, [['ok', '2 partitions with 7']]],
    [
      { topic, settings: known({ retentionMs: 60_000, cleanup: 'compact,delete' }) },
      [
        ['ok', ''],
        ['warning', 'kept for 60 s'],
        ['warning', 'compact,delete'],
      ],
    ],
    [
      { topic, settings: { is: 'denied', action: 'DescribeConfigs on the topic' } },
      [
        ['ok', ''],
        ['unknown', 'needs DescribeConfigs'],
      ],
    ],
    [
      { topic: { is: 'unavailable', why: 'Brokers b:9092 do not answer' }, settings: { is: 'unavailable', why: '' } },
      [['problem', 'do not answer']],
    ],
  ] as const)('%j', (facts, expected) => expectFindings(judgeTopic(spec, facts), expected))
})

describe('a source', () => {
  const settings = { name: 's', format: 'parquet', columns: {}, time: 't' } as const

  test('its watermark', () => {
    expectFindings(judgeWatermark(settings), [['warning', 'no watermark']])
    expectFindings(judgeWatermark({ ...settings, delayUs: '0' }), [['warning', 'no bounds']])
    expectFindings(judgeWatermark({ ...settings, delayUs: '0', bounds: { is: 'key', pattern: '{yyyy}' } }), [
      ['ok', ''],
    ])
  })

  test.each([
    [{ matched: 2, ignored: {}, isCut: false }, 'ok', '2 objects to read'],
    [
      { matched: 2, ignored: { suffix: { count: 1, first: 'x.csv' } }, isCut: true },
      'ok',
      "at least 2 objects to read; ignored: at least 1 with another ending, 'x.csv'",
    ],
    [
      { matched: 0, ignored: { suffix: { count: 2, first: 'x.csv' } }, isCut: false },
      'problem',
      "2 with another ending, the first 'x.csv'. The source reads what ends in .parquet: is the format right? suffix: '' reads what ends in anything.",
    ],
    [
      { matched: 0, ignored: { hidden: { count: 1, first: '_x.parquet' } }, isCut: false },
      'problem',
      "hidden: 'read' reads such objects",
    ],
    [{ matched: 0, ignored: {}, isCut: false }, 'warning', 'nothing lies there yet'],
  ] as const)('its input: %j', (seen, is, part) => {
    expectFindings([judgeInput(seen, ['.parquet'])], [[is, part]])
  })

  test('its input, where any name is read, does not ask for another suffix', () => {
    const seen = { matched: 0, ignored: { suffix: { count: 1, first: 'folder/' } }, isCut: false }
    expect(judgeInput(seen, ['']).message).toMatch(/with another ending, 'folder\/'\.$/)
  })
})
