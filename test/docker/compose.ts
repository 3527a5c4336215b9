import { execFile } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../cli/child.ts'
import { MissingServer } from '../servers/installed.ts'
import { skippedBecause } from '../skipped-because.ts'
import type { Docker } from './docker.ts'
import { image } from './image.ts'
import { makeStandIns, type StandIns } from './stand-ins.ts'

const exec = promisify(execFile)

/** docker/compose.yaml with `--profile sqs`, under a project of the tests. */
export interface Compose {
  /** The network that its containers are in. */
  readonly network: string
  /** Runs a command of compose and tells its standard output. */
  do(...args: readonly string[]): Promise<string>
  /** The id of a service's container. */
  containerOf(service: string): Promise<string>
  /** Where a port of a service is published: 'host:port'. */
  published(service: string, port: number): Promise<string>
}

/** What runs docker/compose.yaml here. */
export interface ComposeTools {
  /** The plugin `docker compose`, else `docker-compose`, version 1 too. */
  readonly command: readonly string[]
  /** On Linux images made from this machine's servers; elsewhere those that the file names are pulled. */
  readonly images: Partial<StandIns>
}

/** Where something is missing, tests are skipped and the closing line says why; under CI=true the file fails. */
export async function composeForTests(docker: Docker): Promise<ComposeTools | undefined> {
  try {
    const command = await findCommand()
    return { command, images: process.platform === 'linux' ? await makeStandIns(docker) : {} }
  } catch (error) {
    if (!(error instanceof MissingServer) || process.env.CI === 'true') throw error
    skippedBecause(error.message)
    return undefined
  }
}

async function findCommand(): Promise<readonly string[]> {
  for (const [program, ...args] of [['docker', 'compose'], ['docker-compose']] as const) {
    const isThere = await exec(program, [...args, 'version']).then(
      () => true,
      () => false,
    )
    if (isThere) return [program, ...args]
  }
  throw new MissingServer('there is no Docker Compose (Debian: docker-compose)')
}

/**
 * The file as it is, but for the image, which is that of the tests, and ports of the host, which are free ones. Its
 * `name` is left to `-p`, as version 1 knows none.
 */
export async function makeCompose({ command, images }: ComposeTools, folder: string): Promise<Compose> {
  const project = 'millrace-test'
  const docker = join(root, 'docker')
  const file = join(folder, 'compose.yaml')
  const written = await readFile(join(docker, 'compose.yaml'), 'utf8')
  await writeFile(
    file,
    written
      .replace(/^name: .*\n/m, '')
      .replace(/^ {2}image: millrace$/m, `  image: ${image}`)
      .replaceAll(/'127\.0\.0\.1:\d+:(\d+)'/g, "'127.0.0.1::$1'"),
  )
  const [program, ...args] = [...command, '-p', project, '-f', file, '--project-directory', docker]
  const compose: Compose = {
    network: `${project}_default`,
    do: async (...rest) => {
      const { stdout } = await exec(program, [...args, '--profile', 'sqs', ...rest], {
        env: { ...process.env, ...images },
      })
      return stdout.trim()
    },
    containerOf: service => compose.do('ps', '-q', '-a', service),
    published: (service, port) => compose.do('port', service, String(port)),
  }
  return compose
}
