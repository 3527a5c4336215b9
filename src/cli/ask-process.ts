import { errorMessage } from '../core/errors.ts'
import type { LiveFacts } from '../engine/report/live.ts'

/** What a process has answered, or why nothing is known of it. */
export type Asked =
  | { readonly is: 'answered'; readonly facts: LiveFacts }
  | { readonly is: 'unknown'; readonly why: string }

const timeoutMs = 10_000
const bytesMax = 4 * 1024 ** 2

/** Asks the status port of a run for what it tells as JSON, which needs no token. Nothing of the answer is believed. */
export async function askProcess(url: URL): Promise<Asked> {
  const unknown = (why: string): Asked => ({ is: 'unknown', why })
  try {
    const headers = { accept: 'application/json' }
    const answer = await fetch(url, { headers, redirect: 'error', signal: AbortSignal.timeout(timeoutMs) })
    if (!answer.ok) {
      await answer.body?.cancel()
      return unknown(`it answers ${answer.status}`)
    }
    const text = await textUpTo(answer, bytesMax)
    const facts = text === undefined ? undefined : factsIn(text)
    return facts ? { is: 'answered', facts } : unknown('it does not answer as the status port of a run does')
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
    return unknown(`it does not answer (${errorMessage(cause)})`)
  }
}

/** Undefined where it is longer. */
async function textUpTo(answer: Response, most: number): Promise<string | undefined> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of answer.body ?? []) {
    bytes += chunk.length
    if (bytes > most) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Undefined where something is not as a run tells it. */
function factsIn(text: string): LiveFacts | undefined {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch {
    return undefined
  }
  const { pipeline, state, why, checkpoint, epoch, inHand, backlog, sinks, undelivered } = fields(found)
  if (typeof pipeline !== 'string' || typeof state !== 'string') return undefined
  const head = { pipeline, state, ...(typeof why === 'string' && { why }) }
  if (checkpoint === undefined) return head
  const { messages = 0 } = fields(backlog)
  const behind = [sinks, undelivered].flatMap(list => (Array.isArray(list) ? list.map(behindOf) : [undefined]))
  const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
  if (typeof checkpoint !== 'string' || !isWhole(epoch) || !isWhole(inHand) || !isWhole(messages)) return undefined
  if (!behind.every(one => one !== undefined && isWhole(one.epochs))) return undefined
  const waiting = behind.filter(one => one !== undefined && one.epochs > 0) as NonNullable<LiveFacts['run']>['behind']
  return { ...head, run: { checkpoint, epoch, objects: inHand, messages, behind: waiting } }
}

function behindOf(value: unknown): { readonly flow: string; readonly epochs: number } | undefined {
  const { flow, epochs } = fields(value)
  return typeof flow === 'string' && typeof epochs === 'number' ? { flow, epochs } : undefined
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}
