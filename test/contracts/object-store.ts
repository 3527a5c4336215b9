import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import type { ObjectStore, Put } from '../../src/core/ports.ts'

export interface ObjectStoreUnderTest {
  /** An empty store. */
  create(): Promise<ObjectStore>
  /** Whether ordinary keys refuse If-Match (P7). */
  readonly isWriteOnce: boolean
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** What every store must pass: the port's promises, as the checkpoint protocol uses them. */
export function describeObjectStore(name: string, { create, isWriteOnce }: ObjectStoreUnderTest): void {
  describe(`object store contract: ${name}`, () => {
    let store: ObjectStore
    let folder: string

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'millrace-contract-'))
    })
    afterAll(() => rm(folder, { recursive: true }))
    beforeEach(async () => {
      store = await create()
    })

    const text = async (key: string, from = store): Promise<string> => {
      const found = await from.get(key)
      return typeof found === 'string' ? found : Buffer.from(found.body).toString()
    }
    const keys = async (prefix: string, after?: string): Promise<readonly string[]> => {
      const found: string[] = []
      for await (const version of store.list(prefix, after)) found.push(version.key)
      return found
    }
    const whole = async (key: string): Promise<unknown> => {
      const found = await store.get(key)
      // A Buffer is a Uint8Array, but not equal to one in the eyes of the test runner.
      return typeof found === 'string' ? found : { body: Uint8Array.from(found.body), eTag: found.eTag }
    }
    const stored = (put: Put): string => {
      if (put.is !== 'stored') throw new Error(`not stored but ${put.is}`)
      return put.eTag
    }

    test('stores an object under an absent key and gives it back with the same eTag', async () => {
      const eTag = stored(await store.put('a/b.txt', bytes('hello'), 'absent'))
      expect(await whole('a/b.txt')).toEqual({ body: bytes('hello'), eTag })
    })

    const versionOf = async (key: string, of = store): Promise<ObjectVersion> => {
      for await (const version of of.list(key)) if (version.key === key) return version
      throw new Error(`no ${key}`)
    }

    test('removes a version, and nothing else that its key holds by now', async () => {
      await store.put('a/b', bytes('first'), 'absent')
      const first = await versionOf('a/b')
      expect(await store.remove?.({ ...first, eTag: isWriteOnce ? '1-1' : '0'.repeat(32) })).toBe('changed')
      expect(await text('a/b')).toBe('first')
      expect(await store.remove?.(first)).toBe('removed')
      expect(await store.get('a/b')).toBe('missing')
      expect(await store.remove?.(first)).toBe('missing')
      expect(await keys('')).toEqual([])
    })

    test('takes a version of another store over, under a key that is not there', async () => {
      const from = await create()
      for (const [key, body] of [
        ['a +é/b.txt', 'hello'],
        ['empty', ''],
      ] as const) {
        await from.put(key, bytes(body), 'absent')
        const version = await versionOf(key, from)
        const taken = await store.take?.(from, version, key)
        if (taken?.is !== 'taken') throw new Error(`not taken but ${taken?.is}`)
        expect(await store.get(key, { ifMatch: taken.version.eTag })).toMatchObject({ sizeBytes: body.length })
        expect(await text(key)).toBe(body)
        // As after a crash that left no record.
        expect(await store.take?.(from, version, key)).toEqual({ is: 'conflict' })
        expect(await text(key, from)).toBe(body)
      }
      await store.put('held', bytes('somebody else'), 'absent')
      expect(await store.take?.(from, await versionOf('empty', from), 'held')).toEqual({ is: 'conflict' })
      expect(await text('held')).toBe('somebody else')
      const changed = { ...(await versionOf('empty', from)), eTag: isWriteOnce ? '1-1' : '0'.repeat(32) }
      expect(await store.take?.(from, changed, 'new')).toEqual({ is: 'changed' })
      expect(await store.take?.(from, { ...changed, key: 'none' }, 'new')).toEqual({ is: 'missing' })
      expect(await keys('')).toEqual(['a +é/b.txt', 'empty', 'held'])
    })

    test('stores the bytes of a local file', async () => {
      const file = join(folder, 'local')
      await writeFile(file, 'from a file', { mode: 0o444 })
      stored(await store.put('x', { file }, 'absent'))
      expect(await text('x')).toBe('from a file')
    })

    test('does not share memory with its callers', async () => {
      const body = bytes('before')
      stored(await store.put('x', body, 'absent'))
      body.fill(0)
      expect(await text('x')).toBe('before')
    })

    test('answers a conflict for an existing key and leaves the object alone', async () => {
      stored(await store.put('x', bytes('one'), 'absent'))
      expect(await store.put('x', bytes('two'), 'absent')).toEqual({ is: 'conflict' })
      expect(await text('x')).toBe('one')
    })

    test('lets exactly one of many racers create a key', async () => {
      for (const key of ['race/x', 'race/HEAD', 'race/latest']) {
        const puts = await Promise.all(Array.from({ length: 16 }, (_, i) => store.put(key, bytes(`${i}`), 'absent')))
        const won = puts.flatMap((put, i) => (put.is === 'stored' ? [i] : []))
        expect(won).toHaveLength(1)
        expect(await text(key)).toBe(`${won[0]}`)
      }
    })

    test('replaces a mutable key under its current eTag only (P6, P7)', async () => {
      const first = stored(await store.put('HEAD', bytes('1'), 'absent'))
      const second = stored(await store.put('HEAD', bytes('2'), first))
      expect(second).not.toBe(first)
      expect(await store.put('HEAD', bytes('3'), first)).toEqual({ is: 'conflict' })
      expect(await store.put('HEAD', bytes('3'), 'absent')).toEqual({ is: 'conflict' })
      expect(await whole('HEAD')).toEqual({ body: bytes('2'), eTag: second })
    })

    test('lets exactly one of many racers replace a mutable key', async () => {
      let eTag = stored(await store.put('a/latest', bytes('start'), 'absent'))
      for (let round = 0; round < 5; round++) {
        const racers = Array.from({ length: 16 }, (_, i) => store.put('a/latest', bytes(`${round} ${i}`), eTag))
        const puts = await Promise.all(racers)
        const won = puts.flatMap((put, i) => (put.is === 'stored' ? [i] : []))
        expect(won).toHaveLength(1)
        expect(await text('a/latest')).toBe(`${round} ${won[0]}`)
        eTag = stored(puts[won[0] ?? -1] ?? { is: 'conflict' })
      }
    })

    test('always finds a mutable key while it is replaced', async () => {
      let eTag = stored(await store.put('HEAD', bytes('0'), 'absent'))
      let isDone = false
      let last = 0
      const reader = (async () => {
        while (!isDone) {
          const now = Number(await text('HEAD'))
          // A value never goes back (I1); 'missing' would be NaN.
          expect(now).toBeGreaterThanOrEqual(last)
          last = now
        }
      })()
      for (let i = 1; i <= 50; i++) eTag = stored(await store.put('HEAD', bytes(`${i}`), eTag))
      isDone = true
      await reader
      expect(await text('HEAD')).toBe('50')
    })

    test('answers a conflict to an If-Match on a mutable key that does not exist', async () => {
      expect(await store.put('no/HEAD', bytes('x'), 'some-etag')).toEqual({ is: 'conflict' })
      expect(await store.get('no/HEAD')).toBe('missing')
    })

    test('creates a mutable key anew after it was deleted', async () => {
      const old = stored(await store.put('p/HEAD', bytes('old'), 'absent'))
      await store.delete(['p/HEAD'])
      expect(await store.get('p/HEAD')).toBe('missing')
      expect(await store.put('p/HEAD', bytes('x'), old)).toEqual({ is: 'conflict' })
      stored(await store.put('p/HEAD', bytes('new'), 'absent'))
      expect(await text('p/HEAD')).toBe('new')
    })

    if (isWriteOnce) {
      test('refuses If-Match on a key that is not mutable (P7)', async () => {
        const eTag = stored(await store.put('x', bytes('one'), 'absent'))
        await expect(store.put('x', bytes('two'), eTag)).rejects.toMatchObject({ code: 'immutable-key' })
        expect(await text('x')).toBe('one')
      })
    }

    test('reads ranges, cut at the end of the object and empty beyond it', async () => {
      for (const key of ['x', 'HEAD']) {
        stored(await store.put(key, bytes('0123456789'), 'absent'))
        const range = async (start: number, end: number): Promise<string> => {
          const found = await store.get(key, { range: [start, end] })
          return typeof found === 'string' ? found : Buffer.from(found.body).toString()
        }
        expect(await range(0, 3)).toBe('012')
        expect(await range(8, 100)).toBe('89')
        expect(await range(10, 20)).toBe('')
      }
    })

    test('tells with every answer how large the whole object is and when it was modified', async () => {
      stored(await store.put('a/x', bytes('0123456789'), 'absent'))
      stored(await store.put('a/HEAD', bytes('0123456789'), 'absent'))
      for await (const { key, sizeBytes, lastModifiedMs } of store.list('a/')) {
        for (const range of [undefined, [0, 3], [8, 100], [9, 10], [10, 20], [500, 600]] as const) {
          const found = await store.get(key, range === undefined ? {} : { range })
          if (typeof found === 'string') throw new Error(found)
          expect([key, range, found.sizeBytes]).toEqual([key, range, sizeBytes])
          // A header of HTTP has whole seconds.
          expect(Math.abs(found.lastModifiedMs - lastModifiedMs)).toBeLessThan(1_000)
        }
      }
    })

    test('answers missing and changed', async () => {
      const eTag = stored(await store.put('x', bytes('x'), 'absent'))
      expect(await store.get('y')).toBe('missing')
      expect(await store.get('x/y')).toBe('missing')
      expect(await store.get('x', { ifMatch: eTag })).toMatchObject({ eTag })
      expect(await store.get('x', { ifMatch: 'other' })).toBe('changed')
      const head = stored(await store.put('HEAD', bytes('x'), 'absent'))
      stored(await store.put('HEAD', bytes('y'), head))
      expect(await store.get('HEAD', { ifMatch: head })).toBe('changed')
    })

    test('does not begin a call that was aborted', async () => {
      const signal = AbortSignal.abort()
      await expect(async () => store.put('x', bytes('x'), 'absent', signal)).rejects.toThrow(/abort/i)
      await expect(async () => store.get('x', { signal })).rejects.toThrow(/abort/i)
      expect(await store.get('x')).toBe('missing')
    })

    test('copies to a name never used before, and answers a conflict otherwise (P8)', async () => {
      stored(await store.put('from', bytes('bytes'), 'absent'))
      stored(await store.put('taken', bytes('other'), 'absent'))
      const eTag = stored(await store.copy('from', 'deep/down/to'))
      expect(await whole('deep/down/to')).toEqual({ body: bytes('bytes'), eTag })
      expect(await store.copy('from', 'taken')).toEqual({ is: 'conflict' })
      expect(await text('taken')).toBe('other')
    })

    test('keeps a copy when its source is deleted', async () => {
      stored(await store.put('from', bytes('bytes'), 'absent'))
      stored(await store.copy('from', 'to'))
      await store.delete(['from'])
      expect(await text('to')).toBe('bytes')
    })

    test('names the source of a copy when it is missing', async () => {
      await expect(store.copy('gone', 'to')).rejects.toMatchObject({ code: 'missing-object' })
    })

    test('lets exactly one of many racers copy to a name', async () => {
      for (let i = 0; i < 8; i++) stored(await store.put(`from/${i}`, bytes(`${i}`), 'absent'))
      const puts = await Promise.all(Array.from({ length: 8 }, (_, i) => store.copy(`from/${i}`, 'to')))
      const won = puts.flatMap((put, i) => (put.is === 'stored' ? [i] : []))
      expect(won).toHaveLength(1)
      expect(await text('to')).toBe(`${won[0]}`)
    })

    test('lists keys in UTF-8 byte order, whatever the folders', async () => {
      // '-' and '.' sort before '/', 'B' before 'a'; U+FF5E before an emoji in UTF-8, but after it in UTF-16.
      const all = ['a', 'a-b', 'a.b', 'ab', 'b/a/c', 'b-x/y', 'b/a-c', 'b/a', 'B', 'x\u{ff5e}', 'x\u{1f600}', 'd e/f+g']
      // 'b/a' and 'b/a/c' can only live together where folders are not real.
      const possible = all.filter(key => key !== 'b/a')
      for (const key of possible) stored(await store.put(key, bytes(key), 'absent'))
      const sorted = possible.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
      expect(await keys('')).toEqual(sorted)
      for (const prefix of ['a', 'b', 'b/', 'b/a', 'b/a/', 'x', 'd e/f', 'nothing', 'no/such/folder']) {
        expect(await keys(prefix), prefix).toEqual(sorted.filter(key => key.startsWith(prefix)))
      }
      for (const after of [...sorted, 'b/', 'b/a', 'a/', 'b.', 'zzz', '']) {
        const later = sorted.filter(key => Buffer.compare(Buffer.from(key), Buffer.from(after)) > 0)
        expect(await keys('', after), after).toEqual(later)
      }
      expect(await keys('b/', 'b/a-c')).toEqual(['b/a/c'])
    })

    test('lists mutable keys under their names and in their place, and nothing of its own', async () => {
      for (const key of ['p/A', 'p/HEAD', 'p/Z', 'p/latest', 'p/zoo/x']) {
        stored(await store.put(key, bytes(key), 'absent'))
      }
      const head = await store.get('p/HEAD')
      stored(await store.put('p/HEAD', bytes('more'), typeof head === 'string' ? head : head.eTag))
      expect(await keys('')).toEqual(['p/A', 'p/HEAD', 'p/Z', 'p/latest', 'p/zoo/x'])
      expect(await keys('p/HEAD')).toEqual(['p/HEAD'])
      expect(await keys('p/', 'p/HEAD')).toEqual(['p/Z', 'p/latest', 'p/zoo/x'])
    })

    test('lists versions whose size and eTag are those of the objects', async () => {
      stored(await store.put('a/x', bytes('12345'), 'absent'))
      stored(await store.put('a/HEAD', bytes('123'), 'absent'))
      const versions: ObjectVersion[] = []
      for await (const version of store.list('')) versions.push(version)
      expect(versions.map(v => [v.key, v.sizeBytes])).toEqual([
        ['a/HEAD', 3],
        ['a/x', 5],
      ])
      for (const { key, eTag } of versions) expect(await store.get(key, { ifMatch: eTag })).toMatchObject({ eTag })
    })

    test('deletes keys, and missing ones without an error', async () => {
      stored(await store.put('a/x', bytes('x'), 'absent'))
      stored(await store.put('a/y', bytes('y'), 'absent'))
      await store.delete(['a/x', 'a/nothing', 'nothing/at/all'])
      expect(await keys('')).toEqual(['a/y'])
      stored(await store.put('a/x', bytes('again'), 'absent'))
      expect(await text('a/x')).toBe('again')
    })

    test('links a version to a local file, where it can, and no other version', async () => {
      stored(await store.put('a/x', bytes('linked'), 'absent'))
      for await (const version of store.list('a/')) {
        const to = join(folder, 'link-to')
        await rm(to, { force: true })
        const outcome = await store.link?.(version, to)
        if (store.link === undefined) expect(outcome).toBeUndefined()
        else {
          expect(outcome).toMatchObject({ is: 'linked' })
          expect(await readFile(to, 'utf8')).toBe('linked')
          expect(await store.link({ ...version, eTag: '1-1' }, `${to}-2`)).toBe('changed')
          expect(await store.link({ ...version, key: 'a/gone' }, `${to}-2`)).toBe('missing')
          await expect(stat(`${to}-2`)).rejects.toMatchObject({ code: 'ENOENT' })
        }
      }
    })
  })
}
