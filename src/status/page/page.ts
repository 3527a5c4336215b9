import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../core/clock.ts'
import { type Handler, everydayLimits, send } from '../http.ts'
import type { Refusal } from './access.ts'
import { documentId, pageDocument } from './document.ts'
import { createEventStream } from './event-stream.ts'
import type { PageFacts } from './facts.ts'

export interface PageOptions {
  readonly clock: Clock
  access(request: Pick<IncomingMessage, 'headers'>): Refusal | undefined
  gather(): Promise<PageFacts>
  onError(error: unknown): void
}

/** The status page: the document, and the events that keep it up to date. */
export interface Page {
  readonly document: Handler
  readonly events: Handler
  close(): void
}

/** Three quarters of the connections are left to probes and scrapes. */
const streamsMax = everydayLimits.connectionsMax / 4

export function createPage({ clock, access, gather, onError }: PageOptions): Page {
  const stream = createEventStream({
    clock,
    streamsMax,
    // The first event of a follower has all: one whose document is of another version loads this one's.
    gather: async () => ({ document: documentId(), ...(await gather()) }),
    onError,
  })
  /** Calls back unless the request is refused. */
  const guarded = (answer: (request: IncomingMessage, response: ServerResponse) => Promise<void>): Handler => ({
    async handle(request, response) {
      const refusal = access(request)
      if (!refusal) return answer(request, response)
      send(response, refusal.status, 'text/plain', refusal.body, refusal.headers)
    },
  })
  return {
    document: guarded(async (_, response) => {
      const { html, policy } = pageDocument(await gather(), true)
      send(response, 200, 'text/html; charset=utf-8', html, {
        vary: 'accept',
        'content-security-policy': policy,
        'cross-origin-resource-policy': 'same-origin',
        'referrer-policy': 'no-referrer',
      })
    }),
    events: guarded(async ({ method }, response) => {
      if (method === 'HEAD') send(response, 200, 'text/event-stream', '')
      else stream.add(response)
    }),
    close: () => stream.close(),
  }
}
