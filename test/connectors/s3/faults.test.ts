import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../../src/core/clock.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import { type FaultyProxy, type HttpFault, startFaultyProxy } from '../../servers/faulty-proxy.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinio } from '../../servers/minio.ts'
import { makeBucket, newStore } from './fixtures.ts'

const minio = await serverFor(startMinio)

const slowDown: HttpFault = { is: 'status', status: 503, code: 'SlowDown' }
const bytes = (text: string): Uint8Array => Buffer.from(text)

describe.skipIf(!minio)('S3 behind a network that fails', () => {
  let proxy: FaultyProxy
  let store: ObjectStore
  let behind: ObjectStore
  let pauses: number[]
  let folder: string
  const clock: Clock = {
    startedAtMs: 0,
    nowMs: () => 0,
    sleep: async ms => {
      pauses.push(ms)
    },
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'millrace-s3-'))
    await makeBucket(minio?.endpoint ?? '')
    proxy = await startFaultyProxy(minio?.endpoint ?? '')
  })
  afterAll(async () => {
    await proxy?.close()
    await rm(folder, { recursive: true })
  })
  beforeEach(async () => {
    pauses = []
    const spec = { prefix: `faults-${proxy.requests.length}/` }
    store = await newStore(proxy.endpoint, { clock, random: () => 0.5, idleMsMax: 500, spec })
    behind = await newStore(minio?.endpoint ?? '', { spec })
  })

  const text = async (key: string): Promise<string> => {
    const found = await behind.get(key)
    return typeof found === 'string' ? found : Buffer.from(found.body).toString()
  }
  const since = (start: number): readonly string[] => proxy.requests.slice(start)

  // Outcome, and whether the bytes are there: a fault after the write was applied hides that it was.
  test.each<[HttpFault, 'unknown' | 'conflict', boolean]>([
    [{ is: 'status', status: 409, code: 'ConditionalRequestConflict' }, 'conflict', false],
    [{ is: 'status', status: 412, code: 'PreconditionFailed' }, 'conflict', false],
    [{ is: 'status-after', status: 412, code: 'PreconditionFailed' }, 'conflict', true],
    [{ is: 'status', status: 500, code: 'InternalError' }, 'unknown', false],
    [{ is: 'status-after', status: 500, code: 'InternalError' }, 'unknown', true],
    [{ is: 'status-after', status: 502, code: 'BadGateway' }, 'unknown', true],
    [slowDown, 'unknown', false],
    [{ is: 'status', status: 400, code: 'RequestTimeout' }, 'unknown', false],
    [{ is: 'reset-before' }, 'unknown', false],
    [{ is: 'reset-after' }, 'unknown', true],
    [{ is: 'hung' }, 'unknown', false],
  ])('a conditional write that meets %j is sent once and answers %s (P6)', async (fault, outcome, isApplied) => {
    const file = join(folder, 'file')
    await writeFile(file, 'from a file')
    const start = proxy.requests.length
    proxy.next('PUT', fault, fault, fault)
    expect(await store.put('absent', bytes('new'), 'absent')).toMatchObject({ is: outcome })
    expect(await store.put('file', { file }, 'absent')).toMatchObject({ is: outcome })
    const first = await behind.put('HEAD', bytes('old'), 'absent')
    expect(await store.put('HEAD', bytes('new'), first.is === 'stored' ? first.eTag : '')).toMatchObject({
      is: outcome,
    })
    expect(since(start)).toHaveLength(3)
    expect(await text('absent')).toBe(isApplied ? 'new' : 'missing')
    expect(await text('file')).toBe(isApplied ? 'from a file' : 'missing')
    expect(await text('HEAD')).toBe(isApplied ? 'new' : 'old')
  })

  test.each<[HttpFault, 'unknown' | 'conflict', boolean]>([
    [{ is: 'status', status: 409, code: 'ConditionalRequestConflict' }, 'conflict', false],
    [{ is: 'status-after', status: 412, code: 'PreconditionFailed' }, 'conflict', true],
    [{ is: 'reset-after' }, 'unknown', true],
    [slowDown, 'unknown', false],
  ])('a copy that meets %j is sent once and answers %s (P8)', async (fault, outcome, isApplied) => {
    await behind.put('from', bytes('staged'), 'absent')
    // The first copy finds out how this server copies.
    await store.copy('from', 'first')
    const start = proxy.requests.length
    proxy.next('PUT', fault)
    expect(await store.copy('from', 'to')).toMatchObject({ is: outcome })
    expect(since(start).filter(request => request.startsWith('PUT'))).toHaveLength(1)
    expect(await text('to')).toBe(isApplied ? 'staged' : 'missing')
  })

  test.each<HttpFault>([
    slowDown,
    { is: 'status', status: 500, code: 'InternalError' },
    { is: 'status', status: 429, code: 'TooManyRequests' },
    { is: 'reset-before' },
    { is: 'reset-after' },
    { is: 'truncated' },
    { is: 'stalled' },
    { is: 'hung' },
  ])('reads, listings and looks are repeated after %j, with full jitter', async fault => {
    const body = bytes('0123456789'.repeat(1_000))
    await behind.put('x', body, 'absent')
    proxy.next('GET', fault, fault)
    const found = await store.get('x', { range: [0, 10_000] })
    expect(typeof found === 'string' ? found : Buffer.compare(found.body, body)).toBe(0)
    // Half of 100 ms, half of 200 ms: the random number here is 0.5.
    expect(pauses).toEqual([50, 100])
    proxy.next('GET', fault)
    const keys: string[] = []
    for await (const { key } of store.list('')) keys.push(key)
    expect(keys).toEqual(['x'])
    if (fault.is === 'truncated' || fault.is === 'stalled') return
    proxy.next('HEAD', fault)
    expect(await store.head?.('x')).toMatchObject({ sizeBytes: body.length })
  })

  test('a read that never succeeds ends with an error that says so, and names the object', async () => {
    await behind.put('x', bytes('x'), 'absent')
    const start = proxy.requests.length
    proxy.next('GET', ...Array.from({ length: 6 }, () => slowDown))
    await expect(store.get('x')).rejects.toMatchObject({
      kind: 'retry',
      code: 'store-unavailable',
      message: expect.stringMatching(/Reading s3:\/\/millrace-test\/faults-\d+\/x failed: SlowDown \(HTTP 503\)/),
    })
    expect(since(start)).toHaveLength(6)
  })

  test('a delete that failed in part is repeated for what is left', async () => {
    for (const key of ['a', 'b']) await behind.put(key, bytes(key), 'absent')
    proxy.next('POST', slowDown, { is: 'reset-after' })
    await store.delete(['a', 'b'])
    expect([await text('a'), await text('b')]).toEqual(['missing', 'missing'])
  })

  test.each<[HttpFault, object]>([
    [
      { is: 'status', status: 403, code: 'AccessDenied' },
      { kind: 'user', code: 'object-denied' },
    ],
    [
      { is: 'status', status: 403, code: 'InvalidObjectState' },
      { kind: 'user', code: 'object-archived' },
    ],
    [
      { is: 'status', status: 403, code: 'SignatureDoesNotMatch' },
      { kind: 'user', code: 'access-denied' },
    ],
    [
      { is: 'status', status: 301, code: 'PermanentRedirect' },
      { kind: 'user', code: 'wrong-region' },
    ],
    [
      { is: 'status', status: 400, code: 'InvalidArgument' },
      { kind: 'user', code: 'object-refused' },
    ],
    [
      { is: 'status', status: 400, code: 'ExpiredToken' },
      { kind: 'user', code: 'credentials-expired' },
    ],
  ])('a read that meets %j is not repeated and names the object', async (fault, error) => {
    const start = proxy.requests.length
    proxy.next('GET', fault)
    await expect(store.get('x')).rejects.toMatchObject({ ...error, message: expect.stringContaining('/x failed') })
    expect(since(start)).toHaveLength(1)
  })

  test('a read of an eTag that no header can hold is refused as the object, not as the store', async () => {
    await expect(store.get('x', { ifMatch: 'a\r\nb' })).rejects.toMatchObject({ code: 'object-refused' })
  })

  test('ends a read at its signal, also while the body stalls', async () => {
    await behind.put('x', Buffer.alloc(100_000), 'absent')
    const calm = await newStore(proxy.endpoint, { spec: { prefix: behind.address.split('/').slice(3, 4)[0] + '/' } })
    proxy.next('GET', { is: 'stalled' })
    const abort = new AbortController()
    const reading = calm.get('x', { signal: abort.signal })
    await expect.poll(() => proxy.requests.at(-1)).toContain('GET')
    abort.abort()
    await expect(reading).rejects.toThrow(/abort/i)
  })
})
