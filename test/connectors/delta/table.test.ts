import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import { deltaKind } from '../../../connectors/delta/sink.ts'
import { delta, type DeltaOptions } from '../../../connectors/delta/spec.ts'
import type { ObjectStore } from '../../../src/core/ports.ts'
import type { SinkPort } from '../../../src/core/sink-port.ts'
import type { ColumnTypes } from '../../../src/plan/relation.ts'
import { createMemoryStore } from '../../../src/testing/index.ts'
import { seededRandom } from '../../../src/testing/random.ts'
import { keysOf } from '../../checkpoints/fixtures.ts'
import { seed } from '../../seed.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { openLakeReaders } from '../../servers/lake-readers.ts'
import { lentDuckdb } from '../lake/duckdb.ts'
import { entriesOf, filesIn, type Opened, openSink, publish, writeRows } from './fixtures.ts'
import { readTable } from './readers.ts'

const readers = await serverFor(openLakeReaders)
const lent = lentDuckdb()
const columns = { k: 'INTEGER', v: 'VARCHAR' }

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-delta-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function owned(store: ObjectStore, options: DeltaOptions = {}, opened: Opened = {}, term = 1): Promise<SinkPort> {
  const port = await openSink(store, lent, options, { columns, ...opened })
  await port.own(term === 1, term)
  return port
}

const rowsOf = (sql: string, options: DeltaOptions = {}, types: ColumnTypes = columns) =>
  writeRows(lent, delta('out', options as DeltaOptions<never>), types, sql)

const refusal = (code: string) => ({ kind: 'user', code })

describe.skipIf(!readers)('a table that others read', () => {
  test('is the latest view after random changes, whatever is written together, deleted and written down', async () => {
    if (!readers) return
    const store = createDirectoryStore(folder)
    const options = { key: ['k'], retention: '1 hour' } as const
    const changed = { _op: 'VARCHAR NOT NULL', _epoch: 'BIGINT NOT NULL', ...columns }
    let nowMs = 1_700_000_000_000
    const opened = { columns: changed, operation: 'change', nowMs: () => nowMs } as const
    const random = seededRandom(seed)
    const draw = (below: number) => Math.floor(random() * below)
    const expected = new Map<number, string>()
    let port = await owned(store, options, opened)
    for (let epoch = 1; epoch <= 45; epoch++) {
      nowMs += 10 * 60_000
      const touched = new Set(Array.from({ length: 1 + draw(6) }, () => draw(40)))
      const values = [...touched].map(k => {
        const isDelete = draw(4) === 0
        if (isDelete) expected.delete(k)
        else expected.set(k, `e${epoch}`)
        return `('${isDelete ? 'delete' : 'upsert'}', ${epoch}::BIGINT, ${k}, 'e${epoch}')`
      })
      const written = await rowsOf(
        `SELECT * FROM (VALUES ${values.join(', ')}) AS r(_op, _epoch, k, v)`,
        options,
        changed,
      )
      expect(await publish(port, epoch, written, 1 + Math.floor(epoch / 15), 'change')).toBe('published')
      // Another process goes on from what lies there.
      if (epoch % 15 === 14) port = await owned(store, options, opened, 1 + Math.floor((epoch + 1) / 15))
    }
    expect(await port.through(0)).toBe(45)
    const rows = [...expected].map(([k, v]) => ({ k: String(k), v }))
    for (const found of await readTable(readers, folder))
      expect(found.toSorted((a, b) => Number(a.k) - Number(b.k))).toEqual(
        rows.toSorted((a, b) => Number(a.k) - Number(b.k)),
      )
    const keys = await keysOf(store)
    expect(keys).toContain('_delta_log/_last_checkpoint')
    expect(keys.filter(key => key.includes('.checkpoint.parquet')).length).toBeGreaterThanOrEqual(2)
    // What was replaced an hour ago is gone, what was replaced since is there still.
    const removes = (await entriesOf(store))
      .flat()
      .flatMap(({ remove }) => (remove ? [decodeURIComponent(remove.path)] : []))
    expect(removes.length).toBeGreaterThan(20)
    const left = removes.filter(key => keys.includes(key))
    expect(left.length).toBeGreaterThan(0)
    expect(left.length).toBeLessThan(removes.length / 2)
  }, 120_000)

  test('small files are written together, and no row changes by it', async () => {
    if (!readers) return
    const store = createDirectoryStore(folder)
    const port = await owned(store)
    for (let epoch = 1; epoch <= 17; epoch++) await publish(port, epoch, await rowsOf(`SELECT ${epoch} AS k, 'x' AS v`))
    const entries = await entriesOf(store)
    const together = entries.filter(entry => entry.some(({ remove }) => remove))
    expect(together.length).toBe(1)
    expect(
      together[0]
        ?.flatMap(({ remove, add }) => [remove ?? [], add ?? []].flat())
        .every(({ dataChange }) => dataChange === false),
    ).toBe(true)
    expect(filesIn(entries).length).toBe(2)
    const expected = Array.from({ length: 17 }, (_, i) => ({ k: String(i + 1), v: 'x' }))
    for (const found of await readTable(readers, folder))
      expect(found.toSorted((a, b) => Number(a.k) - Number(b.k))).toEqual(expected)
  }, 60_000)

  test('takes what others wrote meanwhile, and changes their rows as well', async () => {
    if (!readers) return
    const store = createDirectoryStore(folder)
    const options = { key: ['k'] }
    const port = await owned(store, options)
    await publish(port, 1, await rowsOf("SELECT 1 AS k, 'ours' AS v", options))
    const append = `
import pyarrow as pa
from deltalake import write_deltalake
rows = pa.table({'k': pa.array([7, 8], pa.int32()), 'v': ['theirs', 'theirs']})
write_deltalake(args[0], rows, mode='append')
answer([])`
    await readers.ask(append, folder)
    await publish(port, 2, await rowsOf("SELECT 7 AS k, 'ours' AS v", options))
    const expected = [
      { k: '1', v: 'ours' },
      { k: '7', v: 'ours' },
      { k: '8', v: 'theirs' },
    ]
    for (const found of await readTable(readers, folder)) expect(found).toEqual(expected)
    // Their checkpoint of the log is read, too, and their deletes.
    const more = `
from deltalake import DeltaTable
table = DeltaTable(args[0])
table.delete("k = 1")
table.create_checkpoint()
answer([])`
    await readers.ask(more, folder)
    const next = await owned(store, options, {}, 2)
    expect(await next.through(0)).toBe(2)
    await publish(next, 3, await rowsOf("SELECT 8 AS k, 'ours' AS v", options), 2)
    for (const found of await readTable(readers, folder))
      expect(found).toEqual([
        { k: '7', v: 'ours' },
        { k: '8', v: 'ours' },
      ])
  }, 60_000)

  test('that another has made is taken where it fits', async () => {
    if (!readers) return
    const create = `
import pyarrow as pa
from deltalake import write_deltalake
write_deltalake(args[0], pa.table({'k': pa.array([1], pa.int32()), 'v': ['theirs'], 'own': [0.5]}))
answer([])`
    await readers.ask(create, folder)
    const store = createDirectoryStore(folder)
    const port = await owned(store)
    await publish(port, 1, await rowsOf("SELECT 2 AS k, 'ours' AS v"))
    for (const found of await readTable(readers, folder))
      expect(found).toEqual([
        { k: '1', own: 0.5, v: 'theirs' },
        { k: '2', own: null, v: 'ours' },
      ])
  }, 60_000)
})

test('an entry whose answer was lost is found, and is there once', async () => {
  const inner = createMemoryStore()
  let isLost = false
  const store: ObjectStore = {
    ...inner,
    async put(key, ...rest) {
      const put = await inner.put(key, ...rest)
      return isLost && key.startsWith('_delta_log/') ? { is: 'unknown', cause: new Error('no answer') } : put
    },
  }
  for (const options of [{}, { key: ['k'] }]) {
    const port = await owned(store, options, { output: options.key ? 'flow-2' : 'flow-1' }).catch(() => undefined)
    if (!port) continue
    isLost = true
    expect(await publish(port, 1, await rowsOf("SELECT 1 AS k, 'x' AS v", options))).toBe('already')
    isLost = false
    const entries = await entriesOf(inner)
    expect(entries.flat().filter(({ add }) => add).length).toBe(1)
    expect(await port.through(0)).toBe(1)
  }
})

test('an owner and a zombie publish at once: each epoch is there once, and the zombie is told', async () => {
  const store = createDirectoryStore(folder)
  for (const options of [{}, { key: ['k'] }]) {
    await rm(folder, { recursive: true, force: true })
    const zombie = await owned(store, options, {}, 1)
    const owner = await owned(store, options, {}, 2)
    const told: unknown[] = []
    for (let epoch = 1; epoch <= 5; epoch++) {
      const written = await rowsOf(`SELECT ${epoch} AS k, 'x' AS v`, options)
      const [, other] = await Promise.allSettled([
        publish(owner, epoch, written, 2),
        publish(zombie, epoch, written, 1),
      ])
      if (other.status === 'rejected') told.push(other.reason)
    }
    expect(told.length).toBe(5)
    for (const error of told) expect(error).toMatchObject({ kind: 'fenced' })
    const adds = (await entriesOf(store)).flat().filter(({ add }) => add)
    expect(adds.length).toBe(5)
    expect(await owner.through(0)).toBe(5)
  }
})

test('who loses the race for an entry puts the next one', async () => {
  const store = createMemoryStore()
  const port = await owned(store)
  const other = Buffer.from(`${JSON.stringify({ commitInfo: { operation: 'theirs' } })}\n`)
  const race: ObjectStore = {
    ...store,
    async put(key, ...rest) {
      if (key.endsWith('1.json')) await store.put(key, other, 'absent')
      return store.put(key, ...rest)
    },
  }
  expect(port.isOrdered).toBe(true)
  const racing = await openSink(race, lent, {}, { columns })
  await racing.own(false, 1)
  expect(await publish(racing, 1, await rowsOf("SELECT 1 AS k, 'x' AS v"))).toBe('published')
  expect((await entriesOf(store)).map(entry => entry.length)).toEqual([4, 1, 3])
})

describe('is refused', () => {
  const make = async (
    fields: object,
    more: object = {},
    protocol: object = { minReaderVersion: 1, minWriterVersion: 2 },
  ) => {
    const store = createMemoryStore()
    const metaData = {
      id: 'x',
      format: { provider: 'parquet', options: {} },
      schemaString: JSON.stringify({
        type: 'struct',
        fields: Object.entries(fields).map(([name, type]) => ({ name, type, nullable: true, metadata: {} })),
      }),
      partitionColumns: [],
      configuration: {},
      ...more,
    }
    const lines = [{ protocol }, { metaData }].map(action => `${JSON.stringify(action)}\n`)
    await store.put('_delta_log/00000000000000000000.json', Buffer.from(lines.join('')), 'absent')
    return store
  }
  const features = {
    minReaderVersion: 3,
    minWriterVersion: 7,
    readerFeatures: ['deletionVectors'],
    writerFeatures: ['deletionVectors', 'appendOnly'],
  }

  test.each([
    ['a column that is missing', { k: 'integer' }, {}, undefined, 'it lacks v string'],
    ['another type', { k: 'long', v: 'string' }, {}, undefined, 'its column k is long; expected integer, for INTEGER'],
    [
      'another case',
      { k: 'integer', V: 'string', v: 'string' },
      {},
      undefined,
      'V differs from v of the flow in case alone',
    ],
    [
      'partitions',
      { k: 'integer', v: 'string' },
      { partitionColumns: ['v'] },
      undefined,
      'it is parted by [v]; expected []',
    ],
    ['a feature', { k: 'integer', v: 'string' }, {}, features, 'it has the features deletionVectors'],
    [
      'a protocol',
      { k: 'integer', v: 'string' },
      {},
      { minReaderVersion: 2, minWriterVersion: 5 },
      'reader 2 and writer 5',
    ],
    [
      'a constraint',
      { k: 'integer', v: 'string' },
      { configuration: { 'delta.constraints.c': 'k > 0' } },
      undefined,
      'delta.constraints.c',
    ],
  ])('with %s', async (_what, fields, more, protocol, message) => {
    const store = await make(fields, more, protocol)
    const before = await keysOf(store)
    const port = await openSink(store, lent, {}, { columns })
    for (const act of [() => port.check(true), () => port.own(true, 1)]) {
      await expect(act()).rejects.toMatchObject(refusal('output-unfit'))
      await expect(act()).rejects.toThrow(message)
    }
    expect(await keysOf(store)).toEqual(before)
  })

  test('with delta.appendOnly, where rows take the place of others', async () => {
    const store = await make({ k: 'integer', v: 'string' }, { configuration: { 'delta.appendOnly': 'true' } })
    await (await openSink(store, lent, {}, { columns })).check(true)
    await expect((await openSink(store, lent, { key: ['k'] }, { columns })).check(true)).rejects.toThrow(
      'delta.appendOnly',
    )
  })

  test("but gets the columns that it lacks, where missingColumns is 'add'", async () => {
    const store = await make({ k: 'integer' })
    const port = await owned(store, { missingColumns: 'add' })
    await publish(port, 1, await rowsOf("SELECT 1 AS k, 'x' AS v"))
    const metadata = (await entriesOf(store))
      .flat()
      .flatMap(({ metaData }) => (metaData ? [metaData as { schemaString: string }] : []))
    expect(JSON.parse(metadata.at(-1)?.schemaString ?? '')).toMatchObject({
      fields: [{ name: 'k' }, { name: 'v', type: 'string', nullable: true }],
    })
  })

  test('where an entry is no JSON, or is missing, and the message names it', async () => {
    for (const [key, body] of [
      ['_delta_log/00000000000000000001.json', '{"add":'],
      ['_delta_log/00000000000000000002.json', '{"commitInfo":{}}'],
    ] as const) {
      const store = await make({ k: 'integer', v: 'string' })
      await store.put(key, Buffer.from(body), 'absent')
      const port = await openSink(store, lent, {}, { columns })
      await expect(port.check(true)).rejects.toMatchObject({ code: 'corrupt-object' })
      await expect(port.check(true)).rejects.toThrow('_delta_log/00000000000000000001.json')
    }
  })

  test('once it was dropped while a process writes to it, and nothing is made of it', async () => {
    const store = createMemoryStore()
    const port = await owned(store)
    await publish(port, 1, await rowsOf("SELECT 1 AS k, 'x' AS v"))
    await store.delete(await keysOf(store))
    await expect(publish(port, 2, await rowsOf("SELECT 2 AS k, 'x' AS v"))).rejects.toMatchObject(
      refusal('output-missing'),
    )
    expect((await keysOf(store)).filter(key => key.startsWith('_delta_log/'))).toEqual([])
    // Made anew by another, it is another's.
    await owned(store, {}, { checkpointId: 'checkpoint-b' })
    await expect(publish(port, 2, await rowsOf("SELECT 2 AS k, 'x' AS v"))).rejects.toMatchObject(
      refusal('output-owned'),
    )
  })
})

test.each([
  ['key', { key: ['z'] }, {}, "flow-1: delta: key: 'z' is not valid; expected columns of the flow: k, v"],
  ['key', { key: ['j'] }, { j: 'JSON' }, "'j JSON' is not valid; expected columns whose values can be told apart"],
  [
    'partitionBy',
    { partitionBy: ['t'] },
    { t: 'TIMESTAMP' },
    "'t TIMESTAMP' is not valid; expected columns of text, whole numbers",
  ],
  ['names', {}, { 'a b': 'INTEGER' }, "'a b' is not valid; expected column names without spaces"],
])('what does not fit the columns is refused: %s', (_what, options, more, message) => {
  const sink = delta('out', options as DeltaOptions<never>)
  expect(() => deltaKind.rows?.(sink, { ...columns, ...more }, 'flow-1')).toThrow(message)
})

test("with emit: 'update' the key must be what tells results apart", () => {
  const rows = (options: DeltaOptions) =>
    deltaKind.rows?.(delta('out', options as DeltaOptions<never>), columns, 'flow-1', ['k'])
  expect(() => rows({ key: ['v'] })).toThrow("expected ['k'], which tell results apart")
  expect(() => rows({})).toThrow("expected ['k']")
  expect(rows({ key: ['k'] })?.items).toContain('_op')
})

test.each([
  ['TIMESTAMP', "'infinity'", {}, 'column \'v\' holds infinity, which Delta Lake cannot keep, in the row {"k":1'],
  ['DATE[]', "[DATE '-infinity']", {}, "column 'v' holds infinity"],
  ['VARCHAR', "''", { partitionBy: ['v'] }, "column 'v' holds an empty text, which Delta Lake takes for NULL"],
])('a %s of %s that the table cannot keep is refused before the commit', async (type, value, options, message) => {
  const types = { k: 'INTEGER', v: type }
  await expect(rowsOf(`SELECT 1::INTEGER AS k, (${value})::${type} AS v`, options, types)).rejects.toThrow(message)
})
