import type { Readable } from 'node:stream'
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  PutObjectCommand,
} from '@aws-sdk/client-s3'
import { MillraceError } from '../../src/core/errors.ts'
import type { Put } from '../../src/core/ports.ts'
import { copySource, isMissing, sending } from './answers.ts'
import { about, type Bucket, keyOf, repeated } from './bucket.ts'
import { failureOf, isTransient } from './errors.ts'
import { headObject } from './reading.ts'
import { written } from './written.ts'

/** CopyObject takes 5 GiB. */
const copyBytesMax = 5 * 1024 ** 3

/**
 * To a name never used before.
 *
 * @param honoursCondition whether CopyObject keeps If-None-Match
 */
export async function copyObject(
  bucket: Bucket,
  from: string,
  to: string,
  honoursCondition: boolean,
  signal?: AbortSignal,
): Promise<Put> {
  if (!honoursCondition) return copyByPut(bucket, from, to, signal)
  const found = await headObject(bucket, from)
  if (found === 'missing') throw missing(bucket, from)
  if (found.sizeBytes > copyBytesMax) return copyByPut(bucket, from, to, signal)
  const { client, name: Bucket, payer } = bucket
  const copying = new CopyObjectCommand({
    Bucket,
    Key: keyOf(bucket, to),
    CopySource: copySource(Bucket, keyOf(bucket, from)),
    IfNoneMatch: '*',
    ...payer,
  })
  return written(about(bucket, 'Copying to', to), 'absent', async () => {
    const { CopyObjectResult } = await client.send(copying, sending(signal)).catch((error: unknown) => {
      throw failureOf(error).code === 'NoSuchKey' ? missing(bucket, from) : error
    })
    return { ETag: CopyObjectResult?.ETag }
  })
}

/** P8: reads and writes the bytes, under the same condition that every other write has. */
async function copyByPut(bucket: Bucket, from: string, to: string, signal?: AbortSignal): Promise<Put> {
  const { client, name: Bucket, payer } = bucket
  const { Body, ContentLength } = await opened(bucket, from, signal)
  const body = Body as Readable
  try {
    return await written(about(bucket, 'Copying to', to), 'absent', () =>
      client.send(
        new PutObjectCommand({
          Bucket,
          Key: keyOf(bucket, to),
          Body: body,
          ContentLength,
          IfNoneMatch: '*',
          ...payer,
        }),
        sending(signal),
      ),
    )
  } finally {
    body.destroy()
  }
}

async function opened(bucket: Bucket, from: string, signal?: AbortSignal): Promise<GetObjectCommandOutput> {
  const { client, name: Bucket, payer } = bucket
  try {
    return await repeated(bucket, about(bucket, 'Reading', from), signal, () =>
      client.send(new GetObjectCommand({ Bucket, Key: keyOf(bucket, from), ...payer }), sending(signal)),
    )
  } catch (error) {
    throw isMissing(failureOf(error instanceof MillraceError ? error.cause : error)) ? missing(bucket, from) : error
  }
}

function missing({ name, prefix }: Bucket, key: string): MillraceError {
  return new MillraceError('fatal', 'missing-object', `s3://${name}/${prefix}${key} does not exist; cannot copy it.`)
}

/** Whether CopyObject keeps If-None-Match. Tried once, on an object whose name begins so. */
export function createCopyProbe(bucket: Bucket, newId: () => string): (beside: string) => Promise<boolean> {
  let tried: Promise<boolean> | undefined
  return beside => {
    tried ??= tryCopyCondition(bucket, `${beside}.copy-probe-${newId()}`).catch((error: unknown) => {
      tried = undefined
      throw error
    })
    return tried
  }
}

/** Tried on an object of its own that is copied onto itself: MinIO and versitygw accept the condition and ignore it. */
async function tryCopyCondition(bucket: Bucket, key: string): Promise<boolean> {
  const { client, name: Bucket, prefix, payer } = bucket
  const at = { Bucket, Key: prefix + key, ...payer }
  await repeated(bucket, about(bucket, 'Writing', key), undefined, () =>
    client.send(new PutObjectCommand({ ...at, Body: Buffer.from('probe') })),
  )
  const CopySource = copySource(Bucket, at.Key)
  const copying = { ...at, CopySource, IfNoneMatch: '*', MetadataDirective: 'REPLACE' } as const
  try {
    return await repeated(bucket, about(bucket, 'Copying to', key), undefined, async () => {
      try {
        await client.send(new CopyObjectCommand(copying))
        return false
      } catch (error) {
        const failure = failureOf(error)
        if (isTransient(failure)) throw error
        // Any other answer: the way that needs no copying.
        return failure.status === 412
      }
    })
  } finally {
    await client.send(new DeleteObjectCommand(at)).catch(() => {})
  }
}
