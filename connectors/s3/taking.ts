import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { ObjectStore, Taken } from '../../src/core/ports.ts'
import { copySource, ofVersion, quoted, sending, tagged, unquoted, versioned } from './answers.ts'
import { type Bucket, keyOf, repeated } from './bucket.ts'
import { aboutDeed, asCommitted, isGone, isRefused } from './deed.ts'
import type { Request } from './errors.ts'
import { abandon, type Upload } from './parts.ts'
import { parseS3Address, toSpec } from './spec.ts'

export interface TakingBucket extends Bucket {
  /** Whether CopyObject keeps If-None-Match. @param beside what the name of the object that tries it begins with */
  honoursCopyCondition(beside: string): Promise<boolean>
  /** One request, or one part of several, copies so much at most. */
  readonly copyBytesMax: number
}

interface CopySource {
  readonly bucket: string
  readonly key: string
  readonly version: ObjectVersion
  readonly text: string
}

/** 'refused': a condition failed, that of the source or that of the name here. */
type Copied = Taken | 'refused'

/** Takes this version of another bucket or prefix over; the bytes do not come through this process. */
export async function takeObject(
  bucket: TakingBucket,
  from: ObjectStore,
  version: ObjectVersion,
  key: string,
  signal?: AbortSignal,
): Promise<Taken> {
  const place = toSpec(parseS3Address(from.address, 'take'))
  const found = await lookAt(from, version, signal)
  if (typeof found === 'string') return { is: found }
  const source: CopySource = {
    bucket: place.bucket,
    key: place.prefix + version.key,
    version: found,
    text: copySource(place.bucket, place.prefix + version.key, found.versionId),
  }
  const isOne = found.sizeBytes <= bucket.copyBytesMax && (await bucket.honoursCopyCondition(''))
  const taken = await (isOne ? copyWhole : copyOtherwise)(bucket, source, key, signal)
  if (taken !== 'refused') return taken
  const now = await lookAt(from, version, signal)
  return { is: typeof now === 'string' ? now : 'conflict' }
}

async function lookAt(from: ObjectStore, version: ObjectVersion, signal: AbortSignal | undefined) {
  return asCommitted(await (from as Required<ObjectStore>).head(version.key, undefined, signal), version)
}

function copyWhole(bucket: Bucket, source: CopySource, key: string, signal?: AbortSignal): Promise<Copied> {
  return unlessRefused(async () => {
    const copying = {
      Bucket: bucket.name,
      Key: keyOf(bucket, key),
      CopySource: source.text,
      CopySourceIfMatch: quoted(source.version.eTag),
      IfNoneMatch: '*',
      ...bucket.payer,
    }
    const about = aboutDeed(bucket, 'Copying to', key, 's3:PutObject')
    const copied = await repeated(bucket, about, signal, () =>
      bucket.client.send(new CopyObjectCommand(copying), sending(signal)),
    )
    return takenAs(key, source.version, copied.CopyObjectResult?.ETag, copied.VersionId)
  })
}

/** By requests that keep their condition where that of one copy does not. */
async function copyOtherwise(
  bucket: TakingBucket,
  source: CopySource,
  key: string,
  signal?: AbortSignal,
): Promise<Copied> {
  const about = aboutDeed(bucket, 'Copying to', key, 's3:PutObject and s3:AbortMultipartUpload')
  const like = await likeSource(bucket, source, signal)
  const at = { Bucket: bucket.name, Key: keyOf(bucket, key), ...bucket.payer }
  const task: Copying = { bucket, source, key, about, signal }
  return source.version.sizeBytes === 0 ? copyEmpty(task, { ...at, ...like }) : copyInParts(task, at, like)
}

interface Copying {
  readonly bucket: TakingBucket
  readonly source: CopySource
  readonly key: string
  readonly about: Request
  readonly signal: AbortSignal | undefined
}

function copyEmpty({ bucket, source, key, about, signal }: Copying, to: PutObjectCommandInput): Promise<Copied> {
  return unlessRefused(async () => {
    const put = await repeated(bucket, about, signal, () =>
      bucket.client.send(new PutObjectCommand({ ...to, Body: Buffer.alloc(0), IfNoneMatch: '*' }), sending(signal)),
    )
    return takenAs(key, source.version, put.ETag, put.VersionId)
  })
}

async function copyInParts(task: Copying, at: Omit<Upload, 'UploadId'>, like: Likeness): Promise<Copied> {
  const { bucket, source, key, about, signal } = task
  const { client } = bucket
  const { UploadId } = await repeated(bucket, about, signal, () =>
    client.send(new CreateMultipartUploadCommand({ ...at, ...like }), sending(signal)),
  )
  const upload = { ...at, UploadId }
  try {
    const taken = await unlessRefused(async () => {
      const Parts = await copyParts(task, upload)
      const ending = { ...upload, IfNoneMatch: '*', MultipartUpload: { Parts } }
      const ended = await repeated(bucket, about, signal, () =>
        client.send(new CompleteMultipartUploadCommand(ending), sending(signal)),
      )
      return takenAs(key, source.version, ended.ETag, ended.VersionId)
    })
    if (taken === 'refused') await abandon(client, upload)
    return taken
  } catch (error) {
    await abandon(client, upload)
    throw error
  }
}

async function copyParts({ bucket, source, about, signal }: Copying, upload: Upload): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = []
  const { sizeBytes, eTag } = source.version
  for (let start = 0; start < sizeBytes; start += bucket.copyBytesMax) {
    const end = Math.min(start + bucket.copyBytesMax, sizeBytes)
    const isWhole = start === 0 && end === sizeBytes
    const PartNumber = parts.length + 1
    const copying = {
      ...upload,
      PartNumber,
      CopySource: source.text,
      CopySourceIfMatch: quoted(eTag),
      ...(isWhole ? {} : { CopySourceRange: `bytes=${start}-${end - 1}` }),
    }
    const { CopyPartResult } = await repeated(bucket, about, signal, () =>
      bucket.client.send(new UploadPartCopyCommand(copying), sending(signal)),
    )
    parts.push({ PartNumber, ...tagged(CopyPartResult?.ETag) })
  }
  return parts
}

type Likeness = Pick<
  PutObjectCommandInput,
  'ContentType' | 'ContentEncoding' | 'ContentLanguage' | 'ContentDisposition' | 'CacheControl' | 'Metadata' | 'Tagging'
>

/** What CopyObject brings along by itself. */
async function likeSource(bucket: Bucket, source: CopySource, signal?: AbortSignal): Promise<Likeness> {
  const { client, payer } = bucket
  const at = { Bucket: source.bucket, Key: source.key, ...ofVersion(source.version.versionId), ...payer }
  const about = { doing: 'Looking at', bucket: source.bucket, key: source.key }
  const found = await repeated(bucket, { ...about, action: 's3:GetObject' }, signal, () =>
    client.send(new HeadObjectCommand(at), sending(signal)),
  )
  const { TagSet = [] } = await repeated(bucket, { ...about, action: 's3:GetObjectTagging' }, signal, () =>
    client.send(new GetObjectTaggingCommand(at), sending(signal)),
  )
  const given = <V>(name: string, value: V | undefined) => (value === undefined ? {} : { [name]: value })
  const tags = new URLSearchParams(TagSet.map(({ Key = '', Value = '' }): [string, string] => [Key, Value]))
  return {
    ...given('ContentType', found.ContentType),
    ...given('ContentEncoding', found.ContentEncoding),
    ...given('ContentLanguage', found.ContentLanguage),
    ...given('ContentDisposition', found.ContentDisposition),
    ...given('CacheControl', found.CacheControl),
    ...given('Metadata', found.Metadata),
    ...given('Tagging', TagSet.length === 0 ? undefined : tags.toString()),
  }
}

function takenAs(key: string, source: ObjectVersion, eTag: string | undefined, versionId: string | undefined): Taken {
  return {
    is: 'taken',
    version: {
      bucket: '',
      key,
      eTag: unquoted(eTag),
      ...versioned(versionId),
      sizeBytes: source.sizeBytes,
      lastModifiedMs: 0,
    },
  }
}

async function unlessRefused(work: () => Promise<Taken>): Promise<Copied> {
  try {
    return await work()
  } catch (error) {
    if (isRefused(error)) return 'refused'
    if (isGone(error)) return { is: 'missing' }
    throw error
  }
}
