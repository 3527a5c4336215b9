import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import type { Put } from '../../src/core/ports.ts'
import { condition, sending } from './answers.ts'
import { about, type Bucket, keyOf } from './bucket.ts'
import { checksumOf, checksumOfFile, fileChunkBytes } from './checksum.ts'
import { type PartSizes, putParts } from './parts.ts'
import { written } from './written.ts'

/** One conditional write, of a file in parts where it is too large for one request. */
export async function putObject(
  bucket: Bucket & PartSizes,
  key: string,
  body: Uint8Array | { readonly file: string },
  ifMatch: string,
  signal?: AbortSignal,
): Promise<Put> {
  signal?.throwIfAborted()
  const { client, name: Bucket, payer } = bucket
  const size = body instanceof Uint8Array ? body.length : (await stat(body.file)).size
  if (!(body instanceof Uint8Array) && size > bucket.singlePutBytesMax)
    return putParts(bucket, key, { path: body.file, size }, ifMatch, signal)
  // Read once for the checksum and once for the request: so the body needs no trailer, which not every server knows.
  const ChecksumCRC32 = body instanceof Uint8Array ? checksumOf(body) : await checksumOfFile(body.file)
  return written(about(bucket, 'Writing', key), ifMatch, async () => {
    const Key = keyOf(bucket, key)
    const input = { Bucket, Key, ContentLength: size, ChecksumCRC32, ...condition(ifMatch), ...payer }
    if (body instanceof Uint8Array) return client.send(new PutObjectCommand({ ...input, Body: body }), sending(signal))
    const stream = createReadStream(body.file, { highWaterMark: fileChunkBytes })
    try {
      return await client.send(new PutObjectCommand({ ...input, Body: stream }), sending(signal))
    } finally {
      stream.destroy()
    }
  })
}
