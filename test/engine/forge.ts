/** Messages about objects of a bucket: true ones, and those that somebody made up of them. */
import type { ObjectVersion } from '../../src/core/object-version.ts'

/** An object version as a message tells of it. */
export type Told = Omit<ObjectVersion, 'lastModifiedMs'>

export type Random = () => number
/** What JSON can hold, and undefined for what is left out. */
type Value = unknown

export const pick = <T>(from: readonly T[], random: Random): T => from[Math.floor(random() * from.length)] as T

/** What a bucket tells of a version that landed in it. */
export function recordOf({ bucket, key, eTag, versionId, sizeBytes }: Told, prefix = 'in/'): Value {
  return {
    eventVersion: '2.1',
    eventSource: 'aws:s3',
    awsRegion: 'us-east-1',
    eventTime: '2024-01-01T00:00:00.000Z',
    eventName: 'ObjectCreated:Put',
    s3: {
      s3SchemaVersion: '1.0',
      bucket: { name: bucket },
      object: { key: encodeURIComponent(prefix + key), size: sizeBytes, eTag, versionId, sequencer: '0A1B' },
    },
  }
}

export const messageOf = (...records: readonly Value[]): string => JSON.stringify({ Records: records })

const extremes: readonly Value[] = [
  undefined,
  null,
  true,
  false,
  0,
  -0,
  -1,
  1,
  5.5,
  1_024,
  2 ** 31,
  2 ** 53 - 1,
  2 ** 53,
  -(2 ** 53),
  1e308,
  '',
  '0',
  '5',
  '-1',
  '1e3',
  '1024',
  '9'.repeat(16),
  '9'.repeat(400),
  'null',
  'NaN',
  'undefined',
  '__proto__',
  'constructor',
  'a\0b',
  '\0',
  '\ud800',
  'x\udc00',
  '\r\nx-amz-acl: public-read',
  '\u001b[2J',
  '"',
  "'; DROP TABLE ledger; --",
  'e", "f',
  '*',
  'W/"e"',
  '%',
  '%00',
  '%zz',
  '..',
  'in/../in/a.jsonl',
  'in/..%2f..%2fsecret.jsonl',
  'in//a.jsonl',
  'in/',
  'out/a.jsonl',
  `in/${'k'.repeat(1_015)}.jsonl`,
  `in/${'é'.repeat(1_000)}.jsonl`,
  'v1',
  'v999999',
  'ObjectRestore:Completed',
  'ObjectCreated:',
  'ObjectRemoved:Delete',
  '2.999',
  '+275760-09-13T00:00:00.001Z',
  '0000-00-00T99:99:99Z',
  '2024-01-01T00:00:00.000Z',
  'x'.repeat(10_000),
  '💥'.repeat(300),
  [],
  [[[[[[]]]]]],
  {},
  { toString: 'x' },
  { length: 1, 0: 'a' },
]

const fields = [
  'eventVersion',
  'eventName',
  'eventTime',
  's3',
  's3.bucket',
  's3.bucket.name',
  's3.object',
  's3.object.key',
  's3.object.size',
  's3.object.eTag',
  's3.object.versionId',
  's3.object.sequencer',
  's3.object.__proto__',
] as const
/** These say which version it is: what somebody would lie about. */
const telling = ['s3.object.size', 's3.object.eTag', 's3.object.versionId', 's3.object.key', 'eventName'] as const

/**
 * A message about one of these versions with some of its fields replaced: by any extreme, or by what is true of another one.
 * It may be wrapped, cut off, or one of many records.
 */
export function forge(stored: readonly Told[], random: Random, prefix = 'in/'): string {
  const records = Array.from({ length: random() < 0.8 ? 1 : Math.ceil(random() * 20) }, () =>
    forgedRecord(pick(stored, random), stored, random, prefix),
  )
  const text = random() < 0.05 ? JSON.stringify(records[0]) : messageOf(...records)
  return wrapped(text, random)
}

function forgedRecord(about: Told, stored: readonly Told[], random: Random, prefix: string): Value {
  let record = recordOf(about, prefix)
  const changes = Math.ceil(random() * 3)
  for (let change = 0; change < changes; change++) {
    const path = pick(random() < 0.7 ? telling : fields, random)
    record = withField(
      record,
      path.split('.'),
      random() < 0.3 ? ofAnother(path, pick(stored, random), prefix) : pick(extremes, random),
    )
  }
  return record
}

/** What the field truly says of another object. */
function ofAnother(path: string, other: Told, prefix: string): Value {
  const name = path.split('.').at(-1)
  if (name === 'key') return encodeURIComponent(prefix + other.key)
  if (name === 'eTag') return other.eTag
  if (name === 'versionId') return other.versionId ?? 'v1'
  if (name === 'size') return other.sizeBytes
  return pickField(recordOf(other), path.split('.'))
}

function pickField(value: Value, [name, ...rest]: readonly string[]): Value {
  if (name === undefined) return value
  return typeof value === 'object' && value !== null
    ? pickField((value as Record<string, Value>)[name], rest)
    : undefined
}

function withField(value: Value, [name, ...rest]: readonly string[], to: Value): Value {
  if (name === undefined) return to
  if (typeof value !== 'object' || value === null) return value
  const own = Object.hasOwn(value, name) ? (value as Record<string, Value>)[name] : undefined
  // A computed name makes `__proto__` a field of its own.
  return { ...value, [name]: withField(own, rest, to) }
}

function wrapped(text: string, random: Random): string {
  const chance = random()
  if (chance < 0.1) return JSON.stringify({ Type: 'Notification', Message: text })
  if (chance < 0.13) return text.slice(0, Math.floor(random() * text.length))
  if (chance < 0.16) return text.replace('"object":{', '"object":{"key":"in%2Ftwice.jsonl","size":7,')
  if (chance < 0.17) return `${'['.repeat(5_000)}${text}${']'.repeat(5_000)}`
  if (chance < 0.18) return '{"a":'.repeat(2_000) + text + '}'.repeat(2_000)
  if (chance < 0.19) return `{"Records":[${'5,'.repeat(2_000)}${text}]}`
  return text
}
