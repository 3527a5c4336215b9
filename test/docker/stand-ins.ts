import { execFile } from 'node:child_process'
import { cp, mkdir, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { installed } from '../servers/installed.ts'
import type { Docker } from './docker.ts'
import { importImage } from './image.ts'
import { addLibraries, addProgram } from './make-base.ts'

const exec = promisify(execFile)

/** By the variables of docker/compose.yaml that name images. */
export type StandIns = Readonly<Record<'MINIO_IMAGE' | 'KAFKA_IMAGE' | 'ELASTICMQ_IMAGE', string>>

const repo = 'millrace-test-servers'

/**
 * Images in place of those that docker/compose.yaml pulls, for a machine without a registry of images: the servers of
 * test/servers, with what is used there of the official images' entries, paths and scripts. Throws `MissingServer` where
 * a server cannot be got.
 */
export async function makeStandIns(docker: Docker): Promise<StandIns> {
  await importImage(docker, repo, ['ENV PATH=/opt/java/bin:/usr/bin:/bin'], makeRoot)
  const container = await docker.createContainer({ Image: `${repo}:latest`, Cmd: ['none'] })
  const tag = async (name: string, changes: readonly string[]): Promise<string> => {
    await container.commit({ repo, tag: name, changes: changes.join('\n') })
    return `${repo}:${name}`
  }
  try {
    return {
      MINIO_IMAGE: await tag('minio', ['ENTRYPOINT ["minio"]']),
      KAFKA_IMAGE: await tag('kafka', ['CMD ["/etc/kafka/docker/run"]']),
      ELASTICMQ_IMAGE: await tag('elasticmq', ['ENTRYPOINT ["/opt/elasticmq/run"]']),
    }
  } finally {
    await container.remove()
  }
}

const java = 'java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmx256m'
const kafka = `${java} -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '/opt/kafka/libs/*'`

const scripts: Readonly<Record<string, string>> = {
  // The official image's own converter of KAFKA_* to properties; it formats the folder of the logs, too.
  '/etc/kafka/docker/run': `
export CLUSTER_ID=5L6g3nShT-eMCtK--X86sw
set -- --default-configs-dir /etc/kafka/docker --mounted-configs-dir /mnt/shared/config
said=$(${kafka} kafka.docker.KafkaDockerWrapper setup "$@" --final-configs-dir /opt/kafka/config 2>&1) ||
  case $said in *'already formatted'*) ;; *) echo "$said"; exit 1 ;; esac
exec ${kafka} kafka.Kafka /opt/kafka/config/server.properties`,
  '/opt/kafka/bin/kafka-topics.sh': `exec ${kafka} org.apache.kafka.tools.TopicCommand "$@"`,
  '/opt/kafka/bin/kafka-broker-api-versions.sh': `exec ${kafka} org.apache.kafka.tools.BrokerApiVersionsCommand "$@"`,
  '/opt/elasticmq/run': `exec ${java} -cp '/opt/elasticmq/libs/*' org.elasticmq.server.Main`,
  '/usr/bin/mc': `
[ "$*" = 'ready local' ] || { echo "mc $*: not in this stand-in" >&2; exit 1; }
exec 3<>/dev/tcp/127.0.0.1/9000
printf 'GET /minio/health/cluster HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n' >&3
read -r _ status _ <&3
[ "$status" = 200 ]`,
}

async function makeRoot(root: string): Promise<void> {
  for (const folder of ['tmp', 'data', 'opt/java', 'opt/elasticmq', 'opt/kafka/config', 'opt/kafka/bin'])
    await mkdir(join(root, folder), { recursive: true })
  for (const folder of ['etc/kafka/docker', 'mnt/shared/config', 'var/lib/kafka/data', 'usr/bin'])
    await mkdir(join(root, folder), { recursive: true })
  await symlink('usr/bin', join(root, 'bin'))
  await addProgram(root, '/bin/bash', '/usr/bin/bash')
  await cp(join(await installed('minio'), 'minio'), join(root, 'usr/bin/minio'))
  await addJava(root)
  for (const name of ['kafka-4.4.0', 'kafka-tools-4.4.0'] as const)
    await cp(join(await installed(name), 'libs'), join(root, 'opt/kafka/libs'), { recursive: true })
  await cp(join(await installed('elasticmq'), 'libs'), join(root, 'opt/elasticmq/libs'), { recursive: true })
  for (const name of ['server.properties', 'log4j2.yaml', 'tools-log4j2.yaml'])
    await writeFile(join(root, 'etc/kafka/docker', name), '')
  for (const [path, script] of Object.entries(scripts))
    await writeFile(join(root, path), `#!/bin/bash\n${script.trim()}\n`, { mode: 0o755 })
}

/** The Java of this machine. Debian links from it into /etc, and for its sources to a file that need not be there. */
async function addJava(root: string): Promise<void> {
  const { stdout } = await exec('sh', ['-c', 'command -v java'])
  const home = dirname(dirname(await realpath(stdout.trim())))
  const archive = join(root, 'java.tar')
  await exec('tar', ['-C', home, '--dereference', '--exclude=src.zip', '-cf', archive, 'bin/java', 'lib', 'conf'])
  await exec('tar', ['-C', join(root, 'opt/java'), '-xf', archive])
  await rm(archive)
  for (const part of ['bin/java', 'lib/server/libjvm.so', 'lib/libzip.so']) await addLibraries(root, join(home, part))
}
