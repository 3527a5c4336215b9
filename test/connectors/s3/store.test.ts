import { describeObjectStore } from '../../contracts/object-store.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { startMinio } from '../../servers/minio.ts'
import { startMinistack } from '../../servers/ministack.ts'
import { startVersitygw } from '../../servers/versitygw.ts'
import { makeBucket, newStore } from './fixtures.ts'

const servers = [
  ['MinIO', startMinio],
  ['versitygw', startVersitygw],
  ['MiniStack', startMinistack],
] as const

for (const [name, start] of servers) {
  const server = await serverFor(start)
  if (!server) continue
  await makeBucket(server.endpoint)
  describeObjectStore(`s3:// on ${name}`, { create: () => newStore(server.endpoint), isWriteOnce: false })
}
