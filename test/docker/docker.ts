import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type ContainerRuntimeClient, getContainerRuntimeClient } from 'testcontainers'
import { afterAll } from 'vitest'
import { skippedBecause } from '../skipped-because.ts'

export type Docker = ContainerRuntimeClient['container']['dockerode']

// Its image may be out of reach. What the tests make they remove themselves.
process.env.TESTCONTAINERS_RYUK_DISABLED = 'true'

/**
 * Docker for the tests of one file: the daemon that answers, else one of its own where this may be started (Linux, root,
 * `dockerd` installed), which ends with the tests. Where there is none, tests are skipped and the closing line says why; under
 * CI=true, where nothing may be skipped, the file fails.
 */
export async function dockerForTests(): Promise<Docker | undefined> {
  try {
    if (await mayStartDaemon()) {
      const daemon = await startDaemon()
      // Removing what was built takes its time.
      afterAll(() => daemon.stop(), 300_000)
      process.env.DOCKER_HOST = daemon.address
    }
    return (await getContainerRuntimeClient()).container.dockerode
  } catch (error) {
    const why = `there is no Docker (${(error as Error).message}); start it, or run this as root on Linux`
    if (process.env.CI === 'true') throw new Error(why, { cause: error })
    skippedBecause(why)
    return undefined
  }
}

/** Whether none answers where root's is on Linux. Asked here, since testcontainers keeps the first answer for good. */
async function mayStartDaemon(): Promise<boolean> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || process.env.DOCKER_HOST) return false
  const socket = connect('/var/run/docker.sock')
  const isThere = await once(socket, 'connect').then(
    () => true,
    () => false,
  )
  socket.destroy()
  return !isThere
}

const READY_MS_MAX = 30_000

interface Daemon {
  readonly address: string
  stop(): Promise<void>
}

async function startDaemon(): Promise<Daemon> {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-docker-'))
  const address = `unix://${join(folder, 'docker.sock')}`
  const log = join(folder, 'dockerd.log')
  const file = await open(log, 'a')
  const places = ['data-root', 'exec-root', 'pidfile'].map(name => `--${name}=${join(folder, name)}`)
  const child = spawn('dockerd', [`--host=${address}`, ...places], { stdio: ['ignore', file.fd, file.fd] })
  try {
    await once(child, 'spawn')
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw new Error('none answers, and dockerd is not installed (Debian: docker.io iptables)', { cause: error })
  } finally {
    await file.close()
  }
  // Ends the daemon, and its containers with it, when this process is killed and cannot: its end of the pipe closes then.
  const script = 'cat >/dev/null; kill "$0"; while kill -0 "$0"; do sleep 0.05; done 2>/dev/null; rm -rf "$1"'
  const guard = spawn('sh', ['-c', script, String(child.pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  const ended = once(guard, 'exit')
  const stop = async (): Promise<void> => {
    guard.stdin?.end()
    await ended
  }
  for (const end = Date.now() + READY_MS_MAX; !(await isReady(log)); await setTimeout(50)) {
    if (child.exitCode === null && Date.now() < end) continue
    const said = await readFile(log, 'utf8')
    await stop()
    throw new Error(`dockerd did not start:\n${said.slice(-2_000)}`)
  }
  return { address, stop }
}

async function isReady(log: string): Promise<boolean> {
  return (await readFile(log, 'utf8')).includes('API listen on')
}
