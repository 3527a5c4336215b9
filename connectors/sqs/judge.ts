import { about, type Finding, judged } from '../../src/core/finding.ts'
import type { JudgeContext } from '../notifications/connector.ts'
import type { QueueFacts } from './describe.ts'
import type { SqsSpec } from './spec.ts'

const dayS = 86_400

export interface QueueContext extends JudgeContext {
  readonly spec: SqsSpec
  readonly facts: QueueFacts
}

/** Whether a queue keeps announcements until they are counted, and may be read. */
export function judgeQueue({ spec, facts, bucket, everyMs }: QueueContext): readonly Finding[] {
  const judge = about('queue')
  if (facts.isMissing)
    return [judge('problem', `queue ${spec.queueUrl} does not exist. Create it, or correct queueUrl and region`)]
  const found: Finding[] = []
  for (const action of facts.refused)
    found.push(
      judge('problem', `this identity may not ${action} on ${spec.queueUrl}. Allow it in IAM or in the queue's policy`),
    )
  if (spec.visibilityTimeoutS * 1_000 < 3 * everyMs)
    found.push(
      judge(
        'warning',
        `visibilityTimeout is ${spec.visibilityTimeoutS} s and a mini-batch is gathered for ${everyMs / 1_000} ` +
          's: a message is extended many times before its commit. ' +
          `Use at least ${Math.ceil((3 * everyMs) / 1_000)} s`,
      ),
    )
  if (spec.queueUrl.endsWith('.fifo'))
    found.push(
      judge(
        'warning',
        'it is a FIFO queue: S3 announces to standard queues only, and one message group is read one message at a time',
      ),
    )
  found.push(
    ...judged(judge, `attributes of ${spec.queueUrl}`, facts.attributes, attributes => {
      const { retentionS, maxReceiveCount, policy, messages } = attributes
      const worries: Finding[] = []
      if (maxReceiveCount === undefined && spec.onMalformed === 'leave')
        worries.push(
          judge(
            'warning',
            'no redrive policy: a message that cannot be read comes again until it expires. ' +
              "Give the queue a dead-letter queue, or use onMalformed: 'quarantine'",
          ),
        )
      if (maxReceiveCount !== undefined && maxReceiveCount < 3)
        worries.push(
          judge(
            'warning',
            `maxReceiveCount is ${maxReceiveCount}: ` +
              'a few restarts send good messages to the dead-letter queue. Use 5 or more',
          ),
        )
      if (retentionS !== undefined && retentionS < dayS)
        worries.push(
          judge(
            'warning',
            `messages are kept for ${retentionS} s: ` +
              'what is announced while nothing runs is lost after that, and only listings find it. Use some days',
          ),
        )
      if (!maySend(policy, bucket))
        worries.push(
          judge(
            'problem',
            `the queue's policy lets no service announce for bucket ${bucket}. ` +
              `Allow sqs:SendMessage to s3.amazonaws.com with aws:SourceArn arn:aws:s3:::${bucket}`,
          ),
        )
      return worries.length > 0 ? worries : [judge('ok', `queue ${spec.queueUrl} is there, with ${messages} messages`)]
    }),
  )
  return found
}

/**
 * Whether a statement lets S3 send for this bucket, or SNS or EventBridge for anything: what they send is not looked
 * at.
 */
export function maySend(policy: string, bucket: string): boolean {
  const statements = list((parse(policy) as { readonly Statement?: unknown } | undefined)?.Statement)
  return statements.some(statement => {
    const { Effect, Principal, Action, Condition } = (statement ?? {}) as Readonly<Record<string, unknown>>
    if (Effect !== 'Allow') return false
    if (!list(Action).some(action => matches(String(action).toLowerCase(), 'sqs:sendmessage'))) return false
    const principals =
      typeof Principal === 'object' && Principal !== null
        ? Object.values(Principal).flatMap(list).map(String)
        : list(Principal).map(String)
    if (principals.some(name => name === 'sns.amazonaws.com' || name === 'events.amazonaws.com')) return true
    if (!principals.includes('s3.amazonaws.com') && !principals.includes('*')) return false
    const sources = sourceArns(Condition)
    return sources.length === 0 || sources.some(arn => matches(arn, `arn:aws:s3:::${bucket}`))
  })
}

function sourceArns(condition: unknown): readonly string[] {
  if (typeof condition !== 'object' || condition === null) return []
  return Object.values(condition).flatMap(tests =>
    Object.entries((tests ?? {}) as Readonly<Record<string, unknown>>).flatMap(([name, value]) =>
      name.toLowerCase() === 'aws:sourcearn' ? list(value).map(String) : [],
    ),
  )
}

/** A policy's pattern: '*' for any text, '?' for any character. Partitions such as aws-cn are one. */
function matches(pattern: string, text: string): boolean {
  const source = pattern
    .replace(/^arn:aws(-[a-z-]+)?:/, 'arn:aws:')
    .replaceAll(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.')
  return new RegExp(`^${source}$`).test(text)
}

const list = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? (value as unknown[]) : value === undefined || value === null ? [] : [value]

function parse(json: string): unknown {
  try {
    return json === '' ? undefined : JSON.parse(json)
  } catch {
    return undefined
  }
}
