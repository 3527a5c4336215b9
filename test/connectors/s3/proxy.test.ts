import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { createS3Client } from '../../../connectors/s3/client.ts'
import { createS3Store } from '../../../connectors/s3/store.ts'
import { createQueue } from '../../../connectors/sqs/client.ts'
import { S3_ENVIRONMENT } from './fixtures.ts'

const requests: string[] = []
const server = createServer((request, response) => {
  requests.push(`${request.method} ${request.url}`)
  response.writeHead(404).end()
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const here = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
afterAll(() => void server.close())
const before = { ...process.env }
afterEach(() => {
  process.env = { ...before }
  requests.length = 0
})

describe('the proxy of the environment', () => {
  const endpoint = 'http://s3.example.test'
  const get = async (env: Record<string, string>, at = endpoint) => {
    Object.assign(process.env, S3_ENVIRONMENT)
    const spec = { bucket: 'bucket', prefix: '', endpoint: at, pathStyle: true }
    const client = await createS3Client(spec, 'test', { env })
    return createS3Store(client, spec)
      .get('a')
      .finally(() => client.destroy())
  }

  test('is asked for objects of S3, and not where NO_PROXY names the host', async () => {
    expect(await get({ HTTP_PROXY: here })).toBe('missing')
    expect(requests).toEqual(['GET http://s3.example.test/bucket/a?x-id=GetObject'])
    expect(await get({ HTTP_PROXY: 'http://127.0.0.1:1', NO_PROXY: '127.0.0.1' }, here)).toBe('missing')
    expect(requests[1]).toBe('GET /bucket/a?x-id=GetObject')
  })

  test('is asked for messages of SQS', async () => {
    Object.assign(process.env, S3_ENVIRONMENT, { HTTP_PROXY: here })
    const queue = createQueue({ queueUrl: 'http://sqs.example.test/1/q', region: 'us-east-1', visibilityTimeoutS: 60 })
    await queue.attributes().catch(() => {})
    queue.close()
    expect(requests).toEqual(['POST http://sqs.example.test/'])
  })
})

describe('an https address of a server without TLS', () => {
  const secure = here.replace('http:', 'https:')

  test('is named as such, and not tried for ever', async () => {
    Object.assign(process.env, S3_ENVIRONMENT)
    const spec = { bucket: 'bucket', prefix: '', endpoint: secure, pathStyle: true }
    const client = await createS3Client(spec, 'test')
    await expect(createS3Store(client, spec).get('a')).rejects.toMatchObject({
      kind: 'user',
      code: 'store-address',
      message: expect.stringContaining('write http:// instead of https://') as string,
    })
    client.destroy()
    const queue = createQueue({ queueUrl: `${secure}/1/q`, region: 'us-east-1', visibilityTimeoutS: 60 })
    await expect(queue.attributes()).rejects.toMatchObject({ kind: 'user', code: 'queue-address' })
    queue.close()
  })
})
