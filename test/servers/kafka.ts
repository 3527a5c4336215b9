import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { installed } from './installed.ts'
import { type Command, foreignServer, freePorts, type Server, startServer } from './server.ts'

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
  const libs = await libraries(version)
  return startServer('kafka', 2, async ({ folder, ports: [port = 0, controllerPort = 0] }) => {
    const secured = onSecured && (await secure(folder, onSecured))
    return broker({
      libs,
      folder,
      id: 1,
      port,
      controllerPorts: [controllerPort],
      heapMb: 512,
      protocol: secured ? 'SASL_SSL' : 'PLAINTEXT',
      settings: secured ?? [],
    })
  })
}

/** Brokers that are killed and started again one by one; kill and restart of the cluster are those of all. */
export interface KafkaCluster extends Server {
  /** Broker n has id n + 1. */
  readonly brokers: readonly Server[]
}

/**
 * Apache Kafka of several brokers, each a controller too; the endpoint is 'host:port,host:port,...'. A broker that is
 * away is noticed after two seconds instead of nine, and one that is back leads again what it led at first.
 */
export async function startKafkaCluster(count = 3): Promise<KafkaCluster> {
  const libs = await libraries()
  const ports = await freePorts(2 * count)
  const controllerPorts = ports.slice(count)
  // Together: a broker takes connections when most controllers are there.
  const started = await Promise.allSettled(
    controllerPorts.map((controllerPort, n) =>
      startServer('kafka', [ports[n] ?? 0, controllerPort], ({ folder, ports: [port = 0] }) =>
        broker({
          libs,
          folder,
          id: n + 1,
          port,
          controllerPorts,
          heapMb: 192,
          protocol: 'PLAINTEXT',
          settings: [
            'broker.heartbeat.interval.ms=500',
            'broker.session.timeout.ms=2000',
            'leader.imbalance.check.interval.seconds=2',
          ],
        }),
      ),
    ),
  )
  const brokers = started.flatMap(each => (each.status === 'fulfilled' ? [each.value] : []))
  const all = (what: (broker: Server) => Promise<void>) => async () => void (await Promise.all(brokers.map(what)))
  const stop = all(each => each.stop())
  const failed = started.find(each => each.status === 'rejected')
  if (failed) {
    await stop()
    throw failed.reason
  }
  return {
    endpoint: brokers.map(({ endpoint }) => endpoint).join(','),
    brokers,
    stop,
    kill: all(each => each.kill()),
    restart: all(each => each.restart()),
  }
}

async function libraries(version: KafkaOptions['version'] = '4.4.0'): Promise<string> {
  return join(await installed(`kafka-${version}`), 'libs', '*')
}

interface BrokerOptions {
  readonly libs: string
  readonly folder: string
  readonly id: number
  readonly port: number
  /** Of every broker, in the order of their ids. */
  readonly controllerPorts: readonly number[]
  readonly heapMb: number
  readonly protocol: 'PLAINTEXT' | 'SASL_SSL'
  /** Further lines of server.properties. */
  readonly settings: readonly string[]
}

/** Formats the broker's folder; what then starts it. */
async function broker(options: BrokerOptions): Promise<Command> {
  const { libs, folder, id, port, controllerPorts, heapMb, protocol, settings } = options
  const java = ['-XX:TieredStopAtLevel=1', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn', '-cp', libs]
  const properties = join(folder, 'server.properties')
  await mkdir(join(folder, 'data'))
  const copies = Math.min(controllerPorts.length, 3)
  await writeFile(
    properties,
    [
      'process.roles=broker,controller',
      `node.id=${id}`,
      `controller.quorum.voters=${controllerPorts.map((each, n) => `${n + 1}@127.0.0.1:${each}`).join(',')}`,
      `listeners=${protocol}://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPorts[id - 1]}`,
      `advertised.listeners=${protocol}://127.0.0.1:${port}`,
      'controller.listener.names=CONTROLLER',
      `listener.security.protocol.map=${protocol}:${protocol},CONTROLLER:PLAINTEXT`,
      `inter.broker.listener.name=${protocol}`,
      ...settings,
      `log.dirs=${join(folder, 'data')}`,
      `offsets.topic.replication.factor=${copies}`,
      'offsets.topic.num.partitions=4',
      `transaction.state.log.replication.factor=${copies}`,
      'transaction.state.log.min.isr=1',
      'transaction.state.log.num.partitions=4',
      `share.coordinator.state.topic.replication.factor=${copies}`,
      'share.coordinator.state.topic.min.isr=1',
      // The cleaner of logs takes 128 MiB of the heap at the start: in 192 a broker that comes back may find none left.
      'log.cleaner.dedupe.buffer.size=4194304',
      // Else a first consumer waits three seconds for others.
      'group.initial.rebalance.delay.ms=0',
      '',
    ].join('\n'),
  )
  const format = ['kafka.tools.StorageTool', 'format', '-t', 'AAAAAAAAAAAAAAAAAAAAAQ', '-c', properties]
  const { username, password } = KAFKA_LOGIN
  if (protocol === 'SASL_SSL')
    for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-512'])
      format.push('--add-scram', `${mechanism}=[name=${username},password=${password}]`)
  await promisify(execFile)('java', [...java, ...format])
  const heap = [`-Xms${Math.min(heapMb, 192)}m`, `-Xmx${heapMb}m`]
  return { command: 'java', args: [...heap, ...java, 'kafka.Kafka', properties], endpoint: `127.0.0.1:${port}` }
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
