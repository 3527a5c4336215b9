import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinio } from '../../servers/minio.ts'
import { startVersitygw } from '../../servers/versitygw.ts'
import { makeBucket, newStore } from './fixtures.ts'

for (const [name, start] of [
  ['MinIO', startMinio],
  ['versitygw', startVersitygw],
] as const) {
  const server = await serverFor(start)
  if (!server) continue
  describe(`a race of processes for HEAD on ${name}`, () => {
    test('gives every win its own number, and loses none (P6, I1)', async () => {
      await makeBucket(server.endpoint)
      const [attempts, prefix] = [100, `${randomUUID()}/`]
      const run = promisify(execFile)
      const script = join(import.meta.dirname, 'race-writer.ts')
      const outputs = await Promise.all(
        Array.from({ length: 4 }, () => run(process.execPath, [script, server.endpoint, prefix, `${attempts}`])),
      )
      const won = outputs.flatMap(({ stdout }) => JSON.parse(stdout) as number[]).toSorted((a, b) => a - b)
      expect(won).toEqual(Array.from({ length: won.length }, (_, i) => i + 1))
      expect(won.length).toBeGreaterThanOrEqual(attempts)
      const last = await (await newStore(server.endpoint, { spec: { prefix } })).get('HEAD')
      expect(typeof last === 'string' ? last : Buffer.from(last.body).toString()).toBe(`${won.length}`)
    })
  })
}
