import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { installed } from './installed.ts'
import { foreignServer, type Server, startServer } from './server.ts'

/** ElasticMQ: SQS alone, in memory: visibility, partial failures, long polls and redrive as documented. */
export async function startElasticmq(): Promise<Server> {
  if (process.env.MILLRACE_SQS) return foreignServer(process.env.MILLRACE_SQS)
  const installation = await installed('elasticmq')
  return startServer('elasticmq', 1, async ({ folder, ports: [port] }) => {
    const configuration = join(folder, 'elasticmq.conf')
    await writeFile(
      configuration,
      [
        'include classpath("application.conf")',
        `node-address { protocol = http, host = "127.0.0.1", port = ${port}, context-path = "" }`,
        `rest-sqs { enabled = true, bind-port = ${port}, bind-hostname = "127.0.0.1", sqs-limits = strict }`,
        'rest-stats { enabled = false }',
        'aws { region = us-east-1, accountId = 000000000000 }',
        '',
      ].join('\n'),
    )
    return {
      command: 'java',
      args: ['-Xmx192m', '-XX:TieredStopAtLevel=1', '-XX:+UseSerialGC', `-Dconfig.file=${configuration}`].concat([
        '-cp',
        join(installation, 'libs', '*'),
        'org.elasticmq.server.Main',
      ]),
      endpoint: `http://127.0.0.1:${port}`,
    }
  })
}
