import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { inlineFileBytesMax } from '../../../checkpoints/decide.ts'
import { dropPublished } from '../../../checkpoints/manifest.ts'
import { createOutbox, type Outbox } from '../../../connectors/files/outbox.ts'
import { markerKey } from '../../../checkpoints/paths.ts'
import type { Unpublished } from '../../../checkpoints/types.ts'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import type { WaitingFile } from '../../../src/core/sink-port.ts'
import { createMemoryStore, withFaults } from '../../../src/testing/index.ts'
import { counter, emptyManifest, keysOf, noSleep, rowsOf, waitsThere, writeRows } from '../../checkpoints/fixtures.ts'

const BIG = inlineFileBytesMax + 1000

let base: string
let folder: string
let count = 0
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'millrace-outbox-'))
})
afterAll(() => rm(base, { recursive: true }))
beforeEach(async () => {
  folder = join(base, `${count++}`)
  await mkdir(folder)
})

function outboxOf(store: ObjectStore, checkpointId = 'c1'): Outbox {
  const newId = counter(checkpointId)
  return createOutbox({ store, checkpointId, pipeline: 'revenue', newId, sleep: noSleep })
}

async function stage(outbox: Outbox, rows: readonly string[], to: string, term = 1): Promise<WaitingFile> {
  const file = await writeRows(folder, rows)
  return outbox.stage({ term, epoch: 1, file, rows: rows.length, to, inlineBytesMax: inlineFileBytesMax })
}

async function text(store: ObjectStore, key: string): Promise<string> {
  const found = await store.get(key)
  return typeof found === 'string' ? found : Buffer.from(found.body).toString()
}

const textOf = (rows: readonly string[]): string => `${rows.join('\n')}\n`

describe('the owner of an output folder (P8)', () => {
  test('takes a folder without a marker once, and knows it again', async () => {
    const store = createMemoryStore()
    await outboxOf(store).own(true)
    await outboxOf(store).own(true)
    await outboxOf(store).own(false)
    expect(JSON.parse(await text(store, markerKey))).toEqual({ checkpointId: 'c1', pipeline: 'revenue' })
  })

  test('is refused a folder of another checkpoint, naming both', async () => {
    const store = createMemoryStore()
    await outboxOf(store, 'theirs').own(true)
    for (const isNew of [true, false]) {
      await expect(outboxOf(store, 'mine').own(isNew)).rejects.toMatchObject({
        kind: 'user',
        code: 'output-owned',
        message: expect.stringMatching(/theirs.*mine/),
      })
    }
  })

  test('is told when its folder was moved away after something was committed', async () => {
    await expect(outboxOf(createMemoryStore()).own(false)).rejects.toMatchObject({
      kind: 'user',
      code: 'output-missing',
    })
  })

  test('is one of two that race', async () => {
    for (const store of [createMemoryStore(), createDirectoryStore(join(folder, 'race'))]) {
      const outcomes = await Promise.allSettled([outboxOf(store, 'a').own(true), outboxOf(store, 'b').own(true)])
      expect(outcomes.map(o => o.status).toSorted()).toEqual(['fulfilled', 'rejected'])
    }
  })

  test('is refused a marker that cannot be read', async () => {
    const store = createMemoryStore()
    await store.put(markerKey, Buffer.from('{}'), 'absent')
    await expect(outboxOf(store).own(true)).rejects.toMatchObject({ code: 'corrupt-object' })
  })
})

describe.each([
  ['inline', 100],
  ['staged', BIG],
])('publishing %s output (P8, I8)', (kind, bytes) => {
  const rows = rowsOf('r', bytes)

  test.each(['memory', 'file'])('makes the rows visible under the name, once and again (%s)', async where => {
    const store = where === 'memory' ? createMemoryStore() : createDirectoryStore(join(folder, 'out'))
    const outbox = outboxOf(store)
    const to = 'day=1/part-1.parquet'
    const file = await stage(outbox, rows, to)
    expect(file.inline !== undefined).toBe(kind === 'inline')
    expect(await text(store, to)).toBe('missing')
    await outbox.publish(file, to)
    await outbox.publish(file, to)
    expect(await text(store, to)).toBe(textOf(rows))
  })

  test('survives a manifest that went through JSON', async () => {
    const store = createMemoryStore()
    const u = await stage(outboxOf(store), rows, 'x')
    await outboxOf(store).publish(JSON.parse(JSON.stringify(u)) as WaitingFile, 'x')
    expect(await text(store, 'x')).toBe(textOf(rows))
  })

  test('never overwrites: other bytes under the name are an error that names it', async () => {
    for (const other of ['other', textOf(rows).replace('r', 'R'), `${textOf(rows)}more`]) {
      const store = createMemoryStore()
      const outbox = outboxOf(store)
      const u = await stage(outbox, rows, 'x')
      await store.put('x', Buffer.from(other), 'absent')
      await expect(outbox.publish(u, 'x')).rejects.toMatchObject({
        code: 'object-exists',
        message: expect.stringContaining('memory:/x'),
      })
      expect(await text(store, 'x')).toBe(other)
    }
  })

  test.each(['unknown-before', 'unknown-after', 'unknown-late', 'conflict-after', 'error'] as const)(
    'ends well when it meets %s',
    async fault => {
      const memory = createMemoryStore()
      const store = withFaults(memory, { seed: 1, rates: {} })
      const outbox = outboxOf(store)
      const u = await stage(outbox, rows, 'x')
      store.faultAt(store.calls + 1, fault)
      await outbox.publish(u, 'x')
      expect(await text(memory, 'x')).toBe(textOf(rows))
    },
  )

  test('gives up with an error that says retry when the store never answers', async () => {
    const memory = createMemoryStore()
    const u = await stage(outboxOf(memory), rows, 'x')
    const dead = withFaults(memory, { seed: 1, rates: { 'unknown-before': 1 } })
    await expect(outboxOf(dead).publish(u, 'x')).rejects.toMatchObject({ kind: 'retry' })
  })
})

describe('the outbox', () => {
  test('is done when the staged file is gone but the output is there, and says so when it is not (I8)', async () => {
    const store = createMemoryStore()
    const outbox = outboxOf(store)
    const u = await stage(outbox, rowsOf('r', BIG), 'x')
    await outbox.publish(u, 'x')
    await store.delete([u.name])
    await outbox.publish(u, 'x')
    await store.delete(['x'])
    await expect(outbox.publish(u, 'x')).rejects.toMatchObject({
      code: 'corrupt-object',
      message: expect.stringContaining(u.name),
    })
    await store.put('x', Buffer.from('other'), 'absent')
    await expect(outbox.publish(u, 'x')).rejects.toMatchObject({
      code: 'corrupt-object',
      message: expect.stringMatching(/\/x/),
    })
  })

  test('makes garbage of what was staged, once it is published', async () => {
    const outbox = outboxOf(createMemoryStore())
    const small = await stage(outbox, ['small'], 'a')
    const large = await stage(outbox, rowsOf('r', BIG), 'b')
    const waiting = await stage(outbox, rowsOf('s', BIG), 'c')
    const [first, second, third] = [
      waitsThere('out', 1, small, large),
      waitsThere('out', 2, waiting),
      waitsThere('in', 1),
    ]
    const manifest = { ...emptyManifest(4), unpublished: [first, second, third] }
    const next = dropPublished(manifest, JSON.parse(JSON.stringify([first])) as Unpublished[])
    expect(next.unpublished).toEqual([second, third])
    expect(next.garbage).toEqual([{ store: 'out', name: large.name, droppedAt: 4 }])
  })

  test('deletes what lower terms staged and nobody reaches, and no output (P12)', async () => {
    const store = createMemoryStore()
    const outbox = outboxOf(store)
    await outbox.own(true)
    const kept = await stage(outbox, rowsOf('kept', BIG), 'kept')
    await stage(outbox, rowsOf('orphan', BIG), 'orphan')
    const current = await stage(outbox, rowsOf('current', BIG), 'current', 2)
    await outbox.publish(kept, 'kept')
    expect(await outbox.orphans(2, name => name === kept.name)).toBe(1)
    expect(await keysOf(store)).toEqual([markerKey, kept.name, current.name, 'kept'])
  })

  test('refuses names that are reserved', async () => {
    await expect(stage(outboxOf(createMemoryStore()), ['x'], '_millrace/x')).rejects.toMatchObject({
      code: 'invalid-key',
    })
  })
})
