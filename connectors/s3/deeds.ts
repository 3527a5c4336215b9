import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { MillraceError } from '../../src/core/errors.ts'
import { isSameVersion, type ObjectVersion } from '../../src/core/object-version.ts'
import type { NotAsCommitted, ObjectStore, Taken } from '../../src/core/ports.ts'
import { failureOf, type Request } from './errors.ts'
import { parseS3Address, type S3Spec, toSpec } from './spec.ts'

export interface DeedContext {
  readonly client: S3Client
  readonly spec: S3Spec
  /** Of requests where the requester pays. */
  readonly payer: { readonly RequestPayer?: 'requester' }
  keyOf(key: string): string
  head(key: string, versionId?: string, signal?: AbortSignal): Promise<ObjectVersion | 'missing'>
  /** Tries again what the network or the server failed by. */
  repeated<T>(request: Request, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T>
  /** Whether CopyObject keeps If-None-Match. */
  honoursCopyCondition(): Promise<boolean>
  /** One request, or one part of several, copies so much at most. */
  readonly copyBytesMax: number
}

const TAGS_MAX = 10

/** What becomes of objects once they are committed: S3's part of `after`. */
export function createDeeds(context: DeedContext): Required<Pick<ObjectStore, 'take' | 'remove' | 'tag'>> {
  const { client, spec, payer, keyOf, head, repeated } = context
  const { bucket: Bucket } = spec
  const request = (doing: string, key: string, action: string): Request => ({ doing, bucket: Bucket, key, action })
  const sending = (signal: AbortSignal | undefined) => (signal ? { abortSignal: signal } : {})

  async function take(from: ObjectStore, version: ObjectVersion, key: string, signal?: AbortSignal): Promise<Taken> {
    const place = toSpec(parseS3Address(from.address, 'take'))
    const found = await current(from, version, signal)
    if (typeof found === 'string') return { is: found }
    const source: CopySource = {
      bucket: place.bucket,
      key: place.prefix + version.key,
      version: found,
      text: copySource(place.bucket, place.prefix + version.key, found.versionId),
    }
    const isOne = found.sizeBytes <= context.copyBytesMax && (await context.honoursCopyCondition())
    const taken = isOne ? await copyWhole(source, key, signal) : await copyInParts(source, key, signal)
    if (taken !== 'refused') return taken
    // A condition failed: that of the source, or that of the name here.
    const now = await current(from, version, signal)
    return { is: typeof now === 'string' ? now : 'conflict' }
  }

  async function copyWhole(source: CopySource, key: string, signal?: AbortSignal): Promise<Taken | 'refused'> {
    return unlessRefused(async () => {
      const copied = await repeated(request('Copying to', keyOf(key), 's3:PutObject'), signal, () =>
        client.send(
          new CopyObjectCommand({
            Bucket,
            Key: keyOf(key),
            CopySource: source.text,
            CopySourceIfMatch: `"${source.version.eTag}"`,
            IfNoneMatch: '*',
            ...payer,
          }),
          sending(signal),
        ),
      )
      return takenAs(key, source.version, copied.CopyObjectResult?.ETag, copied.VersionId)
    })
  }

  /** In parts, as the request that ends them keeps its condition where that of one copy does not. */
  async function copyInParts(source: CopySource, key: string, signal?: AbortSignal): Promise<Taken | 'refused'> {
    const about = request('Copying to', keyOf(key), 's3:PutObject and s3:AbortMultipartUpload')
    const like = await likeSource(source, signal)
    if (source.version.sizeBytes === 0)
      return unlessRefused(async () => {
        const put = await repeated(about, signal, () =>
          client.send(
            new PutObjectCommand({
              Bucket,
              Key: keyOf(key),
              Body: Buffer.alloc(0),
              IfNoneMatch: '*',
              ...like,
              ...payer,
            }),
            sending(signal),
          ),
        )
        return takenAs(key, source.version, put.ETag, put.VersionId)
      })
    const { UploadId } = await repeated(about, signal, () =>
      client.send(new CreateMultipartUploadCommand({ Bucket, Key: keyOf(key), ...like, ...payer }), sending(signal)),
    )
    const upload = { Bucket, Key: keyOf(key), UploadId, ...payer }
    try {
      const taken = await unlessRefused(async () => {
        const Parts = await copyParts(source, upload, about, signal)
        const ended = await repeated(about, signal, () =>
          client.send(
            new CompleteMultipartUploadCommand({ ...upload, IfNoneMatch: '*', MultipartUpload: { Parts } }),
            sending(signal),
          ),
        )
        return takenAs(key, source.version, ended.ETag, ended.VersionId)
      })
      if (taken === 'refused') await abandon(upload)
      return taken
    } catch (error) {
      await abandon(upload)
      throw error
    }
  }

  async function copyParts(source: CopySource, upload: Upload, about: Request, signal?: AbortSignal) {
    const parts: { readonly PartNumber: number; readonly ETag?: string }[] = []
    const { sizeBytes, eTag } = source.version
    for (let start = 0; start < sizeBytes; start += context.copyBytesMax) {
      const end = Math.min(start + context.copyBytesMax, sizeBytes)
      const isWhole = start === 0 && end === sizeBytes
      const PartNumber = parts.length + 1
      const { CopyPartResult } = await repeated(about, signal, () =>
        client.send(
          new UploadPartCopyCommand({
            ...upload,
            PartNumber,
            CopySource: source.text,
            CopySourceIfMatch: `"${eTag}"`,
            ...(isWhole ? {} : { CopySourceRange: `bytes=${start}-${end - 1}` }),
          }),
          sending(signal),
        ),
      )
      parts.push({ PartNumber, ...(CopyPartResult?.ETag === undefined ? {} : { ETag: CopyPartResult.ETag }) })
    }
    return parts
  }

  /** What CopyObject brings along by itself. */
  async function likeSource({ bucket, key, version }: CopySource, signal?: AbortSignal) {
    const at = {
      Bucket: bucket,
      Key: key,
      ...(version.versionId === undefined ? {} : { VersionId: version.versionId }),
    }
    const about = { doing: 'Looking at', bucket, key }
    const found = await repeated({ ...about, action: 's3:GetObject' }, signal, () =>
      client.send(new HeadObjectCommand({ ...at, ...payer }), sending(signal)),
    )
    const { TagSet = [] } = await repeated({ ...about, action: 's3:GetObjectTagging' }, signal, () =>
      client.send(new GetObjectTaggingCommand({ ...at, ...payer }), sending(signal)),
    )
    const given = <V>(name: string, value: V | undefined) => (value === undefined ? {} : { [name]: value })
    return {
      ...given('ContentType', found.ContentType),
      ...given('ContentEncoding', found.ContentEncoding),
      ...given('ContentLanguage', found.ContentLanguage),
      ...given('ContentDisposition', found.ContentDisposition),
      ...given('CacheControl', found.CacheControl),
      ...given('Metadata', found.Metadata),
      ...(TagSet.length === 0
        ? {}
        : {
            Tagging: new URLSearchParams(
              TagSet.map(({ Key = '', Value = '' }): [string, string] => [Key, Value]),
            ).toString(),
          }),
    }
  }

  async function abandon(upload: Upload): Promise<void> {
    // Parts that stay cost money and nothing else; the bucket's lifecycle rule removes them.
    await client.send(new AbortMultipartUploadCommand(upload)).catch(() => {})
  }

  async function remove(version: ObjectVersion, signal?: AbortSignal): Promise<'removed' | NotAsCommitted> {
    const found = await current({ head }, version, signal)
    if (typeof found === 'string') return found
    const about = request('Deleting', keyOf(version.key), 's3:DeleteObject')
    const at = { Bucket, Key: keyOf(version.key), ...payer }
    try {
      // AWS and Ceph keep the condition. Without a version of its own, a bucket that keeps versions keeps this one behind a
      // marker: to delete the version would bring back the one before it.
      const { DeleteMarker, VersionId } = await repeated(about, signal, () =>
        client.send(new DeleteObjectCommand({ ...at, IfMatch: `"${version.eTag}"` }), sending(signal)),
      )
      const isHidden =
        DeleteMarker === true && spec.endpoint !== undefined && (await hidesAnother(found, VersionId, signal))
      if (!isHidden) return 'removed'
      await repeated({ ...about, action: 's3:DeleteObjectVersion' }, signal, () =>
        client.send(
          new DeleteObjectCommand({ ...at, ...(VersionId === undefined ? {} : { VersionId }) }),
          sending(signal),
        ),
      )
      return 'changed'
    } catch (error) {
      if (!isRefused(error) && !isGone(error)) throw error
      const now = await current({ head }, version, signal)
      return typeof now === 'string' ? now : 'changed'
    }
  }

  /** Whether a marker lies before another version than was looked at: a server that ignores the condition put it there. */
  async function hidesAnother({ key, versionId }: ObjectVersion, marker: string | undefined, signal?: AbortSignal) {
    const { Versions = [], DeleteMarkers = [] } = await repeated(
      request('Listing the versions of', keyOf(key), 's3:ListBucketVersions'),
      signal,
      () =>
        client.send(
          new ListObjectVersionsCommand({ Bucket, Prefix: keyOf(key), MaxKeys: 10, ...payer }),
          sending(signal),
        ),
    )
    const isMine = DeleteMarkers.some(({ Key, VersionId }) => Key === keyOf(key) && VersionId === marker)
    const newest = Versions.find(({ Key }) => Key === keyOf(key))
    return isMine && newest !== undefined && newest.IsLatest !== true && newest.VersionId !== versionId
  }

  async function tag(version: ObjectVersion, name: string, value: string, signal?: AbortSignal) {
    const found = await current({ head }, version, signal)
    if (typeof found === 'string') return found
    const key = keyOf(version.key)
    const at = {
      Bucket,
      Key: key,
      ...(found.versionId === undefined ? {} : { VersionId: found.versionId }),
      ...payer,
    }
    const ofVersion = found.versionId === undefined ? '' : 'Version'
    const { TagSet = [] } = await repeated(
      request('Reading the tags of', key, `s3:GetObject${ofVersion}Tagging`),
      signal,
      () => client.send(new GetObjectTaggingCommand(at), sending(signal)),
    )
    if (TagSet.some(({ Key, Value }) => Key === name && Value === value)) return 'tagged'
    const others = TagSet.filter(({ Key }) => Key !== name)
    if (others.length >= TAGS_MAX)
      throw new MillraceError(
        'user',
        'too-many-tags',
        `s3://${Bucket}/${key} has ${TAGS_MAX} tags, and S3 allows no more: take one away, or use after: 'keep'.`,
      )
    await repeated(request('Tagging', key, `s3:PutObject${ofVersion}Tagging`), signal, () =>
      client.send(
        new PutObjectTaggingCommand({ ...at, Tagging: { TagSet: [...others, { Key: name, Value: value }] } }),
        sending(signal),
      ),
    )
    return 'tagged'
  }

  return { take, remove, tag }
}

interface CopySource {
  readonly bucket: string
  readonly key: string
  readonly version: ObjectVersion
  readonly text: string
}

interface Upload {
  readonly Bucket: string
  readonly Key: string
  readonly UploadId: string | undefined
  readonly RequestPayer?: 'requester'
}

/** The committed version, if it is what the key holds now: with its versionId, where the bucket keeps versions. */
async function current(
  store: Pick<ObjectStore, 'head'>,
  version: ObjectVersion,
  signal?: AbortSignal,
): Promise<ObjectVersion | 'missing' | 'changed'> {
  const found = await (store.head as NonNullable<ObjectStore['head']>)(version.key, undefined, signal)
  if (found === 'missing') return found
  return isSameVersion(found, version) && found.eTag === version.eTag ? found : 'changed'
}

function takenAs(key: string, source: ObjectVersion, eTag: string | undefined, versionId: string | undefined): Taken {
  return {
    is: 'taken',
    version: {
      bucket: '',
      key,
      eTag: (eTag ?? '').replace(/^"|"$/g, ''),
      ...(versionId === undefined || versionId === 'null' ? {} : { versionId }),
      sizeBytes: source.sizeBytes,
      lastModifiedMs: 0,
    },
  }
}

async function unlessRefused<T extends Taken>(
  work: () => Promise<T>,
): Promise<T | 'refused' | { readonly is: 'missing' }> {
  try {
    return await work()
  } catch (error) {
    if (isRefused(error)) return 'refused'
    if (isGone(error)) return { is: 'missing' }
    throw error
  }
}

const failed = (error: unknown) => failureOf(error instanceof MillraceError ? error.cause : error)

function isRefused(error: unknown): boolean {
  return failed(error).status === 412
}

/** 'NoSuchKey' is that of a source, or of a key under a condition. */
function isGone(error: unknown): boolean {
  const { code, status } = failed(error)
  return status === 404 && (code === 'NoSuchKey' || code === 'NotFound' || code === 'NoSuchVersion')
}

function copySource(bucket: string, key: string, versionId: string | undefined): string {
  const path = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
  return versionId === undefined ? path : `${path}?versionId=${encodeURIComponent(versionId)}`
}
