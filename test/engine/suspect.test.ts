import { randomUUID } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import type { ObjectVersion } from '../../src/core/object-version.ts'
import { attemptOf, carefulAfter, withAttempt } from '../../src/engine/intake/attempt.ts'
import { backfillWith } from '../../src/engine/backfill.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { followWith } from '../../src/engine/follow.ts'
import { initialState, type Attempt } from '../../src/engine/state/engine-state.ts'
import { type BackfillOptions, type Pipeline, query, verify } from '../../src/index.ts'
import { startNode } from '../cli/child.ts'
import { componentsOf, createBucket, createMessages, hourly, line, queue } from './bucket.ts'
import { type Lab, openLab, run, windowed } from './harness.ts'

// P13: an object that processes died of is suspect. The deaths may have come from outside, so a start after a clean stop
// reads it once more, alone.

let lab: Lab
let pipeline: Pipeline
beforeEach(async () => {
  lab = await openLab()
  pipeline = windowed(lab, lab, { columns: { t: 'TIMESTAMP NOT NULL' }, delay: '1 hour' })
  for (const [hour, key] of ['a.parquet', 'b.parquet', 'c.parquet'].entries())
    await lab.parquet(key, `SELECT TIMESTAMP '2024-05-01' + to_hours(${hour}) AS t`)
})
afterEach(() => lab[Symbol.asyncDispose]())

async function nameOf(key: string): Promise<NonNullable<Attempt['alone']>> {
  const { size, mtimeNs } = await stat(join(lab.input, key), { bigint: true })
  return { bucket: '', key, eTag: `${size}-${mtimeNs}` }
}

/** What a process leaves that died while it read this object alone. */
async function dieOf(object: string | ObjectVersion): Promise<void> {
  const never = () => Promise.reject(new Error('nothing to merge'))
  const store = await components.openWritable(lab.checkpoint, 'checkpoint')
  const checkpoint = createCheckpointStore({
    store,
    owner: 'elsewhere/1/1',
    newId: randomUUID,
    scratch: lab.root,
    merge: never,
  })
  const { manifest } = await checkpoint.claim(initialState({ pipeline: 'tested', nodes: [], flows: {} }))
  const epoch = manifest.epoch + 1
  const { bucket, key, eTag } = typeof object === 'string' ? await nameOf(object) : object
  const alone = { bucket, key, eTag }
  await checkpoint.commit(withAttempt(manifest, { epoch, deaths: carefulAfter + 1, objects: 1, left: 3, alone }))
}

/** The owner is of another machine, and nobody can ask it whether it lives. */
const takeover = { takeover: true } satisfies BackfillOptions

/** Key and outcome of the ledger's objects, in order. */
async function outcomes(): Promise<string[]> {
  const { rows } = await query(lab.checkpoint, `SELECT key, outcome FROM ledger WHERE "is" = 'object' ORDER BY seq`)
  return rows.map(row => `${String(row.key)} ${String(row.outcome)}`)
}

/** Told of each object that is read. */
function watching(onRead: (version: ObjectVersion) => Promise<void>): Components {
  return {
    ...components,
    async openInput(root) {
      const store = createDirectoryStore(root)
      return {
        ...store,
        async link(version, file) {
          await onRead(version)
          return (await store.link?.(version, file)) ?? 'unsupported'
        },
      }
    },
  }
}

const small = { threads: 1, memory: '300MB', flush: false } as const
const others = ['a.parquet read', 'b.parquet suspect', 'c.parquet read']

test('it is set aside as suspect, and after a clean stop read once more, before anything new and on record (P13, I5, I11)', async () => {
  await dieOf('b.parquet')
  const first = await run(pipeline, { ...takeover, flush: false })
  expect(first.totals).toMatchObject({ objects: 3, rows: 2, suspect: 1, quarantined: 0 })
  expect(await outcomes()).toEqual(others)
  await lab.parquet('0.parquet', `SELECT TIMESTAMP '2024-05-01 05:00:00' AS t`)
  const read: [key: string, alone: string | undefined][] = []
  const parts = watching(async ({ key }) => {
    const { manifest } = await lab.head()
    read.push([key, attemptOf(manifest)?.alone?.key])
  })
  const second = await backfillWith(parts, pipeline, small)
  expect(read).toEqual([
    ['b.parquet', 'b.parquet'],
    ['0.parquet', undefined],
  ])
  expect(second.totals).toMatchObject({ objects: 4, rows: 4, suspect: 0 })
  expect(await outcomes()).toEqual([...others, 'b.parquet read', '0.parquet read'])
  expect(await verify(pipeline, { threads: 1 })).toMatchObject({ differences: [], gone: [], changed: [] })
  expect((await run(pipeline, { flush: false })).nothingToDo).toBe(true)
})

test('a run that follows does the same before it takes anything', async () => {
  await dieOf('b.parquet')
  await run(pipeline, { ...takeover, flush: false })
  await lab.parquet('0.parquet', `SELECT TIMESTAMP '2024-05-01 05:00:00' AS t`)
  const drain = new AbortController()
  const summary = await followWith(
    components,
    pipeline,
    { threads: 1, memory: '300MB', drain: drain.signal },
    ({ totals }) => totals.objects === 4 && drain.abort(),
  )
  expect(summary.totals).toMatchObject({ objects: 4, rows: 4, suspect: 0 })
  expect(await outcomes()).toEqual([...others, 'b.parquet read', '0.parquet read'])
})

test('a start after a death reads no suspect, unless it died of one: that stays quarantined', async () => {
  await dieOf('b.parquet')
  await run(pipeline, { ...takeover, flush: false })
  await dieOf('c.parquet')
  // That record is of an object which was read: it is of no account.
  const after = await run(pipeline, { ...takeover, flush: false })
  expect(await outcomes()).toEqual(others)
  expect(after.nothingToDo).toBe(true)
  await dieOf('b.parquet')
  const again = await run(pipeline, { ...takeover, flush: false })
  expect(again.totals).toMatchObject({ objects: 3, rows: 2, suspect: 0, quarantined: 1 })
  expect(again.run.setAside).toEqual([
    { key: 'b.parquet', reason: 'a process died again while it read this object alone' },
  ])
  expect((await run(pipeline, { flush: false })).nothingToDo).toBe(true)
  expect(await outcomes()).toEqual([...others, 'b.parquet quarantined'])
  expect(await verify(pipeline, { threads: 1 })).toMatchObject({ differences: [] })
})

test('an error while it is read is no death: it stays suspect, and the next clean start reads it', async () => {
  await dieOf('b.parquet')
  await run(pipeline, { ...takeover, flush: false })
  const failing = watching(() => Promise.reject(new Error('no such luck')))
  await expect(backfillWith(failing, pipeline, small)).rejects.toThrow('no such luck')
  expect(attemptOf((await lab.head()).manifest)).toBeNull()
  // Its end was no clean stop; the next one is.
  await run(pipeline, { flush: false })
  expect(await outcomes()).toEqual(others)
  await run(pipeline, { flush: false })
  expect(await outcomes()).toEqual([...others, 'b.parquet read'])
})

test('one that only a message has told of is read by the size that the store tells (P9)', async () => {
  const bucket = createBucket()
  const messages = createMessages()
  const parts = componentsOf(bucket, messages)
  const followed = hourly('s3://bucket/in/', lab, { notifications: queue, reconcile: false })
  const version = bucket.put('a.jsonl', line('a'))
  bucket.delete('a.jsonl')
  await dieOf(version)
  const drain = new AbortController()
  const ended = followWith(parts, followed, { threads: 1, memory: '300MB', ...takeover, drain: drain.signal })
  await Promise.race([messages.tell(version), ended])
  drain.abort()
  await ended
  expect(await outcomes()).toEqual(['a.jsonl suspect'])
  bucket.put('a.jsonl', line('a'))
  const { totals } = await backfillWith(parts, followed, small)
  expect(totals).toMatchObject({ objects: 1, rows: 1, suspect: 0 })
  const { rows } = await query(lab.checkpoint, `SELECT size_bytes FROM ledger WHERE outcome = 'read'`)
  expect(rows).toEqual([{ size_bytes: BigInt(version.sizeBytes) }])
})

describe('with processes', () => {
  test('a healthy file that six kills from outside met is counted once the kills are over', async () => {
    const script = fileURLToPath(new URL('../simulation/deadly-backfill.ts', import.meta.url))
    await lab.parquet('d_deadly.parquet', `SELECT TIMESTAMP '2024-05-01' AS t, 1::BIGINT AS k`)
    for (const key of ['a.parquet', 'b.parquet', 'c.parquet'])
      await lab.parquet(key, `SELECT TIMESTAMP '2024-05-01' AS t, 1::BIGINT AS k`)
    const start = async (of: string) =>
      (await startNode([script, lab.input, lab.checkpoint, lab.output, of]).ended).code
    for (let kills = 0; kills < 10; kills++) if ((await start('kill')) === 0) break
    expect((await outcomes()).filter(entry => !entry.endsWith('read'))).toEqual(['d_deadly.parquet suspect'])
    expect(await start('nothing')).toBe(0)
    expect((await outcomes()).at(-1)).toBe('d_deadly.parquet read')
  })
})
