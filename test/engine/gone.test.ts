import { cp, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeHead, currentFormat, currentMinReader } from '../../checkpoints/codec.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import { systemClock } from '../../src/core/clock.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import type { RunEvent } from '../../src/engine/report/events.ts'
import { followWith } from '../../src/engine/follow.ts'
import { type EpochResult, inspect, MillraceError, type Pipeline, query, verify } from '../../src/index.ts'
import { componentsOf, createBucket, createMessages, hourly, line, queue } from './bucket.ts'
import { failure, type Lab, openLab, type Place, run } from './harness.ts'

// P13: what was not there when it was to be read is no count. Whatever finds it next has it read.

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const small = { threads: 1, memory: '300MB' } as const

/** Follows until the work is done. */
async function following(
  parts: Components,
  followed: Pipeline,
  work: (seen: {
    readonly epochs: readonly EpochResult[]
    readonly events: readonly RunEvent[]
    until(condition: () => boolean): Promise<void>
  }) => Promise<void>,
) {
  const epochs: EpochResult[] = []
  const events: RunEvent[] = []
  let told = () => {}
  const drain = new AbortController()
  const onEvent = (event: RunEvent) => {
    events.push(event)
    told()
  }
  const ended = followWith(parts, followed, { ...small, drain: drain.signal, onEvent }, epoch => epochs.push(epoch))
  const until = async (condition: () => boolean) => {
    while (!condition()) await Promise.race([new Promise<void>(resolve => (told = resolve)), ended])
  }
  await Promise.race([work({ epochs, events, until }), ended])
  drain.abort()
  return { summary: await ended, epochs, events }
}

/** Key and outcome of the ledger's objects, in order. */
async function outcomes(at: Place): Promise<string[]> {
  const { rows } = await query(at.checkpoint, `SELECT key, outcome FROM ledger WHERE "is" = 'object' ORDER BY seq`)
  return rows.map(row => `${String(row.key)} ${String(row.outcome)}`)
}

async function expectReplays(parts: Components, objects: string, at: Place): Promise<void> {
  const replay = lab.place('replay')
  const { totals } = await backfillWith(parts, hourly(objects, replay), { ...small, ledger: at.checkpoint })
  const sorted = (rows: readonly object[]) => rows.map(row => JSON.stringify(row)).toSorted()
  expect(sorted(await lab.rows(replay))).toEqual(sorted(await lab.rows(at)))
  expect(await outcomes(replay)).toEqual(await outcomes(at))
  expect({ ...totals, epochs: 0 }).toEqual({ ...(await inspect(at.checkpoint)).totals, epochs: 0 })
}

describe('in a directory', () => {
  const time = new Date('2024-05-01T00:00:00Z')
  const put = async (key: string, text: string) => {
    await writeFile(join(lab.input, key), text)
    await utimes(join(lab.input, key), time, time)
  }

  /** A store whose reader comes too late for these keys, once each. */
  function removing(...keys: readonly string[]): Components {
    const late = new Set(keys)
    return {
      ...components,
      async openInput(root) {
        const store = createDirectoryStore(root)
        return {
          ...store,
          async link(version, file) {
            if (late.delete(version.key)) await rm(join(lab.input, version.key))
            return (await store.link?.(version, file)) ?? 'unsupported'
          },
        }
      },
    }
  }

  test('a file that was removed before it was read, and is put back as it was, counts once it is there', async () => {
    const at = lab.place('a')
    await put('a.jsonl', line('a'))
    await put('b.jsonl', line('b', 2))
    const first = await backfillWith(removing('b.jsonl'), hourly(lab.input, at), { ...small, flush: false })
    expect(first.totals).toMatchObject({ objects: 2, rows: 1, quarantined: 0, gone: 1 })
    expect(first.run.setAside).toEqual([{ key: 'b.jsonl', reason: 'the object is gone' }])
    await put('b.jsonl', line('b', 2))
    const second = await run(hourly(lab.input, at))
    expect(second.totals).toMatchObject({ objects: 2, rows: 2, quarantined: 0, gone: 0 })
    expect(await outcomes(at)).toEqual(['a.jsonl read', 'b.jsonl gone', 'b.jsonl read'])
    expect((await lab.rows(at)).map(({ k, n }) => `${k} ${n}`).toSorted()).toEqual(['a 1', 'b 1'])
    // What was read afterwards is not set aside any more.
    expect((await inspect(at.checkpoint)).setAside).toEqual([])
    expect((await run(hourly(lab.input, at))).nothingToDo).toBe(true)
    await expectReplays(components, lab.input, at)
    expect(await verify(hourly(lab.input, at), small)).toMatchObject({ differences: [], gone: [], changed: [] })
  })

  test('the same in a run that follows', async () => {
    const at = lab.place('a')
    await put('a.jsonl', line('a'))
    const followed = hourly(lab.input, at, { reconcile: '20ms' })
    const { summary } = await following(removing('a.jsonl'), followed, async ({ epochs, until }) => {
      await until(() => epochs.length === 1)
      await put('a.jsonl', line('a'))
      await until(() => epochs.at(-1)?.totals.rows === 1)
    })
    expect(summary.totals).toMatchObject({ objects: 1, rows: 1, gone: 0 })
    expect(await outcomes(at)).toEqual(['a.jsonl gone', 'a.jsonl read'])
    await expectReplays(components, lab.input, at)
  })

  test("onBadObject: 'fail' stops at it, and 'skip' makes it no skipped one", async () => {
    await put('a.jsonl', line('a'))
    const stopped = lab.place('fail')
    const error = await failure(
      backfillWith(removing('a.jsonl'), hourly(lab.input, stopped, { onBadObject: 'fail' }), small),
    )
    expect(error).toMatchObject({
      code: 'bad-object',
      message: expect.stringContaining('the object is gone') as string,
    })
    await put('a.jsonl', line('a'))
    const at = lab.place('skip')
    await backfillWith(removing('a.jsonl'), hourly(lab.input, at, { onBadObject: 'skip' }), small)
    expect(await outcomes(at)).toEqual(['a.jsonl gone'])
  })

  test('what a release of format 1 wrote as quarantined because it was gone is gone, and counted so (P14)', async () => {
    const corpus = fileURLToPath(new URL('../corpus/gone', import.meta.url))
    const at = { checkpoint: join(lab.root, 'checkpoint'), output: join(lab.root, 'output') }
    await cp(corpus, lab.root, { recursive: true })
    const written = (await lab.channel('ledger', at)).map(row => `${row.key} ${row.outcome}`)
    const others = ['a.jsonl read', 'bad.jsonl.gz quarantined']
    expect(written).toEqual([...others, 'changed.jsonl quarantined', 'lost.jsonl quarantined'])
    expect(await outcomes(at)).toEqual([...others, 'changed.jsonl gone', 'lost.jsonl gone'])
    // As they were written then: two of them are back, one is another version now.
    await put('a.jsonl', line('a', 0))
    await put('bad.jsonl.gz', line('b', 1))
    await put('lost.jsonl', line('l', 3))
    await writeFile(join(lab.input, 'changed.jsonl'), line('c', 2))
    const summary = await run(hourly(lab.input, at))
    expect(summary.totals).toMatchObject({ objects: 5, rows: 3, quarantined: 1, gone: 1 })
    expect((await outcomes(at)).slice(4).toSorted()).toEqual(['changed.jsonl read', 'lost.jsonl read'])
    expect((await inspect(at.checkpoint)).setAside.map(({ key }) => key)).toEqual(['bad.jsonl.gz', 'changed.jsonl'])
    expect((await run(hourly(lab.input, at))).nothingToDo).toBe(true)
    await expectReplays(components, lab.input, at)
    // And no reader of format 1 takes it up again.
    const head = await createDirectoryStore(at.checkpoint).get('HEAD')
    if (typeof head === 'string') throw new Error(head)
    expect(decodeHead(head.body, 'HEAD')).toMatchObject({ format: currentFormat, minReader: currentMinReader })
  })
})

describe('in a bucket', () => {
  const objects = 's3://bucket/in/'
  function signal() {
    let give = () => {}
    const given = new Promise<void>(resolve => (give = resolve))
    return { given, give }
  }

  test('an object that is announced before it can be read counts when it is announced again (P9)', async () => {
    const at = lab.place('a')
    const bucket = createBucket()
    const messages = createMessages()
    const followed = hourly(objects, at, { notifications: queue, reconcile: false })
    bucket.hidden.add('a.jsonl')
    const parts = componentsOf(bucket, messages)
    await following(parts, followed, async ({ epochs, until }) => {
      await until(() => bucket.listings() === 1)
      const version = bucket.put('a.jsonl', line('a'))
      // Acknowledged once it is committed as gone.
      await messages.tell(version)
      expect(epochs.map(({ totals }) => totals.gone)).toEqual([1])
      bucket.hidden.clear()
      await messages.tell(version)
      expect(epochs.at(-1)?.totals).toMatchObject({ objects: 1, rows: 1, gone: 0 })
      // From now on it is known.
      await messages.tell(version)
      expect(epochs).toHaveLength(2)
    })
    expect(await outcomes(at)).toEqual(['a.jsonl gone', 'a.jsonl read'])
    // What was settled is behind the position that the next start is given.
    await following(parts, followed, ({ events, until }) => until(() => events.some(({ is }) => is === 'reconciled')))
    // No commit came after the last one, which is known on sight.
    expect(messages.positions).toEqual([null, 2])
    expect(new Set(messages.acknowledged)).toEqual(new Set([0, 1, 2]))
    await expectReplays(parts, objects, at)
  })

  test('a forged versionId is no count of the object that lies there, by message or by listing', async () => {
    const bucket = createBucket('kept')
    const version = bucket.put('a.jsonl', line('a'))
    const forged = { ...version, versionId: 'forged' }
    for (const found of ['message', 'listing'] as const) {
      const at = lab.place(found)
      const messages = createMessages()
      const hidden = { ...bucket.store, list: async function* () {} }
      const parts = { ...componentsOf(bucket, messages), openInput: componentsOf(bucket).openInput }
      const unlisted: Components = {
        ...parts,
        openInput: async (root, field) => (root === objects ? hidden : components.openInput(root, field)),
      }
      const followed = hourly(objects, at, { notifications: queue, reconcile: false })
      await following(unlisted, followed, async ({ epochs }) => {
        await messages.tell(forged)
        expect(epochs.at(-1)?.totals).toMatchObject({ objects: 1, rows: 0, gone: 1 })
        if (found === 'message') await messages.tell(version)
      })
      if (found === 'listing') await following(parts, followed, ({ epochs, until }) => until(() => epochs.length === 1))
      expect((await outcomes(at)).at(-1)).toBe('a.jsonl read')
      expect((await inspect(at.checkpoint)).totals.rows).toBe(1)
      // Forged again, it overwrites nothing: its rows are there once.
      await following(unlisted, followed, () => messages.tell(forged, version))
      expect((await inspect(at.checkpoint)).totals.rows).toBe(1)
    }
  })

  test('a versionId that the store cannot have is no count either', async () => {
    const at = lab.place('a')
    const bucket = createBucket('kept')
    const messages = createMessages()
    const version = bucket.put('a.jsonl', line('a'))
    const { store } = bucket
    const refusing = {
      ...store,
      get: async (...[key, options]: Parameters<typeof store.get>) => {
        if (options?.versionId !== 'no version') return store.get(key, options)
        throw new MillraceError('user', 'object-refused', 'Reading s3://bucket/in/a.jsonl failed: InvalidArgument.')
      },
    }
    const parts: Components = {
      ...componentsOf(bucket, messages),
      openInput: async (root, field) => (root === objects ? refusing : components.openInput(root, field)),
    }
    const followed = hourly(objects, at, { notifications: queue, reconcile: '20ms' })
    bucket.delete('a.jsonl')
    await following(parts, followed, async ({ epochs, until }) => {
      await messages.tell({ ...version, versionId: 'no version' })
      expect(epochs.at(-1)?.totals).toMatchObject({ rows: 0, gone: 1 })
      bucket.put('a.jsonl', line('a'))
      await until(() => epochs.at(-1)?.totals.rows === 1)
    })
    expect(await outcomes(at)).toEqual(['a.jsonl gone', 'a.jsonl read'])
  })

  test('a message that comes while the object is found to be gone is kept until it is tried once more', async () => {
    const at = lab.place('a')
    const bucket = createBucket()
    const messages = createMessages()
    const version = bucket.put('a.jsonl', line('a'))
    bucket.delete('a.jsonl')
    const { store } = bucket
    const reading = signal()
    const told = signal()
    const slow = {
      ...store,
      get: async (...[key, options]: Parameters<typeof store.get>) => {
        const got = await store.get(key, options)
        reading.give()
        await told.given
        return got
      },
    }
    const parts: Components = {
      ...componentsOf(bucket, messages),
      openInput: async (root, field) => (root === objects ? slow : components.openInput(root, field)),
    }
    const followed = hourly(objects, at, { notifications: queue, reconcile: false })
    await following(parts, followed, async ({ events, until }) => {
      const first = messages.tell(version)
      await reading.given
      // The first reader has its 404 already when it is put again.
      bucket.put('a.jsonl', line('a'))
      const second = messages.tell(version)
      await until(() => events.filter(({ is }) => is === 'received').length === 2)
      expect(messages.acknowledged).toEqual([])
      told.give()
      await Promise.all([first, second])
    })
    expect(await outcomes(at)).toEqual(['a.jsonl gone', 'a.jsonl read'])
  })

  test('a listing that names for ever what nobody can read makes no more than a few tries', async () => {
    const at = lab.place('a')
    const bucket = createBucket()
    bucket.put('a.jsonl', line('a'))
    bucket.hidden.add('a.jsonl')
    // A minute passes in 100 ms, until time stands still.
    let stoppedMs: number | undefined
    const clock = { ...systemClock, nowMs: () => stoppedMs ?? systemClock.nowMs() * 600 }
    const startedMs = clock.nowMs()
    const followed = hourly(objects, at, { reconcile: '10ms' })
    const listed = async (times: number) => {
      for (const until = bucket.listings() + times; bucket.listings() < until; ) await systemClock.sleep(5)
    }
    await following({ ...componentsOf(bucket), clock }, followed, async ({ epochs, until }) => {
      await until(() => epochs.length >= 2)
      // At once by the first listing, by the next, then after 1, 2, 4 ... 32 minutes, then every hour.
      await listed(100)
      stoppedMs = clock.nowMs()
      const minutes = (stoppedMs - startedMs) / 60_000
      const doubled = Math.log2(Math.min(minutes, 63) + 1)
      expect(bucket.reads('a.jsonl')).toBeLessThanOrEqual(3 + doubled + Math.max(0, minutes - 63) / 60)
      // Where it is listed no more, what comes is new again.
      const version = bucket.put('a.jsonl', line('a'))
      bucket.delete('a.jsonl')
      await listed(2)
      bucket.hidden.clear()
      expect(bucket.put('a.jsonl', line('a'))).toEqual(version)
      await until(() => epochs.at(-1)?.totals.rows === 1)
    })
    expect((await outcomes(at)).at(-1)).toBe('a.jsonl read')
  })
})
