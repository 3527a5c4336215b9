import { randomUUID } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { probeStore } from '../../../checkpoints/probe.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startS3mock } from '../../servers/s3mock.ts'
import { makeBucket, newStore } from './fixtures.ts'

const s3mock = await serverFor(startS3mock)

describe.skipIf(!s3mock)('Adobe S3Mock, where several writers win one If-None-Match', () => {
  it('is refused by the probe (P4)', async () => {
    const endpoint = s3mock?.endpoint ?? ''
    await makeBucket(endpoint)
    // Every time: a store that is let through once has lost an epoch.
    for (let round = 0; round < 10; round++) {
      const store = await newStore(endpoint)
      await expect(probeStore({ store, newId: randomUUID })).rejects.toMatchObject({
        kind: 'user',
        code: 'unsafe-store',
      })
    }
  })
})
