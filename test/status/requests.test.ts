import { expect, onTestFinished, test, vi } from 'vitest'
import { kindOf } from '../../connectors/s3/counted.ts'
import { createComponents } from '../../src/engine/components.ts'
import { createRequestMeter } from '../../src/status/requests.ts'
import { S3_ENVIRONMENT } from '../connectors/s3/fixtures.ts'
import { startScriptedS3 } from '../servers/scripted-s3.ts'
import { manualClock } from './manual-clock.ts'

const minute = 60_000

test('a day is reckoned by the last hour, and not before a minute has passed', () => {
  const clock = manualClock()
  const meter = createRequestMeter(clock)
  for (let n = 0; n < 10; n++) meter.count('get')
  meter.count('queue')
  clock.advance(minute - 1)
  expect(meter.perDay()).toBeNull()
  clock.advance(minute + 1)
  // Ten in two minutes.
  expect(meter.perDay()).toEqual({ put: 0, list: 0, get: 7_200, delete: 0, queue: 720 })
  clock.advance(57 * minute)
  meter.count('put')
  // The first minute counts yet, and then no longer.
  expect(meter.perDay()?.get).toBeCloseTo((10 / 59) * 1_440, 6)
  clock.advance(minute)
  expect(meter.perDay()?.get).toBe(0)
  clock.advance(1_000 * minute)
  expect(meter.perDay()).toEqual({ put: 0, list: 0, get: 0, delete: 0, queue: 0 })
  expect(meter.totals).toEqual({ put: 1, list: 0, get: 10, delete: 0, queue: 1 })
})

test.each([
  ['GET', {}, 'get'],
  ['HEAD', {}, 'get'],
  ['GET', { versionId: 'x' }, 'get'],
  ['GET', { tagging: '' }, 'get'],
  ['GET', { 'list-type': '2', prefix: 'a' }, 'list'],
  ['GET', { versions: '' }, 'list'],
  ['PUT', {}, 'put'],
  ['PUT', { partNumber: '1', uploadId: 'u' }, 'put'],
  ['POST', { uploads: '' }, 'put'],
  ['POST', { delete: '' }, 'delete'],
  ['DELETE', {}, 'delete'],
] as const)('%s with %o is charged for as %s', (method, query, kind) => {
  expect(kindOf({ method, query })).toBe(kind)
})

test('what the server is asked is what is counted, reads that go past the SDK too', async () => {
  for (const [name, value] of Object.entries(S3_ENVIRONMENT)) vi.stubEnv(name, value)
  onTestFinished(() => void vi.unstubAllEnvs())
  const none = '<ListBucketResult><IsTruncated>false</IsTruncated><KeyCount>0</KeyCount></ListBucketResult>'
  const server = await startScriptedS3(({ method, query }) => {
    if (query.has('list-type')) return { headers: { 'content-type': 'application/xml' }, body: none }
    const headers = { etag: '"1"', 'last-modified': 'Fri, 01 Mar 2024 08:00:00 GMT' }
    return method === 'GET' ? { headers, body: 'rows' } : { headers }
  })
  onTestFinished(() => server.close())
  const meter = createRequestMeter(manualClock())
  const store = await createComponents(meter.count).openInput(`s3://lake/trips/?endpoint=${server.endpoint}`, 'test')
  for (const key of ['a', 'b', 'c']) expect(await store.get(key)).toMatchObject({ eTag: expect.any(String) })
  for await (const found of store.list('')) expect.unreachable(found.key)
  await store.put('d', Buffer.from('x'), 'absent')
  await store.head?.('d')
  await store.delete(['d'])
  expect(meter.totals).toEqual({ put: 1, list: 1, get: 4, delete: 1, queue: 0 })
  expect(server.requests).toHaveLength(7)
})
