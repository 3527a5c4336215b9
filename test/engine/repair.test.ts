import { cp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import type { ObjectStore } from '../../src/core/ports.ts'
import { type Components, components } from '../../src/engine/components.ts'
import { inspect } from '../../src/engine/inspect/inspect.ts'
import { repair } from '../../src/engine/repair.ts'
import { type Sink, sinkAt } from '../../src/plan/sink.ts'
import { icebergCatalogKind } from '../../connectors/iceberg/index.ts'
import {
  count,
  delta,
  ducklake,
  iceberg,
  parquet,
  pipeline,
  postgres,
  query,
  source,
  sum,
  to,
} from '../../src/index.ts'
import { serverFor } from '../servers/for-tests.ts'
import { startPostgres } from '../servers/postgres.ts'
import { failure, type Lab, openLab, outputFiles, outputHashes, run, windowed, type WindowedFlow } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const flow: WindowedFlow = {
  columns: { t: 'TIMESTAMP', k: 'VARCHAR', v: 'DOUBLE' },
  keys: ['k'],
  delay: '1 hour',
  aggregates: { n: count(), total: sum('v') },
}

const days = ['2022-01-01', '2022-01-02', '2022-01-03', '2022-01-04'] as const
const day = (date: string) =>
  lab.parquet(
    `${date}.parquet`,
    `SELECT TIMESTAMP '${date}' + i * INTERVAL 7 MINUTE AS t, 'k' || i % 3 AS k, i * 0.1 AS v FROM range(200) AS r(i)`,
  )

/** Two runs of two days each, and then HEAD is lost with the copies of the manifest that the second run left. */
async function loseSecondRun(made = windowed(lab, lab, flow)): Promise<void> {
  for (const date of days.slice(0, 2)) await day(date)
  await run(made, { flush: false })
  const copies = await readdir(join(lab.checkpoint, 'manifests'))
  for (const date of days.slice(2)) await day(date)
  await run(made, { objectsPerEpoch: 1 })
  await createDirectoryStore(lab.checkpoint).delete(['HEAD'])
  for (const name of await readdir(join(lab.checkpoint, 'manifests')))
    if (!copies.includes(name)) await rm(join(lab.checkpoint, 'manifests', name))
}

/** The rows of a run over all days that met no trouble. */
async function undisturbed() {
  const place = lab.place('undisturbed')
  await run(windowed(lab, place, flow))
  return (await lab.rows(place)).map(row => JSON.stringify(row)).toSorted()
}
const rowsNow = async () => (await lab.rows()).map(row => JSON.stringify(row)).toSorted()

describe('a checkpoint that has lost HEAD', () => {
  test('is refused by a start and by every command that reads it, and nothing is deleted', async () => {
    await loseSecondRun()
    const all = async () => [await readdir(lab.checkpoint, { recursive: true }), await outputHashes(lab.output)]
    const before = await all()
    for (const work of [
      () => run(windowed(lab, lab, flow)),
      () => query(lab.checkpoint, 'FROM ledger'),
      () => inspect(lab.checkpoint),
    ])
      expect(await failure(work)).toMatchObject({ kind: 'user', code: 'head-lost' })
    expect(await all()).toEqual(before)
  })

  test('is not repaired while output lies beyond its newest manifest, which would be doubled', async () => {
    await loseSecondRun()
    const published = await outputHashes(lab.output)
    const error = await failure(repair(lab.checkpoint))
    expect(error).toMatchObject({ kind: 'user', code: 'output-beyond' })
    expect(error.message).toMatch(/epoch 1, and 3 files .*part-00000002-flow-1\.parquet.*--withdraw/)
    expect(await outputHashes(lab.output)).toEqual(published)
    expect(await failure(run(windowed(lab, lab, flow)))).toMatchObject({ code: 'head-lost' })
  })

  test('repaired, goes on to the rows of a run that met no trouble, each once, under names never used (P8, I5, I6)', async () => {
    await loseSecondRun()
    const before = await outputFiles(lab.output)
    const repaired = await repair(lab.checkpoint, { withdraw: true })
    expect(repaired).toMatchObject({ epoch: 1, lostEpochs: [2, 4], refused: [] })
    expect(repaired.from).toMatch(/^manifests\/1-1-/)
    expect(repaired.withdrawn.map(address => address.replace(/.*\//, ''))).toEqual(before.slice(1))
    expect(await outputFiles(lab.output)).toEqual(before.slice(0, 1))
    expect((await readdir(join(lab.output, '_millrace', 'withdrawn'))).toSorted()).toEqual(before.slice(1))

    const { totals } = await run(windowed(lab, lab, flow))
    expect(totals).toMatchObject({ objects: 4, rows: 800 })
    expect(await rowsNow()).toEqual(await undisturbed())
    expect(await query(lab.checkpoint, 'SELECT sum(n)::BIGINT AS n FROM output')).toMatchObject({ rows: [{ n: 800n }] })
    const after = (await outputFiles(lab.output)).slice(1)
    expect(after.length).toBeGreaterThan(0)
    for (const name of after) expect(before).not.toContain(name)
  })

  test('broken off at any of its writes, the repair is repeated and comes to the same end (I8)', async () => {
    await loseSecondRun()
    const saved = join(lab.root, 'saved')
    const [checkpoint, output] = [join(saved, 'checkpoint'), join(saved, 'output')]
    await cp(lab.checkpoint, checkpoint, { recursive: true })
    await cp(lab.output, output, { recursive: true })
    const [kept, ...beyond] = await outputFiles(lab.output)

    for (let survives = 0, isDone = false; !isDone; survives++) {
      for (const [from, to] of [[checkpoint, lab.checkpoint] as const, [output, lab.output] as const]) {
        await rm(to, { recursive: true })
        await cp(from, to, { recursive: true })
      }
      isDone = await repair(lab.checkpoint, { withdraw: true }, dyingAfter(survives)).then(
        () => true,
        (error: Error) => {
          expect(error.message).toBe('killed here')
          return false
        },
      )
      expect(isDone).toBe(survives === 2 * beyond.length + 1)
      if (!isDone) await repair(lab.checkpoint, { withdraw: true })
      expect(await lab.head(), `${survives}`).toMatchObject({ released: true, manifest: { epoch: 4 } })
      expect(await outputFiles(lab.output)).toEqual([kept])
      expect((await readdir(join(lab.output, '_millrace', 'withdrawn'))).toSorted()).toEqual(beyond)
    }
  })
})

/** Stores of which a write after so many fails, and all that follow. */
function dyingAfter(writes: number): Components {
  let done = 0
  const live = <A extends readonly unknown[], R>(work: (...args: A) => Promise<R>) => {
    return async (...args: A): Promise<R> => {
      if (done++ >= writes) throw new Error('killed here')
      return work(...args)
    }
  }
  const dying = (store: ObjectStore): ObjectStore => ({
    ...store,
    put: live(store.put),
    copy: live(store.copy),
    delete: live(store.delete),
  })
  return {
    ...components,
    openInput: async (address, field) => dying(await components.openInput(address, field)),
    openWritable: async (address, field) => dying(await components.openWritable(address, field)),
  }
}

test('a checkpoint that has its HEAD is left alone', async () => {
  await day(days[0])
  await run(windowed(lab, lab, flow))
  const head = await lab.head()
  expect(await failure(repair(lab.checkpoint, { withdraw: true }))).toMatchObject({ kind: 'user' })
  expect(await lab.head()).toEqual(head)
  expect(await failure(repair(join(lab.root, 'nowhere')))).toMatchObject({ kind: 'user', code: 'no-manifest' })
})

test('a directory that has lost the pointer alone is repaired without a loss, and no output is withdrawn', async () => {
  for (const date of days.slice(0, 2)) await day(date)
  await run(windowed(lab, lab, flow), { objectsPerEpoch: 1, flush: false })
  const published = await outputHashes(lab.output)
  await rm(join(lab.checkpoint, 'head'), { recursive: true })
  expect(await repair(lab.checkpoint)).toMatchObject({ from: 'HEAD', epoch: 2, lostEpochs: null, withdrawn: [] })
  expect(await outputHashes(lab.output)).toEqual(published)
  for (const date of days.slice(2)) await day(date)
  await run(windowed(lab, lab, flow))
  expect(await rowsNow()).toEqual(await undisturbed())
})

test('an older copy of a checkpoint, put back, is refused before its output is doubled (I1)', async () => {
  for (const date of days.slice(0, 2)) await day(date)
  await run(windowed(lab, lab, flow), { flush: false })
  const copy = join(lab.root, 'copy')
  await cp(lab.checkpoint, copy, { recursive: true })
  for (const date of days.slice(2)) await day(date)
  await run(windowed(lab, lab, flow), { objectsPerEpoch: 1 })
  const published = await outputHashes(lab.output)
  await rm(lab.checkpoint, { recursive: true })
  await cp(copy, lab.checkpoint, { recursive: true })
  const error = await failure(run(windowed(lab, lab, flow), { takeover: true }))
  expect(error).toMatchObject({ kind: 'user', code: 'output-beyond' })
  expect(error.message).toMatch(/part-00000002-flow-1\.parquet and 2 more.*stands at epoch 1/)
  expect(await outputHashes(lab.output)).toEqual(published)
})

const server = await serverFor(startPostgres)

describe('a checkpoint of tables that has lost HEAD', () => {
  type Table = (place: string) => Sink<object>
  const tables: readonly (readonly [string, Table | undefined])[] = [
    ['iceberg', iceberg],
    ['delta', delta],
    ['ducklake', place => ducklake(place, { table: 'rows' })],
    // Reached again by the login of the environment.
    ['postgres', server && (() => postgres({ url: server.endpoint, table: `rows_${++made}` }))],
  ]
  let made = 0
  beforeEach(() => void vi.stubEnv('PGUSER', 'millrace'))
  afterEach(() => void vi.unstubAllEnvs())

  const rowsInto = (table: Table) =>
    pipeline(
      'tables',
      { checkpoint: lab.checkpoint },
      source('rows', {
        objects: lab.input,
        format: parquet(),
        columns: { k: 'VARCHAR', v: 'DOUBLE NOT NULL' },
      }).pipe(to(table(lab.output))),
    )

  for (const [name, table] of tables) {
    test.skipIf(!table)(`goes on with ${name}`, async () => {
      await day(days[0])
      const into = rowsInto(table as Table)
      await run(into)
      const loseAndRepair = async () => {
        await createDirectoryStore(lab.checkpoint).delete(['HEAD'])
        return await repair(lab.checkpoint)
      }
      const first = await loseAndRepair()
      await day(days[1])
      await run(into)
      const second = await loseAndRepair()
      expect(second.epoch).toBeGreaterThan(first.epoch)
      for (const { lostEpochs, withdrawn } of [first, second])
        expect({ lostEpochs, withdrawn }).toEqual({ lostEpochs: null, withdrawn: [] })
    })

    test.skipIf(!table)(`is left as it is where ${name} has rows of later epochs, with --withdraw too`, async () => {
      await loseSecondRun(rowsInto(table as Table))
      for (const withdraw of [false, true]) {
        const error = await failure(repair(lab.checkpoint, { withdraw }))
        expect(error).toMatchObject({ kind: 'user', code: 'output-beyond' })
        expect(error.message).toMatch(/has the rows of epochs up to 3, and the newest manifest is that of epoch 1[.]/)
      }
      expect(await failure(inspect(lab.checkpoint))).toMatchObject({ code: 'head-lost' })
    })
  }

  test('says that it does not reach a table behind a catalog, which asks for a login', () => {
    const stored = sinkAt('https://catalog.example.com/db.rows', { sink: 'iceberg-catalog', table: 'db.rows' })
    expect(() => icebergCatalogKind.remade?.(stored as never)).toThrow(
      'https://catalog.example.com/db.rows: checkpoints keep no logins of catalogs, so this command does not reach',
    )
  })
})
