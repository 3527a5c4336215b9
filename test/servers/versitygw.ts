import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { installed } from './installed.ts'
import { S3_CREDENTIALS } from './minio.ts'
import { type Server, startServer } from './server.ts'

export interface VersitygwOptions {
  /**
   * Keeps attributes, eTags among them, in a folder beside the objects instead of in the file system. Then object and eTag
   * change one after the other, and several writers may win one If-Match: what the probe must refuse (P4).
   */
  readonly sidecar?: boolean
  /** What happens in any bucket is told there, with keys as they are. */
  readonly kafka?: { readonly brokers: string; readonly topic: string }
}

/** versitygw: S3 over a POSIX folder with extended attributes. A second opinion on conditional writes. */
export async function startVersitygw({ sidecar = false, kafka }: VersitygwOptions = {}): Promise<Server> {
  const binary = join(await installed('versitygw'), 'versitygw')
  return startServer('versitygw', 1, async ({ folder, ports: [port] }) => {
    const [data, attributes] = [join(folder, 'data'), join(folder, 'attributes')]
    for (const each of [data, attributes]) await mkdir(each)
    const beside = sidecar ? ['--sidecar', attributes] : []
    const told = kafka ? ['--event-kafka-url', kafka.brokers, '--event-kafka-topic', kafka.topic] : []
    return {
      command: binary,
      args: ['--quiet', '--port', `127.0.0.1:${port}`, ...told, 'posix', ...beside, data],
      env: { ROOT_ACCESS_KEY: S3_CREDENTIALS.accessKeyId, ROOT_SECRET_KEY: S3_CREDENTIALS.secretAccessKey },
      endpoint: `http://127.0.0.1:${port}`,
    }
  })
}
