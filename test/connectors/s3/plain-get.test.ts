/** GETs beside those of the SDK: the same request, and the same sense made of every answer. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Readable } from 'node:stream'
import { GetObjectCommand, type GetObjectCommandInput, S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { failureOf } from '../../../connectors/s3/errors.ts'
import { createGet } from '../../../connectors/s3/plain-get.ts'
import { seededRandom } from '../../../src/testing/random.ts'
import { S3_CREDENTIALS } from '../../servers/minio.ts'
import { seed } from '../../seed.ts'

let server: Server
let client: S3Client
let seen: IncomingMessage[]
let answer: (response: ServerResponse) => void
beforeEach(async () => {
  seen = []
  answer = response => response.writeHead(200, { etag: '"e"', 'content-length': 2 }).end('ab')
  server = createServer((request, response) => {
    seen.push(request)
    answer(response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  client = clientOf({})
})
afterEach(async () => {
  client.destroy()
  await new Promise(resolve => server.close(resolve))
})

/** As the product's client has them. */
const checksums = { responseChecksumValidation: 'WHEN_REQUIRED', requestChecksumCalculation: 'WHEN_REQUIRED' } as const

function clientOf(settings: object): S3Client {
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const all = { endpoint, region: 'us-east-1', forcePathStyle: true, credentials: S3_CREDENTIALS, maxAttempts: 1 }
  return new S3Client({ ...all, ...checksums, ...settings })
}

/** Headers that are new with each request, or that only the SDK's retries need. */
const ofEach = /^(amz-sdk-|x-amz-date$|authorization$|user-agent$|x-amz-user-agent$)/

function wording({ url, headers }: IncomingMessage) {
  return { url, headers: Object.fromEntries(Object.entries(headers).filter(([name]) => !ofEach.test(name))) }
}

const isOfSdk = ({ headers }: IncomingMessage) => headers['amz-sdk-invocation-id'] !== undefined

async function drained(body: unknown): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body as Readable) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

/** What comes of a GET: its answer, or the failure. */
async function outcome(work: Promise<{ readonly Body?: unknown }>) {
  try {
    const { $metadata: _, Body, ...rest } = (await work) as Record<string, unknown>
    return { ...rest, text: await drained(Body) }
  } catch (error) {
    const { code, status, error: thrown } = failureOf(error)
    return { code, status, name: thrown.name }
  }
}

/** What the port looks at in an answer. */
const known = ['ETag', 'ContentRange', 'ContentLength', 'VersionId', 'LastModified', 'text', 'code', 'status', 'name']
const ofPort = (found: object) => Object.fromEntries(Object.entries(found).filter(([name]) => known.includes(name)))

test('what is sent for any key, version, range and condition is what the SDK sends', async () => {
  const get = createGet(client)
  await outcome(get({ Bucket: 'b', Key: 'first' }))
  const random = seededRandom(seed)
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T
  const signs = ['a', 'Z', '0', '/', '//', '.', '..', ' ', '+', '%', '%2F', '?', '#', '&', '=', "'", '(', ')', '*', '!']
  const more = ['~', '@', ':', ',', ';', '$', '"', '<', '\\', '[', '^', '`', '{', '|', 'ä', '日', '😀', '\u0301', '\n']
  for (let i = 0; i < 300; i++) {
    const Key = Array.from({ length: 1 + Math.floor(random() * 8) }, () => pick([...signs, ...more])).join('')
    const asked: GetObjectCommandInput = {
      Bucket: 'b',
      Key,
      ...(random() < 0.5 && { IfMatch: `"${pick(['e', 'abc-2', 'ä'.repeat(2)])}"` }),
      ...(random() < 0.3 && { Range: 'bytes=0-1' }),
      ...(random() < 0.3 && { VersionId: pick(['null', 'a/b+c=', '3.x_y']) }),
      ...(random() < 0.2 && { RequestPayer: 'requester' }),
    }
    seen = []
    const own = await outcome(get(asked))
    const theirs = await outcome(client.send(new GetObjectCommand(asked)))
    expect(ofPort(own), JSON.stringify(asked)).toEqual(ofPort(theirs))
    const [one, two] = seen
    expect(one && two && wording(one), JSON.stringify(asked)).toEqual(two && wording(two))
    if (one && two) expect([isOfSdk(one), isOfSdk(two)]).toEqual([false, true])
  }
})

const answers: readonly (readonly [string, number, Record<string, string>, string])[] = [
  ['all headers', 200, { etag: '"e"', 'x-amz-version-id': 'v', 'last-modified': 'Tue, 01 Dec 2026 10:00:00 GMT' }, 'a'],
  ['a range', 206, { etag: '"e"', 'content-range': 'bytes 0-1/9', 'content-length': '2' }, 'ab'],
  ['no headers', 200, {}, 'ab'],
  ['an odd date', 200, { etag: '"e"', 'last-modified': 'yesterday' }, 'ab'],
  ['a date of another form', 200, { etag: '"e"', 'last-modified': 'Tuesday, 01-Dec-26 10:00:00 GMT' }, 'ab'],
  ['no date of the calendar', 200, { etag: '"e"', 'last-modified': 'Tue, 41 Foo 2026 10:00:00 GMT' }, 'ab'],
  ['not there', 404, {}, '<Error><Code>NoSuchKey</Code><Message>m</Message></Error>'],
  ['no bucket', 404, {}, '<Error><Code>NoSuchBucket</Code><Message>m</Message></Error>'],
  ['changed', 412, {}, '<Error><Code>PreconditionFailed</Code></Error>'],
  ['behind the end', 416, {}, '<Error><Code>InvalidRange</Code></Error>'],
  ['archived', 403, {}, '<Error><Code>InvalidObjectState</Code><StorageClass>GLACIER</StorageClass></Error>'],
  ['elsewhere', 301, { 'x-amz-bucket-region': 'eu-west-1' }, '<Error><Code>PermanentRedirect</Code></Error>'],
  ['moved', 307, { location: 'http://127.0.0.1:1/' }, ''],
  ['overload', 503, {}, '<Error><Code>SlowDown</Code></Error>'],
  ['no XML', 500, {}, 'oops'],
  ['nothing', 204, {}, ''],
  ['denied', 403, {}, ''],
]

test.each(answers)(
  'an answer is read as by the SDK, and nothing is asked twice: %s',
  async (_, status, headers, body) => {
    const get = createGet(client)
    await outcome(get({ Bucket: 'b', Key: 'first' }))
    answer = response => response.writeHead(status, headers).end(body)
    seen = []
    const own = await outcome(get({ Bucket: 'b', Key: 'k' }))
    expect(seen.map(isOfSdk)).toEqual([false])
    expect(ofPort(own)).toEqual(ofPort(await outcome(client.send(new GetObjectCommand({ Bucket: 'b', Key: 'k' })))))
  },
)

test('a failure of the first one is no hindrance, and keys that a folder of the address holds stay below it', async () => {
  const get = createGet(client)
  answer = response => response.writeHead(404).end('<Error><Code>NoSuchKey</Code></Error>')
  await outcome(get({ Bucket: 'b', Key: 'a/b' }))
  await outcome(get({ Bucket: 'b', Key: 'b' }))
  expect(seen.map(request => [request.url, isOfSdk(request)])).toEqual([
    ['/b/a/b?x-id=GetObject', true],
    ['/b/b?x-id=GetObject', false],
  ])
})

test('a clock that is wrong is corrected, as the SDK does', async () => {
  const get = createGet(client)
  await outcome(get({ Bucket: 'b', Key: 'first' }))
  const later = new Date(Date.now() + 3_600_000)
  answer = response =>
    response
      .writeHead(403, { date: later.toUTCString() })
      .end('<Error><Code>RequestTimeTooSkewed</Code><Message>m</Message></Error>')
  await outcome(get({ Bucket: 'b', Key: 'k' }))
  seen = []
  await outcome(get({ Bucket: 'b', Key: 'k' }))
  const [, year, month, day, hour] = /^(\d{4})(\d\d)(\d\d)T(\d\d)/.exec(String(seen[0]?.headers['x-amz-date'])) ?? []
  const signedMs = Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour))
  expect(isOfSdk(seen[0] as IncomingMessage)).toBe(false)
  expect(signedMs).toBeGreaterThan(Date.now())
})

test('credentials are asked for each time, and a session has its token', async () => {
  let n = 0
  client.destroy()
  client = clientOf({
    credentials: async () => ({
      ...S3_CREDENTIALS,
      accessKeyId: `id${n++}`,
      sessionToken: `token${n}`,
      expiration: new Date(0),
    }),
  })
  const get = createGet(client)
  for (const Key of ['a', 'b', 'c']) await outcome(get({ Bucket: 'b', Key }))
  const ids = seen.map(({ headers }) => /Credential=(\w+)/.exec(String(headers.authorization))?.[1])
  expect(new Set(ids).size).toBe(3)
  expect(seen.map(({ headers }) => headers['x-amz-security-token'])).toEqual(
    ids.map(id => `token${Number(id?.slice(2)) + 1}`),
  )
})

test('what is not signed by SigV4 alone stays with the SDK', async () => {
  const unsigned = clientOf({
    httpAuthSchemes: [
      {
        schemeId: 'smithy.api#noAuth',
        identityProvider: () => async () => ({}),
        signer: { sign: async (request: unknown) => request },
      },
    ],
    httpAuthSchemeProvider: () => [{ schemeId: 'smithy.api#noAuth' }],
  })
  const get = createGet(unsigned)
  for (const Key of ['a', 'b']) await outcome(get({ Bucket: 'b', Key }))
  unsigned.destroy()
  expect(seen.map(isOfSdk)).toEqual([true, true])
  expect(seen.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined])
})

test('one that is given up ends at once, before and while it is answered', async () => {
  const get = createGet(client)
  await outcome(get({ Bucket: 'b', Key: 'first' }))
  const controller = new AbortController()
  answer = () => controller.abort()
  expect(await outcome(get({ Bucket: 'b', Key: 'k' }, controller.signal))).toMatchObject({ name: 'AbortError' })
  seen = []
  expect(await outcome(get({ Bucket: 'b', Key: 'k' }, controller.signal))).toMatchObject({ name: 'AbortError' })
  expect(seen).toEqual([])
})
