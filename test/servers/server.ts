import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

/** A real server on loopback, with a folder of its own. */
export interface Server {
  /** 'http://127.0.0.1:1234', or '127.0.0.1:1234' where the protocol has no addresses. */
  readonly endpoint: string
  /** Ends it and removes its data. May be called twice. */
  stop(): Promise<void>
  /** As a power failure would: SIGKILL. Its data stays. */
  kill(): Promise<void>
  /** The same endpoint with the same data again; one that still runs is asked to end first. */
  restart(): Promise<void>
}

/** Where one server lives, and what is run there. */
export interface Place {
  readonly folder: string
  readonly ports: readonly number[]
}

export interface Command {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly endpoint: string
  /** Default: the first port accepts a connection. */
  isReady?(): Promise<boolean>
}

const READY_MS_MAX = 60_000
const STOP_MS_MAX = 10_000
const STARTS_MAX = 3

/** Starts a server on free ports (so many, or the ones given) in a new folder, and waits until it is ready. */
export async function startServer(
  name: string,
  ports: number | readonly number[],
  prepare: (place: Place) => Promise<Command>,
): Promise<Server> {
  for (let attempt = 1; ; attempt++) {
    const folder = await mkdtemp(join(tmpdir(), `millrace-${name}-`))
    const place = { folder, ports: typeof ports === 'number' ? await freePorts(ports) : ports }
    try {
      return await startAt(name, place, await prepare(place))
    } catch (error) {
      await rm(folder, { recursive: true, force: true })
      // Somebody may have taken one of the free ports meanwhile.
      if (attempt === STARTS_MAX) throw error
    }
  }
}

async function startAt(name: string, { folder, ports }: Place, command: Command): Promise<Server> {
  const log = join(folder, 'server.log')
  let running: Running | undefined

  const start = async (): Promise<void> => {
    running = await launch(command, folder, log)
    const isReady = command.isReady ?? (() => accepts(ports[0] ?? 0))
    for (const end = Date.now() + READY_MS_MAX; !(await isReady().catch(() => false)); ) {
      if (running.hasExited() || Date.now() > end) {
        const what = running.hasExited() ? 'died' : `was not ready within ${READY_MS_MAX / 1000} s`
        const said = await readFile(log, 'utf8')
        await running.end('SIGKILL')
        throw new Error(`${name} ${what}:\n${said.slice(-3_000)}`)
      }
      await setTimeout(20)
    }
  }
  await start()
  return {
    endpoint: command.endpoint,
    async stop() {
      // Its data goes with it, so nothing is lost by force.
      await running?.end('SIGKILL')
      await rm(folder, { recursive: true, force: true, maxRetries: 3 })
    },
    async kill() {
      await running?.end('SIGKILL')
    },
    async restart() {
      await running?.end('SIGTERM')
      await start()
    },
  }
}

interface Running {
  hasExited(): boolean
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
}

async function launch({ command, args, env }: Command, folder: string, log: string): Promise<Running> {
  const file = await open(log, 'a')
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', file.fd, file.fd],
  })
  const exited = once(child, 'exit')
  // A command that cannot be run is told by the line below.
  exited.catch(() => {})
  try {
    await once(child, 'spawn')
  } finally {
    await file.close()
  }
  // Ends the server when this process is killed and cannot: its end of the pipe closes then.
  const guard = spawn('sh', ['-c', 'cat >/dev/null; kill -9 "$0"; rm -rf "$1"', String(child.pid), folder], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  await once(guard, 'spawn')
  for (const each of [child, guard]) each.unref()
  const hasExited = (): boolean => child.exitCode !== null || child.signalCode !== null
  return {
    hasExited,
    async end(signal) {
      // The guard first: else it could meet another process under the number.
      await ended(guard, 'SIGKILL')
      if (hasExited()) return
      child.ref()
      child.kill(signal)
      const timer = AbortSignal.timeout(STOP_MS_MAX)
      timer.addEventListener('abort', () => child.kill('SIGKILL'))
      await exited
    },
  }
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.ref()
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}

/** A server that was started by somebody else: it is used, never ended. */
export function foreignServer(endpoint: string): Server {
  const refuse = async (): Promise<void> => {
    throw new Error(`${endpoint} comes from the environment: this test needs a server of its own`)
  }
  return { endpoint, stop: async () => {}, kill: refuse, restart: refuse }
}

export function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    const end = (isOpen: boolean): void => {
      socket.destroy()
      resolve(isOpen)
    }
    socket.on('connect', () => end(true)).on('error', () => end(false))
  })
}

export async function answers(url: string): Promise<boolean> {
  const response = await fetch(url)
  await response.body?.cancel()
  return response.ok
}

export async function freePorts(count: number): Promise<readonly number[]> {
  const held = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(held.map(server => once(server, 'listening')))
  const ports = held.map(server => (server.address() as { readonly port: number }).port)
  await Promise.all(held.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}
