import { describe, expect, test } from 'vitest'
import type { EntryOutcome, Queue, QueueMessage } from '../../../connectors/sqs/queue.ts'
import { checkQueue } from '../../../connectors/sqs/check-queue.ts'
import { createSqsSource } from '../../../connectors/sqs/source.ts'
import { MillraceError } from '../../../src/core/errors.ts'
import type { Notification } from '../../../src/core/ports.ts'
import { contextOf, manualClock, messageOf, recordOf } from '../notifications/fixtures.ts'

const queueUrl = 'http://127.0.0.1/000000000000/landed'
const never = new AbortController().signal
const hour = 3_600_000
const retry = new MillraceError('retry', 'queue-unreachable', 'no answer')
const denied = new MillraceError('user', 'queue-access-denied', 'denied')

type Answers = EntryOutcome[] | Error

/** A queue that does what a test says and writes down what it was asked for, by time in seconds. */
function lab(
  settings: {
    onMalformed?: 'leave' | 'quarantine'
    onForeign?: 'acknowledge' | 'leave'
    visibilityTimeoutS?: number
    /** Of a run that ends when it is idle: messages in flight elsewhere, as each question is answered. */
    untilIdle?: readonly (number | Error)[]
  } = {},
) {
  const clock = manualClock()
  const { untilIdle, ...given } = settings
  const context = contextOf({ clock, ...(untilIdle ? { untilIdle: true } : {}) })
  const inFlight = [...(untilIdle ?? [])]
  const waits = new Set<number | undefined>()
  const calls: string[] = []
  const bodies: string[] = []
  const receives: (Error | undefined)[] = []
  const hides: Answers[] = []
  const removes: Answers[] = []
  const arrivals = new Set<() => void>()
  let sent = 0
  let polls = 0
  const at = () => `${clock.nowMs() / 1000} s`
  const answer = (size: number, answers: Answers[]): EntryOutcome[] => {
    const next = answers.shift()
    if (next instanceof Error) throw next
    return next ?? Array.from({ length: size }, () => 'done')
  }
  const queue: Queue = {
    async receive(count, signal, waitS) {
      polls++
      waits.add(waitS)
      const error = receives.shift()
      if (error) throw error
      if (waitS !== undefined && bodies.length === 0) await clock.sleep(waitS * 1_000, signal)
      while (waitS === undefined && bodies.length === 0 && !signal.aborted)
        await new Promise<void>(resolve => {
          arrivals.add(resolve)
          signal.addEventListener('abort', () => resolve())
        })
      const messages: QueueMessage[] = bodies.splice(0, count).map(body => {
        sent++
        return { id: `m${sent}`, receipt: `r${sent}`, body }
      })
      return messages
    },
    async hide(entries) {
      calls.push(`${at()} hide ${entries.map(({ receipt, seconds }) => `${receipt}=${seconds}`).join(' ')}`)
      return answer(entries.length, hides)
    },
    async remove(receipts) {
      calls.push(`${at()} remove ${receipts.join(' ')}`)
      return answer(receipts.length, removes)
    },
    async attributes() {
      const now = inFlight.length > 1 ? inFlight.shift() : inFlight[0]
      if (now instanceof Error) throw now
      return { messages: bodies.length, inFlight: now ?? 0, hasRedrive: false }
    },
    close: () => calls.push('close'),
  }
  const spec = {
    queueUrl,
    visibilityTimeoutS: 120,
    onMalformed: 'leave',
    onForeign: 'acknowledge',
    ...given,
  } as const
  const source = createSqsSource(queue, spec, context)
  const send = (...all: readonly string[]): void => {
    bodies.push(...all)
    for (const arrive of arrivals) arrive()
    arrivals.clear()
  }
  return { clock, context, calls, receives, hides, removes, queue, spec, source, send, waits, polls: () => polls }
}

const keys = (messages: readonly Notification[]) => messages.flatMap(({ objects }) => objects.map(({ key }) => key))

describe('an SQS source', () => {
  test('holds a message from its receipt until it is acknowledged, at half of its visibility', async () => {
    const { clock, source, send, calls } = lab()
    send(messageOf('a', 'b'))
    const [message] = await source.pull(100, never)
    expect(keys([message as Notification])).toEqual(['a', 'b'])
    await clock.advance(150_000)
    await message?.acknowledge()
    await clock.advance(600_000)
    expect(calls).toEqual(['60 s hide r1=120', '120 s hide r1=120', '150 s remove r1'])
    expect(source.counts).toEqual({ messages: 1, accepted: 2, extended: 2, deleted: 1 })
    await source.close()
  })

  test('holds what was received and not pulled yet as well, and gives it back when it ends', async () => {
    const { clock, source, send, calls } = lab()
    send(messageOf('a'), messageOf('b'))
    expect(keys(await source.pull(1, never))).toEqual(['a'])
    // The one above asked for one message; this one asks for ten, and takes one.
    send(messageOf('c'))
    expect(keys(await source.pull(10, never))).toEqual(['b', 'c'])
    await clock.advance(60_000)
    await source.close()
    expect(calls).toEqual(['60 s hide r1=120 r2=120 r3=120', '60 s hide r1=0 r2=0 r3=0', 'close'])
    expect(await source.pull(1, never)).toEqual([])
  })

  test('lets go of a message after twelve hours: no longer extended, no error', async () => {
    const { clock, source, send, calls, context } = lab({ visibilityTimeoutS: 7_200 })
    send(messageOf('a'))
    const [message] = await source.pull(1, never)
    await clock.advance(20 * hour)
    // The last extension ends where SQS's limit does, a minute before twelve hours.
    expect(calls.slice(-2)).toEqual(['36000 s hide r1=7140', '39600 s hide r1=3540'])
    expect(calls).toHaveLength(11)
    expect(context.events.map(({ event }) => event)).toEqual(['holds-expired'])
    await message?.acknowledge()
    expect(calls.at(-1)).toBe('72000 s remove r1')
    await source.close()
    expect(source.counts).toMatchObject({ 'holds-expired': 1, deleted: 1 })
  })

  test('deletes in batches of ten and tries again only what failed', async () => {
    const { clock, source, send, calls, removes } = lab()
    send(...Array.from({ length: 10 }, (_, n) => messageOf(`a${n}`)))
    const messages = [...(await source.pull(100, never))]
    send(messageOf('b1'), messageOf('b2'))
    messages.push(...(await source.pull(100, never)))
    removes.push(
      ['done', 'failed', 'stale', 'done', 'done', 'failed', 'done', 'done', 'done', 'done'],
      retry,
      ['done', 'done'],
      ['done', 'failed'],
    )
    const acknowledged = Promise.all(messages.map(message => message.acknowledge()))
    await clock.advance(10_000)
    await acknowledged
    expect(calls.map(call => call.replace(/^[\d.]+ s /, ''))).toEqual([
      'remove r1 r2 r3 r4 r5 r6 r7 r8 r9 r10',
      'remove r11 r12',
      // Both wait a moment by chance; the second batch as a whole was not answered.
      expect.stringMatching(/^remove (r2 r6|r11 r12)$/),
      expect.stringMatching(/^remove (r2 r6|r11 r12)$/),
      expect.stringMatching(/^remove r(6|12)$/),
    ])
    expect(source.counts).toMatchObject({ deleted: 11, 'stale-receipts': 1, retries: 1 })
    await source.close()
  })

  test('gives up deleting after a while: the message comes again and is in the ledger', async () => {
    const { clock, source, send, removes, context } = lab()
    send(messageOf('a'))
    const [message] = await source.pull(1, never)
    for (let i = 0; i < 20; i++) removes.push(['failed'])
    const acknowledged = message?.acknowledge()
    await clock.advance(hour)
    await acknowledged
    expect(removes).toHaveLength(10)
    expect(source.counts).toMatchObject({ 'deletes-given-up': 1 })
    expect(context.events.map(({ event }) => event)).toEqual(['deletes-given-up'])
    await source.close()
  })

  test('drops a hold that the queue no longer knows, and tries again soon what failed', async () => {
    const { clock, source, send, calls, hides, context } = lab()
    send(messageOf('a'), messageOf('b'))
    await source.pull(10, never)
    hides.push(['stale', 'failed'], retry, ['done'])
    await clock.advance(150_000)
    expect(calls).toEqual(['60 s hide r1=120 r2=120', '72 s hide r2=120', '84 s hide r2=120', '144 s hide r2=120'])
    expect(context.events.map(({ event, details }) => [event, details.id])).toEqual([['holds-lost', 'm1']])
    await source.close()
  })

  test('settles a message once, whatever it is told afterwards', async () => {
    const { source, send, calls } = lab()
    send(messageOf('a'), messageOf('b'))
    const [a, b] = await source.pull(10, never)
    await Promise.all([a?.acknowledge(), a?.acknowledge(), b?.release()])
    await Promise.all([a?.release(), b?.acknowledge()])
    await source.close()
    expect(calls).toEqual(['0 s remove r1', '0 s hide r2=0', 'close'])
  })

  test('waits out a queue that does not answer, and says so once', async () => {
    const { clock, source, send, receives, context, polls } = lab()
    receives.push(...Array.from({ length: 30 }, () => retry))
    send(messageOf('a'))
    const pulled = source.pull(1, never)
    await clock.advance(hour)
    expect(keys(await pulled)).toEqual(['a'])
    expect(polls()).toBe(31)
    expect(source.counts).toMatchObject({ retries: 30 })
    expect(context.events.map(({ event }) => event)).toEqual(['queue-unreachable', 'queue-reachable'])
    await source.close()
  })

  test.each(['receive', 'remove', 'hide'] as const)('ends a pull with what only a person can mend: %s', async call => {
    const { clock, source, send, receives, removes, hides } = lab()
    if (call === 'receive') receives.push(denied)
    send(messageOf('a'))
    if (call !== 'receive') {
      const [message] = await source.pull(1, never)
      if (call === 'remove') removes.push(denied)
      else hides.push(denied)
      await (call === 'remove' ? message?.acknowledge() : clock.advance(60_000))
    }
    await expect(source.pull(1, never)).rejects.toBe(denied)
    await source.close()
  })

  test('asks with one long poll while there is nothing, with more while there is much', async () => {
    const { source, send, polls } = lab()
    const quiet = source.pull(1_000, never)
    await Promise.resolve()
    expect(polls()).toBe(1)
    send(...Array.from({ length: 95 }, (_, n) => messageOf(`a${n}`)))
    const pulled = [...(await quiet)]
    const seen = [polls()]
    while (pulled.length < 95) {
      pulled.push(...(await source.pull(1_000, never)))
      seen.push(polls())
    }
    expect(new Set(keys(pulled)).size).toBe(95)
    // 1, 2, 4, 8 at once; what comes in short brings it back to one.
    expect(Math.max(...seen)).toBeGreaterThan(8)
    await source.close()
  })

  test('ends a pull, empty, when the signal is aborted; what comes then is for the next one', async () => {
    const { source, send } = lab()
    const stop = new AbortController()
    const pulled = source.pull(10, stop.signal)
    stop.abort()
    expect(await pulled).toEqual([])
    send(messageOf('a'))
    expect(keys(await source.pull(10, never))).toEqual(['a'])
    await source.close()
  })

  const foreign = JSON.stringify({ Records: [recordOf('other', 'in/x')] })
  const mixed = JSON.stringify({ Records: [recordOf('landed', 'in/good'), { eventVersion: '2.1' }] })
  const removed = JSON.stringify({ Records: [{ ...recordOf('landed', 'in/x'), eventName: 'ObjectRemoved:Delete' }] })
  const testEvent = JSON.stringify({ Service: 'Amazon S3', Event: 's3:TestEvent' })

  test('settles inside what names nothing of its own, and counts it', async () => {
    const { source, send, calls, context } = lab()
    send(removed, testEvent, foreign, foreign, 'no JSON', messageOf('a'))
    expect(keys(await source.pull(10, never))).toEqual(['a'])
    await source.close()
    // Malformed, it is left for the redrive policy; r6 is given back.
    expect(calls).toEqual(['0 s remove r1 r2 r3 r4', '0 s hide r6=0', 'close'])
    expect(source.counts).toEqual({
      messages: 6,
      accepted: 1,
      'not-created': 1,
      'test-event': 1,
      'foreign-bucket': 2,
      malformed: 1,
      left: 1,
      deleted: 4,
      released: 1,
    })
    expect(context.events.map(({ event }) => event)).toEqual(['foreign-bucket', 'malformed'])
  })

  test('quarantines what is malformed where that is asked for: logged with its body, deleted', async () => {
    const { source, send, calls, context } = lab({ onMalformed: 'quarantine' })
    send('no JSON', messageOf('a'))
    await source.pull(10, never)
    await source.close()
    expect(calls[0]).toBe('0 s remove r1')
    expect(context.events).toEqual([
      {
        level: 'warn',
        event: 'malformed',
        message: `Message m1 of ${queueUrl}: not JSON: 'no JSON'`,
        details: { queue: queueUrl, id: 'm1', quarantined: 'no JSON' },
      },
    ])
  })

  test('never deletes a message with a malformed record, good ones beside it or not', async () => {
    const { source, send, calls } = lab()
    send(mixed)
    const [message] = await source.pull(10, never)
    expect(keys([message as Notification])).toEqual(['good'])
    await message?.acknowledge()
    await source.close()
    expect(calls).toEqual(['close'])
    expect(source.counts).toMatchObject({ accepted: 1, malformed: 1, left: 1 })
  })

  test('leaves what is foreign to those who read the queue as well, where that is asked for', async () => {
    const { source, send, calls } = lab({ onForeign: 'leave' })
    send(foreign, removed, messageOf('a'))
    await source.pull(10, never)
    await source.close()
    expect(calls).toEqual(['0 s remove r2', '0 s hide r3=0', 'close'])
  })

  test('warns of a queue where a poison message comes again for ever', async () => {
    const { queue, spec, context, source } = lab()
    await checkQueue(queue, spec, context)
    await checkQueue(queue, { ...spec, onMalformed: 'quarantine' }, context)
    await checkQueue({ ...queue, attributes: () => Promise.reject(denied) }, spec, context)
    expect(context.events.map(({ event }) => event)).toEqual(['no-redrive-policy', 'queue-not-described'])
    const gone = new MillraceError('user', 'queue-not-found', 'gone')
    await expect(checkQueue({ ...queue, attributes: () => Promise.reject(gone) }, spec, context)).rejects.toBe(gone)
    await source.close()
  })
})

describe('an SQS source of a run that ends when it is idle', () => {
  /** A pull during which time passes, and how long it took in seconds. */
  async function pulled({ clock, source }: Pick<ReturnType<typeof lab>, 'clock' | 'source'>) {
    const fromMs = clock.nowMs()
    let found: readonly Notification[] | undefined
    const pulling = source.pull(100, never).then(messages => (found = messages))
    for (let n = 0; n < 1_000 && found === undefined; n++) await clock.advance(100)
    return { keys: keys(await pulling), messages: await pulling, seconds: (clock.nowMs() - fromMs) / 1_000 }
  }

  test('is exhausted by one receive that finds nothing, which waits a second', async () => {
    const one = lab({ untilIdle: [0] })
    expect(await pulled(one)).toMatchObject({ keys: [], seconds: 1 })
    expect([one.polls(), [...one.waits]]).toEqual([1, [1]])
    await one.source.close()
  })

  test('is not while a message is held, however many receives find nothing: that may block others', async () => {
    const one = lab({ untilIdle: [0] })
    one.send(messageOf('a'))
    const { messages } = await pulled(one)
    let isOver = false
    const rest = one.source.pull(100, never).finally(() => (isOver = true))
    await one.clock.advance(10_000)
    expect(isOver).toBe(false)
    await messages[0]?.acknowledge()
    // One more receive has to find nothing, which begins when nothing is held.
    one.send(messageOf('b'))
    await one.clock.advance(2_000)
    const [b] = await rest
    expect(keys([b as Notification])).toEqual(['b'])
    await b?.acknowledge()
    expect((await pulled(one)).keys).toEqual([])
    await one.source.close()
  })

  test('waits for messages in flight elsewhere until they are gone, and says so', async () => {
    const one = lab({ untilIdle: [2, 2, 2, 2, 0] })
    expect(await pulled(one)).toMatchObject({ keys: [], seconds: 4 })
    expect(one.context.events).toMatchObject([{ event: 'in-flight-elsewhere', details: { messages: 2 } }])
    await one.source.close()
  })

  test('takes those that come back', async () => {
    const one = lab({ untilIdle: [1, 1, 1, 0] })
    const first = one.source.pull(100, never)
    await one.clock.advance(2_500)
    one.send(messageOf('back'))
    await one.clock.advance(1_000)
    const messages = await first
    expect(keys(messages)).toEqual(['back'])
    await messages[0]?.acknowledge()
    expect((await pulled(one)).keys).toEqual([])
    await one.source.close()
  })

  test('waits no longer than a visibility for what somebody goes on holding', async () => {
    const one = lab({ untilIdle: [1], visibilityTimeoutS: 30 })
    expect(await pulled(one)).toMatchObject({ keys: [], seconds: 30 })
    await one.source.close()
  })

  test('waits for none that it has left itself, nor where it may not ask', async () => {
    const left = lab({ untilIdle: [1, 2, 1] })
    left.send('no event')
    expect(await pulled(left)).toMatchObject({ keys: [], seconds: 2 })
    expect(left.source.counts).toMatchObject({ left: 1 })
    await left.source.close()
    const unknown = lab({ untilIdle: [denied] })
    expect(await pulled(unknown)).toMatchObject({ keys: [], seconds: 1 })
    await unknown.source.close()
  })
})
