import { join } from 'node:path'
import { installed } from './installed.ts'
import { answers, foreignServer, type Server, startServer } from './server.ts'

/** MiniStack: S3 and SQS at one endpoint, in memory, with AWS's own notification messages. Checks no signature. */
export async function startMinistack(): Promise<Server> {
  if (process.env.MILLRACE_S3SQS) return foreignServer(process.env.MILLRACE_S3SQS)
  const installation = await installed('ministack')
  return startServer('ministack', 1, async ({ ports: [port] }) => ({
    // The script names the interpreter where it was installed first, so the interpreter is named here.
    command: join(installation, 'bin', 'python'),
    args: [join(installation, 'bin', 'ministack')],
    env: { BIND_HOST: '127.0.0.1', GATEWAY_PORT: String(port) },
    endpoint: `http://127.0.0.1:${port}`,
    isReady: () => answers(`http://127.0.0.1:${port}/_ministack/ready`),
  }))
}
