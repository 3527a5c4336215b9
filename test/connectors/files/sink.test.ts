import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sha256OfFile } from '../../../checkpoints/codec.ts'
import { parseOutputKey } from '../../../connectors/files/output-key.ts'
import { filesKind } from '../../../connectors/files/sink.ts'
import { files } from '../../../connectors/files/spec.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import { createMemoryStore } from '../../../src/testing/index.ts'
import { counter, keysOf, noSleep, rowsOf, writeRows } from '../../checkpoints/fixtures.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-files-sink-'))
})
afterAll(() => rm(folder, { recursive: true }))

const open = (store: ObjectStore) =>
  filesKind.open(files('out', { format: 'parquet' }), {
    output: 'flow-1',
    columns: {},
    operation: 'append',
    checkpointId: 'c',
    pipeline: 'p',
    newId: counter('x'),
    sleep: noSleep,
    nowMs: () => 0,
    openStore: async () => store,
    duckdb: async () => {
      throw new Error('files are written by the engine')
    },
  })

test('an epoch may have several files: each has a name of its own, and together they have one room in HEAD (P3, P8)', async () => {
  const store = createMemoryStore()
  const sink = await open(store)
  const written = await Promise.all(
    ['a', 'b', 'c'].map(async label => {
      const rows = rowsOf(label, 10_000)
      const file = await writeRows(folder, rows)
      return { file, rows: rows.length, ...(await sha256OfFile(file)) }
    }),
  )
  await sink.own(true, 1)
  const staged = await sink.stage?.({
    term: 1,
    epoch: 7,
    operation: 'append',
    files: written,
    inlineBytesMax: 25_000,
  })
  const names = ['part-00000007-flow-1.parquet', 'part-00000007-flow-1.1.parquet', 'part-00000007-flow-1.2.parquet']
  expect(staged?.names).toEqual(names)
  expect(staged?.files.map(({ inline }) => inline !== undefined)).toEqual([true, true, false])
  for (const name of names) expect(parseOutputKey(name)).toEqual({ epoch: 7, flow: 'flow-1' })

  const { receipt, files: waiting } = JSON.parse(JSON.stringify(staged)) as NonNullable<typeof staged>
  const committed = {
    term: 1,
    epoch: 7,
    operation: 'append',
    receipt,
    files: waiting,
    local: [],
    rows: () => {
      throw new Error('files are not read again')
    },
  } as const
  await sink.repair?.verify(committed)
  await sink.publish(committed, new AbortController().signal)
  expect((await keysOf(store, 'part-')).toSorted()).toEqual(names.toSorted())
  expect(await sink.through(3)).toBe(7)
  expect(await sink.through(7)).toBe(7)
  expect(await sink.repair?.traces(6)).toMatchObject({ epoch: 7, later: names.toSorted() })
})
