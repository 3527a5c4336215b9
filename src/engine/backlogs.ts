import type { Clock } from '../core/clock.ts'
import type { Backlog, NotificationSource } from '../core/ports.ts'

/** Queues charge for being asked. */
const everyMs = 5_000

/** What waits in the queue or topic of each source, asked at most every 5 s; of a source without one nothing. */
export function createBacklogs(
  clock: Clock,
  notifications: readonly (Pick<NotificationSource, 'backlog'> | undefined)[],
): () => Promise<readonly Backlog[]> {
  let asked: { readonly atMs: number; readonly answers: Promise<readonly Backlog[]> } | undefined
  return () => {
    const nowMs = clock.nowMs()
    if (!asked || nowMs - asked.atMs >= everyMs)
      asked = {
        atMs: nowMs,
        answers: Promise.all(notifications.map(async source => (await source?.backlog()) ?? {})),
      }
    return asked.answers
  }
}
