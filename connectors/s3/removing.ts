import { DeleteObjectCommand, ListObjectVersionsCommand } from '@aws-sdk/client-s3'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { NotAsCommitted } from '../../src/core/ports.ts'
import { ofVersion, quoted, sending } from './answers.ts'
import { type Bucket, keyOf, repeated } from './bucket.ts'
import { aboutDeed, asCommitted, isGone, isRefused } from './deed.ts'
import { headObject } from './reading.ts'

/**
 * Deletes this version, and nothing else that the key may hold by now.
 *
 * @param bucket `isAws`: no other server is asked
 */
export async function removeVersion(
  bucket: Bucket & { readonly isAws: boolean },
  version: ObjectVersion,
  signal?: AbortSignal,
): Promise<'removed' | NotAsCommitted> {
  const { client, name: Bucket, payer } = bucket
  const found = asCommitted(await headObject(bucket, version.key, undefined, signal), version)
  if (typeof found === 'string') return found
  const about = aboutDeed(bucket, 'Deleting', version.key, 's3:DeleteObject')
  const at = { Bucket, Key: keyOf(bucket, version.key), ...payer }
  try {
    // AWS and Ceph keep the condition. Without a version of its own, a bucket that keeps versions keeps this one behind
    // a marker: to delete the version would bring back the one before it.
    const { DeleteMarker, VersionId } = await repeated(bucket, about, signal, () =>
      client.send(new DeleteObjectCommand({ ...at, IfMatch: quoted(version.eTag) }), sending(signal)),
    )
    const isHidden = DeleteMarker === true && !bucket.isAws && (await hidesAnother(bucket, found, VersionId, signal))
    if (!isHidden) return 'removed'
    await repeated(bucket, { ...about, action: 's3:DeleteObjectVersion' }, signal, () =>
      client.send(new DeleteObjectCommand({ ...at, ...ofVersion(VersionId) }), sending(signal)),
    )
    return 'changed'
  } catch (error) {
    if (!isRefused(error) && !isGone(error)) throw error
    const now = asCommitted(await headObject(bucket, version.key, undefined, signal), version)
    return typeof now === 'string' ? now : 'changed'
  }
}

/**
 * Whether a marker lies before another version than was looked at: a server that ignores the condition put it there.
 */
async function hidesAnother(
  bucket: Bucket,
  { key, versionId }: ObjectVersion,
  marker: string | undefined,
  signal?: AbortSignal,
): Promise<boolean> {
  const { client, name: Bucket, payer } = bucket
  const Prefix = keyOf(bucket, key)
  const about = aboutDeed(bucket, 'Listing the versions of', key, 's3:ListBucketVersions')
  const { Versions = [], DeleteMarkers = [] } = await repeated(bucket, about, signal, () =>
    client.send(new ListObjectVersionsCommand({ Bucket, Prefix, MaxKeys: 10, ...payer }), sending(signal)),
  )
  const isMine = DeleteMarkers.some(({ Key, VersionId }) => Key === Prefix && VersionId === marker)
  const newest = Versions.find(({ Key }) => Key === Prefix)
  return isMine && newest !== undefined && newest.IsLatest !== true && newest.VersionId !== versionId
}
