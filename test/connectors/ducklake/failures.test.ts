import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { catalogKey } from '../../../connectors/ducklake/catalog.ts'
import { MillraceError } from '../../../src/core/errors.ts'
import type { ObjectStore, WrittenFile } from '../../../src/core/ports.ts'
import { duckdbForOnce } from '../../../src/engine/publish/sink-duckdb.ts'
import { text } from '../../../src/plan/sql.ts'
import { createMemoryStore } from '../../../src/testing/index.ts'
import { commitEpoch, type Lake, openLake, openSink } from './fixtures.ts'

let lake: Lake
let files: readonly WrittenFile[]
const columns = { n: 'BIGINT NOT NULL' }
beforeEach(async () => {
  lake = await openLake()
  files = await Promise.all(
    [0, 1, 2, 3].map(epoch => lake.write({ columns }, `SELECT ${epoch} * 10 + i AS n FROM range(3) AS r(i)`)),
  )
})
afterEach(() => lake.close())
const fileOf = (epoch: number) => files[epoch] as WrittenFile

let looks = 0
/** What the catalog of a store says, asked without the sink. */
async function ask(store: ObjectStore, query: string): Promise<readonly string[]> {
  const found = await store.get(catalogKey)
  if (typeof found === 'string') throw new Error(`the catalog is ${found}`)
  const file = join(lake.folder, `seen-${++looks}`)
  await writeFile(file, found.body)
  await lake.executor.run(`ATTACH ${text(file)} AS seen (READ_ONLY)`)
  const rows = await lake.executor.rows(query)
  await lake.executor.run('DETACH seen')
  return rows.map(row => Object.values(row).map(String).join('|'))
}
const messages =
  "SELECT commit_message FROM seen.ducklake_snapshot_changes WHERE commit_message LIKE 'tested%' ORDER BY ALL"

test('an owner and those who believe to be it publish at once, and each epoch is there once', async () => {
  const store = createMemoryStore()
  const ports = await Promise.all([0, 1, 2].map(() => openSink(store, lake, { columns })))
  for (const port of ports) await port.own(true, 1)
  for (const epoch of [1, 2, 3]) {
    const answers = await Promise.all(ports.map(port => commitEpoch(port, lake.executor, epoch, fileOf(epoch))))
    expect(answers.filter(answer => answer === 'published')).toHaveLength(1)
  }
  expect(await ask(store, messages)).toEqual([1, 2, 3].map(epoch => `tested: flow-1, epoch ${epoch}`))
  expect(await ask(store, 'SELECT count(*), sum(record_count) FROM seen.ducklake_data_file')).toEqual(['3|9'])
})

test('several flows write to tables of one lake at once, and none loses what another has written', async () => {
  const store = createMemoryStore()
  const flows = ['flow-1', 'flow-2', 'flow-3']
  await Promise.all(
    flows.map(async (output, index) => {
      const port = await openSink(store, lake, {
        columns,
        output,
        table: `t_${index}`,
        schema: index === 2 ? 'other' : 'main',
      })
      await port.own(true, 1)
      for (const epoch of [1, 2, 3]) await commitEpoch(port, lake.executor, epoch, fileOf(epoch))
    }),
  )
  expect(await ask(store, messages)).toEqual(
    flows.flatMap(flow => [1, 2, 3].map(epoch => `tested: ${flow}, epoch ${epoch}`)),
  )
  expect(
    await ask(
      store,
      'SELECT table_name, record_count FROM seen.ducklake_table JOIN seen.ducklake_table_stats USING (table_id) ORDER BY ALL',
    ),
  ).toEqual(['t_0|9', 't_1|9', 't_2|9'])
})

test('a write whose answer is lost is settled by what is there, whether it was applied or not', async () => {
  for (const isApplied of [true, false]) {
    const store = createMemoryStore()
    let isLost = false
    const losing: ObjectStore = {
      ...store,
      async put(key, ...rest) {
        if (!isLost || key !== catalogKey) return store.put(key, ...rest)
        isLost = false
        if (isApplied) await store.put(key, ...rest)
        return { is: 'unknown', cause: new Error('socket hang up') }
      },
    }
    const port = await openSink(losing, lake, { columns })
    await port.own(true, 1)
    isLost = true
    await commitEpoch(port, lake.executor, 1, fileOf(1))
    expect(await ask(store, messages)).toEqual(['tested: flow-1, epoch 1'])
    expect(await port.through(0)).toBe(1)
  }
})

test('a catalog that is gone, or is none, is told, and nothing is written', async () => {
  const port = await lake.open({ columns })
  await port.own(true, 1)
  await commitEpoch(port, lake.executor, 1, fileOf(1))
  await lake.store.delete([catalogKey])
  for (const act of [
    () => port.check(false),
    () => port.own(false, 2),
    () => commitEpoch(port, lake.executor, 2, fileOf(2)),
  ])
    await expect(act()).rejects.toMatchObject({ kind: 'user', code: 'output-missing' })
  await lake.store.put(catalogKey, Buffer.from('This is no database. '.repeat(1_000)), 'absent')
  for (const act of [() => port.check(true), () => port.own(true, 3)])
    await expect(act()).rejects.toMatchObject({
      code: 'corrupt-object',
      message: expect.stringMatching(/catalog[.]ducklake is damaged: expected a catalog of DuckLake 1[.]0/),
    })
})

test('where no run is under way, each look at a lake has a DuckDB of its own, and none is called damaged', async () => {
  const port = await lake.open({ columns })
  await port.own(true, 1)
  await commitEpoch(port, lake.executor, 1, fileOf(1))
  const command = await openSink(lake.store, lake, { columns, duckdb: duckdbForOnce })
  for (let look = 0; look < 3; look++) {
    await command.check(false)
    expect(await command.through(0)).toBe(1)
  }
})

test('a lake or a table that does not fit is refused by name', async () => {
  const port = await lake.open({ columns })
  await port.own(true, 1)
  for (const [other, message] of [
    [{ n: 'INTEGER NOT NULL' }, /its column 1 "n" is int64; expected int32/],
    [{ n: 'BIGINT' }, /its column 1 "n" is NOT NULL, and that of the flow may be NULL/],
    [{ m: 'BIGINT NOT NULL' }, /its column 1 is "n"; expected "m"/],
    [{ n: 'BIGINT NOT NULL', more: 'VARCHAR[]' }, /it lacks column 2, "more" list/],
  ] as const) {
    const unfit = await lake.open({ columns: other })
    for (const act of [() => unfit.check(false), () => unfit.own(false, 2)])
      await expect(act()).rejects.toMatchObject({
        kind: 'user',
        code: 'output-unfit',
        message: expect.stringMatching(message),
      })
  }
})

test('a staged file that is gone, or cut, is not named by the catalog', async () => {
  const port = await lake.open({ columns })
  await port.own(true, 1)
  const output = { term: 1, epoch: 1, operation: 'append', files: [fileOf(1)], inlineBytesMax: 0 } as const
  const staged = await port.stage?.(output)
  const [name = ''] = staged?.files.map(file => file.name) ?? []
  await rm(join(lake.root, name))
  const waiting = {
    ...output,
    receipt: staged?.receipt ?? null,
    files: staged?.files ?? [],
    local: [],
    rows: () => expect.unreachable(),
  }
  await expect(port.publish(waiting, new AbortController().signal)).rejects.toMatchObject({ code: 'corrupt-object' })
  expect(await ask(lake.store, 'SELECT count(*) FROM seen.ducklake_data_file')).toEqual(['0'])
})

test('while the store is away it says so, and a permission that is lost ends the run', async () => {
  const store = createMemoryStore()
  let broken: MillraceError | undefined
  const failing: ObjectStore = { ...store, put: (...args) => (broken ? Promise.reject(broken) : store.put(...args)) }
  const port = await openSink(failing, lake, { columns })
  await port.own(true, 1)
  const output = { term: 1, epoch: 1, operation: 'append', files: [fileOf(1)], inlineBytesMax: 0 } as const
  const staged = await port.stage?.(output)
  const waiting = {
    ...output,
    receipt: staged?.receipt ?? null,
    files: staged?.files ?? [],
    local: [],
    rows: () => expect.unreachable(),
  }
  const publish = () => port.publish(waiting, new AbortController().signal)
  broken = new MillraceError('retry', 'store-unavailable', 'The store is away.')
  await expect(publish()).rejects.toMatchObject({ kind: 'retry' })
  broken = new MillraceError('user', 'access-denied', 'Nobody may write.')
  await expect(publish()).rejects.toMatchObject({ kind: 'user', code: 'access-denied' })
  broken = undefined
  expect(await publish()).toBe('published')
  expect(await publish()).toBe('already')
})

test('what an epoch writes does not grow with the number of epochs', async () => {
  const store = createMemoryStore()
  const puts: { readonly key: string; readonly bytes: number }[] = []
  const counting: ObjectStore = {
    ...store,
    async put(key, body, ...rest) {
      const bytes = body instanceof Uint8Array ? body.length : (await stat(body.file)).size
      puts.push({ key, bytes })
      return store.put(key, body, ...rest)
    },
  }
  let nowMs = 0
  const port = await openSink(counting, lake, { columns, snapshotsMax: 20, nowMs: () => (nowMs += 600_000) })
  await port.own(true, 1)
  const catalogs = () => puts.filter(({ key }) => key === catalogKey).map(({ bytes }) => bytes)
  for (let epoch = 1; epoch <= 120; epoch++) await commitEpoch(port, lake.executor, epoch, fileOf(epoch % 4))
  const [early, late] = [catalogs().slice(30, 50), catalogs().slice(-20)].map(all => Math.max(...all)) as [
    number,
    number,
  ]
  expect(late).toBeLessThanOrEqual(early * 1.1)
  expect(await ask(store, 'SELECT count(*) <= 40, sum(record_count) FROM seen.ducklake_data_file')).toEqual([
    'true|360',
  ])
})
