import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { mergeAt } from '../../../connectors/ducklake/merge.ts'
import { text } from '../../../src/plan/sql.ts'
import { keysOf } from '../../checkpoints/fixtures.ts'
import { drawn } from '../../golden/drawn.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { openLakeReaders } from '../../servers/lake-readers.ts'
import { commitEpoch, type Lake, openLake } from './fixtures.ts'

const readers = await serverFor(openLakeReaders)

const columns = { _op: 'VARCHAR NOT NULL', _epoch: 'BIGINT NOT NULL', k: 'BIGINT', v: 'BIGINT NOT NULL' }
const opened = { columns, key: ['k'], operation: 'change' } as const

/** A row as the extension tells it: id, the snapshot that it came with, key and value. */
type Row = readonly [id: number, snapshot: number, k: string, v: number]

interface Change {
  readonly op: 'upsert' | 'delete'
  readonly k: string
  readonly v: number
}

/** What a table is by the rules: each key has one row, and what takes the place of a row has its id. */
class Model {
  readonly versions = new Map<number, readonly Row[]>()
  readonly changes: string[][] = []
  #rows = new Map<string, Row>()
  #nextId = 0

  apply(snapshot: number, changes: readonly Change[]): void {
    const rows = new Map(this.#rows)
    const upserts = changes.filter(({ op }) => op === 'upsert').toSorted((a, b) => order(a.k, b.k))
    for (const { k } of changes.filter(({ op }) => op === 'delete')) {
      const gone = rows.get(k)
      if (!gone) continue
      rows.delete(k)
      this.changes.push([String(snapshot), String(gone[0]), 'delete', k, String(gone[3])])
    }
    for (const { k, v } of upserts) {
      const before = this.#rows.get(k)
      const id = before?.[0] ?? this.#nextId++
      rows.set(k, [id, snapshot, k, v])
      const told = (is: string, value: number) =>
        this.changes.push([String(snapshot), String(id), is, k, String(value)])
      if (before) told('update_preimage', before[3])
      told(before ? 'update_postimage' : 'insert', v)
    }
    this.#rows = rows
  }

  keep(snapshot: number): void {
    this.versions.set(snapshot, [...this.#rows.values()])
  }
}

// NULL is a key like others, and the last one.
const order = (a: string, b: string) => (a === 'null' ? 1 : b === 'null' ? -1 : Number(a) - Number(b))
const sorted = (rows: readonly (readonly unknown[])[]) => rows.map(row => row.map(String).join('|')).toSorted()

describe.skipIf(!readers)('rows with a key in a DuckLake, as the extension of DuckDB reads them', () => {
  if (!readers) return
  let lake: Lake
  let looks = 0
  beforeEach(async () => {
    lake = await openLake()
  })
  afterEach(() => lake.close())

  async function ask(...queries: readonly string[]): Promise<readonly (readonly (readonly string[])[])[]> {
    const script = `
c = duckdb_with('ducklake')
c.execute("ATTACH 'ducklake:" + args[0] + "' AS lake (READ_ONLY)")
answer([[list(row) for row in c.execute('SELECT COLUMNS(*)::VARCHAR FROM (' + q + ')').fetchall()] for q in json.loads(args[1])])
`
    const found = await readers?.ask(script, join(lake.root, 'catalog.ducklake'), JSON.stringify(queries))
    return (found as (string | null)[][][]).map(rows => rows.map(row => row.map(value => value ?? 'null')))
  }

  const write = (changes: readonly Change[]) =>
    lake.write(
      opened,
      changes.length === 0
        ? 'SELECT NULL::VARCHAR AS _op, 1::BIGINT AS _epoch, NULL::BIGINT AS k, NULL::BIGINT AS v LIMIT 0'
        : `SELECT op AS _op, 1::BIGINT AS _epoch, k::BIGINT AS k, v::BIGINT AS v FROM (VALUES ${changes.map(({ op, k, v }) => `('${op}', ${k}, ${v})`).join(', ')}) AS c(op, k, v)`,
    )

  /** The newest snapshot, asked without the sink. */
  async function snapshotsNow(): Promise<{ readonly newest: number; readonly merges: number }> {
    // DuckDB of the test sees its own folder only.
    const seen = join(lake.folder, `seen-${++looks}`)
    await copyFile(join(lake.root, 'catalog.ducklake'), seen)
    await lake.executor.run(`ATTACH ${text(seen)} AS seen (READ_ONLY)`)
    try {
      const [found] = await lake.executor.rows(
        `SELECT max(snapshot_id) AS newest, count(*) FILTER (commit_message LIKE 'merged%') AS merges
         FROM seen.ducklake_snapshot_changes`,
      )
      return { newest: Number(found?.newest), merges: Number(found?.merges) }
    } finally {
      await lake.executor.run('DETACH seen')
    }
  }

  /** That every snapshot that is kept, and the changes between any two of them, are what was written. */
  async function expectAll(model: Model, oldest: number, newest: number, where: string): Promise<void> {
    const versions = Array.from({ length: newest - oldest + 1 }, (_, index) => oldest + index)
    const ranges = [
      [oldest, newest],
      [oldest + 1, newest],
      [Math.floor((oldest + newest) / 2), newest],
      [oldest, Math.floor((oldest + newest) / 2)],
      ...versions.map(version => [version, version]),
    ]
    const found = await ask(
      ...versions.map(version => `SELECT rowid, snapshot_id, k, v FROM lake.results AT (VERSION => ${version})`),
      ...ranges.map(
        ([from, to]) =>
          `SELECT snapshot_id, rowid, change_type, k, v FROM lake.table_changes('results', ${from}, ${to})`,
      ),
    )
    for (const [index, version] of versions.entries()) {
      const last = [...model.versions.keys()].filter(kept => kept <= version).at(-1) ?? -1
      expect(sorted(found[index] ?? []), `${where}, version ${version}`).toEqual(sorted(model.versions.get(last) ?? []))
    }
    for (const [index, [from = 0, to = 0]] of ranges.entries())
      expect(sorted(found[versions.length + index] ?? []), `${where}, changes ${from} to ${to}`).toEqual(
        sorted(model.changes.filter(([snapshot]) => Number(snapshot) >= from && Number(snapshot) <= to)),
      )
  }

  test('are one for each key at every snapshot, and the changes are those that were written', async () => {
    const { label, random } = drawn()
    const whole = (least: number, most: number) => least + Math.floor(random() * (most - least + 1))
    const port = await lake.open(opened)
    await port.own(true, 1)
    const model = new Model()
    let values = 0
    let seen = await snapshotsNow()
    for (let epoch = 1; seen.merges < 2; epoch++) {
      expect(epoch, label).toBeLessThan(5 * mergeAt)
      // Some keys change all the time, some come once, and some epochs take away what is there.
      const keys = new Set<string>(['0', '1', ...Array.from({ length: whole(0, 12) }, () => String(whole(0, 60)))])
      if (random() < 0.2) keys.add('null')
      const changes = [...keys].map(k => ({
        op: random() < 0.25 ? ('delete' as const) : ('upsert' as const),
        k,
        v: ++values,
      }))
      const before = model.changes.length
      const snapshot = seen.newest + 1
      model.apply(snapshot, changes)
      await commitEpoch(port, lake.executor, epoch, await write(changes))
      if (model.changes.length > before) model.keep(snapshot)
      seen = await snapshotsNow()
    }
    await expectAll(model, 1, seen.newest, label)
  }, 600_000)

  test('are found where the extension has put them, deleted some, and named the files itself', async () => {
    const script = `
c = duckdb_with('ducklake')
os.makedirs(args[0])
c.execute(f"ATTACH 'ducklake:{args[0]}/made' AS lake (DATA_PATH '{args[0]}', DATA_INLINING_ROW_LIMIT {args[1]})")
c.execute('CREATE TABLE lake.results(k BIGINT, v BIGINT NOT NULL)')
c.execute('INSERT INTO lake.results SELECT i, 100 + i FROM range(8) AS r(i)')
c.execute('UPDATE lake.results SET v = 207 WHERE k = 7')
c.execute('DELETE FROM lake.results WHERE k = 6')
answer(None)
`
    await readers?.ask(script, lake.root, '100')
    await lake.store.put('catalog.ducklake', { file: join(lake.root, 'made') }, 'absent')
    const inlined = await lake.open(opened)
    await expect(inlined.check(true)).rejects.toMatchObject({
      code: 'output-unfit',
      message: expect.stringMatching(/the catalog itself has rows of it, or deletes. Run CALL ducklake_flush_inlined/),
    })
    await lake.close()

    lake = await openLake()
    await readers?.ask(script, lake.root, '0')
    await lake.store.put('catalog.ducklake', { file: join(lake.root, 'made') }, 'absent')
    const port = await lake.open(opened)
    await port.own(true, 1)
    const changes = [1, 6, 7, 9].map(k => ({ op: k === 1 ? 'delete' : 'upsert', k: String(k), v: 300 + k }) as const)
    await commitEpoch(port, lake.executor, 1, await write(changes))
    const { newest } = await snapshotsNow()
    const [now, told] = await ask(
      'SELECT k, v FROM lake.results ORDER BY k',
      `SELECT change_type, k, v FROM lake.table_changes('results', ${newest}, ${newest}) ORDER BY k, v`,
    )
    const rows = ['0 100', '2 102', '3 103', '4 104', '5 105', '6 306', '7 307', '9 309']
    expect(now?.map(row => row.join(' '))).toEqual(rows)
    expect(told?.map(row => row.join(' '))).toEqual([
      'delete 1 101',
      'insert 6 306',
      'update_preimage 7 207',
      'update_postimage 7 307',
      'insert 9 309',
    ])
  })

  test('that are gone leave the lake with the snapshots that had them', async () => {
    let nowMs = Date.UTC(2024, 0, 1)
    const kept = { ...opened, nowMs: () => nowMs, history: '1 hour' } as const
    const port = await lake.open(kept)
    await port.own(true, 1)
    // Of each epoch's three rows one is taken by the next: so files with deletes are merged.
    const epochs = 2 * mergeAt
    const changesOf = (epoch: number) => [
      ...[0, epoch, 100 + epoch].map(k => ({ op: 'upsert' as const, k: String(k), v: epoch })),
      { op: 'delete' as const, k: String(99 + epoch), v: 0 },
    ]
    for (let epoch = 1; epoch <= epochs; epoch++) {
      nowMs += 60_000
      await commitEpoch(port, lake.executor, epoch, await write(changesOf(epoch)))
    }
    const former = async () => (await keysOf(lake.store, 'main/results/former')).length
    expect(await former()).toBeGreaterThan(0)
    nowMs += 2 * 3_600_000
    await commitEpoch(port, lake.executor, epochs + 1, await write(changesOf(epochs + 1)))
    nowMs += 2 * 3_600_000
    await commitEpoch(port, lake.executor, epochs + 2, await write(changesOf(epochs + 2)))
    expect(await former()).toBe(0)
    const [rows] = await ask('SELECT count(*), sum(k), count(*) FILTER (v = 34) FROM lake.results')
    // 0, 1 to 34, and the last one of those from 101 on.
    expect(rows).toEqual([['36', String((34 * 35) / 2 + 134), '3']])
  }, 300_000)
})
