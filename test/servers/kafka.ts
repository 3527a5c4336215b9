import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { installed } from './installed.ts'
import { foreignServer, type Server, startServer } from './server.ts'

export interface KafkaOptions {
  /** Default: the newest. */
  readonly version?: '4.4.0' | '3.9.2'
}

/** One Apache Kafka broker (KRaft); its endpoint is 'host:port'. $MILLRACE_KAFKA where no version is asked for. */
export async function startKafka({ version }: KafkaOptions = {}): Promise<Server> {
  if (process.env.MILLRACE_KAFKA && version === undefined) return foreignServer(process.env.MILLRACE_KAFKA)
  const libs = join(await installed(`kafka-${version ?? '4.4.0'}`), 'libs', '*')
  const java = ['-XX:TieredStopAtLevel=1', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', libs]
  return startServer('kafka', 2, async ({ folder, ports: [port, controllerPort] }) => {
    const properties = join(folder, 'server.properties')
    await mkdir(join(folder, 'data'))
    await writeFile(
      properties,
      [
        'process.roles=broker,controller',
        'node.id=1',
        `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
        `listeners=PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
        `advertised.listeners=PLAINTEXT://127.0.0.1:${port}`,
        'controller.listener.names=CONTROLLER',
        'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
        'inter.broker.listener.name=PLAINTEXT',
        `log.dirs=${join(folder, 'data')}`,
        'offsets.topic.replication.factor=1',
        'offsets.topic.num.partitions=4',
        'transaction.state.log.replication.factor=1',
        'transaction.state.log.min.isr=1',
        'transaction.state.log.num.partitions=4',
        'share.coordinator.state.topic.replication.factor=1',
        'share.coordinator.state.topic.min.isr=1',
        // Else a first consumer waits three seconds for others.
        'group.initial.rebalance.delay.ms=0',
        '',
      ].join('\n'),
    )
    const format = ['kafka.tools.StorageTool', 'format', '-t', 'AAAAAAAAAAAAAAAAAAAAAQ', '-c', properties]
    await promisify(execFile)('java', [...java, ...format])
    return {
      command: 'java',
      args: ['-Xms192m', '-Xmx512m', ...java, 'kafka.Kafka', properties],
      endpoint: `127.0.0.1:${port}`,
    }
  })
}
