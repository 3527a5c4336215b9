import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createS3Client } from '../../../connectors/s3/client.ts'
import { createS3Store } from '../../../connectors/s3/store.ts'
import { S3_ENVIRONMENT } from './fixtures.ts'

beforeEach(() => {
  for (const name of ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL', 'AWS_REGION']) vi.stubEnv(name, undefined)
  for (const [name, value] of Object.entries(S3_ENVIRONMENT)) if (name !== 'AWS_REGION') vi.stubEnv(name, value)
})
afterEach(() => vi.unstubAllEnvs())

/** Nobody listens at any of these: nothing may be sent. */
const deciderOf = async (spec: { readonly endpoint?: string; readonly region?: string }) => {
  const whole = { bucket: 'bucket', prefix: 'checkpoint/', ...spec }
  return createS3Store(await createS3Client(whole, 'test'), whole).decider?.()
}

describe('who decides the conditions of a bucket (P4)', () => {
  test('is the server that the address names, with its port', async () => {
    const decider = await deciderOf({ endpoint: 'http://127.0.0.1:1' })
    expect(decider).toBe('http://127.0.0.1:1 s3://bucket/checkpoint/')
  })

  test('is the server that a variable names', async () => {
    vi.stubEnv('AWS_ENDPOINT_URL_S3', 'https://s3.example.org')
    vi.stubEnv('AWS_REGION', 'eu-west-1')
    expect(await deciderOf({})).toBe('https://s3.example.org s3://bucket/checkpoint/')
  })

  test('is that of AWS in the region otherwise', async () => {
    expect(await deciderOf({ region: 'eu-west-1' })).toBe(
      'https://bucket.s3.eu-west-1.amazonaws.com s3://bucket/checkpoint/',
    )
  })
})
