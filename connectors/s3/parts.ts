import { type FileHandle, open } from 'node:fs/promises'
import {
  AbortMultipartUploadCommand,
  type AbortMultipartUploadCommandInput,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { MillraceError } from '../../src/core/errors.ts'
import type { Put } from '../../src/core/ports.ts'
import { condition, sending, tagged } from './answers.ts'
import { about, type Bucket, keyOf, repeated } from './bucket.ts'
import { checksumOf } from './checksum.ts'
import { written } from './written.ts'

export interface PartSizes {
  /** Files above it go in parts. */
  readonly singlePutBytesMax: number
  readonly partBytes: number
}

/** An upload in parts that is under way. */
export type Upload = AbortMultipartUploadCommandInput

interface LocalFile {
  readonly path: string
  readonly size: number
}

/** A file in parts, which appear as one object by the last, conditional request. */
export async function putParts(
  bucket: Bucket & PartSizes,
  key: string,
  file: LocalFile,
  ifMatch: string,
  signal?: AbortSignal,
): Promise<Put> {
  const { client, name: Bucket, payer } = bucket
  const at = { Bucket, Key: keyOf(bucket, key), ...payer }
  const request = about(bucket, 'Writing', key)
  const { UploadId } = await repeated(bucket, request, signal, () =>
    client.send(new CreateMultipartUploadCommand({ ...at, ChecksumAlgorithm: 'CRC32' })),
  )
  const upload = { ...at, UploadId }
  let Parts: readonly CompletedPart[]
  try {
    Parts = await sendParts(bucket, key, upload, file, signal)
  } catch (error) {
    await abandon(client, upload)
    throw error
  }
  const ending = { ...upload, MultipartUpload: { Parts: [...Parts] }, ...condition(ifMatch) }
  const put = await written(request, ifMatch, () => client.send(new CompleteMultipartUploadCommand(ending)))
  // In doubt the parts stay: they may be the object. The bucket's lifecycle rule removes what is left.
  if (put.is === 'conflict') await abandon(client, upload)
  return put
}

async function sendParts(
  bucket: Bucket & PartSizes,
  key: string,
  upload: Upload,
  { path, size }: LocalFile,
  signal: AbortSignal | undefined,
): Promise<readonly CompletedPart[]> {
  const parts: CompletedPart[] = []
  const handle = await open(path)
  try {
    for (let start = 0; start < size; start += bucket.partBytes) {
      const body = await readPart(handle, path, start, Math.min(bucket.partBytes, size - start))
      const part = { PartNumber: parts.length + 1, ChecksumCRC32: checksumOf(body) }
      const { ETag } = await repeated(bucket, about(bucket, 'Writing', key), signal, () =>
        bucket.client.send(
          new UploadPartCommand({ ...upload, ...part, Body: body, ContentLength: body.length }),
          sending(signal),
        ),
      )
      parts.push({ ...part, ...tagged(ETag) })
    }
  } finally {
    await handle.close()
  }
  return parts
}

async function readPart(handle: FileHandle, path: string, start: number, size: number): Promise<Uint8Array> {
  const body = Buffer.allocUnsafe(size)
  const { bytesRead } = await handle.read(body, 0, size, start)
  if (bytesRead !== size) throw new MillraceError('fatal', 'file-changed', `${path} became shorter.`)
  return body
}

export async function abandon(client: S3Client, upload: Upload): Promise<void> {
  // Parts that stay cost money and nothing else; the bucket's lifecycle rule removes them.
  await client.send(new AbortMultipartUploadCommand(upload)).catch(() => {})
}
