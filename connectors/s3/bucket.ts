import type { S3Client } from '@aws-sdk/client-s3'
import { type Backoff, backoffMs } from '../../src/core/backoff.ts'
import type { Clock } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import { objectRefused, type Request, toMillrace } from './errors.ts'
import { createGet, type Get } from './plain-get.ts'
import { addressOf, keyBytesMax, type S3Spec } from './spec.ts'

/** The prefix of a bucket that a store is, as its parts ask it. */
export interface Bucket {
  readonly client: S3Client
  readonly get: Get
  readonly name: string
  readonly prefix: string
  readonly address: string
  /** Of requests where the requester pays. */
  readonly payer: { readonly RequestPayer?: 'requester' }
  readonly clock: Clock
  /** Numbers in [0, 1), to spread retries. */
  readonly random: () => number
}

/** Attempts at what changes nothing, or nothing twice: with full jitter about three seconds, ten at most. */
const attemptsMax = 6
const pauses: Backoff = { firstMs: 100, mostMs: 5_000, byChance: 1 }

export function bucketOf(client: S3Client, spec: S3Spec, { clock, random }: Pick<Bucket, 'clock' | 'random'>): Bucket {
  const payer = spec.requesterPays === true ? ({ RequestPayer: 'requester' } as const) : {}
  return {
    client,
    get: createGet(client),
    name: spec.bucket,
    prefix: spec.prefix,
    address: addressOf(spec),
    payer,
    clock,
    random,
  }
}

/** The whole key of what is written. */
export function keyOf({ name, prefix }: Pick<Bucket, 'name' | 'prefix'>, key: string): string {
  const whole = prefix + key
  // Some servers answer 500 to longer ones, which would be doubt about a write.
  if (Buffer.byteLength(whole) <= keyBytesMax) return whole
  throw new MillraceError(
    'user',
    'key-too-long',
    `s3://${name}/${whole} is longer than ${keyBytesMax} bytes, which S3 allows; choose a shorter prefix.`,
  )
}

/** The whole key of what is read: a message may name anything. */
export function keyToRead({ name, prefix }: Pick<Bucket, 'name' | 'prefix'>, key: string): string {
  const whole = prefix + key
  if (Buffer.byteLength(whole) <= keyBytesMax) return whole
  throw new MillraceError(
    'user',
    objectRefused,
    `s3://${name}/${whole} is longer than the ${keyBytesMax} bytes that S3 allows. The store cannot have such a key.`,
  )
}

export function about({ name, prefix }: Pick<Bucket, 'name' | 'prefix'>, doing: string, key: string): Request {
  return { doing, bucket: name, key: prefix + key }
}

export function aboutReading(bucket: Pick<Bucket, 'name' | 'prefix'>, doing: string, key: string): Request {
  return { ...about(bucket, doing, key), isRead: true }
}

/** Tries again what the network or the server failed by. */
export async function repeated<T>(
  { clock, random }: Pick<Bucket, 'clock' | 'random'>,
  request: Request,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    signal?.throwIfAborted()
    try {
      return await work()
    } catch (error) {
      signal?.throwIfAborted()
      const failed = toMillrace(error, request)
      if (!(failed instanceof MillraceError) || failed.kind !== 'retry' || attempt + 1 >= attemptsMax) throw failed
    }
    await clock.sleep(backoffMs(pauses, attempt, random), signal)
  }
}
