import { rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { catalogKey } from '../../../connectors/ducklake/catalog.ts'
import { MillraceError } from '../../../src/core/errors.ts'
import type { ObjectStore, WrittenFile } from '../../../src/core/ports.ts'
import { duckdbForOnce } from '../../../src/engine/publish/sink-duckdb.ts'
import { text } from '../../../src/plan/sql.ts'
import { createMemoryStore } from '../../../src/testing/index.ts'
import { keysOf } from '../../checkpoints/fixtures.ts'
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

/** Another writer's change of the catalog. */
async function rewrite(store: ObjectStore, statement: string): Promise<void> {
  const found = await store.get(catalogKey)
  if (typeof found === 'string') throw new Error(`the catalog is ${found}`)
  const file = join(lake.folder, `other-${++looks}`)
  await writeFile(file, found.body)
  await lake.executor.run(`ATTACH ${text(file)} AS other`)
  await lake.executor.run(statement)
  await lake.executor.run('DETACH other')
  await store.put(catalogKey, { file }, found.eTag)
}

test('who reads a table is told of rows that another writer has put where they are not read', async () => {
  const port = await lake.open({ columns })
  await port.own(true, 1)
  await commitEpoch(port, lake.executor, 1, fileOf(1))
  const rows = async () => {
    const reader = await lake.open({ columns })
    const relation = await reader.table?.rows()
    return lake.executor.rows(`SELECT n FROM ${String(relation)} ORDER BY n`)
  }
  expect(await rows()).toEqual([{ n: 10n }, { n: 11n }, { n: 12n }])
  await rewrite(lake.store, 'UPDATE other.ducklake_data_file SET mapping_id = 7')
  await expect(rows()).rejects.toMatchObject({
    code: 'output-unfit',
    message: expect.stringMatching(/another writer has left part-.* in it, which is encrypted, lies elsewhere, or has/),
  })
  await rewrite(
    lake.store,
    'CREATE TABLE other.ducklake_inlined_data_1_1 AS SELECT 1 AS n; INSERT INTO other.ducklake_inlined_data_tables ' +
      "SELECT table_id, 'ducklake_inlined_data_1_1', 1 FROM other.ducklake_table",
  )
  await expect(rows()).rejects.toMatchObject({
    code: 'output-unfit',
    message: expect.stringMatching(/the catalog itself has rows of it/),
  })
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

test('another flow that looks over all databases meanwhile keeps no catalog from being read or written', async () => {
  const other = await lake.another()
  let isLooking = false
  const letGo = async () => {
    if (isLooking) await other.run('COMMIT')
    isLooking = false
  }
  /** Looks at a database when it is attached, and lets go of it when the next one is, or when it is waited for. */
  const executor: typeof lake.executor = {
    ...lake.executor,
    async run(sql, signal) {
      const done = lake.executor.run(sql, signal)
      if (sql.startsWith('FORCE')) await letGo()
      await done
      if (!sql.startsWith('ATTACH')) return
      await letGo()
      isLooking = true
      await other.run('BEGIN')
      await other.rows('SELECT count(*) FROM duckdb_tables()')
    },
  }
  const port = await openSink(lake.store, { ...lake, executor }, { columns })
  await port.own(true, 1)
  for (const epoch of [1, 2, 3]) expect(await commitEpoch(port, lake.executor, epoch, fileOf(epoch))).toBe('published')
  await letGo()
  expect(await ask(lake.store, messages)).toEqual([1, 2, 3].map(epoch => `tested: flow-1, epoch ${epoch}`))
})

test('tables and schemas may have the names of folders that a directory has for itself', async () => {
  for (const [table, schema] of [
    ['latest', 'main'],
    ['HEAD', 'head-bodies'],
  ] as const) {
    const port = await lake.open({ columns, table, schema, output: table })
    await port.own(true, 1)
    expect(await commitEpoch(port, lake.executor, 1, fileOf(1))).toBe('published')
  }
  expect((await keysOf(lake.store)).map(key => key.replace(/part-.*/, ''))).toEqual([
    catalogKey,
    'head-bodies.files/HEAD.files/',
    'main/latest.files/',
  ])
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

describe.each([
  { name: 'of rows that are added', key: undefined },
  { name: 'of rows that take the place of others', key: ['n'] },
])('what an epoch $name', ({ key }) => {
  test('writes does not grow with the number of epochs', async () => {
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
    const opened = { columns, snapshotsMax: 20, nowMs: () => (nowMs += 600_000), ...(key && { key }) }
    const port = await openSink(counting, lake, opened)
    await port.own(true, 1)
    // Of three numbers one is there already: files are left of which some rows are gone.
    const numbers = (epoch: number) =>
      lake.write(opened, `SELECT n FROM (VALUES (0), (${epoch % 40} + 1), (${epoch} + 100)) AS r(n)`)
    const perEpoch: { readonly bytes: number; readonly puts: number }[] = []
    for (let epoch = 1; epoch <= 66; epoch++) {
      const before = puts.length
      await commitEpoch(port, lake.executor, epoch, key ? await numbers(epoch) : fileOf(epoch % 4))
      const own = puts.slice(before)
      perEpoch.push({ bytes: own.reduce((sum, { bytes }) => sum + bytes, 0), puts: own.length })
    }
    const most = (of: 'bytes' | 'puts', from: number, to: number) =>
      Math.max(...perEpoch.slice(from, to).map(each => each[of]))
    expect(most('bytes', 44, 66)).toBeLessThanOrEqual(most('bytes', 22, 44) * 1.25)
    expect(most('puts', 44, 66)).toBeLessThanOrEqual(most('puts', 22, 44) + 2)
    const catalogs = puts.filter(put => put.key === catalogKey).map(({ bytes }) => bytes)
    expect(Math.max(...catalogs.slice(-20))).toBeLessThanOrEqual(Math.max(...catalogs.slice(30, 50)) * 1.1)
    const rows = key ? 1 + 40 + 66 : 3 * 66
    expect(
      await ask(
        store,
        `SELECT (SELECT count(*) <= 60 FROM seen.ducklake_data_file),
           (SELECT coalesce(sum(record_count), 0) FROM seen.ducklake_data_file WHERE end_snapshot IS NULL)
             - (SELECT coalesce(sum(delete_count), 0) FROM seen.ducklake_delete_file WHERE end_snapshot IS NULL),
           (SELECT record_count FROM seen.ducklake_table_stats)`,
      ),
    ).toEqual([`true|${rows}|${rows}`])
    const named = await ask(
      store,
      `SELECT 'main/results/' || path FROM seen.ducklake_data_file UNION ALL
       SELECT 'main/results/' || path FROM seen.ducklake_delete_file UNION ALL
       SELECT path FROM seen.ducklake_files_scheduled_for_deletion`,
    )
    expect((await keysOf(store, 'main/')).toSorted()).toEqual([...named].toSorted())
  }, 600_000)
})

test('several flows with a key write to one lake at once: each finds its rows, and leaves no file behind', async () => {
  const store = createMemoryStore()
  const flows = ['flow-1', 'flow-2', 'flow-3']
  const opened = { columns, key: ['n'] }
  await Promise.all(
    flows.map(async (output, index) => {
      const port = await openSink(store, lake, { ...opened, output, table: `t_${index}` })
      await port.own(true, 1)
      for (const epoch of [1, 2, 3]) {
        const file = await lake.write(opened, `SELECT i AS n FROM range(${epoch}, ${epoch + 4}) AS r(i)`)
        await commitEpoch(port, lake.executor, epoch, file)
      }
    }),
  )
  expect(
    await ask(
      store,
      'SELECT table_name, record_count FROM seen.ducklake_table JOIN seen.ducklake_table_stats USING (table_id) ORDER BY ALL',
    ),
  ).toEqual(['t_0|6', 't_1|6', 't_2|6'])
  const named = await ask(
    store,
    `SELECT 'main/' || table_name || '/' || f.path FROM (SELECT table_id, path FROM seen.ducklake_data_file UNION ALL
       SELECT table_id, path FROM seen.ducklake_delete_file) f JOIN seen.ducklake_table USING (table_id)
     UNION ALL SELECT path FROM seen.ducklake_files_scheduled_for_deletion`,
  )
  expect((await keysOf(store, 'main/')).toSorted()).toEqual([...named].toSorted())
})
