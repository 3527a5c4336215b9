import { MillraceError } from '../../src/core/errors.ts'
import { isSameVersion, type ObjectVersion } from '../../src/core/object-version.ts'
import { type Bucket, keyOf } from './bucket.ts'
import { failureOf, type Request } from './errors.ts'

/** The committed version, if it is what the key holds now: with its versionId, where the bucket keeps versions. */
export function asCommitted(
  now: ObjectVersion | 'missing',
  version: ObjectVersion,
): ObjectVersion | 'missing' | 'changed' {
  if (now === 'missing') return now
  return isSameVersion(now, version) && now.eTag === version.eTag ? now : 'changed'
}

/** @param action of IAM that the request needs */
export function aboutDeed(bucket: Bucket, doing: string, key: string, action: string): Request {
  return { doing, bucket: bucket.name, key: keyOf(bucket, key), action }
}

const failed = (error: unknown) => failureOf(error instanceof MillraceError ? error.cause : error)

export function isRefused(error: unknown): boolean {
  return failed(error).status === 412
}

/** 'NoSuchKey' is that of a source, or of a key under a condition. */
export function isGone(error: unknown): boolean {
  const { code, status } = failed(error)
  return status === 404 && (code === 'NoSuchKey' || code === 'NotFound' || code === 'NoSuchVersion')
}
