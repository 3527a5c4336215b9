import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Parsed, parseMessage, type Place } from '../../../connectors/notifications/parse.ts'
import { seededRandom } from '../../../src/testing/random.ts'
import { corpus, isCorpusThere } from './corpus.ts'

const place: Place = { bucket: 'landed', prefix: 'trip data/' }

/** A record as AWS sends it; fields given replace those of the object. */
const record = (object: object = {}, fields: object = {}) => ({
  eventVersion: '2.1',
  eventSource: 'aws:s3',
  eventTime: '2022-01-02T03:04:05.678Z',
  eventName: 'ObjectCreated:Put',
  s3: {
    bucket: { name: 'landed' },
    object: { key: 'trip+data/a.parquet', size: 5, eTag: 'e1', sequencer: '0A', ...object },
  },
  ...fields,
})
const parse = (value: unknown, keys: 'encoded' | 'raw' = 'encoded') =>
  parseMessage(typeof value === 'string' ? value : JSON.stringify(value), { place, keys })
const one = (object: object = {}, fields: object = {}) => parse({ Records: [record(object, fields)] })
const sns = (message: string) => ({ Type: 'Notification', Message: message, Subject: 'Amazon S3 Notification' })
const accepted = { bucket: 'landed', key: 'a.parquet', eTag: 'e1', sizeBytes: 5 }
const reasons = ({ objects, refusals }: Parsed) => [
  ...objects.map(() => 'accepted'),
  ...refusals.flatMap(({ reason, records }) => Array.from({ length: records }, () => reason)),
]

describe('an S3 event message', () => {
  test('names an object relative to the place that it is allowed to name', () => {
    expect(one()).toEqual({ objects: [accepted], refusals: [] })
  })

  test('is read through SNS, and through SNS twice', () => {
    const raw = JSON.stringify({ Records: [record()] })
    expect(parse(sns(raw)).objects).toEqual([accepted])
    expect(parse(sns(JSON.stringify(sns(raw)))).objects).toEqual([accepted])
    let deep = raw
    for (let i = 0; i < 4; i++) deep = JSON.stringify(sns(deep))
    expect(parse(deep).refusals).toEqual([{ reason: 'malformed', detail: 'more than 3 envelopes', records: 1 }])
  })

  test('is read from EventBridge, whose keys are as they are', () => {
    const event = (fields: object = {}, object: object = {}) => ({
      'detail-type': 'Object Created',
      source: 'aws.s3',
      time: '2022-01-02T03:04:05Z',
      detail: {
        bucket: { name: 'landed' },
        object: { key: 'trip data/a+b%20c.parquet', size: 5, etag: 'e1', 'version-id': 'v', ...object },
      },
      ...fields,
    })
    const found = { bucket: 'landed', key: 'a+b%20c.parquet', eTag: 'e1', versionId: 'v', sizeBytes: 5 }
    expect(parse(event()).objects).toEqual([found])
    expect(parse(event({ 'detail-type': 'Object Restore Completed' })).objects).toEqual([
      { ...found, isRestored: true },
    ])
    expect(reasons(parse(event({ 'detail-type': 'Object Deleted' })))).toEqual(['not-created'])
    expect(reasons(parse(event({ source: 'mine' })))).toEqual(['not-created'])
    expect(reasons(parse(event({ detail: {} })))).toEqual(['malformed'])
  })

  test('is read from bytes that are UTF-8, and refused in other encodings', () => {
    const text = JSON.stringify({ Records: [record({ key: 'trip+data/gréen.parquet' })] })
    expect(parseMessage(Buffer.from(text), { place, keys: 'encoded' }).objects[0]?.key).toBe('gréen.parquet')
    for (const wrong of [Buffer.from(text, 'latin1'), Buffer.from(text, 'utf16le'), Buffer.of(0xff), Buffer.of(), null])
      expect(reasons(parseMessage(wrong, { place, keys: 'encoded' }))).toEqual(['malformed'])
  })

  test.each([
    ['trip+data%2Fgr%C3%A9en%2B2022.parquet', 'gréen+2022.parquet', undefined],
    ['trip+data/gr%C3%A9en%2B2022.parquet', 'gréen+2022.parquet', undefined],
    ['trip%20data/a.parquet', 'a.parquet', undefined],
    ['trip+data/m%2525n', 'm%25n', undefined],
    ['trip data/100%.parquet', undefined, '100%.parquet'],
    ['trip data/a+b%2Bc', 'a b+c', 'a+b%2Bc'],
    ['trip data/%E9', undefined, '%E9'],
  ])('writes the key %s: encoded %s, raw %s, as declared', (key, encoded, raw) => {
    expect(one({ key }).objects[0]?.key).toBe(encoded)
    expect(parse({ Records: [record({ key })] }, 'raw').objects[0]?.key).toBe(raw)
  })

  test.each([
    [{ eTag: '"e2"' }, { eTag: 'e2' }],
    [{ eTag: 'W/"e2"' }, { eTag: 'e2' }],
    [{ eTag: '' }, { eTag: undefined }],
    [{ eTag: null }, { eTag: undefined }],
    [{ eTag: undefined }, { eTag: undefined }],
    // The store knows it better: what no store could have is left out, and makes no message unreadable.
    [{ eTag: 5 }, { eTag: undefined }],
    [{ eTag: { toString: 'x' } }, { eTag: undefined }],
    [{ eTag: 'e\u0000' }, { eTag: undefined }],
    [{ eTag: 'e", "f' }, { eTag: undefined }],
    [{ eTag: 'e\r\nx-amz-acl: public' }, { eTag: undefined }],
    [{ eTag: '\ud800' }, { eTag: undefined }],
    [{ eTag: 'e'.repeat(1_025) }, { eTag: undefined }],
    [{ size: '5' }, { sizeBytes: 5 }],
    [{ size: '-5' }, { sizeBytes: undefined }],
    [{ size: '0x5' }, { sizeBytes: undefined }],
    [{ size: '9'.repeat(16) }, { sizeBytes: undefined }],
    [{ size: -1 }, { sizeBytes: undefined }],
    [{ size: 5.5 }, { sizeBytes: undefined }],
    [{ size: 2 ** 53 }, { sizeBytes: undefined }],
    [{ size: 2 ** 53 - 1 }, { sizeBytes: 2 ** 53 - 1 }],
    [{ size: [5] }, { sizeBytes: undefined }],
    [{ size: 0 }, { sizeBytes: undefined }],
    [{ size: null }, { sizeBytes: undefined }],
    [{ size: undefined }, { sizeBytes: undefined }],
    [{ versionId: 'v1' }, { versionId: 'v1' }],
    [{ versionId: null }, { versionId: undefined }],
    [{ versionId: '' }, { versionId: undefined }],
    // Every overwrite in a bucket with suspended versioning has it: it tells no two apart.
    [{ versionId: 'null' }, { versionId: undefined }],
    [{ versionId: 5 }, { versionId: undefined }],
    [{ versionId: 'v\u0000' }, { versionId: undefined }],
    [{ versionId: 'v'.repeat(1_025) }, { versionId: undefined }],
    // Nothing reads it.
    [{ sequencer: 'x'.repeat(10_000) }, { eTag: 'e1' }],
  ])('with %j says %j', (object, expected) => {
    const found = one(object).objects[0]
    for (const [field, value] of Object.entries(expected))
      expect({ field, value: found?.[field as 'eTag'] }).toEqual({ field, value })
    expect(Object.values(found ?? {})).not.toContain(undefined)
  })

  test.each([
    ['s3:ObjectCreated:Put', 'accepted'],
    ['ObjectCreated:CompleteMultipartUpload', 'accepted'],
    ['s3:ObjectRestore:Completed', 'accepted'],
    ['ObjectRestore:Post', 'not-created'],
    ['s3:ObjectRemoved:NoOP', 'not-created'],
    ['s3:ObjectCreated', 'not-created'],
    ['s3:s3:ObjectCreated:Put', 'not-created'],
    ['', 'not-created'],
  ])('of event %s is %s', (eventName, outcome) => {
    expect(reasons(one({}, { eventName }))).toEqual([outcome])
  })

  test('of a completed restore says so', () => {
    const eventName = 's3:ObjectRestore:Completed'
    expect(one({}, { eventName }).objects).toEqual([{ ...accepted, isRestored: true }])
  })

  test('has a time that nobody reads, as the store knows it better', () => {
    for (const eventTime of ['2016–09–08T22:34:38.226Z', '+275760-09-13T00:00:00.001Z', 'yesterday', 5, null])
      expect(one({}, { eventTime }).objects).toEqual([accepted])
  })

  test('outside the place is refused, whatever it says', () => {
    const named = (name: unknown, key: string) =>
      reasons(parse({ Records: [record({}, { s3: { bucket: { name }, object: { key } } })] }))
    expect(named('other', 'trip+data/a')).toEqual(['foreign-bucket'])
    expect(named('Landed', 'trip+data/a')).toEqual(['foreign-bucket'])
    expect(named('landed', 'trip+data')).toEqual(['foreign-prefix'])
    expect(named('landed', 'trip+dat/a')).toEqual(['foreign-prefix'])
    expect(named('landed', 'x/trip+data/a')).toEqual(['foreign-prefix'])
    expect(named('landed', 'trip+data/')).toEqual(['folder'])
    expect(named('landed', 'trip+data/2022/')).toEqual(['folder'])
    expect(named(undefined, 'trip+data/a')).toEqual(['malformed'])
  })

  test('of several records is counted record by record, in order', () => {
    const records = [
      record({ key: 'trip+data/1' }),
      5,
      record({}, { eventName: 'ObjectRemoved:Delete' }),
      record({ key: 'trip+data/2' }),
      null,
      record({ key: 5 }),
    ]
    const parsed = parse({ Records: records })
    expect(parsed.objects.map(({ key }) => key)).toEqual(['1', '2'])
    expect(parsed.refusals).toEqual([
      { reason: 'malformed', detail: 'Records[1]: eventVersion: not text', records: 3 },
      { reason: 'not-created', detail: 'Records[2]: ObjectRemoved:Delete', records: 1 },
    ])
  })

  test.each<[string, unknown]>([
    ['empty', ''],
    ['cut off', '{"Records":[{'],
    ['null', 'null'],
    ['a text', '"Records"'],
    ['a list', '[]'],
    ['no records', { Records: [] }],
    ['more records than any message has', `{"Records":[${'5,'.repeat(1_000_000)}5]}`],
    ['records that are no list', { Records: { 0: record(), length: 1 } }],
    ['another version', { Records: [record({}, { eventVersion: '3.0' })] }],
    ['a version that is a number', { Records: [record({}, { eventVersion: 2.1 })] }],
    ['no key', { Records: [record({ key: undefined })] }],
    ['an empty key', { Records: [record({ key: '' })] }],
    ['a key of 1025 bytes', { Records: [record({ key: `trip+data/${'é'.repeat(507)}x` })] }],
    ['a key with half a character', { Records: [record({ key: 'trip+data/\ud83d' })] }],
    ['a key with a NUL', { Records: [record({ key: 'trip+data/%00' })] }],
    ['an inherited record', '{"__proto__":{"Records":[{}]}}'],
    ['an inherited bucket', `{"Records":[${JSON.stringify(record()).replace('"bucket":', '"__proto__":')}]}`],
    ['a million brackets', '['.repeat(1_000_000) + ']'.repeat(1_000_000)],
    ['a million objects', '{"Records":'.repeat(1_000_000) + '1' + '}'.repeat(1_000_000)],
    ['17 MB', `${' '.repeat(17_000_000)}{}`],
  ])('that is %s is malformed, and nothing worse', (_, body) => {
    expect(reasons(parse(body))).toEqual(['malformed'])
    expect(Object.prototype).not.toHaveProperty('Records')
  })

  test('of Ceph, as its documentation shows it, names its object', () => {
    const body = {
      Records: [
        {
          eventVersion: '2.1',
          eventSource: 'ceph:s3',
          awsRegion: 'zonegroup1',
          eventTime: '2019-11-22T13:47:35.124724Z',
          eventName: 'ObjectCreated:Put',
          s3: {
            s3SchemaVersion: '1.0',
            configurationId: 'mynotif1',
            bucket: { name: 'mybucket1', arn: 'arn:aws:s3:zonegroup1::mybucket1', id: '503a4c37' },
            object: {
              key: 'myimage1.jpg',
              size: '1024',
              eTag: '37b51d194a7513e45b56f6524f2d51f2',
              versionId: '',
              sequencer: 'F7E6D75DC742D108',
              metadata: [],
              tags: [],
            },
          },
          eventId: '',
          opaqueData: 'me@example.com',
        },
      ],
    }
    const options = { place: { bucket: 'mybucket1', prefix: '' }, keys: 'encoded' } as const
    expect(parseMessage(JSON.stringify(body), options)).toEqual({
      objects: [
        { bucket: 'mybucket1', key: 'myimage1.jpg', eTag: '37b51d194a7513e45b56f6524f2d51f2', sizeBytes: 1024 },
      ],
      refusals: [],
    })
  })

  test('of a hundred thousand records that are none is refused at the cost of one refusal', () => {
    const { objects, refusals } = parse(`{"Records":[${'5,'.repeat(99_999)}5]}`)
    expect(objects).toEqual([])
    expect(refusals).toEqual([{ reason: 'malformed', detail: 'Records[0]: eventVersion: not text', records: 100_000 }])
  })

  test("gives each record back in the message's order, whatever the wrapping", () => {
    const key = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
      .filter(k => !k.endsWith('/') && !k.includes('\0'))
    const wrap = fc.constantFrom(
      (s: string) => s,
      (s: string) => JSON.stringify(sns(s)),
    )
    fc.assert(
      fc.property(fc.array(key, { minLength: 1, maxLength: 5 }), wrap, fc.boolean(), (keys, wrapped, isRaw) => {
        const written = (k: string) => (isRaw ? k : encodeURIComponent(k).replaceAll('%20', '+'))
        const body = wrapped(JSON.stringify({ Records: keys.map(k => record({ key: written(`trip data/${k}`) })) }))
        expect(parse(body, isRaw ? 'raw' : 'encoded').objects.map(o => o.key)).toEqual(keys)
      }),
    )
  })
})

/** What each captured message is: its object as `key size eTag version`, or the reasons why it names none. */
const outcomes: Readonly<Record<string, string>> = {
  'aws-lambda-go/s3-event-with-decoded.json#0': 'Happy Face.jpg 1024 d41d8cd98f00b204e9800998ecf8427e version',
  'aws-lambda-go/s3-event.json#0': 'Happy Face.jpg 1024 d41d8cd98f00b204e9800998ecf8427e version',
  'aws-lambda-go/s3-glacier-event.json#0':
    'glacier-test.txt 1024 0123456789abcdef0123456789abcdef abcdeH0Xp66ep__QDjR76LK7Gc9X4wKO',
  'aws-lambda-go/s3-intelligenttier-event.json#0': 'not-created',
  'aws-lambda-go/s3-lifecycle-event.json#0': 'not-created',
  'aws-lambda-go/s3-replication-event.json#0': 'not-created',
  'aws-lambda-go/s3-restore-event.json#0':
    'glacier-test.txt 1024 0123456789abcdef0123456789abcdef abcdeH0Xp66ep__QDjR76LK7Gc9X4wKO',
  'aws-lambda-go/sns-event.json#0': 'malformed',
  'aws-lambda-go/sqs-event.json#0': 'malformed',
  'aws-lambda-go/sqs-event.json#1': 'malformed',
  'captured/minio-kafka-01-ObjectCreated-Put.json#0':
    'trip data/gréen+2022.parquet 4 2b85af6abf9be8e9a8bb4d661cde9488 -',
  'captured/minio-kafka-02-ObjectCreated-Put.json#0':
    'trip data/gréen+2022.parquet 8 cff853af6317666bc2a0facebc94b4a5 -',
  'captured/minio-kafka-03-ObjectCreated-Copy.json#0': 'trip data/copy.parquet 8 cff853af6317666bc2a0facebc94b4a5 -',
  'captured/minio-kafka-04-ObjectRemoved-Delete.json#0': 'not-created',
  'captured/minio-kafka-05-ObjectRemoved-NoOP.json#0': 'not-created',
  'captured/minio-kafka-06-ObjectRemoved-Delete.json#0': 'not-created',
  'captured/minio-kafka-07-ObjectCreated-CompleteMultipartUpload.json#0':
    'trip data/mp big.bin 5242881 822133d942d9fc1dfa052fdd6becca43-2 -',
  'captured/minio-kafka-08-ObjectRemoved-Delete.json#0': 'not-created',
  'captured/minio-kafka-09-ObjectCreated-Put-versioned.json#0':
    'trip data/gréen+2022.parquet 3 f97c5d29941bfb1b2fdab0874906ab82 5d37dd41-6237-4e7a-b0b1-064dec3437fc',
  'captured/minio-kafka-10-ObjectCreated-Put-versioned.json#0':
    'trip data/gréen+2022.parquet 3 b8a9f715dbb64fd5c56e7783c6820a61 88804749-b6be-47b8-94de-9db47c80bceb',
  'captured/minio-kafka-11-ObjectRemoved-DeleteMarkerCreated-versioned.json#0': 'not-created',
  'captured/minio-kafka-12-ObjectRemoved-Delete-versioned.json#0': 'not-created',
  'captured/minio-kafka-13-ObjectCreated-Put.json#0':
    "dt=2022-01-01/a&b=c;d,e:f@g$h!i*j(k)'l~m%25n#o?p😀.csv 1 c4ca4238a0b923820dcc509a6f75849b -",
  'captured/ministack-sqs-01-TestEvent.json#0': 'test-event',
  'captured/ministack-sqs-02-TestEvent.json#0': 'test-event',
  'captured/ministack-sqs-03-ObjectCreated-Put.json#0':
    'trip data/gréen+2022.parquet 4 2b85af6abf9be8e9a8bb4d661cde9488 -',
  'captured/ministack-sqs-04-ObjectCreated-Put.json#0':
    'trip data/gréen+2022.parquet 8 cff853af6317666bc2a0facebc94b4a5 -',
  'captured/ministack-sqs-05-ObjectCreated-CompleteMultipartUpload.json#0':
    'trip data/mp big.bin 5242881 822133d942d9fc1dfa052fdd6becca43-2 -',
  'captured/ministack-sqs-06-ObjectCreated-Copy.json#0': 'trip data/copy.parquet 8 cff853af6317666bc2a0facebc94b4a5 -',
  'captured/ministack-sqs-07-ObjectRemoved-Delete.json#0': 'not-created',
  'captured/ministack-sqs-08-ObjectRemoved-Delete.json#0': 'not-created',
  'captured/ministack-sqs-09-ObjectRemoved-Delete.json#0': 'not-created',
  'captured/ministack-sqs-10-ObjectCreated-Put-versioned.json#0':
    'trip data/gréen+2022.parquet 3 f97c5d29941bfb1b2fdab0874906ab82 0f1aedf9-18f0-4149-98a5-8aa65efc986d',
  'captured/ministack-sqs-11-ObjectCreated-Put-versioned.json#0':
    'trip data/gréen+2022.parquet 3 b8a9f715dbb64fd5c56e7783c6820a61 62a58ea2-2557-4eb0-ad7d-9572a9a03a0f',
  'captured/ministack-sqs-12-ObjectRemoved-DeleteMarkerCreated-versioned.json#0': 'not-created',
  'captured/ministack-sqs-13-ObjectRemoved-Delete-versioned.json#0': 'not-created',
  'captured/ministack-sqs-14-ObjectCreated-Put.json#0':
    "dt=2022-01-01/a&b=c;d,e:f@g$h!i*j(k)'l~m%25n#o?p😀.csv 1 c4ca4238a0b923820dcc509a6f75849b -",
  'captured/versitygw-kafka-01-TestEvent.json#0': 'test-event',
  'captured/versitygw-kafka-02-ObjectCreated-Put.json#0':
    'trip data/gréen+2022.parquet 4 2b85af6abf9be8e9a8bb4d661cde9488 -',
  'captured/versitygw-kafka-03-ObjectCreated-Put.json#0':
    'trip data/gréen+2022.parquet 8 cff853af6317666bc2a0facebc94b4a5 -',
  'captured/versitygw-kafka-04-ObjectCreated-CompleteMultipartUpload.json#0':
    'trip data/mp big.bin - 822133d942d9fc1dfa052fdd6becca43-2 -',
  'captured/versitygw-kafka-05-ObjectCreated-Copy.json#0':
    'trip data/copy.parquet - cff853af6317666bc2a0facebc94b4a5 -',
  'captured/versitygw-kafka-06-ObjectRemoved-Delete.json#0': 'not-created',
  'captured/versitygw-kafka-07-ObjectRemoved-Delete.json#0': 'not-created',
  'minio/docs-examples.ndjson#0': 'myphoto.jpg 200436 - -',
  'minio/docs-examples.ndjson#1': 'myphoto.jpg 56060 1d97bf45ecb37f7a7b699418070df08f -',
  'minio/docs-examples.ndjson#2': 'myphoto.jpg 248682 f1671feacb8bbf7b0397c6e9364e8c92 1',
  'minio/docs-examples.ndjson#3': 'myphoto.jpg 56060 1d97bf45ecb37f7a7b699418070df08f -',
  'minio/docs-examples.ndjson#4': 'myphoto.jpg 26 467886be95c8ecfd71a2900e3f461b4f -',
  'minio/docs-examples.ndjson#5': 'gopher.jpg 162023 5337769ffa594e742408ad3f30713cd7 1',
  'powertools/s3Event.json#0': 'b21b84d653bb07b05b1e6b33684dc11b 1305107 b21b84d653bb07b05b1e6b33684dc11b -',
  'powertools/s3EventBridgeNotificationObjectCreatedEvent.json#0':
    'IMG_m7fzo3.jpg 184662 4e68adba0abe2dc8653dc3354e14c01d -',
  'powertools/s3EventBridgeNotificationObjectDeletedEvent.json#0': 'not-created',
  'powertools/s3EventDecodedKey.json#0': 'Happy Face.jpg 1024 d41d8cd98f00b204e9800998ecf8427e version',
  'powertools/s3EventDeleteObject.json#0': 'not-created',
  'powertools/s3EventGlacier.json#0': 'b21b84d653bb07b05b1e6b33684dc11b 1305107 b21b84d653bb07b05b1e6b33684dc11b -',
  'powertools/s3SqsEvent.json#0': 'malformed',
  'powertools/s3SqsEvent.json#1': 'test.pdf 104681 2e3ad1e983318bbd8e73b080e2997980 yd3d4HaWOT2zguDLvIQLU6ptDTwKBnQV',
  'powertools/snsSqsEvent.json#0': 'malformed',
  'powertools/snsSqsEvent.json#1': 'malformed',
  'powertools/sqsEvent.json#0': 'malformed and malformed',
  'powertools/sqsEvent.json#1': 'malformed',
  'powertools/sqsEvent.json#2': 'malformed',
}

const bucketOf = (text: string): string =>
  /\\?"bucket\\?":\s*{\s*(?:\\?"arn[^,]*,\s*)?\\?"name\\?":\s*\\?"([^"\\]+)/.exec(text)?.[1] ?? 'landed'

describe.skipIf(!isCorpusThere)('captured messages', () => {
  test('have the outcomes that are written down, all of them', () => {
    const seen = corpus().map(({ name, text }) => {
      const keys = name.includes('versitygw') ? 'raw' : 'encoded'
      const parsed = parseMessage(text, { place: { bucket: bucketOf(text), prefix: '' }, keys })
      const objects = parsed.objects.map(o => `${o.key} ${o.sizeBytes ?? '-'} ${o.eTag ?? '-'} ${o.versionId ?? '-'}`)
      return [name, [...objects, ...reasons({ objects: [], refusals: parsed.refusals })].join(' and ')]
    })
    expect(Object.fromEntries(seen)).toEqual(outcomes)
  })

  test('mutated 100,000 times never throw, and every record is counted once', () => {
    const bodies = corpus().map(({ text }) => text)
    const random = seededRandom(2022)
    const seen: Record<string, number> = {}
    for (let run = 0; run < 100_000; run++) {
      const text = mutate(bodies[Math.floor(random() * bodies.length)] as string, bodies, random)
      const asBytes = random() < 0.2
      const body = asBytes ? garble(Buffer.from(text), random) : text
      const parsed = parseMessage(body, { place: { bucket: bucketOf(text), prefix: '' }, keys: 'encoded' })
      const records = recordsOf(asBytes ? undefined : text)
      if (records !== undefined) expect({ run, counted: reasons(parsed).length }).toEqual({ run, counted: records })
      for (const reason of reasons(parsed)) seen[reason] = (seen[reason] ?? 0) + 1
      for (const object of parsed.objects)
        if (object.bucket !== bucketOf(text) || object.key === '' || object.key.endsWith('/'))
          throw new Error(`run ${run}: ${text}`)
    }
    // The mutations reach every outcome, so none of the above is vacuous.
    expect(Object.keys(seen).toSorted()).toEqual([
      'accepted',
      'folder',
      'foreign-bucket',
      'malformed',
      'not-created',
      'test-event',
    ])
    expect(Object.values(seen).every(count => count >= 10)).toBe(true)
  })
})

/** How many records a message has that is an S3 message at its top. */
function recordsOf(text: string | undefined): number | undefined {
  try {
    const value = JSON.parse(text ?? '') as { Records?: unknown }
    return Array.isArray(value.Records) && Object.hasOwn(value, 'Records')
      ? Math.max(1, value.Records.length)
      : undefined
  } catch {
    return undefined
  }
}

const pieces = [
  'null',
  '""',
  '[]',
  '{}',
  '-1',
  '1e999',
  '9007199254740993',
  '"__proto__"',
  '"\\ud800"',
  '"%"',
  '"a/"',
  '{"__proto__":{}}',
  '[[[[[[]]]]]]',
  'true',
]

function mutate(text: string, bodies: readonly string[], random: () => number): string {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T
  const at = () => Math.floor(random() * (text.length + 1))
  switch (Math.floor(random() * 8)) {
    case 0:
      return text
    case 1:
      return text.slice(0, at())
    case 2: {
      const from = at()
      return text.slice(0, from) + text.slice(from + 1 + Math.floor(random() * 8))
    }
    case 3: {
      const from = at()
      return (
        text.slice(0, from) +
        pick(['"', '{', '}', '\\', ',', ':', '\0', '\ufeff', '😀', '%', '+', '/']) +
        text.slice(from)
      )
    }
    case 4: {
      // One value for another: most of these are still JSON.
      const values = [...text.matchAll(/:\s*("(?:[^"\\]|\\.)*"|-?\d+|null|\[\]|\{\})/g)]
      if (values.length === 0) return text
      const value = pick(values)
      const end = value.index + value[0].length
      return text.slice(0, end - (value[1] as string).length) + pick(pieces) + text.slice(end)
    }
    case 5: {
      // One name for another.
      const names = [...text.matchAll(/"([A-Za-z0-9-]+)"(?=\s*:)/g)]
      if (names.length === 0) return text
      const name = pick(names)
      return (
        text.slice(0, name.index) +
        pick(['"__proto__"', '"constructor"', '"key"', '"Records"', '"name"']) +
        text.slice(name.index + name[0].length)
      )
    }
    case 6: {
      // Records beside those of another message.
      const records = (body: string): unknown[] => {
        try {
          const found = (JSON.parse(body) as { Records?: unknown }).Records
          return Array.isArray(found) ? found : [found ?? null]
        } catch {
          return [body]
        }
      }
      return JSON.stringify({ Records: [...records(text), ...records(pick(bodies))] })
    }
    default:
      return JSON.stringify(sns(text))
  }
}

function garble(bytes: Buffer, random: () => number): Buffer {
  for (let i = 0; i < 3 && bytes.length > 0; i++)
    if (random() < 0.5) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
  return bytes
}
