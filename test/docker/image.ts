import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { GenericContainer } from 'testcontainers'
import { root } from '../cli/child.ts'
import type { Docker } from './docker.ts'
import { baseAuthorities, makeBase } from './make-base.ts'

export const image = 'millrace-test:latest'

/**
 * Builds docker/Dockerfile. Its bases are those that $MILLRACE_DOCKER_BASE names; else, on Linux, they are made from this
 * machine's own Node, so that no registry of images is asked; elsewhere those of the Dockerfile.
 */
export async function buildImage(docker: Docker): Promise<void> {
  const named = process.env.MILLRACE_DOCKER_BASE
  const bases = named !== undefined ? { NODE: named } : process.platform === 'linux' ? await importBases(docker) : {}
  const dockerfile = GenericContainer.fromDockerfile(root, 'docker/Dockerfile')
  await dockerfile.withBuildkit().withBuildArgs(bases).build(image, { deleteOnExit: false })
}

async function importBases(docker: Docker): Promise<Record<string, string>> {
  const path = 'PATH=/usr/local/bin:/usr/bin:/bin'
  const env = process.env.NODE_EXTRA_CA_CERTS ? `${path} NODE_EXTRA_CA_CERTS=${baseAuthorities}` : path
  await importBase(docker, 'millrace-test-node', { tools: true, env })
  await importBase(docker, 'millrace-test-base', { tools: false, env: path })
  return { NODE: 'millrace-test-node:latest', BASE: 'millrace-test-base:latest' }
}

const importBase = (docker: Docker, repo: string, { tools, env }: { tools: boolean; env: string }): Promise<void> =>
  importImage(docker, repo, [`ENV ${env}`], folder => makeBase(folder, { tools }))

/** An image `<repo>:latest` of one layer: the root file system that is made in the folder. */
export async function importImage(
  docker: Docker,
  repo: string,
  changes: readonly string[],
  make: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-base-'))
  try {
    await make(folder)
    // The same bytes give the same image, and builds on it come from the cache of a daemon that is kept.
    const fixed = ['--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner']
    const tar = spawn('tar', [...fixed, '-C', folder, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const reply = await docker.importImage(tar.stdout, { repo, tag: 'latest', changes: [...changes] })
    await text(reply)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
