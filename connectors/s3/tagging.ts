import { GetObjectTaggingCommand, PutObjectTaggingCommand } from '@aws-sdk/client-s3'
import { MillraceError } from '../../src/core/errors.ts'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { NotAsCommitted } from '../../src/core/ports.ts'
import { ofVersion, sending } from './answers.ts'
import { type Bucket, keyOf, repeated } from './bucket.ts'
import { aboutDeed, asCommitted } from './deed.ts'
import { headObject } from './reading.ts'

/** So many S3 keeps. */
const tagsMax = 10

/** Gives this version a tag, beside those that it has. */
export async function tagVersion(
  bucket: Bucket,
  version: ObjectVersion,
  name: string,
  value: string,
  signal?: AbortSignal,
): Promise<'tagged' | NotAsCommitted> {
  const found = asCommitted(await headObject(bucket, version.key, undefined, signal), version)
  if (typeof found === 'string') return found
  const { client, payer } = bucket
  const { key } = version
  const at = { Bucket: bucket.name, Key: keyOf(bucket, key), ...ofVersion(found.versionId), ...payer }
  const tagging = `Object${found.versionId === undefined ? '' : 'Version'}Tagging`
  const reading = aboutDeed(bucket, 'Reading the tags of', key, `s3:Get${tagging}`)
  const { TagSet = [] } = await repeated(bucket, reading, signal, () =>
    client.send(new GetObjectTaggingCommand(at), sending(signal)),
  )
  if (TagSet.some(({ Key, Value }) => Key === name && Value === value)) return 'tagged'
  const others = TagSet.filter(({ Key }) => Key !== name)
  if (others.length >= tagsMax)
    throw new MillraceError(
      'user',
      'too-many-tags',
      `s3://${at.Bucket}/${at.Key} has ${tagsMax} tags, and S3 allows no more: take one away, or use after: 'keep'.`,
    )
  const Tagging = { TagSet: [...others, { Key: name, Value: value }] }
  await repeated(bucket, aboutDeed(bucket, 'Tagging', key, `s3:Put${tagging}`), signal, () =>
    client.send(new PutObjectTaggingCommand({ ...at, Tagging }), sending(signal)),
  )
  return 'tagged'
}
