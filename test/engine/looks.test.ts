import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { MillraceError } from '../../src/core/errors.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { createLooks } from '../../src/engine/intake/looks.ts'
import { createBucket, type Versions } from './bucket.ts'

const { signal } = new AbortController()
const away = new MillraceError('retry', 'store-unavailable', 'no answer')

/** A bucket with one object; whatever else may be asked of it fails as this says. */
function lab(versions: Versions, fails: (key: string) => Error | undefined = () => undefined) {
  const bucket = createBucket(versions)
  const stored = bucket.put('a.jsonl', '{}\n')
  const asked: string[] = []
  const store: ObjectStore = {
    ...bucket.store,
    async head(key, versionId) {
      asked.push(key)
      const error = fails(key)
      if (error) throw error
      return (await bucket.store.head?.(key, versionId)) ?? 'missing'
    },
  }
  const pauses: number[] = []
  const clock = { ...systemClock, sleep: async (ms: number) => void pauses.push(ms) }
  return { stored, asked, pauses, looks: createLooks(store, clock, signal) }
}

describe('what a message names', () => {
  test('is not looked at where it names an eTag: the fetch tells the rest', async () => {
    const { looks, asked } = lab('refused')
    const named = { bucket: 'bucket', key: 'a.jsonl', eTag: 'e', versionId: 'v' }
    expect(await looks.wanted({ ...named, sizeBytes: 7, isRestored: true })).toEqual({
      ...named,
      sizeBytes: 7,
      lastModifiedMs: 0,
      isAnnounced: true,
    })
    expect(await looks.wanted(named)).toMatchObject({ sizeBytes: 0 })
    expect(asked).toEqual([])
  })

  test('without an eTag is what the store has, under the versionId that was named, or none', async () => {
    for (const versions of ['kept', 'ignored'] as const) {
      const { looks, stored } = lab(versions)
      const { versionId: _, ...unnamed } = stored
      expect(await looks.wanted({ bucket: 'bucket', key: 'a.jsonl', sizeBytes: 7 })).toEqual(unnamed)
      expect(await looks.wanted({ bucket: 'bucket', key: 'a.jsonl', versionId: 'v1' })).toEqual(stored)
    }
  })

  test.each<[string, Error | undefined]>([
    ['is not there', undefined],
    ['is refused', new MillraceError('user', 'object-refused', 'no such key')],
    ['may not be looked at', new MillraceError('user', 'access-denied', 'Forbidden')],
  ])('without an eTag, and %s, is left to the fetch, which finds none or the reason', async (_, error) => {
    const { looks } = lab('refused', key => (key === 'b.jsonl' ? error : undefined))
    expect(await looks.wanted({ bucket: 'bucket', key: 'b.jsonl' })).toEqual({
      bucket: 'bucket',
      key: 'b.jsonl',
      eTag: '',
      sizeBytes: 0,
      lastModifiedMs: 0,
      isAnnounced: true,
    })
  })

  test('and is looked for is the version that the store has, or gone, or not told', async () => {
    const { looks, stored } = lab('kept', key =>
      key === 'c.jsonl' ? new MillraceError('user', 'lookup', 'x') : undefined,
    )
    const { versionId: _, ...unnamed } = stored
    const confirmed = (change: object) => looks.confirm({ ...stored, sizeBytes: 0, isAnnounced: true, ...change })
    expect(await confirmed({})).toEqual(stored)
    expect(await looks.confirm({ ...unnamed, isAnnounced: true })).toEqual(unnamed)
    expect(await confirmed({ eTag: 'other' })).toBe('changed')
    expect(await confirmed({ versionId: 'v9' })).toBe('missing')
    expect(await confirmed({ key: 'b.jsonl' })).toBe('missing')
    expect(await confirmed({ key: 'c.jsonl' })).toBeUndefined()
  })

  test('at a store that is away waits, and at one that fails at this object alone does not for ever', async () => {
    const { looks, pauses } = lab('refused', key => (key === 'b.jsonl' ? away : undefined))
    await expect(looks.wanted({ bucket: 'bucket', key: 'b.jsonl' })).rejects.toBe(away)
    await looks.wanted({ bucket: 'bucket', key: 'a.jsonl' })
    expect(await looks.wanted({ bucket: 'bucket', key: 'b.jsonl' })).toMatchObject({ eTag: '', isAnnounced: true })
    expect(pauses.length).toBeGreaterThan(0)
  })
})
