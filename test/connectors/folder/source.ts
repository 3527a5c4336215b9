import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { NotificationContext } from '../../../connectors/notifications/context.ts'
import { createCounts } from '../../../connectors/notifications/counts.ts'
import { parseMessage } from '../../../connectors/notifications/parse.ts'
import { createRefusals } from '../../../connectors/notifications/refusals.ts'
import type { Notification, NotificationSource } from '../../../src/core/ports.ts'

const pauseMs = 20

/** The names of messages, in their order. What is still being written has another ending. */
export async function messagesIn(path: string): Promise<readonly string[]> {
  return (await readdir(path)).filter(name => name.endsWith('.json')).toSorted()
}

/** A message is acknowledged by deleting its file, so the folder itself remembers what is left. */
export async function openFolder(
  path: string,
  { clock, place, untilIdle, onEvent }: NotificationContext,
): Promise<NotificationSource> {
  const { counts, count } = createCounts()
  const refuse = createRefusals({
    count,
    warn: (event, message, details) => onEvent({ level: 'warn', event, message, details }),
  })
  const held = new Set<string>()
  const closing = new AbortController()
  await readdir(path)

  async function take(id: string): Promise<readonly Notification[]> {
    const file = join(path, id)
    const { objects, refusals } = parseMessage(await readFile(file), { place, keys: 'encoded' })
    refuse({ id, name: `Message ${file}` }, refusals)
    count('accepted', objects.length)
    if (objects.length === 0) {
      await rm(file)
      return []
    }
    held.add(id)
    const acknowledge = async () => {
      await rm(file, { force: true })
      held.delete(id)
    }
    return [{ id, objects, acknowledge, release: async () => void held.delete(id) }]
  }

  return {
    counts,
    async pull(max, signal) {
      const ending = AbortSignal.any([signal, closing.signal])
      while (!ending.aborted) {
        const waiting = (await messagesIn(path)).filter(name => !held.has(name)).slice(0, max)
        const taken = (await Promise.all(waiting.map(take))).flat()
        if (taken.length > 0) return taken
        if (untilIdle && waiting.length === 0 && held.size === 0) return []
        if (waiting.length === 0) await clock.sleep(pauseMs, ending)
      }
      return []
    },
    positionsAfter: () => null,
    backlog: async () => ({ messages: (await messagesIn(path)).length - held.size }),
    close: async () => closing.abort(),
  }
}
