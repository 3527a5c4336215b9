import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { installed } from './installed.ts'
import { S3_CREDENTIALS } from './minio.ts'
import { type Server, startServer } from './server.ts'

/** versitygw: S3 over a POSIX folder. A second opinion on conditional writes. */
export async function startVersitygw(): Promise<Server> {
  const binary = join(await installed('versitygw'), 'versitygw')
  return startServer('versitygw', 1, async ({ folder, ports: [port] }) => {
    const [data, attributes] = [join(folder, 'data'), join(folder, 'attributes')]
    for (const each of [data, attributes]) await mkdir(each)
    return {
      command: binary,
      // Attributes beside the files, for temporary folders on file systems without extended attributes.
      args: ['--quiet', '--port', `127.0.0.1:${port}`, 'posix', '--sidecar', attributes, data],
      env: { ROOT_ACCESS_KEY: S3_CREDENTIALS.accessKeyId, ROOT_SECRET_KEY: S3_CREDENTIALS.secretAccessKey },
      endpoint: `http://127.0.0.1:${port}`,
    }
  })
}
