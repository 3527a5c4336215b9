import type { Announced } from '../../src/core/object-version.ts'

/** The only place that a message may name objects of: its source's address. */
export interface Place {
  readonly bucket: string
  /** '' or what every key begins with. */
  readonly prefix: string
}

/** Why a record names no object of the source. */
export type Reason =
  /** Some other event: removed, tagged, transitioned, ... */
  | 'not-created'
  /** What S3 sends when notifications are set up. */
  | 'test-event'
  | 'foreign-bucket'
  | 'foreign-prefix'
  /** The placeholder of a folder: a key that ends in a slash. */
  | 'folder'
  | 'malformed'

/** Records of one message that were refused for one reason. */
export interface Refusal {
  readonly reason: Reason
  /** What was wrong with the first of them, and where, for logs. */
  readonly detail: string
  readonly records: number
}

/** Each record is an object or one of a refusal's; a message that has no records is one refusal. */
export interface Parsed {
  /** Keys are relative to the place. */
  readonly objects: readonly Announced[]
  /** One a reason. */
  readonly refusals: readonly Refusal[]
}

export interface ParseOptions {
  readonly place: Place
  /** How S3 records write keys; EventBridge's are always raw. */
  readonly keys: 'encoded' | 'raw'
}

/** SQS and Kafka carry 1 MiB unless somebody raised it: past this nobody sends notifications. */
const bodyCharsMax = 16 * 1_048_576
/** At least 150 characters each, in messages of that length. */
const recordsMax = 100_000
/** EventBridge through SNS into a queue is two; nobody has a reason for more than these. */
const envelopesMax = 3
/** S3's limit of a key. */
const keyBytesMax = 1_024
const versionCharsMax = 1_024

const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Reads an S3 event message: S3 records (event version 2) raw or wrapped by SNS, and EventBridge events. Nothing that
 * a message contains makes it throw, and every record is counted once, as an object or as refused.
 *
 * Only an event, a bucket and a key make an object. All else that a message says of it is a hint, as the store knows it
 * better: what cannot be used counts as left out.
 *
 * Sources: "Event message structure" and "Using EventBridge" of the S3 User Guide, and messages captured from MinIO,
 * Ceph and versitygw.
 */
export function parseMessage(body: string | Uint8Array | null, options: ParseOptions): Parsed {
  try {
    if (body === null) throw new Malformed('the message has no body')
    if (body.length > bodyCharsMax) throw new Malformed(`the message has ${body.length} characters or bytes`)
    return parseValue(parseJson(typeof body === 'string' ? body : decodeUtf8(body)), options, 0)
  } catch (error) {
    // A stack that a nested body exhausted, or a defect of ours, must not end a daemon either: the message is refused.
    return refused('malformed', error instanceof Error ? error.message : String(error))
  }
}

class Malformed extends Error {}
class Refused extends Error {
  readonly reason: Exclude<Reason, 'malformed'>
  constructor(reason: Exclude<Reason, 'malformed'>, detail: string) {
    super(detail)
    this.reason = reason
  }
}

function parseValue(value: unknown, options: ParseOptions, envelopes: number): Parsed {
  const records = field(value, 'Records')
  if (Array.isArray(records)) {
    if (records.length === 0) throw new Malformed('Records: empty')
    if (records.length > recordsMax) throw new Malformed(`Records: ${records.length} of them`)
    return collect(records, record => parseRecord(record, options))
  }
  if (field(value, 'Event') === 's3:TestEvent') return refused('test-event', 's3:TestEvent')
  if (typeof field(value, 'detail-type') === 'string')
    return collect([value], event => parseEventBridge(event, options))
  if (field(value, 'Type') === 'Notification') {
    if (envelopes === envelopesMax) throw new Malformed(`more than ${envelopesMax} envelopes`)
    return parseValue(parseJson(text(value, 'Message')), options, envelopes + 1)
  }
  throw new Malformed('neither S3 records, nor an SNS notification, nor an EventBridge event')
}

function collect(records: readonly unknown[], parse: (record: unknown) => Announced): Parsed {
  const objects: Announced[] = []
  const refusals = new Map<Reason, Refusal>()
  for (const [index, record] of records.entries()) {
    try {
      objects.push(parse(record))
    } catch (error) {
      const reason = error instanceof Refused ? error.reason : 'malformed'
      const message = error instanceof Error ? error.message : String(error)
      const detail = records.length === 1 ? message : `Records[${index}]: ${message}`
      const before = refusals.get(reason)
      refusals.set(reason, { reason, detail: before?.detail ?? detail, records: (before?.records ?? 0) + 1 })
    }
  }
  return { objects, refusals: [...refusals.values()] }
}

function parseRecord(record: unknown, options: ParseOptions): Announced {
  const version = text(record, 'eventVersion')
  // S3 adds fields under a new minor version; a new major one means something else.
  if (!/^2\.\d+$/.test(version)) throw new Malformed(`eventVersion: '${short(version)}' is none of 2.x`)
  const name = text(record, 'eventName').replace(/^s3:/, '')
  const isRestored = name === 'ObjectRestore:Completed'
  if (!isRestored && !name.startsWith('ObjectCreated:')) throw new Refused('not-created', short(name))
  const s3 = field(record, 's3')
  const object = field(s3, 'object')
  const key = text(object, 'key')
  return {
    ...announced(text(field(s3, 'bucket'), 'name'), options.keys === 'raw' ? key : decodeKey(key), options.place),
    ...versionOf(object, 'eTag', 'versionId'),
    ...(isRestored ? { isRestored } : {}),
  }
}

function parseEventBridge(event: unknown, options: ParseOptions): Announced {
  const type = text(event, 'detail-type')
  const isRestored = type === 'Object Restore Completed'
  if (field(event, 'source') !== 'aws.s3' || (type !== 'Object Created' && !isRestored))
    throw new Refused('not-created', short(type))
  const detail = field(event, 'detail')
  const object = field(detail, 'object')
  return {
    ...announced(text(field(detail, 'bucket'), 'name'), text(object, 'key'), options.place),
    ...versionOf(object, 'etag', 'version-id'),
    ...(isRestored ? { isRestored } : {}),
  }
}

/** The allow-list: what lies elsewhere is refused whatever a message says. */
function announced(bucket: string, key: string, { bucket: own, prefix }: Place): Pick<Announced, 'bucket' | 'key'> {
  if (key === '' || /[\0\p{Surrogate}]/u.test(key) || Buffer.byteLength(key) > keyBytesMax)
    throw new Malformed(`key: '${short(key)}' is none that S3 allows`)
  if (bucket !== own) throw new Refused('foreign-bucket', short(`${bucket}/${key}`))
  if (!key.startsWith(prefix)) throw new Refused('foreign-prefix', short(key))
  if (key.endsWith('/')) throw new Refused('folder', short(key))
  return { bucket, key: key.slice(prefix.length) }
}

function versionOf(
  object: unknown,
  eTagField: string,
  versionField: string,
): Pick<Announced, 'eTag' | 'versionId' | 'sizeBytes'> {
  const eTag = token(field(object, eTagField), /^(?:W\/)?"(.*)"$/)
  const versionId = token(field(object, versionField))
  const sizeBytes = sizeOf(field(object, 'size'))
  return {
    ...(eTag === undefined ? {} : { eTag }),
    // 'null' is the version of a bucket without versioning or with suspended one: every overwrite has it.
    ...(versionId === undefined || versionId === 'null' ? {} : { versionId }),
    ...(sizeBytes === undefined ? {} : { sizeBytes }),
  }
}

/** A word that a header or a query can hold; servers write null, '' or nothing for what they do not have. */
function token(value: unknown, quotes = /^(.*)$/): string | undefined {
  const word = typeof value === 'string' ? value.replace(quotes, '$1') : ''
  return word.length <= versionCharsMax && /^[!#-~]+$/.test(word) ? word : undefined
}

/** Ceph's documentation writes it as text, and some servers say 0 when they do not know. */
function sizeOf(value: unknown): number | undefined {
  const size = typeof value === 'string' && /^\d{1,16}$/.test(value) ? Number(value) : value
  return typeof size === 'number' && Number.isSafeInteger(size) && size > 0 ? size : undefined
}

/** Form encoding: '+' is a space, everything else that is not plain is percent-encoded UTF-8. */
function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key.replaceAll('+', ' '))
  } catch {
    throw new Malformed(
      `key: '${short(key)}' is not percent-encoded UTF-8; a server that sends keys as they are needs keys: 'raw'`,
    )
  }
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new Malformed('the message is not UTF-8')
  }
}

function parseJson(source: string): unknown {
  try {
    return JSON.parse(source)
  } catch {
    throw new Malformed(`not JSON: '${short(source)}'`)
  }
}

/** Own fields only: neither `__proto__` nor `constructor` of a message reaches what objects inherit. */
function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
  return (value as Readonly<Record<string, unknown>>)[name]
}

function text(value: unknown, name: string): string {
  const found = field(value, name)
  if (typeof found !== 'string') throw new Malformed(`${name}: not text`)
  return found
}

function refused(reason: Reason, detail: string): Parsed {
  return { objects: [], refusals: [{ reason, detail, records: 1 }] }
}

function short(value: string): string {
  return value.length > 200 ? `${value.slice(0, 200)}...` : value
}
