import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Json } from '../../src/core/json.ts'
import type { Notification, NotificationSource } from '../../src/core/ports.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { messageOf, recordOf } from '../connectors/notifications/fixtures.ts'

/** A fresh queue or topic on a real server. */
export interface NotificationLab {
  send(bodies: readonly string[]): Promise<void>
  /** A source as a process opens it at its start, with what the checkpoint has. */
  open(positions: Json, options?: { readonly untilIdle?: true }): Promise<NotificationSource>
  close(): Promise<void>
}

const never = new AbortController().signal
const keys = (messages: readonly Notification[]) => messages.flatMap(({ objects }) => objects.map(({ key }) => key))

/** What every notification source must pass, on the real server. A process that dies is one that never closes. */
export function describeNotificationSource(name: string, create: () => Promise<NotificationLab>): void {
  describe(`notification source contract: ${name}`, () => {
    let lab: NotificationLab
    const open: NotificationSource[] = []

    beforeEach(async () => {
      lab = await create()
    })
    afterEach(async () => {
      await Promise.all(open.splice(0).map(source => source.close()))
      await lab.close()
    })

    const start = async (positions: Json = null): Promise<NotificationSource> => {
      const source = await lab.open(positions)
      open.push(source)
      return source
    }
    /** Pulls until so many objects have come. */
    const pullObjects = async (source: NotificationSource, count: number): Promise<readonly Notification[]> => {
      const messages: Notification[] = []
      while (keys(messages).length < count) messages.push(...(await source.pull(100, AbortSignal.timeout(30_000))))
      return messages
    }
    /** A pull that finds nothing for a moment. */
    const pullNothing = async (source: NotificationSource): Promise<void> =>
      expect(keys(await source.pull(100, AbortSignal.timeout(1_500)))).toEqual([])

    test('announces every object of every message, and at most as many messages as were asked for', async () => {
      const source = await start()
      await lab.send([messageOf('a', 'b c/ü+%.parquet'), messageOf('d')])
      const messages: Notification[] = []
      while (messages.length < 2) {
        const pulled = await source.pull(1, never)
        expect(pulled).toHaveLength(1)
        messages.push(...pulled)
      }
      expect(keys(messages).toSorted()).toEqual(['a', 'b c/ü+%.parquet', 'd'])
      expect(new Set(messages.map(({ id }) => id)).size).toBe(2)
      expect(messages[0]?.objects[0]).toMatchObject({ bucket: 'landed', eTag: 'e1', sizeBytes: 5 })
    })

    test('ends a pull that waits, empty, and goes on with the next', async () => {
      const source = await start()
      await pullNothing(source)
      await lab.send([messageOf('a')])
      expect(keys(await pullObjects(source, 1))).toEqual(['a'])
    })

    test('never announces again what was acknowledged, after a start with its positions', async () => {
      const first = await start()
      await lab.send(Array.from({ length: 25 }, (_, n) => messageOf(`a${n}`)))
      const messages = await pullObjects(first, 25)
      const positions = first.positionsAfter(messages)
      await Promise.all(messages.map(message => message.acknowledge()))
      await first.close()
      const second = await start(positions)
      await lab.send([messageOf('b')])
      expect(keys(await pullObjects(second, 1))).toEqual(['b'])
      await pullNothing(second)
    })

    test('announces again what was not acknowledged when a process dies', async () => {
      const dead = await start()
      await lab.send(['a', 'b', 'c', 'd'].map(key => messageOf(key)))
      const [a, ...rest] = (await pullObjects(dead, 4)).toSorted((x, y) =>
        keys([x])
          .join()
          .localeCompare(keys([y]).join()),
      )
      const positions = dead.positionsAfter([a as Notification])
      await a?.acknowledge()
      // The end of the process ends its heartbeats: closing a source is the nearest that a test comes to that.
      await dead.close()
      const next = await start(positions)
      const again = new Set<string>()
      while (again.size < rest.length) for (const key of keys(await pullObjects(next, 1))) again.add(key)
      expect([...again].toSorted()).toEqual(['b', 'c', 'd'])
    })

    test('announces again what was released', async () => {
      const source = await start()
      await lab.send([messageOf('a'), messageOf('b')])
      const messages = await pullObjects(source, 2)
      await Promise.all(messages.map(message => message.release()))
      expect(keys(await pullObjects(source, 2)).toSorted()).toEqual(['a', 'b'])
    })

    test('settles by itself what names nothing of its own, and counts every record', async () => {
      const source = await start()
      const foreign = { Records: [recordOf('other', 'in/x'), recordOf('landed', 'out/x')] }
      const removed = { Records: [{ ...recordOf('landed', 'in/x'), eventName: 's3:ObjectRemoved:Delete' }] }
      await lab.send([foreign, removed, { Event: 's3:TestEvent' }, 'no event'].map(body => JSON.stringify(body)))
      await lab.send([messageOf('a')])
      const messages = await pullObjects(source, 1)
      expect(keys(messages)).toEqual(['a'])
      // In whatever order they came.
      const stop = new AbortController()
      const rest = source.pull(100, stop.signal)
      const counted = {
        accepted: 1,
        'foreign-bucket': 1,
        'foreign-prefix': 1,
        'not-created': 1,
        'test-event': 1,
        malformed: 1,
      }
      await expect.poll(() => source.counts, { timeout: 30_000 }).toMatchObject(counted)
      stop.abort()
      expect(await rest).toEqual([])
      const positions = source.positionsAfter(messages)
      await messages[0]?.acknowledge()
      await source.close()
      await pullNothing(await start(positions))
    })

    test('ends when it is idle, for a run that asks for that: all that is there is pulled, then nothing waits', async () => {
      await lab.send(Array.from({ length: 25 }, (_, n) => messageOf(`a${n}`)))
      const source = await lab.open(null, { untilIdle: true })
      open.push(source)
      const found: string[] = []
      for (;;) {
        const messages = await source.pull(10, AbortSignal.timeout(60_000))
        if (messages.length === 0) break
        found.push(...keys(messages))
        await Promise.all(messages.map(message => message.acknowledge()))
      }
      expect(found.toSorted()).toEqual(Array.from({ length: 25 }, (_, n) => `a${n}`).toSorted())
      const positions = source.positionsAfter([])
      await source.close()
      const again = await lab.open(positions, { untilIdle: true })
      open.push(again)
      const never = new AbortController().signal
      expect(await again.pull(10, never)).toEqual([])
    })

    test('may be closed twice, also while a pull waits', async () => {
      const source = await start()
      await lab.send([messageOf('a')])
      const [message] = await pullObjects(source, 1)
      await message?.acknowledge()
      const waiting = source.pull(1, never)
      await Promise.all([source.close(), source.close()])
      expect(await waiting).toEqual([])
      await source.close()
      expect(source.counts['group-commits-failed']).toBeUndefined()
    })

    test('tells how many messages wait', async () => {
      const source = await start()
      await lab.send(Array.from({ length: 7 }, (_, n) => messageOf(`a${n}`)))
      await expect.poll(async () => (await source.backlog()).messages).toBe(7)
    })

    test('loses nothing over any order of pulls, acknowledgements, releases and deaths', async () => {
      const random = seededRandom(9)
      const all = Array.from({ length: 60 }, (_, n) => `k${n}`)
      const committed = new Set<string>()
      let positions: Json = null
      let source = await start()
      let pending: Notification[] = []
      let sent = 0
      for (let step = 0; committed.size < all.length; step++) {
        if (step > 2_000) throw new Error(`lost: ${all.filter(key => !committed.has(key)).join(' ')}`)
        const chance = random()
        if (sent < all.length && chance < 0.3) {
          const next = all.slice(sent, sent + 5)
          sent += next.length
          await lab.send(next.map(key => messageOf(key)))
        } else if (chance < 0.6) pending.push(...(await source.pull(7, AbortSignal.timeout(500))))
        else if (chance < 0.8) {
          // A commit: in the order in which they were received, as the engine does.
          const batch = pending.splice(0, Math.ceil(pending.length * random()))
          positions = source.positionsAfter(batch)
          for (const key of keys(batch)) committed.add(key)
          await Promise.all(batch.map(message => message.acknowledge()))
        } else if (chance < 0.9) await pending.pop()?.release()
        else {
          await source.close()
          pending = []
          source = await start(positions)
        }
      }
      expect([...committed].toSorted()).toEqual(all.toSorted())
    }, 120_000)
  })
}
