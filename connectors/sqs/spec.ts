import { type Duration, durationUs } from '../../src/core/duration.ts'
import { configError } from '../../src/core/errors.ts'
import type { SqsSpec } from '../../src/plan/notification-spec.ts'

export interface SqsOptions {
  /** As `aws sqs get-queue-url` prints it. */
  readonly queueUrl: string
  /** Default: the one that the queue's address names, else `AWS_REGION` and the AWS profile. */
  readonly region?: string
  /** For a server that is not AWS. Default: the host of `queueUrl`. */
  readonly endpoint?: string
  /**
   * How long a message stays hidden when this process dies: it is extended at half of that until its objects are
   * committed, and for 12 hours at most (SQS allows no more). Default '2m'; '2s' to '12h'.
   */
  readonly visibilityTimeout?: Duration
  /**
   * A message that is no S3 event, or has a record that cannot be read. 'leave' (default) never deletes it, so the
   * queue's redrive policy moves it to its dead-letter queue; 'quarantine' logs it and deletes it.
   */
  readonly onMalformed?: 'leave' | 'quarantine'
  /**
   * A message that names only objects outside the source's bucket and prefix. 'acknowledge' (default) deletes it;
   * 'leave' does not: for a queue that others read as well.
   */
  readonly onForeign?: 'acknowledge' | 'leave'
}

const known = ['queueUrl', 'region', 'endpoint', 'visibilityTimeout', 'onMalformed', 'onForeign'] as const

/**
 * Objects announced by an SQS queue: S3's own messages, also through SNS (raw or wrapped) and EventBridge.
 *
 *     notifications: sqs({ queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed' })
 *
 * @throws MillraceError `user` that names the field, the value and what was expected.
 */
export function sqs(options: SqsOptions): SqsSpec {
  if (typeof options !== 'object' || options === null) throw configError('sqs', options, 'an object of options')
  for (const field of Object.keys(options))
    if (!(known as readonly string[]).includes(field))
      throw configError(`sqs: ${field}`, options[field as keyof SqsOptions], `one of ${known.join(', ')}`)
  const queueUrl = addressOf(options.queueUrl, 'sqs: queueUrl')
  if (queueUrl.pathname === '/')
    throw configError('sqs: queueUrl', options.queueUrl, 'the address of a queue, which ends in its name')
  if (options.endpoint !== undefined) addressOf(options.endpoint, 'sqs: endpoint')
  const region = regionOf(options.region, queueUrl.hostname)
  const visibility = options.visibilityTimeout ?? '2m'
  if (typeof visibility !== 'string') throw configError('sqs: visibilityTimeout', visibility, "a time such as '2m'")
  const visibilityTimeoutS = Number(durationUs(visibility, 'sqs: visibilityTimeout') / 1_000_000n)
  // Half of it is the beat that keeps a message; past 12 hours SQS refuses.
  if (visibilityTimeoutS < 2 || visibilityTimeoutS > 43_200)
    throw configError('sqs: visibilityTimeout', visibility, "'2s' to '12h'")
  return {
    notifications: 'sqs',
    queueUrl: options.queueUrl,
    ...(region === undefined ? {} : { region }),
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    visibilityTimeoutS,
    onMalformed: oneOf(options.onMalformed, ['leave', 'quarantine'], 'onMalformed'),
    onForeign: oneOf(options.onForeign, ['acknowledge', 'leave'], 'onForeign'),
  }
}

function addressOf(value: unknown, field: string): URL {
  const expected = "an http or https address, such as 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed'"
  if (typeof value !== 'string' || !URL.canParse(value)) throw configError(field, value, expected)
  const url = new URL(value)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw configError(field, value, expected)
  return url
}

/** A queue lives in one region: signing for another one would be refused at every call. */
function regionOf(value: unknown, host: string): string | undefined {
  const named = /^(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com(?:\.cn)?$/.exec(host)
  const ofQueue = named?.[1] ?? named?.[2]
  if (value === undefined) return ofQueue
  if (typeof value !== 'string' || !/^[a-z0-9-]+$/.test(value))
    throw configError('sqs: region', value, "a region, such as 'eu-west-1'")
  if (ofQueue !== undefined && ofQueue !== value)
    throw configError('sqs: region', value, `'${ofQueue}', the region that queueUrl names; or leave region out`)
  return value
}

function oneOf<const T extends string>(value: T | undefined, allowed: readonly [T, ...T[]], field: string): T {
  if (value === undefined) return allowed[0]
  if (!allowed.includes(value)) throw configError(`sqs: ${field}`, value, allowed.map(word => `'${word}'`).join(' or '))
  return value
}
