import type { Readable } from 'node:stream'
import { type GetObjectCommandOutput, HeadObjectCommand } from '@aws-sdk/client-s3'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { GetOptions, StoredBody } from '../../src/core/ports.ts'
import { isMissing, ofVersion, quoted, sending, unquoted, versioned } from './answers.ts'
import { bodyOf } from './body.ts'
import { aboutReading, type Bucket, keyToRead, repeated } from './bucket.ts'
import { failureOf } from './errors.ts'

export function getObject(
  bucket: Bucket,
  key: string,
  options: GetOptions,
): Promise<StoredBody | 'missing' | 'changed'> {
  return repeated(bucket, aboutReading(bucket, 'Reading', key), options.signal, () =>
    getOnce(bucket, keyToRead(bucket, key), options),
  )
}

async function getOnce(bucket: Bucket, Key: string, options: GetOptions): Promise<StoredBody | 'missing' | 'changed'> {
  const { name: Bucket, payer } = bucket
  const { ifMatch, versionId, range, signal } = options
  if (range !== undefined && range[1] <= range[0]) return emptyRange(bucket, Key, options)
  let output: GetObjectCommandOutput
  try {
    output = await bucket.get(
      {
        Bucket,
        Key,
        ...(ifMatch === undefined ? {} : { IfMatch: quoted(ifMatch) }),
        ...ofVersion(versionId),
        ...(range === undefined ? {} : { Range: `bytes=${range[0]}-${range[1] - 1}` }),
        ...payer,
      },
      signal,
    )
  } catch (error) {
    const failure = failureOf(error)
    if (failure.status === 412) return 'changed'
    if (failure.status === 416) return emptyRange(bucket, Key, options)
    if (isMissing(failure)) return 'missing'
    throw error
  }
  const eTag = unquoted(output.ETag)
  // A server that ignores If-Match still says what it sent.
  if (ifMatch !== undefined && eTag !== ifMatch) {
    ;(output.Body as Readable).destroy()
    return 'changed'
  }
  const { body, sizeBytes } = await bodyOf(`s3://${Bucket}/${Key}`, output, range, signal)
  const lastModifiedMs = output.LastModified?.getTime() ?? 0
  return { body, eTag, ...versioned(output.VersionId), sizeBytes, lastModifiedMs }
}

/** S3 has no empty ranges, and none that begin at the end. */
async function emptyRange(
  bucket: Bucket,
  Key: string,
  { ifMatch, versionId, signal }: GetOptions,
): Promise<StoredBody | 'missing' | 'changed'> {
  const found = await headObject(bucket, Key.slice(bucket.prefix.length), versionId, signal)
  if (found === 'missing') return 'missing'
  if (ifMatch !== undefined && found.eTag !== ifMatch) return 'changed'
  const { eTag, sizeBytes, lastModifiedMs } = found
  return { body: new Uint8Array(), eTag, ...versioned(found.versionId), sizeBytes, lastModifiedMs }
}

export function headObject(
  bucket: Bucket,
  key: string,
  versionId?: string,
  signal?: AbortSignal,
): Promise<ObjectVersion | 'missing'> {
  const { client, name: Bucket, payer } = bucket
  return repeated(bucket, aboutReading(bucket, 'Looking at', key), signal, async () => {
    try {
      const asked = { Bucket, Key: keyToRead(bucket, key), ...payer, ...ofVersion(versionId) }
      const found = await client.send(new HeadObjectCommand(asked), sending(signal))
      return {
        bucket: Bucket,
        key,
        eTag: unquoted(found.ETag),
        ...versioned(found.VersionId),
        sizeBytes: found.ContentLength ?? 0,
        lastModifiedMs: found.LastModified?.getTime() ?? 0,
      }
    } catch (error) {
      if (isMissing(failureOf(error))) return 'missing'
      throw error
    }
  })
}
