import {
  GetBucketLifecycleConfigurationCommand,
  GetBucketNotificationConfigurationCommand,
  GetBucketVersioningCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import type { Fact } from '../../src/core/fact.ts'
import { createS3Client } from './client.ts'
import { failureOf } from './errors.ts'
import { parseS3Address, toSpec } from './spec.ts'

/** What a bucket is told to do by itself, as far as millrace is touched by it. */
export interface BucketFacts {
  readonly bucket: string
  /** Of the address. */
  readonly prefix: string
  readonly notifications: Fact<readonly BucketNotification[]>
  readonly isVersioned: Fact<boolean>
  readonly lifecycle: Fact<readonly LifecycleRule[]>
}

/** Where the bucket announces which events of which keys. */
export interface BucketNotification {
  readonly to: 'queue' | 'topic' | 'event-bridge' | 'other'
  /** '' of EventBridge, which is sent every event of every key. */
  readonly arn: string
  readonly events: readonly string[]
  readonly prefix: string
  readonly suffix: string
}

/** A rule that is switched on, for keys with this prefix whatever their tags and size. */
export interface LifecycleRule {
  readonly id: string
  readonly prefix: string
  readonly expires: boolean
  readonly transitions: boolean
  readonly expiresNoncurrent: boolean
}

/** Reads configuration only; what may not be read is said so. */
export async function describeBucket(address: string, field: string): Promise<BucketFacts> {
  const spec = toSpec(parseS3Address(address, field))
  const client = await createS3Client(spec, field)
  try {
    const [notifications, isVersioned, lifecycle] = await Promise.all([
      fact('s3:GetBucketNotification', () => readNotifications(client, spec.bucket)),
      fact('s3:GetBucketVersioning', async () => {
        const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket: spec.bucket }))
        return Status === 'Enabled'
      }),
      fact('s3:GetLifecycleConfiguration', () => readLifecycle(client, spec.bucket)),
    ])
    return { bucket: spec.bucket, prefix: spec.prefix, notifications, isVersioned, lifecycle }
  } finally {
    client.destroy()
  }
}

async function fact<T>(action: string, read: () => Promise<T>): Promise<Fact<T>> {
  try {
    return { is: 'known', value: await read() }
  } catch (thrown) {
    const { code, status, error } = failureOf(thrown)
    if (status === 401 || status === 403) return { is: 'denied', action }
    return { is: 'unavailable', why: `${code}: ${error.message}` }
  }
}

async function readNotifications(client: S3Client, Bucket: string): Promise<readonly BucketNotification[]> {
  const found = await client.send(new GetBucketNotificationConfigurationCommand({ Bucket }))
  const each = (
    to: BucketNotification['to'],
    arn: string | undefined,
    { Events, Filter }: Pick<NonNullable<typeof found.QueueConfigurations>[number], 'Events' | 'Filter'>,
  ): BucketNotification => {
    const rule = (name: string) =>
      Filter?.Key?.FilterRules?.find(({ Name }) => Name?.toLowerCase() === name)?.Value ?? ''
    return { to, arn: arn ?? '', events: Events ?? [], prefix: rule('prefix'), suffix: rule('suffix') }
  }
  return [
    ...(found.QueueConfigurations ?? []).map(one => each('queue', one.QueueArn, one)),
    ...(found.TopicConfigurations ?? []).map(one => each('topic', one.TopicArn, one)),
    ...(found.LambdaFunctionConfigurations ?? []).map(one => each('other', one.LambdaFunctionArn, one)),
    ...(found.EventBridgeConfiguration
      ? [{ to: 'event-bridge', arn: '', events: ['s3:ObjectCreated:*'], prefix: '', suffix: '' } as const]
      : []),
  ]
}

async function readLifecycle(client: S3Client, Bucket: string): Promise<readonly LifecycleRule[]> {
  const { Rules } = await client
    .send(new GetBucketLifecycleConfigurationCommand({ Bucket }))
    .catch((error: unknown) => {
      if (failureOf(error).code === 'NoSuchLifecycleConfiguration') return { Rules: [] }
      throw error
    })
  return (Rules ?? []).flatMap(rule => {
    const { Filter } = rule
    // Nothing that millrace writes has tags.
    const isTagged = Filter?.Tag !== undefined || (Filter?.And?.Tags?.length ?? 0) > 0
    if (rule.Status !== 'Enabled' || isTagged) return []
    return [
      {
        id: rule.ID ?? '',
        prefix: Filter?.And?.Prefix ?? Filter?.Prefix ?? '',
        expires: rule.Expiration?.Days !== undefined || rule.Expiration?.Date !== undefined,
        transitions: (rule.Transitions?.length ?? 0) > 0,
        expiresNoncurrent: rule.NoncurrentVersionExpiration !== undefined,
      },
    ]
  })
}
