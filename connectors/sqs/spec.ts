import { type Duration, durationUs } from '../../src/core/duration.ts'
import { configError } from '../../src/core/errors.ts'
import { duration, oneOf, text } from '../../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../../src/core/options.ts'
import type { NotificationSpec } from '../../src/plan/notification-spec.ts'

/** An SQS queue as plain data: `sqs({...})` makes it and holds the defaults. */
export interface SqsSpec extends NotificationSpec {
  readonly notifications: 'sqs'
  readonly queueUrl: string
  readonly region?: string
  readonly endpoint?: string
  readonly visibilityTimeoutS: number
  readonly onMalformed: 'leave' | 'quarantine'
  readonly onForeign: 'acknowledge' | 'leave'
}

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

const httpAddress = text(
  "an http or https address, such as 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed'",
  address => /^https?:\/\//i.test(address) && URL.canParse(address),
  'URL',
)

export const sqsOptions = {
  queueUrl: { kind: httpAddress, isRequired: true, about: 'The queue, as `aws sqs get-queue-url` prints it.' },
  region: {
    kind: text("a region, such as 'eu-west-1'", region => /^[a-z0-9-]+$/.test(region)),
    otherwise: "the one that the queue's address names, else AWS_REGION and the AWS profile",
    about: 'The region of the queue.',
  },
  endpoint: { kind: httpAddress, otherwise: 'the host of queueUrl', about: 'A server that is not AWS.' },
  visibilityTimeout: {
    // Half of it is the beat that keeps a message; past 12 hours SQS refuses.
    kind: duration("'2s' to '12h'", us => us >= 2_000_000n && us <= 43_200_000_000n),
    default: '2m',
    about: 'How long a message stays hidden when this process dies.',
  },
  onMalformed: {
    kind: oneOf('leave', 'quarantine'),
    default: 'leave',
    about: 'What happens to a message that is no S3 event, or has a record that cannot be read.',
  },
  onForeign: {
    kind: oneOf('acknowledge', 'leave'),
    default: 'acknowledge',
    about: "What happens to a message that names only objects outside the source's bucket and prefix.",
  },
} satisfies OptionTable<SqsOptions>

/**
 * Objects announced by an SQS queue: S3's own messages, also through SNS (raw or wrapped) and EventBridge.
 *
 *     notifications: sqs({ queueUrl: 'https://sqs.eu-west-1.amazonaws.com/123456789012/landed' })
 *
 * @throws MillraceError `user` that names the field, the value and what was expected.
 */
export function sqs(options: SqsOptions): SqsSpec {
  const { queueUrl, region, endpoint, visibilityTimeout, onMalformed, onForeign } = readCall(
    'sqs',
    sqsOptions,
    [],
    options,
  )
  const queue = new URL(queueUrl)
  if (queue.pathname === '/')
    throw configError('sqs: queueUrl', queueUrl, 'the address of a queue, which ends in its name')
  const signedFor = regionOf(region, queue.hostname)
  return {
    notifications: 'sqs',
    queueUrl,
    ...(signedFor === undefined ? {} : { region: signedFor }),
    ...(endpoint === undefined ? {} : { endpoint }),
    visibilityTimeoutS: Number(durationUs(visibilityTimeout, 'sqs: visibilityTimeout') / 1_000_000n),
    onMalformed,
    onForeign,
  }
}

/** A queue lives in one region: signing for another one would be refused at every call. */
function regionOf(region: string | undefined, host: string): string | undefined {
  const named = /^(?:sqs\.([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com(?:\.cn)?$/.exec(host)
  const ofQueue = named?.[1] ?? named?.[2]
  if (region !== undefined && ofQueue !== undefined && ofQueue !== region)
    throw configError('sqs: region', region, `'${ofQueue}', the region that queueUrl names; or leave region out`)
  return region ?? ofQueue
}
