import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3'
import { MillraceError } from '../../src/core/errors.ts'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import { sending, unquoted } from './answers.ts'
import { about, type Bucket, repeated } from './bucket.ts'
import { headObject } from './reading.ts'

/** What encoders of XML write for a character that it cannot hold. */
const replacement = '\ufffd'

type Page = ListObjectsV2CommandOutput

/** Keys under the prefix in UTF-8 byte order: see `ObjectStore`. */
export async function* listKeys(
  bucket: Bucket,
  keyPrefix: string,
  after?: string,
  signal?: AbortSignal,
): AsyncGenerator<ObjectVersion> {
  const afterBytes = after === undefined ? undefined : Buffer.from(after)
  let token: string | undefined
  let last: Buffer | undefined
  do {
    const page = await listPage(bucket, keyPrefix, { token, after }, signal)
    for (const { Key = '', ETag, Size = 0, LastModified } of page.Contents ?? []) {
      const key = listedKey(bucket, Key, page.EncodingType === 'url', keyPrefix)
      // The folder that a console makes of a prefix.
      if (key === '') continue
      if (!Number.isSafeInteger(Size) || Size < 0) throw impossible(bucket, `'${key}' with a size of ${Size} bytes`)
      const order = Buffer.from(key)
      if (afterBytes !== undefined && Buffer.compare(order, afterBytes) <= 0) continue
      if (page.EncodingType !== 'url' && key.includes(replacement)) await checkThere(bucket, key, signal)
      if (last !== undefined && Buffer.compare(last, order) >= 0) throw outOfOrder(bucket, key, last)
      last = order
      const lastModifiedMs = LastModified?.getTime() ?? 0
      yield { bucket: bucket.name, key, eTag: unquoted(ETag), sizeBytes: Size, lastModifiedMs }
    }
    token = nextToken(bucket, page, token)
  } while (token !== undefined)
}

function listPage(
  bucket: Bucket,
  keyPrefix: string,
  { token, after }: { readonly token: string | undefined; readonly after: string | undefined },
  signal: AbortSignal | undefined,
): Promise<Page> {
  const { client, name: Bucket, prefix, payer } = bucket
  const start = after === undefined ? {} : { StartAfter: prefix + after }
  return repeated(bucket, about(bucket, 'Listing', keyPrefix), signal, () =>
    client.send(
      new ListObjectsV2Command({
        Bucket,
        Prefix: prefix + keyPrefix,
        EncodingType: 'url',
        ...payer,
        ...(token === undefined ? start : { ContinuationToken: token }),
      }),
      sending(signal),
    ),
  )
}

function nextToken(bucket: Bucket, page: Page, token: string | undefined): string | undefined {
  if (page.IsTruncated !== true) return undefined
  const next = page.NextContinuationToken
  if (next !== undefined && next !== token) return next
  // What comes after would be left out without a word, or never end.
  throw impossible(bucket, `more than it shows, and ${next === undefined ? 'not' : 'once more'} how to go on`)
}

/** A key as a page of a listing writes it, relative to the root. */
function listedKey(bucket: Bucket, written: string, isEncoded: boolean, keyPrefix: string): string {
  const { prefix } = bucket
  let whole = written
  try {
    if (isEncoded) whole = decodeURIComponent(written.replaceAll('+', ' '))
  } catch {
    throw impossible(bucket, `'${written}', which is not percent-encoded UTF-8`)
  }
  if (/\p{Surrogate}/u.test(whole)) throw impossible(bucket, `'${whole}', which is no Unicode`)
  if (!whole.startsWith(prefix + keyPrefix))
    throw impossible(bucket, `'${whole}', which does not begin with '${prefix + keyPrefix}'`)
  return whole.slice(prefix.length)
}

async function checkThere(bucket: Bucket, key: string, signal: AbortSignal | undefined): Promise<void> {
  if ((await headObject(bucket, key, undefined, signal)) !== 'missing') return
  throw new MillraceError(
    'user',
    'key-not-listed',
    `${bucket.address} lists '${key}', which is not there: the store writes ${replacement} for a character that XML ` +
      'cannot hold, a control character say. Nothing of the listing was taken. Give the object another key, or use a ' +
      'store that lists with encoding-type=url.',
  )
}

function outOfOrder({ address }: Bucket, key: string, last: Buffer): MillraceError {
  return new MillraceError(
    'user',
    'unsafe-store',
    `${address} does not list in the order of UTF-8 bytes: '${key}' came after '${last.toString()}'. ` +
      'Use a store that does.',
  )
}

/** What no listing can answer comes from something between, or from a server that has lost its way for now. */
function impossible({ address }: Bucket, listed: string): MillraceError {
  return new MillraceError(
    'retry',
    'impossible-listing',
    `${address} lists ${listed}. Nothing of this listing was taken. ` +
      'Try again; if it stays so, look at the server or proxy between.',
  )
}
