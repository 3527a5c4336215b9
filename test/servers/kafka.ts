import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { installed } from './installed.ts'
import { foreignServer, type Server, startServer } from './server.ts'

export interface KafkaOptions {
  /** Default: the newest. */
  readonly version?: '4.4.0' | '3.9.2'
  /** Clients must use TLS and log in as `KAFKA_LOGIN`. Tells the broker's own certificate, as PEM. */
  readonly onSecured?: (certificate: string) => void
}

export const KAFKA_LOGIN = { username: 'millrace', password: 'open-sesame' } as const

/** One Apache Kafka broker (KRaft); its endpoint is 'host:port'. $MILLRACE_KAFKA where no version is asked for. */
export async function startKafka({ version, onSecured }: KafkaOptions = {}): Promise<Server> {
  if (process.env.MILLRACE_KAFKA && version === undefined && !onSecured)
    return foreignServer(process.env.MILLRACE_KAFKA)
  const libs = join(await installed(`kafka-${version ?? '4.4.0'}`), 'libs', '*')
  const java = ['-XX:TieredStopAtLevel=1', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', libs]
  return startServer('kafka', 2, async ({ folder, ports: [port, controllerPort] }) => {
    const properties = join(folder, 'server.properties')
    await mkdir(join(folder, 'data'))
    const secured = onSecured && (await secure(folder, onSecured))
    const protocol = secured ? 'SASL_SSL' : 'PLAINTEXT'
    await writeFile(
      properties,
      [
        'process.roles=broker,controller',
        'node.id=1',
        `controller.quorum.voters=1@127.0.0.1:${controllerPort}`,
        `listeners=${protocol}://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
        `advertised.listeners=${protocol}://127.0.0.1:${port}`,
        'controller.listener.names=CONTROLLER',
        `listener.security.protocol.map=${protocol}:${protocol},CONTROLLER:PLAINTEXT`,
        `inter.broker.listener.name=${protocol}`,
        ...(secured ?? []),
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
    const { username, password } = KAFKA_LOGIN
    if (secured)
      for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512'])
        format.push('--add-scram', `${mechanism}=[name=${username},password=${password}]`)
    await promisify(execFile)('java', [...java, ...format])
    return {
      command: 'java',
      args: ['-Xms192m', '-Xmx512m', ...java, 'kafka.Kafka', properties],
      endpoint: `127.0.0.1:${port}`,
    }
  })
}

/** TLS by a certificate of its own, and logins of KAFKA_LOGIN by every mechanism: lines of server.properties. */
async function secure(folder: string, onSecured: (certificate: string) => void): Promise<readonly string[]> {
  const { username, password } = KAFKA_LOGIN
  const store = [
    '-alias',
    'broker',
    '-keystore',
    join(folder, 'keys.p12'),
    '-storetype',
    'PKCS12',
    '-storepass',
    password,
  ]
  const who = ['-dname', 'CN=127.0.0.1', '-ext', 'SAN=ip:127.0.0.1', '-keyalg', 'EC', '-validity', '7']
  await promisify(execFile)('keytool', ['-genkeypair', ...store, ...who])
  onSecured((await promisify(execFile)('keytool', ['-exportcert', '-rfc', ...store])).stdout)
  const listener = 'listener.name.sasl_ssl'
  const module = 'org.apache.kafka.common.security'
  return [
    'ssl.keystore.type=PKCS12',
    `ssl.keystore.location=${join(folder, 'keys.p12')}`,
    `ssl.keystore.password=${password}`,
    // The broker is its own client, and trusts itself.
    'ssl.truststore.type=PKCS12',
    `ssl.truststore.location=${join(folder, 'keys.p12')}`,
    `ssl.truststore.password=${password}`,
    'sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'sasl.mechanism.inter.broker.protocol=PLAIN',
    `${listener}.plain.sasl.jaas.config=${module}.plain.PlainLoginModule required username="${username}" password="${password}" user_${username}="${password}";`,
    ...['scram-sha-256', 'scram-sha-512'].map(
      mechanism => `${listener}.${mechanism}.sasl.jaas.config=${module}.scram.ScramLoginModule required;`,
    ),
  ]
}
