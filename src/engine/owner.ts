import { hostname } from 'node:os'
import type { Clock } from '../core/clock.ts'

/** This process as HEAD names it (P5): host, process and start time. */
export function ownerName(clock: Clock): string {
  return `${hostname()}/${process.pid}/${clock.startedAtMs}`
}

/**
 * Whether the process that HEAD names has ended, as far as this host can tell; then nobody waits for it. A wrong yes
 * (two containers that share a host name) fences a live owner, and harms nothing else (I3).
 */
export function isOwnerGone(owner: string, mine: string): boolean {
  // A run of this process that ended without a release, or that is to be taken over.
  if (owner === mine) return true
  const [host, pid] = owner.split('/')
  const [myHost, myPid] = mine.split('/')
  if (host !== myHost || pid === undefined) return false
  // Its process number is ours now: a container that was started again.
  if (pid === myPid) return true
  return !isAlive(Number(pid))
}

/** Whether a process of this host lives, be it somebody else's (EPERM). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
