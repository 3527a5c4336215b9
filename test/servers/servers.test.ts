import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { startElasticmq } from './elasticmq.ts'
import { serverFor } from './for-tests.ts'
import { startKafka } from './kafka.ts'
import { startMinio } from './minio.ts'
import { startMinistack } from './ministack.ts'
import { startPostgres } from './postgres.ts'
import { accepts } from './server.ts'
import { startS3mock } from './s3mock.ts'
import { startVersitygw } from './versitygw.ts'

const portOf = (endpoint: string): number => Number(/:(\d+)(\/\w+)?$/.exec(endpoint)?.[1])

const servers = [
  ['MinIO', startMinio],
  ['versitygw', startVersitygw],
  ['MiniStack', startMinistack],
  ['ElasticMQ', startElasticmq],
  ['Adobe S3Mock', startS3mock],
  ['Kafka 4.4.0', () => startKafka({ version: '4.4.0' })],
  ['Kafka 3.9.2', () => startKafka({ version: '3.9.2' })],
  ['PostgreSQL', startPostgres],
] as const

for (const [name, start] of servers) {
  const server = await serverFor(start)
  describe.skipIf(!server)(`${name}`, () => {
    test('is there again after a kill, and gone after its end', async () => {
      if (!server) return
      const port = portOf(server.endpoint)
      expect(await accepts(port)).toBe(true)
      await server.kill()
      expect(await accepts(port)).toBe(false)
      await server.restart()
      expect(await accepts(port)).toBe(true)
      await server.restart()
      expect(await accepts(port)).toBe(true)
      await server.stop()
      await server.stop()
      expect(await accepts(port)).toBe(false)
    })
  })
}

describe('a process that starts a server', () => {
  const started: ReturnType<typeof spawn>[] = []
  afterEach(() => {
    for (const child of started) child.kill('SIGKILL')
  })

  test('takes it along when it is killed', async () => {
    const child = spawn(process.execPath, [join(import.meta.dirname, 'start-and-wait.ts')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    started.push(child)
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const port = portOf(line.toString().trim())
    expect(await accepts(port)).toBe(true)
    child.kill('SIGKILL')
    await once(child, 'exit')
    await expect.poll(() => accepts(port), { timeout: 20_000 }).toBe(false)
  })
})
