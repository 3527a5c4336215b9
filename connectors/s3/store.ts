import { createReadStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { randomInt, randomUUID } from 'node:crypto'
import { addAbortSignal, type Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { GetOptions, ObjectStore, Put, StoredBody } from '../../src/core/ports.ts'
import { createDeeds } from './deeds.ts'
import { failureOf, isTransient, OBJECT_REFUSED, type Request, toMillrace } from './errors.ts'
import { addressOf, KEY_BYTES_MAX, type S3Spec } from './spec.ts'

export interface S3StoreOptions {
  readonly clock?: Clock
  /** Numbers in [0, 1), to spread retries. */
  readonly random?: () => number
  readonly newId?: () => string
  /** Files above it go in parts. S3 takes 5 GiB in one request. */
  readonly singlePutBytesMax?: number
  /** S3 takes parts from 5 MiB on, and 10,000 of them. */
  readonly partBytes?: number
}

const SINGLE_PUT_BYTES_MAX = 5 * 1024 ** 3
/** 10,000 parts of it are 640 GiB, far beyond what one epoch writes. */
const PART_BYTES = 64 * 1024 ** 2
const DELETE_KEYS_MAX = 1_000
/** What encoders of XML write for a character that it cannot hold. */
const REPLACEMENT = '\ufffd'
/** Attempts at what changes nothing, or nothing twice: with full jitter about three seconds, ten at most. */
const ATTEMPTS_MAX = 6
const FIRST_PAUSE_MS = 100
const PAUSE_MS_MAX = 5_000
const FILE_CHUNK_BYTES = 1024 * 1024

/**
 * An object store under one prefix of a bucket. A conditional write is sent once: what the network or an overloaded
 * server leaves open is 'unknown', and the caller reads to find out (P6). Reads, listings and deletes are repeated with
 * full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS 2015) until the body is here whole.
 */
export function createS3Store(client: S3Client, spec: S3Spec, options: S3StoreOptions = {}): ObjectStore {
  const { clock = systemClock, random = () => randomInt(2 ** 32) / 2 ** 32, newId = randomUUID } = options
  const { singlePutBytesMax = SINGLE_PUT_BYTES_MAX, partBytes = PART_BYTES } = options
  const { bucket: Bucket, prefix } = spec
  const address = addressOf(spec)
  const payer = spec.requesterPays === true ? ({ RequestPayer: 'requester' } as const) : {}
  let honoursCopyCondition: Promise<boolean> | undefined
  const deeds = createDeeds({
    client,
    spec,
    payer,
    keyOf,
    head: headOnce,
    repeated,
    honoursCopyCondition: () => copyCondition(''),
    copyBytesMax: singlePutBytesMax,
  })

  return {
    address,
    ...deeds,

    get: (key, options = {}) =>
      repeated(about('Reading', key, true), options.signal, () => getOnce(keyToRead(key), options)),

    async put(key, body, ifMatch, signal) {
      signal?.throwIfAborted()
      const size = body instanceof Uint8Array ? body.length : (await stat(body.file)).size
      if (!(body instanceof Uint8Array) && size > singlePutBytesMax)
        return putParts(key, body.file, size, ifMatch, signal)
      // Read once for the checksum and once for the request: so the body needs no trailer, which not every server knows.
      const checksum = body instanceof Uint8Array ? crc32(body) : await crc32OfFile(body.file)
      return written(about('Writing', key), ifMatch, async () => {
        const input = {
          Bucket,
          Key: keyOf(key),
          ContentLength: size,
          ChecksumCRC32: base64(checksum),
          ...condition(ifMatch),
          ...payer,
        }
        if (body instanceof Uint8Array)
          return client.send(new PutObjectCommand({ ...input, Body: body }), sending(signal))
        const stream = createReadStream(body.file, { highWaterMark: FILE_CHUNK_BYTES })
        try {
          return await client.send(new PutObjectCommand({ ...input, Body: stream }), sending(signal))
        } finally {
          stream.destroy()
        }
      })
    },

    async copy(from, to, signal) {
      signal?.throwIfAborted()
      if (!(await copyCondition(from))) return copyByPut(from, to, signal)
      const found = await headOnce(from)
      if (found === 'missing') throw missing(from)
      // CopyObject takes 5 GiB.
      if (found.sizeBytes > SINGLE_PUT_BYTES_MAX) return copyByPut(from, to, signal)
      const copying = new CopyObjectCommand({
        Bucket,
        Key: keyOf(to),
        CopySource: copySource(keyOf(from)),
        IfNoneMatch: '*',
        ...payer,
      })
      return written(about('Copying to', to), 'absent', async () => {
        const { CopyObjectResult } = await client.send(copying, sending(signal)).catch((error: unknown) => {
          throw failureOf(error).code === 'NoSuchKey' ? missing(from) : error
        })
        return { ETag: CopyObjectResult?.ETag }
      })
    },

    list: listKeys,

    head: headOnce,

    async delete(keys) {
      // XML 1.0 has no way to name these.
      const isAlone = (key: string): boolean => /[^\t\n\r\x20-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(key)
      const together = keys.filter(key => !isAlone(key))
      for (let i = 0; i < together.length; i += DELETE_KEYS_MAX)
        await deleteBatch(together.slice(i, i + DELETE_KEYS_MAX))
      for (const key of keys.filter(isAlone))
        await repeated(about('Deleting', key), undefined, () =>
          client.send(new DeleteObjectCommand({ Bucket, Key: keyOf(key), ...payer })),
        )
    },
  }

  function keyOf(key: string): string {
    const whole = prefix + key
    // Some servers answer 500 to longer ones, which would be doubt about a write.
    if (Buffer.byteLength(whole) <= KEY_BYTES_MAX) return whole
    throw new MillraceError(
      'user',
      'key-too-long',
      `s3://${Bucket}/${whole} is longer than ${KEY_BYTES_MAX} bytes, which S3 allows; choose a shorter prefix.`,
    )
  }

  function keyToRead(key: string): string {
    const whole = prefix + key
    if (Buffer.byteLength(whole) <= KEY_BYTES_MAX) return whole
    throw new MillraceError(
      'user',
      OBJECT_REFUSED,
      `s3://${Bucket}/${whole} is longer than the ${KEY_BYTES_MAX} bytes that S3 allows. The store cannot have such a key.`,
    )
  }

  function about(doing: string, key: string, isRead = false): Request {
    return { doing, bucket: Bucket, key: prefix + key, isRead }
  }

  function missing(key: string): MillraceError {
    return new MillraceError(
      'fatal',
      'missing-object',
      `s3://${Bucket}/${prefix}${key} does not exist; cannot copy it.`,
    )
  }

  // Reading.

  async function repeated<T>(request: Request, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted()
      try {
        return await work()
      } catch (error) {
        signal?.throwIfAborted()
        const failed = toMillrace(error, request)
        if (!(failed instanceof MillraceError) || failed.kind !== 'retry' || attempt + 1 >= ATTEMPTS_MAX) throw failed
      }
      await clock.sleep(random() * Math.min(PAUSE_MS_MAX, FIRST_PAUSE_MS * 2 ** attempt), signal)
    }
  }

  async function getOnce(Key: string, options: GetOptions): Promise<StoredBody | 'missing' | 'changed'> {
    const { ifMatch, versionId, range, signal } = options
    if (range !== undefined && range[1] <= range[0]) return emptyRange(Key, options)
    let output: GetObjectCommandOutput
    try {
      output = await client.send(
        new GetObjectCommand({
          Bucket,
          Key,
          ...(ifMatch === undefined ? {} : { IfMatch: quoted(ifMatch) }),
          ...(versionId === undefined ? {} : { VersionId: versionId }),
          ...(range === undefined ? {} : { Range: `bytes=${range[0]}-${range[1] - 1}` }),
          ...payer,
        }),
        sending(signal),
      )
    } catch (error) {
      const { code, status } = failureOf(error)
      if (status === 412) return 'changed'
      if (status === 416) return emptyRange(Key, options)
      if (isMissing(code, status)) return 'missing'
      throw error
    }
    const eTag = unquoted(output.ETag)
    // A server that ignores If-Match still says what it sent.
    if (ifMatch !== undefined && eTag !== ifMatch) {
      ;(output.Body as Readable).destroy()
      return 'changed'
    }
    const { body, sizeBytes } = await collect(`s3://${Bucket}/${Key}`, output, range, signal)
    return {
      body,
      eTag,
      ...versioned(output.VersionId),
      sizeBytes,
      lastModifiedMs: output.LastModified?.getTime() ?? 0,
    }
  }

  /** S3 has no empty ranges, and none that begin at the end. */
  async function emptyRange(
    Key: string,
    { ifMatch, versionId, signal }: GetOptions,
  ): Promise<StoredBody | 'missing' | 'changed'> {
    const found = await headOnce(Key.slice(prefix.length), versionId, signal)
    if (found === 'missing') return 'missing'
    if (ifMatch !== undefined && found.eTag !== ifMatch) return 'changed'
    const { eTag, sizeBytes, lastModifiedMs } = found
    return { body: new Uint8Array(), eTag, ...versioned(found.versionId), sizeBytes, lastModifiedMs }
  }

  function headOnce(key: string, versionId?: string, signal?: AbortSignal): Promise<ObjectVersion | 'missing'> {
    return repeated(about('Looking at', key, true), signal, async () => {
      try {
        const found = await client.send(
          new HeadObjectCommand({
            Bucket,
            Key: keyToRead(key),
            ...payer,
            ...(versionId === undefined ? {} : { VersionId: versionId }),
          }),
          sending(signal),
        )
        return {
          bucket: Bucket,
          key,
          eTag: unquoted(found.ETag),
          ...versioned(found.VersionId),
          sizeBytes: found.ContentLength ?? 0,
          lastModifiedMs: found.LastModified?.getTime() ?? 0,
        }
      } catch (error) {
        const { code, status } = failureOf(error)
        if (isMissing(code, status)) return 'missing'
        throw error
      }
    })
  }

  async function* listKeys(keyPrefix: string, after?: string, signal?: AbortSignal): AsyncGenerator<ObjectVersion> {
    let token: string | undefined
    let last: Buffer | undefined
    do {
      const page: ListObjectsV2CommandOutput = await repeated(about('Listing', keyPrefix), signal, () =>
        client.send(
          new ListObjectsV2Command({
            Bucket,
            Prefix: prefix + keyPrefix,
            EncodingType: 'url',
            ...payer,
            ...(token !== undefined
              ? { ContinuationToken: token }
              : after === undefined
                ? {}
                : { StartAfter: prefix + after }),
          }),
          sending(signal),
        ),
      )
      for (const { Key = '', ETag, Size = 0, LastModified } of page.Contents ?? []) {
        const key = listedKey(Key, page.EncodingType === 'url', keyPrefix)
        // The folder that a console makes of a prefix.
        if (key === '') continue
        if (!Number.isSafeInteger(Size) || Size < 0) throw impossible(`'${key}' with a size of ${Size} bytes`)
        const order = Buffer.from(key)
        if (after !== undefined && Buffer.compare(order, Buffer.from(after)) <= 0) continue
        if (
          page.EncodingType !== 'url' &&
          key.includes(REPLACEMENT) &&
          (await headOnce(key, undefined, signal)) === 'missing'
        )
          throw new MillraceError(
            'user',
            'key-not-listed',
            `${address} lists '${key}', which is not there: the store writes ${REPLACEMENT} for a character that XML cannot hold, a control character say. Nothing of the listing was taken. Give the object another key, or use a store that lists with encoding-type=url.`,
          )
        if (last !== undefined && Buffer.compare(last, order) >= 0)
          throw new MillraceError(
            'user',
            'unsafe-store',
            `${address} does not list in the order of UTF-8 bytes: '${key}' came after '${last.toString()}'. Use a store that does.`,
          )
        last = order
        yield {
          bucket: Bucket,
          key,
          eTag: unquoted(ETag),
          sizeBytes: Size,
          lastModifiedMs: LastModified?.getTime() ?? 0,
        }
      }
      const next = page.IsTruncated === true ? page.NextContinuationToken : undefined
      // What comes after would be left out without a word, or never end.
      if (page.IsTruncated === true && (next === undefined || next === token))
        throw impossible(`more than it shows, and ${next === undefined ? 'not' : 'once more'} how to go on`)
      token = next
    } while (token !== undefined)
  }

  /** A key as a page of a listing writes it, relative to the root. */
  function listedKey(written: string, isEncoded: boolean, keyPrefix: string): string {
    let whole = written
    try {
      if (isEncoded) whole = decodeURIComponent(written.replaceAll('+', ' '))
    } catch {
      throw impossible(`'${written}', which is not percent-encoded UTF-8`)
    }
    if (/\p{Surrogate}/u.test(whole)) throw impossible(`'${whole}', which is no Unicode`)
    if (!whole.startsWith(prefix + keyPrefix))
      throw impossible(`'${whole}', which does not begin with '${prefix + keyPrefix}'`)
    return whole.slice(prefix.length)
  }

  /** What no listing can answer comes from something between, or from a server that has lost its way for now. */
  function impossible(listed: string): MillraceError {
    return new MillraceError(
      'retry',
      'impossible-listing',
      `${address} lists ${listed}. Nothing of this listing was taken. Try again; if it stays so, look at the server or proxy between.`,
    )
  }

  async function deleteBatch(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return
    let left = keys
    await repeated(about('Deleting', left[0] ?? ''), undefined, async () => {
      const { Errors = [] } = await client.send(
        new DeleteObjectsCommand({
          Bucket,
          ...payer,
          Delete: { Quiet: true, Objects: left.map(key => ({ Key: keyOf(key) })) },
        }),
      )
      const failed = Errors.filter(({ Code }) => Code !== 'NoSuchKey')
      const [first] = failed
      if (first === undefined) return
      left = failed.map(({ Key = '' }) => Key.slice(prefix.length))
      const error = Object.assign(new Error(first.Message ?? 'no message'), {
        name: first.Code ?? 'Unknown',
        $metadata: { httpStatusCode: first.Code === 'AccessDenied' ? 403 : 400 },
      })
      const more = failed.length > 1 ? ` and ${failed.length - 1} more` : ''
      throw toMillrace(error, about('Deleting', `${first.Key?.slice(prefix.length)}${more}`))
    })
  }

  // Writing.

  /** One conditional write, sent once: its outcome as the port tells it. */
  async function written(
    request: Request,
    ifMatch: string,
    work: () => Promise<{ readonly ETag?: string | undefined }>,
  ): Promise<Put> {
    try {
      return { is: 'stored', eTag: unquoted((await work()).ETag) }
    } catch (error) {
      const failure = failureOf(error)
      const { code, status } = failure
      // 409 ConditionalRequestConflict: another write of the key was under way. The caller reads and decides.
      if (status === 412 || (status === 409 && code !== 'OperationAborted')) return { is: 'conflict' }
      // If-Match on a key that is not there.
      if (ifMatch !== 'absent' && isMissing(code, status)) return { is: 'conflict' }
      if (isTransient(failure) || failure.error.name === 'AbortError') return { is: 'unknown', cause: failure.error }
      throw toMillrace(error, request)
    }
  }

  /** A file in parts, which appear as one object by the last, conditional request. */
  async function putParts(
    key: string,
    file: string,
    size: number,
    ifMatch: string,
    signal?: AbortSignal,
  ): Promise<Put> {
    const Key = keyOf(key)
    const request = about('Writing', key)
    const { UploadId } = await repeated(request, signal, () =>
      client.send(new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm: 'CRC32', ...payer })),
    )
    const parts: { readonly PartNumber: number; readonly ETag?: string; readonly ChecksumCRC32: string }[] = []
    try {
      const handle = await open(file)
      try {
        for (let start = 0; start < size; start += partBytes) {
          const body = Buffer.allocUnsafe(Math.min(partBytes, size - start))
          const { bytesRead } = await handle.read(body, 0, body.length, start)
          if (bytesRead !== body.length) throw new MillraceError('fatal', 'file-changed', `${file} became shorter.`)
          const PartNumber = parts.length + 1
          const ChecksumCRC32 = base64(crc32(body))
          const { ETag } = await repeated(request, signal, () =>
            client.send(
              new UploadPartCommand({
                Bucket,
                Key,
                UploadId,
                PartNumber,
                Body: body,
                ContentLength: body.length,
                ChecksumCRC32,
                ...payer,
              }),
              sending(signal),
            ),
          )
          parts.push({ PartNumber, ...(ETag === undefined ? {} : { ETag }), ChecksumCRC32 })
        }
      } finally {
        await handle.close()
      }
    } catch (error) {
      await abandon(Key, UploadId)
      throw error
    }
    const put = await written(request, ifMatch, () =>
      client.send(
        new CompleteMultipartUploadCommand({
          Bucket,
          Key,
          UploadId,
          MultipartUpload: { Parts: parts },
          ...condition(ifMatch),
          ...payer,
        }),
      ),
    )
    // In doubt the parts stay: they may be the object. The bucket's lifecycle rule removes what is left.
    if (put.is === 'conflict') await abandon(Key, UploadId)
    return put
  }

  async function abandon(Key: string, UploadId: string | undefined): Promise<void> {
    // Parts that stay cost money and nothing else; the bucket's lifecycle rule removes them.
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId, ...payer })).catch(() => {})
  }

  /** P8: reads and writes the bytes, under the same condition that every other write has. */
  async function copyByPut(from: string, to: string, signal?: AbortSignal): Promise<Put> {
    let source: GetObjectCommandOutput
    try {
      source = await repeated(about('Reading', from), signal, () =>
        client.send(new GetObjectCommand({ Bucket, Key: keyOf(from), ...payer }), sending(signal)),
      )
    } catch (error) {
      const { code, status } = failureOf(error instanceof MillraceError ? error.cause : error)
      throw isMissing(code, status) ? missing(from) : error
    }
    const body = source.Body as Readable
    try {
      return await written(about('Copying to', to), 'absent', () =>
        client.send(
          new PutObjectCommand({
            Bucket,
            Key: keyOf(to),
            Body: body,
            ContentLength: source.ContentLength,
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

  /** Tried once, on an object whose name begins so. */
  function copyCondition(beside: string): Promise<boolean> {
    honoursCopyCondition ??= tryCopyCondition(`${prefix}${beside}.copy-probe-${newId()}`).catch((error: unknown) => {
      honoursCopyCondition = undefined
      throw error
    })
    return honoursCopyCondition
  }

  /**
   * Whether CopyObject keeps If-None-Match, tried on an object of its own that is copied onto itself: MinIO and versitygw
   * accept the condition and ignore it.
   */
  async function tryCopyCondition(Key: string): Promise<boolean> {
    const key = Key.slice(prefix.length)
    await repeated(about('Writing', key), undefined, () =>
      client.send(new PutObjectCommand({ Bucket, Key, Body: Buffer.from('probe'), ...payer })),
    )
    try {
      return await repeated(about('Copying to', key), undefined, async () => {
        try {
          await client.send(
            new CopyObjectCommand({
              Bucket,
              Key,
              CopySource: copySource(Key),
              IfNoneMatch: '*',
              MetadataDirective: 'REPLACE',
              ...payer,
            }),
          )
          return false
        } catch (error) {
          const failure = failureOf(error)
          if (isTransient(failure)) throw error
          // Any other answer: the way that needs no copying.
          return failure.status === 412
        }
      })
    } finally {
      await client.send(new DeleteObjectCommand({ Bucket, Key, ...payer })).catch(() => {})
    }
  }

  function copySource(key: string): string {
    return `${Bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
  }
}

/**
 * What was asked for of an object, and how large all of it is. No more is held than that, whatever a server sends: one that
 * ignores ranges sends everything.
 */
async function collect(
  object: string,
  output: GetObjectCommandOutput,
  range: GetOptions['range'],
  signal?: AbortSignal,
): Promise<Pick<StoredBody, 'body' | 'sizeBytes'>> {
  const stream = output.Body as Readable
  if (signal !== undefined) addAbortSignal(signal, stream)
  const chunks: Buffer[] = []
  let read = 0
  try {
    const { from, to, sizeBytes } = extentOf(object, output, range)
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      const wanted = chunk.subarray(Math.max(0, from - read), Math.max(0, to - read))
      if (wanted.length > 0) chunks.push(wanted)
      read += chunk.length
      // Not before: a connection whose body was read to its end is used again.
      if (read > to) break
    }
    const length = output.ContentRange === undefined ? sizeBytes : to
    if (length !== undefined && read !== length && (read < to || output.ContentRange !== undefined))
      throw shortBody(object, `${read} bytes came where ${length} were announced`)
    const [only] = chunks
    const body = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)
    return { body, sizeBytes: sizeBytes ?? read }
  } finally {
    // An unread body would hold its connection, and the process, for minutes.
    stream.destroy()
  }
}

/** Bytes [from, to) of the answer's body are wanted, and the whole object is so large; undefined where it does not tell. */
function extentOf(
  object: string,
  { ContentRange, ContentLength }: GetObjectCommandOutput,
  range: GetOptions['range'],
): { readonly from: number; readonly to: number; readonly sizeBytes: number | undefined } {
  if (ContentRange === undefined) {
    const [from, to] = range ?? [0, Infinity]
    if (ContentLength === undefined && range !== undefined)
      throw shortBody(object, 'a body of unknown length came for a range')
    return { from, to, sizeBytes: ContentLength }
  }
  const [first, last, sizeBytes] = (/^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange) ?? []).slice(1).map(Number)
  const isSound =
    first !== undefined &&
    last !== undefined &&
    sizeBytes !== undefined &&
    Number.isSafeInteger(sizeBytes) &&
    first <= last &&
    last < sizeBytes
  if (!isSound || !range || first !== range[0] || last >= range[1])
    throw shortBody(
      object,
      `'${ContentRange}' came for ${range ? `bytes ${range[0]}-${range[1] - 1}` : 'the whole object'}`,
    )
  return { from: 0, to: last + 1 - first, sizeBytes }
}

function shortBody(object: string, found: string): MillraceError {
  return new MillraceError(
    'retry',
    'short-body',
    `Reading ${object}: the answer is not what was asked for, ${found}. Try again; if it stays so, look at the server or proxy between.`,
  )
}

async function crc32OfFile(file: string): Promise<number> {
  let checksum = 0
  for await (const chunk of createReadStream(file, { highWaterMark: FILE_CHUNK_BYTES }))
    checksum = crc32(chunk as Buffer, checksum)
  return checksum
}

function base64(checksum: number): string {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(checksum)
  return bytes.toString('base64')
}

function condition(ifMatch: string): { readonly IfNoneMatch: string } | { readonly IfMatch: string } {
  return ifMatch === 'absent' ? { IfNoneMatch: '*' } : { IfMatch: quoted(ifMatch) }
}

function sending(signal: AbortSignal | undefined): { readonly abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal }
}

function isMissing(code: string, status: number | undefined): boolean {
  // A delete marker answers 405 to who asks for its version.
  return (status === 404 && code !== 'NoSuchBucket') || (status === 405 && code === 'MethodNotAllowed')
}

function quoted(eTag: string): string {
  return `"${eTag}"`
}

/** Buckets without versions call the version 'null'. */
function versioned(versionId: string | undefined): { readonly versionId?: string } {
  return versionId === undefined || versionId === 'null' ? {} : { versionId }
}

function unquoted(eTag: string | undefined): string {
  return (eTag ?? '').replace(/^"|"$/g, '')
}
