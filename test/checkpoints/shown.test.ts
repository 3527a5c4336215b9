/** What a store has shown is remembered in HEAD (P4): counted in calls, of the store and of the disk. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { decodeHead, encodeHead } from '../../checkpoints/codec.ts'
import type { Head } from '../../checkpoints/types.ts'
import { type FileSystem, nodeFileSystem } from '../../connectors/directory/file-system.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { createMemoryStore } from '../../src/testing/index.ts'
import { committed, initial, keysOf, openCheckpoint } from './fixtures.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-shown-'))
})
afterAll(() => rm(folder, { recursive: true }))

const dayMs = 24 * 3_600_000
/** Of the first start. */
const startMs = 1_800_000_000_000

interface Calls {
  puts: number
  gets: number
}

/** A server in memory that counts what the probe asks of it. */
function server(decider = 'https://server') {
  const memory = createMemoryStore('s3://bucket/checkpoint')
  const calls: Calls = { puts: 0, gets: 0 }
  const isProbe = (key: string) => key.startsWith('probe/')
  const store: ObjectStore = {
    ...memory,
    decider: async () => decider,
    put(key, ...rest) {
      if (isProbe(key)) calls.puts++
      return memory.put(key, ...rest)
    },
    get(key, options) {
      if (isProbe(key)) calls.gets++
      return memory.get(key, options)
    },
  }
  return { store, calls }
}

/** A start as the engine makes it, and its end. What the probe has cost, and HEAD behind it. */
async function startOn(
  { store, calls }: { readonly store: ObjectStore; readonly calls: Calls },
  wallMs: number | undefined,
): Promise<{ readonly cost: Calls; readonly head: Head }> {
  const before = { ...calls }
  const checkpoint = openCheckpoint(store, folder, 'a', wallMs === undefined ? undefined : () => wallMs)
  await checkpoint.probe(await checkpoint.readHead())
  const cost = { puts: calls.puts - before.puts, gets: calls.gets - before.gets }
  const { manifest } = await checkpoint.claim(initial)
  committed(await checkpoint.beat())
  committed(await checkpoint.commit({ ...manifest, epoch: manifest.epoch + 1 }))
  return { cost, head: committed(await checkpoint.release({ ...manifest, epoch: manifest.epoch + 1 })) }
}

function withoutShown(head: Head): Head {
  const { shown: _, ...others } = head
  return others
}

const brief: Calls = { puts: 3, gets: 1 }

describe('what a store has shown (P4)', () => {
  test('is remembered through commits, beats and releases: the next start writes three times and reads once', async () => {
    const on = server()
    const first = await startOn(on, startMs)
    expect(first.cost.puts).toBeGreaterThan(100)
    expect(first.head.shown).toEqual({ by: 'https://server', atMs: startMs, probe: 1 })
    const second = await startOn(on, startMs + 6 * dayMs)
    expect(second.cost).toEqual(brief)
    // It grows no younger by being relied on.
    expect(second.head.shown).toEqual(first.head.shown)
    expect((await keysOf(on.store)).filter(key => key.startsWith('probe/'))).toEqual([])
  })

  test.each<[string, (head: Head) => Head, number, string]>([
    ['is a week old', head => head, startMs + 7 * dayMs, 'https://server'],
    ['was shown in the future', head => head, startMs - 1, 'https://server'],
    ['was shown by another server', head => head, startMs + dayMs, 'https://another'],
    [
      'was shown to an older probe',
      ({ shown, ...head }) => ({ ...head, ...(shown && { shown: { ...shown, probe: shown.probe - 1 } }) }),
      startMs + dayMs,
      'https://server',
    ],
    ['is left out by a release that does not know it', withoutShown, startMs + dayMs, 'https://server'],
  ])('is probed again where it %s', async (_what, changed, wallMs, decider) => {
    const on = server()
    const { head } = await startOn(on, startMs)
    const now = await on.store.get('HEAD')
    if (typeof now === 'string') throw new Error(now)
    expect(await on.store.put('HEAD', encodeHead(changed(head)), now.eTag)).toMatchObject({ is: 'stored' })
    const again = await startOn({ ...on, store: { ...on.store, decider: async () => decider } }, wallMs)
    expect(again.cost.puts).toBeGreaterThan(100)
    expect(again.head.shown).toEqual({ by: decider, atMs: wallMs, probe: 1 })
  })

  test('is not remembered without a clock, or of a store that does not say who decides', async () => {
    const on = server()
    expect((await startOn(on, undefined)).head.shown).toBeUndefined()
    const { decider: _, ...unnamed } = on.store
    expect((await startOn({ ...on, store: unnamed }, startMs)).head.shown).toBeUndefined()
  })

  test.each<[string, (memory: ObjectStore) => ObjectStore['put']]>([
    [
      'If-None-Match: *',
      memory => async (key, body, ifMatch) => {
        if (key.startsWith('probe/') && ifMatch === 'absent') await memory.delete([key])
        return memory.put(key, body, ifMatch)
      },
    ],
    [
      'If-Match with a stale eTag',
      memory => async (key, body, ifMatch) => {
        if (!key.startsWith('probe/') || ifMatch === 'absent') return memory.put(key, body, ifMatch)
        await memory.delete([key])
        return memory.put(key, body, 'absent')
      },
    ],
    [
      'If-Match with a stale eTag: a write that was refused was stored',
      memory => async (key, body, ifMatch) => {
        const put = await memory.put(key, body, ifMatch)
        if (!key.startsWith('probe/') || ifMatch === 'absent') return put
        await memory.delete([key])
        await memory.put(key, body, 'absent')
        return put
      },
    ],
  ])('does not let a store through that keeps %s no more', async (named, put) => {
    const on = server()
    await startOn(on, startMs)
    const changed = { ...on, store: { ...on.store, put: put(on.store) } }
    await expect(startOn(changed, startMs + dayMs)).rejects.toMatchObject({
      kind: 'user',
      code: 'unsafe-store',
      message: expect.stringContaining(`does not honour ${named}`),
    })
    expect((await keysOf(on.store)).filter(key => key.startsWith('probe/'))).toEqual([])
  })

  test('is asked again when an answer is lost, three times in all', async () => {
    const on = server()
    await startOn(on, startMs)
    let lost = 0
    const lossy: ObjectStore = {
      ...on.store,
      async put(key, ...rest) {
        if (!key.startsWith('probe/')) return on.store.put(key, ...rest)
        lost++
        return { is: 'unknown', cause: new Error('lost') }
      },
    }
    await expect(startOn({ ...on, store: lossy }, startMs)).rejects.toMatchObject({ kind: 'retry' })
    expect(lost).toBe(3)
  })

  test('spares a directory most of its flushes, and names device and file system', async () => {
    let flushes = 0
    const counted =
      <A extends readonly unknown[], R>(call: (...args: A) => R) =>
      (...args: A): R => {
        flushes++
        return call(...args)
      }
    const fs: FileSystem = {
      ...nodeFileSystem,
      write: counted(nodeFileSystem.write),
      syncFolder: counted(nodeFileSystem.syncFolder),
    }
    const on = { store: createDirectoryStore(join(folder, 'store'), { fs }), calls: { puts: 0, gets: 0 } }
    const probeOf = async (wallMs: number) => {
      const checkpoint = openCheckpoint(on.store, folder, 'a', () => wallMs)
      const seen = await checkpoint.readHead()
      flushes = 0
      await checkpoint.probe(seen)
      return flushes
    }
    // Nothing is there yet that could lie on a device.
    expect(await on.store.decider?.()).toBeUndefined()
    expect(await probeOf(startMs)).toBeGreaterThan(40)
    const { head } = await startOn(on, startMs)
    expect(head.shown?.by).toMatch(/^file system 0x[0-9a-f]+ on device \d+$/)
    expect(await probeOf(startMs + dayMs)).toBeLessThanOrEqual(12)
  })

  test('is refused in HEAD where it is not what a writer writes', async () => {
    const { head } = await startOn(server(), startMs)
    for (const shown of [
      null,
      'yes',
      { by: '', atMs: 1, probe: 1 },
      { by: 'x', atMs: -1, probe: 1 },
      { by: 'x', atMs: 1 },
    ])
      expect(() => decodeHead(encodeHead({ ...head, shown } as never), 'HEAD')).toThrow(/is damaged: expected a valid/)
  })
})
