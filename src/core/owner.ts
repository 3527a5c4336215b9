import { createHash } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Clock } from './clock.ts'

/** This process as HEAD names it (P5): host, process and start time, and where the kernel tells more, that too. */
export function ownerName(clock: Clock): string {
  const { pid } = process
  return [hostname(), pid, clock.startedAtMs, bootId(), pidNamespace(), startTicks(pid), containerId()].join('/')
}

/**
 * Whether the process that HEAD names has ended, as far as this process can tell; then nobody waits for it. Two
 * containers, and two machines, may share a host name: where what the kernel tells differs, the other one is left alone
 * until it has been silent for long. A wrong yes fences a live owner, and harms nothing else (I3).
 */
export function isOwnerGone(owner: string, mine: string, processes: Processes = systemProcesses): boolean {
  // A run of this process that ended without a release, or that is to be taken over.
  if (owner === mine) return true
  const other = parsed(owner)
  const own = parsed(mine)
  if (other.host !== own.host || other.boot !== own.boot) return false
  if (other.pids !== own.pids)
    // Started again a container numbers its processes anew, and those of before are gone. It runs once at a time.
    return other.container !== '' && other.container === own.container
  // Its process number is ours now.
  if (other.pid === own.pid) return true
  const pid = Number(other.pid)
  if (!processes.isAlive(pid)) return true
  // Another user's processes may be hidden.
  const ticks = processes.startTicks(pid)
  return ticks !== '' && ticks !== other.ticks
}

/**
 * Whether both names are of this one process, or of threads of it. Where the kernel does not tell starts, its number
 * decides.
 */
export function isSameProcess(one: string, other: string): boolean {
  const [a, b] = [parsed(one), parsed(other)]
  return a.host === b.host && a.boot === b.boot && a.pids === b.pids && a.pid === b.pid && a.ticks === b.ticks
}

function parsed(owner: string) {
  const [host = '', pid = '', , boot = '', pids = '', ticks = '', container = ''] = owner.split('/')
  return { host, pid, boot, pids, ticks, container }
}

/** What the operating system tells of the processes that this one sees. */
export interface Processes {
  isAlive(pid: number): boolean
  /** When it was started, in ticks since the boot; '' where that is not told. */
  startTicks(pid: number): string
}

const systemProcesses: Processes = { isAlive, startTicks }

/** Whether a process of this host lives, be it somebody else's (EPERM). */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function startTicks(pid: number): string {
  // The second field is the program's name, which may hold blanks and parentheses.
  const stat = told(() => readFileSync(`/proc/${pid}/stat`, 'utf8'))
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
}

/** One for each start of the kernel, which containers share; enough of it to tell machines of one name apart. */
function bootId(): string {
  return told(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').slice(0, 8))
}

/** Whose process numbers these are: each container has its own. */
function pidNamespace(): string {
  return told(() => readlinkSync('/proc/self/ns/pid').replace(/\D/g, ''))
}

/** The layer that a container writes to, which it keeps when it is started again. */
function containerId(): string {
  const mounts = told(() => readFileSync('/proc/self/mountinfo', 'utf8'))
  const layer = /^\S+ \S+ \S+ \S+ \/ .* - overlay .*\bupperdir=([^,\n]+)/m.exec(mounts)?.[1]
  return layer === undefined ? '' : createHash('sha256').update(layer).digest('hex').slice(0, 8)
}

/** '' where the kernel does not say: elsewhere than on Linux, or in a sandbox. */
function told(read: () => string): string {
  try {
    return read()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    return ''
  }
}
