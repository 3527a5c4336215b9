import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { probeStore } from '../../../checkpoints/probe.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startS3mock } from '../../servers/s3mock.ts'
import { startVersitygw } from '../../servers/versitygw.ts'
import { makeBucket, newStore } from './fixtures.ts'

const unsafe = [
  ['Adobe S3Mock, where several writers win one If-None-Match', startS3mock],
  ['versitygw with a sidecar, where bytes and eTag change apart', () => startVersitygw({ sidecar: true })],
] as const

for (const [name, start] of unsafe) {
  const server = await serverFor(start)
  describe.skipIf(!server)(`${name}`, () => {
    test('is refused by the probe (P4)', async () => {
      const endpoint = server?.endpoint ?? ''
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
}
