import { join } from 'node:path'
import { installed } from './installed.ts'
import { type Server, startServer } from './server.ts'

/** Adobe S3Mock: lets several writers win one If-None-Match, so it is for the test of the probe alone (P4). */
export async function startS3mock(): Promise<Server> {
  const libs = join(await installed('s3mock'), 'libs', '*')
  return startServer('s3mock', 2, async ({ folder, ports: [port, tlsPort] }) => ({
    command: 'java',
    args: ['-Xmx256m', '-XX:TieredStopAtLevel=1', `-Dhttp.port=${port}`, `-Dserver.port=${tlsPort}`].concat([
      `-Dcom.adobe.testing.s3mock.store.root=${folder}`,
      '-cp',
      libs,
      'com.adobe.testing.s3mock.S3MockApplication',
    ]),
    endpoint: `http://127.0.0.1:${port}`,
  }))
}
