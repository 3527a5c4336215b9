import type { ServerResponse } from 'node:http'
import type { Clock } from '../../core/clock.ts'

export interface EventStreamOptions<T extends object> {
  readonly clock: Clock
  readonly streamsMax: number
  gather(): Promise<T>
  onError(error: unknown): void
}

/** Sends facts as they change to those who follow. All of them cost one gathering a second together. */
export interface EventStream {
  /** Takes the response for as long as the other side stays; beyond `streamsMax` it is told to come again. */
  add(response: ServerResponse): void
  close(): void
}

const everyMs = 1_000
/** One who takes nothing for so long has gone. */
const roundsMax = 10
const comeAgainMs = 15_000

interface Follower {
  readonly response: ServerResponse
  /** The JSON of each field that was sent last. */
  readonly sent: Map<string, string>
  /** Times that nothing was sent, as the last had not gone out yet. */
  missed: number
}

export function createEventStream<T extends object>(options: EventStreamOptions<T>): EventStream {
  const { clock, streamsMax, gather, onError } = options
  const followers = new Set<Follower>()
  const closed = new AbortController()
  let isSending = false

  /** As long as somebody follows. */
  async function send(): Promise<void> {
    isSending = true
    while (followers.size > 0 && !closed.signal.aborted) {
      try {
        const fields = fieldsOf(await gather())
        for (const follower of followers) sendChanges(follower, fields)
      } catch (error) {
        onError(error)
      }
      await clock.sleep(everyMs, closed.signal)
    }
    isSending = false
  }

  return {
    add(response) {
      response.writeHead(200, {
        'content-type': 'text/event-stream',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'cross-origin-resource-policy': 'same-origin',
        // A proxy that gathers would keep events back.
        'x-accel-buffering': 'no',
      })
      if (followers.size >= streamsMax) return void response.end(`retry: ${comeAgainMs}\nevent: full\ndata: {}\n\n`)
      const follower: Follower = { response, sent: new Map(), missed: 0 }
      followers.add(follower)
      response.once('close', () => followers.delete(follower))
      response.flushHeaders()
      if (!isSending) void send()
    },
    close: () => closed.abort(),
  }
}

function fieldsOf(facts: object): ReadonlyMap<string, string> {
  return new Map(Object.entries(facts).map(([name, value]) => [name, JSON.stringify(value)]))
}

function sendChanges(follower: Follower, fields: ReadonlyMap<string, string>): void {
  const { response, sent } = follower
  if (response.writableNeedDrain) {
    if (++follower.missed >= roundsMax) response.destroy()
    return
  }
  follower.missed = 0
  const changed = [...fields].filter(([name, json]) => sent.get(name) !== json)
  for (const [name, json] of changed) sent.set(name, json)
  response.write(`data: {${changed.map(([name, json]) => `${JSON.stringify(name)}:${json}`).join(',')}}\n\n`)
}
