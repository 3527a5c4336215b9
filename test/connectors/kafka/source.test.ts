import { describe, expect, test } from 'vitest'
import type { Extent, Fetched, Log } from '../../../connectors/kafka/log.ts'
import { createKafkaSource } from '../../../connectors/kafka/source.ts'
import { MillraceError } from '../../../src/core/errors.ts'
import type { Json } from '../../../src/core/json.ts'
import type { Notification } from '../../../src/core/ports.ts'
import { contextOf, manualClock, messageOf } from '../notifications/fixtures.ts'

const never = new AbortController().signal
const retry = new MillraceError('retry', 'kafka-unreachable', 'no answer')
const missing = new MillraceError('user', 'topic-not-found', 'missing')
const denied = new MillraceError('user', 'topic-access-denied', 'denied')
const keys = (messages: readonly Notification[]) => messages.flatMap(({ objects }) => objects.map(({ key }) => key))

/** A topic in memory; errors are thrown by the next calls. */
function lab(positions: Json = null, untilIdle = false) {
  const clock = manualClock()
  const context = contextOf({ clock, positions, term: 3, ...(untilIdle ? { untilIdle } : {}) })
  const partitions: { earliest: number; bodies: (string | null)[] }[] = [{ earliest: 0, bodies: [] }]
  const errors: Error[] = []
  /** Answers of the next looks at the topic, in place of what there is. */
  const looks: (Error | 'no leader')[] = []
  const commits: string[] = []
  const answers: Fetched[] = []
  let fetches = 0
  const fail = (): void => {
    const error = errors.shift()
    if (error) throw error
  }
  const log: Log = {
    async describe() {
      const look = looks.shift()
      if (look instanceof Error) throw look
      return new Map(
        partitions.map(({ earliest, bodies }, n): [number, Extent | undefined] => [
          n,
          look === 'no leader' ? undefined : { earliest, next: bodies.length },
        ]),
      )
    },
    async fetch(offsets) {
      fetches++
      fail()
      await clock.sleep(500)
      if (answers.length > 0) return answers.splice(0)
      return [...offsets].map(([partition, from]): Fetched => {
        const { earliest, bodies } = partitions[partition] ?? { earliest: 0, bodies: [] }
        if (from < earliest || from > bodies.length) return { partition, is: 'out-of-range' }
        const records = bodies.slice(from).map((body, n) => ({
          offset: from + n,
          timestampMs: clock.startedAtMs,
          value: body === null ? null : Buffer.from(body),
        }))
        return { partition, is: 'records', records, next: bodies.length }
      })
    },
    async commit(groupId, offsets) {
      commits.push(`${groupId} ${JSON.stringify(Object.fromEntries(offsets))}`)
    },
    close: async () => void commits.push('close'),
  }
  const source = createKafkaSource(log, { topic: 't', groupId: 'g', from: 'earliest', keys: 'encoded' }, context)
  /** A pull during which time passes. */
  const pull = async (max = 1_000): Promise<readonly Notification[]> => {
    const pulled = source.pull(max, never)
    let isThere = false
    void pulled.finally(() => (isThere = true)).catch(() => {})
    for (let n = 0; n < 1_000 && !isThere; n++) await clock.advance(500)
    return pulled
  }
  return { clock, context, partitions, errors, looks, commits, answers, log, source, pull, fetches: () => fetches }
}

describe('a Kafka source', () => {
  test('fetches only what it is asked for, and keeps the rest for the next pull', async () => {
    const { partitions, source, pull, clock, fetches } = lab()
    partitions[0]?.bodies.push(...['a', 'b', 'c'].map(key => messageOf(key)))
    await clock.advance(60_000)
    expect(fetches()).toBe(0)
    expect([keys(await pull(2)), keys(await pull(2)), fetches()]).toEqual([['a', 'b'], ['c'], 1])
    await source.close()
  })

  test('commits offsets for people now and then, and at its end', async () => {
    const { partitions, source, pull, clock, commits } = lab()
    partitions[0]?.bodies.push(...['a', 'b', 'c', 'd'].map(key => messageOf(key)))
    const [a, b, c] = await pull()
    await a?.acknowledge()
    await b?.acknowledge()
    await clock.advance(10_000)
    await c?.acknowledge()
    await Promise.all([source.close(), source.close()])
    await source.close()
    // The second of two in one moment waits for the next; the last one is of the end.
    expect(commits).toEqual(['g-3 {"0":1}', 'g-3 {"0":3}', 'g-3 {"0":3}', 'close'])
  })

  test('passes tombstones and what is malformed, and says what they held', async () => {
    const { partitions, source, pull, context } = lab()
    partitions[0]?.bodies.push('no event', null, messageOf('a'))
    expect(keys(await pull())).toEqual(['a'])
    expect(source.positionsAfter([])).toEqual({ t: { 0: 2 } })
    expect(source.counts).toEqual({ messages: 3, malformed: 2, accepted: 1 })
    expect(context.events.map(({ details }) => [details.id, details.quarantined])).toEqual([
      ['t/0/0', 'no event'],
      ['t/0/1', ''],
    ])
    await source.close()
  })

  test('waits out brokers that do not answer, and a topic that is missing while they start', async () => {
    const { partitions, source, pull, errors, context, fetches } = lab()
    partitions[0]?.bodies.push(messageOf('a'))
    errors.push(retry, missing, retry, retry)
    expect(keys(await pull())).toEqual(['a'])
    expect(fetches()).toBe(5)
    expect(source.counts).toMatchObject({ retries: 4 })
    expect(context.events.map(({ event }) => event)).toEqual(['kafka-unreachable', 'kafka-reachable'])
    await source.close()
  })

  test('ends a pull with what only a person can mend', async () => {
    const { source, pull, errors } = lab()
    errors.push(denied)
    await expect(pull()).rejects.toBe(denied)
    await source.close()
  })

  test('says once that a partition cannot be read, and reads the others', async () => {
    const { partitions, source, pull, answers, context } = lab()
    partitions[0]?.bodies.push(messageOf('a'))
    partitions.push({ earliest: 0, bodies: [messageOf('b')] })
    const away: Fetched = { partition: 1, is: 'unavailable', why: 'it has no leader' }
    answers.push({ partition: 0, is: 'records', records: [], next: 0 }, away)
    expect(keys(await pull())).toEqual(['a', 'b'])
    answers.push(away, away)
    partitions[0]?.bodies.push(messageOf('c'))
    expect(keys(await pull())).toEqual(['c'])
    expect(context.events.map(({ event }) => event)).toEqual(['partition-unavailable'])
    await source.close()
  })

  test('begins a topic when every partition has a leader, and at a later start reads what its positions name', async () => {
    const first = lab()
    first.partitions[0]?.bodies.push(messageOf('a'))
    first.looks.push('no leader', 'no leader')
    expect(keys(await first.pull())).toEqual(['a'])
    expect(first.source.counts).toMatchObject({ retries: 2 })
    await first.source.close()
    const later = lab({ t: { 0: 1 } })
    later.partitions[0]?.bodies.push(messageOf('a'), messageOf('b'))
    // New meanwhile, and met when the brokers can tell where it begins.
    later.partitions.push({ earliest: 0, bodies: [messageOf('c')] })
    later.looks.push('no leader')
    expect(keys(await later.pull())).toEqual(['b'])
    expect(later.source.positionsAfter([])).toEqual({ t: { 0: 1 } })
    expect(keys(await later.pull())).toEqual(['c'])
    expect(later.context.events.map(({ event }) => event)).toEqual(['partition-added'])
    await later.source.close()
  })

  test('reads on when the brokers cannot be asked for new partitions', async () => {
    const { partitions, source, pull, looks, clock } = lab()
    partitions[0]?.bodies.push(messageOf('a'))
    expect(keys(await pull())).toEqual(['a'])
    looks.push(retry)
    await clock.advance(60_000)
    partitions[0]?.bodies.push(messageOf('b'))
    expect([keys(await pull()), looks, source.counts.retries]).toEqual([['b'], [], undefined])
    await source.close()
  })

  test('reads a topic that was made anew from its beginning', async () => {
    const { partitions, source, pull, context } = lab({ t: { 0: 9 } })
    partitions[0]?.bodies.push(messageOf('a'))
    const messages = await pull()
    expect(keys(messages)).toEqual(['a'])
    expect(source.positionsAfter(messages)).toEqual({ t: { 0: 1 } })
    expect(context.events).toMatchObject([{ event: 'positions-lost', details: { position: 9, earliest: 0 } }])
    expect(source.counts['messages-lost']).toBeUndefined()
    await source.close()
  })

  test('does not wait for what retention took while it was held', async () => {
    const { partitions, source, pull, answers } = lab()
    partitions[0]?.bodies.push(messageOf('a'), messageOf('b'))
    const [a] = await pull()
    partitions[0]?.bodies.push(messageOf('c'), messageOf('d'))
    ;(partitions[0] as { earliest: number }).earliest = 3
    answers.push({ partition: 0, is: 'out-of-range' })
    const later = await pull()
    expect(keys(later)).toEqual(['d'])
    await a?.acknowledge()
    expect([source.positionsAfter([]), source.positionsAfter(later)]).toEqual([{ t: { 0: 3 } }, { t: { 0: 4 } }])
    await source.close()
  })

  test('a lost position that cannot be looked up holds up no other partition', async () => {
    const { partitions, source, pull, looks, fetches } = lab()
    partitions.push({ earliest: 0, bodies: [] })
    partitions[0]?.bodies.push(messageOf('a'))
    expect(keys(await pull())).toEqual(['a'])
    ;(partitions[0] as { earliest: number }).earliest = 3
    partitions[1]?.bodies.push(messageOf('b'))
    looks.push(new MillraceError('retry', 'kafka-unreachable', 'A broker is away.'))
    expect([keys(await pull()), fetches()]).toEqual([['b'], 2])
    await source.close()
  })

  test('stops reading when too much is held past the oldest message that is not settled', async () => {
    const { partitions, source, pull, fetches } = lab()
    partitions[0]?.bodies.push(...Array.from({ length: 100_001 }, (_, n) => messageOf(`k${n}`)))
    const held = [...(await pull(100_001))]
    expect(held).toHaveLength(100_001)
    const stop = new AbortController()
    const waiting = source.pull(1, stop.signal)
    stop.abort()
    expect([await waiting, fetches()]).toEqual([[], 1])
    // Out of order, all but the oldest: it is what reading waits for.
    for (const message of held.slice(1).toReversed()) await message.acknowledge()
    expect(source.positionsAfter([])).toEqual({ t: { 0: 0 } })
    await held[0]?.acknowledge()
    expect(source.positionsAfter([])).toEqual({ t: { 0: 100_001 } })
    partitions[0]?.bodies.push(messageOf('more'))
    expect(keys(await pull())).toEqual(['more'])
    await source.close()
  })

  test('settles a message once, and gives a released one again in its place', async () => {
    const { partitions, source, pull } = lab()
    partitions[0]?.bodies.push(...['a', 'b', 'c'].map(key => messageOf(key)))
    const [a, b] = await pull(2)
    await b?.release()
    await a?.release()
    await a?.acknowledge()
    expect(keys(await pull())).toEqual(['a', 'b', 'c'])
    expect(source.counts).toMatchObject({ released: 2 })
    await source.close()
  })
})

describe('a Kafka source of a run that ends when it is idle', () => {
  const body = (key: string) => messageOf(key)

  test('reads to the ends that it saw first, and positions go no further, whatever comes meanwhile', async () => {
    const { partitions, source, pull } = lab(null, true)
    partitions[0]?.bodies.push(body('a'), body('b'), body('c'))
    partitions.push({ earliest: 0, bodies: [body('d')] })
    const first = await pull(2)
    partitions[0]?.bodies.push(body('late'))
    partitions.push({ earliest: 0, bodies: [body('new partition')] })
    const rest = await pull()
    expect(keys([...first, ...rest]).toSorted()).toEqual(['a', 'b', 'c', 'd'])
    expect(await pull()).toEqual([])
    expect(source.positionsAfter([...first, ...rest])).toEqual({ t: { 0: 3, 1: 1 } })
    await source.close()
  })

  test('leaves what came after the look and was fetched with the rest', async () => {
    const { partitions, source, pull, answers } = lab(null, true)
    partitions[0]?.bodies.push(body('a'))
    const records = ['a', 'late'].map((key, offset) => ({
      offset,
      timestampMs: 0,
      value: Buffer.from(messageOf(key)),
    }))
    answers.push({ partition: 0, is: 'records', records, next: 2 })
    const pulled = await pull()
    expect(keys(pulled)).toEqual(['a'])
    expect(await pull()).toEqual([])
    expect(source.positionsAfter(pulled)).toEqual({ t: { 0: 1 } })
    await source.close()
  })

  test('is exhausted at once where positions are at the end, and fetches nothing', async () => {
    const { partitions, source, pull, fetches } = lab({ t: { 0: 2 } }, true)
    partitions[0]?.bodies.push(body('a'), body('b'))
    expect([await pull(), fetches()]).toEqual([[], 0])
    await source.close()
  })

  test('waits for a leader: without one the end is not known', async () => {
    const { partitions, source, pull, looks, context } = lab({ t: { 0: 0 } }, true)
    partitions[0]?.bodies.push(body('a'))
    looks.push('no leader', 'no leader')
    expect(keys(await pull())).toEqual(['a'])
    expect(context.events.map(({ event }) => event)).toEqual(['kafka-unreachable', 'kafka-reachable'])
    await source.close()
  })

  test('goes on with what there is where its positions are no more', async () => {
    const { partitions, source, pull } = lab({ t: { 0: 5 } }, true)
    Object.assign(partitions[0] ?? {}, { earliest: 6, bodies: Array.from({ length: 8 }, (_, n) => body(`a${n}`)) })
    expect(keys(await pull())).toEqual(['a6', 'a7'])
    expect(await pull()).toEqual([])
    await source.close()
    // Made anew: its positions lie beyond its end.
    const anew = lab({ t: { 0: 5 } }, true)
    anew.partitions[0]?.bodies.push(body('a'))
    expect(keys(await anew.pull())).toEqual(['a'])
    expect(await anew.pull()).toEqual([])
    await anew.source.close()
  })
})
