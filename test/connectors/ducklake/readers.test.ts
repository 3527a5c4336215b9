import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { serverFor } from '../../servers/for-tests.ts'
import { openLakeReaders } from '../../servers/lake-readers.ts'
import { keysOf } from '../../checkpoints/fixtures.ts'
import { commitEpoch, type Lake, openLake } from './fixtures.ts'

const readers = await serverFor(openLakeReaders)

/** What DuckDB's own extension says. @param queries SELECTs; each gives its rows as text */
const attach = `
c = duckdb_with('ducklake')
c.execute("ATTACH 'ducklake:" + args[0] + "' AS lake (READ_ONLY)")
answer([[list(row) for row in c.execute('SELECT COLUMNS(*)::VARCHAR FROM (' + q + ')').fetchall()] for q in args[1:]])
`

describe.skipIf(!readers)('a lake as the extension of DuckDB reads it', () => {
  if (!readers) return
  let lake: Lake
  beforeEach(async () => {
    lake = await openLake()
  })
  afterEach(() => lake.close())

  const ask = (...queries: readonly string[]) =>
    readers.ask(attach, join(lake.root, 'catalog.ducklake'), ...queries) as Promise<
      readonly (readonly (readonly string[])[])[]
    >

  test('has the rows, what they were at each snapshot, and the changes between', async () => {
    const opened = { columns: { n: 'BIGINT NOT NULL', t: 'TIMESTAMP', total: 'DECIMAL(38,2)' } }
    const port = await lake.open(opened)
    await port.own(true, 1)
    for (const epoch of [1, 2, 4])
      await commitEpoch(
        port,
        lake.executor,
        epoch,
        await lake.write(
          opened,
          `SELECT ${epoch} * 100 + i AS n, TIMESTAMP '2024-01-01' + to_days(${epoch}) AS t, i / 4 AS total FROM range(50) AS r(i)`,
        ),
      )
    const sum = (from: string) => `SELECT count(*), sum(n), min(t), max(t), sum(total) FROM ${from}`
    const [now, before, changes, filtered, snapshots, first] = await ask(
      sum('lake.results'),
      sum('lake.results AT (VERSION => 2)'),
      "SELECT snapshot_id, change_type, count(*), min(n), max(n) FROM lake.table_changes('results', 3, 4) GROUP BY ALL ORDER BY ALL",
      "SELECT count(*), min(n) FROM lake.results WHERE t = TIMESTAMP '2024-01-03' AND total > 6",
      'SELECT snapshot_id, author, commit_message FROM lake.snapshots() ORDER BY 1',
      'SELECT rowid, n FROM lake.results ORDER BY rowid LIMIT 2',
    )
    // 3 * 1225 + 50 * (100 + 200 + 400); of totals 3 * 306.25
    expect(now).toEqual(
      [['150', '38675', '2024-01-02 00:00:00', '2024-01-05 00:00:00', '919.00']].map(row => [
        ...row.slice(0, 4),
        expect.any(String),
      ]),
    )
    expect(before?.[0]?.slice(0, 2)).toEqual(['50', '6225'])
    expect(changes).toEqual([
      ['3', 'insert', '50', '200', '249'],
      ['4', 'insert', '50', '400', '449'],
    ])
    expect(filtered).toEqual([['25', '225']])
    expect(snapshots?.at(-1)).toEqual(['4', 'millrace', 'tested: flow-1, epoch 4'])
    expect(first).toEqual([
      ['0', '100'],
      ['1', '101'],
    ])
  })

  test('is the same when its small files were made one, as far back as its history goes', async () => {
    let nowMs = Date.UTC(2024, 0, 1)
    const opened = { columns: { n: 'BIGINT NOT NULL' }, nowMs: () => nowMs, history: '1 hour' } as const
    const port = await lake.open(opened)
    await port.own(true, 1)
    const file = (epoch: number) => lake.write(opened, `SELECT ${epoch} * 10 + i AS n FROM range(3) AS r(i)`)
    const epochs = 40
    for (let epoch = 1; epoch <= epochs; epoch++) await commitEpoch(port, lake.executor, epoch, await file(epoch))
    // Snapshot 1 made the table; behind the 16th and the 32nd epoch one merged files.
    const [now, before, changes, rowIds, left] = await ask(
      'SELECT count(*), sum(n), min(n), max(n) FROM lake.results',
      'SELECT count(*), max(n) FROM lake.results AT (VERSION => 6)',
      "SELECT snapshot_id, change_type, count(*), min(n) FROM lake.table_changes('results', 10, 19) GROUP BY ALL ORDER BY snapshot_id",
      'SELECT count(DISTINCT rowid), min(rowid), max(rowid) FROM lake.results',
      'SELECT count(*) FROM lake.snapshots()',
    )
    // 3 * 10 * (1 + ... + 40) + 40 * (0 + 1 + 2)
    expect(now).toEqual([['120', '24720', '10', '402']])
    expect(before).toEqual([['15', '52']])
    const inserted = (snapshot: number, epoch: number) => [`${snapshot}`, 'insert', '3', `${epoch * 10}`]
    expect(changes).toEqual([
      ...[10, 11, 12, 13, 14, 15, 16, 17].map(snapshot => inserted(snapshot, snapshot - 1)),
      inserted(19, 17),
    ])
    expect(rowIds).toEqual([['120', '0', '119']])
    expect(left).toEqual([[String(epochs + 4)]])
    const files = async () => (await keysOf(lake.store, 'main/results/')).length
    // 8 that are not merged, the merged one, and those that it was made of, which a reader may have open.
    expect(await files()).toBe(epochs + 2)

    nowMs += 3_700_000
    await commitEpoch(port, lake.executor, epochs + 1, await file(epochs + 1))
    expect(await files()).toBe(10)
    const [after, kept] = await ask(
      'SELECT count(*), max(n) FROM lake.results',
      'SELECT count(*) FROM lake.snapshots()',
    )
    expect(after).toEqual([['123', '412']])
    expect(kept).toEqual([['1']])
  })

  test('keeps every type: values, NULL and bounds', async () => {
    const columns = {
      a: 'BOOLEAN',
      b: 'TINYINT',
      c: 'SMALLINT',
      d: 'INTEGER',
      e: 'BIGINT',
      f: 'UBIGINT',
      g: 'FLOAT',
      h: 'DOUBLE',
      i: 'DECIMAL(38,10)',
      j: 'VARCHAR',
      k: 'UUID',
      l: 'BLOB',
      m: 'DATE',
      n: 'TIMESTAMP',
      o: 'TIMESTAMPTZ',
      p: 'JSON',
      q: 'VARCHAR[]',
      r: 'DECIMAL(18,2)[]',
      s: 'STRUCT("value" BIGINT, count BIGINT)[]',
    }
    const values = {
      a: ['true', 'false'],
      b: ['(-128)', '127'],
      c: ['(-32768)', '32767'],
      d: ['(-2147483648)', '2147483647'],
      e: ["'-9223372036854775808'", '9223372036854775807'],
      f: ['0', '18446744073709551615'],
      g: ["'nan'", '1.5'],
      h: ["'-inf'", "'nan'"],
      i: ["'-9999999999999999999999999999.9999999999'", "'9999999999999999999999999999.9999999999'"],
      j: [`'it''s "x" , ;' || chr(0) || chr(10)`, "repeat('ü', 500)"],
      k: ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
      l: ["'\\x00\\xFF'::BLOB", "''::BLOB"],
      m: ["'0044-03-15 (BC)'", "'infinity'"],
      n: ["'0044-03-15 (BC) 00:00:00'", "'294247-01-10 04:00:54.775806'"],
      o: ["'-infinity'", "'2024-03-31 02:30:00.000001+02'"],
      p: [`'{"b": 1.0, "a": [null]}'`, "'null'"],
      q: ["['', NULL, 'x']", '[]'],
      r: ['[1.25, NULL]', '[-1]'],
      s: ["[{'value': 7, 'count': 2}]", '[]'],
    }
    const typed = Object.entries(columns)
    const row = (index: 0 | 1) =>
      `SELECT ${typed.map(([name, type]) => `CAST(${values[name as keyof typeof values][index]} AS ${type}) AS ${name}`).join(', ')}`
    const nulls = `SELECT ${typed.map(([name, type]) => `CAST(NULL AS ${type}) AS ${name}`).join(', ')}`
    const all = `${row(0)} UNION ALL ${row(1)} UNION ALL ${nulls}`
    const opened = { columns }
    const port = await lake.open(opened)
    await port.own(true, 1)
    await commitEpoch(port, lake.executor, 1, await lake.write(opened, all))
    await commitEpoch(port, lake.executor, 2, await lake.write(opened, row(0)))
    const asText = `SELECT ${typed.map(([name]) => `to_json(${name})::VARCHAR AS ${name}`).join(', ')}`
    const own = await lake.executor.rows(`${asText} FROM (${all} UNION ALL ${row(0)})`)
    const types = await lake.executor.describe(all)
    const [found, described, ...each] = await ask(
      `${asText} FROM lake.results`,
      'SELECT column_name, column_type FROM (DESCRIBE lake.results)',
      // Each value is found by itself: no bound of a file says that it cannot be there.
      ...typed.flatMap(([name, type]) =>
        ([0, 1] as const).map(
          index =>
            // The extension stumbles over a NUL in what it asks its catalog.
            `SELECT count(*) FROM lake.results WHERE ${name === 'j' && index === 0 ? 'concat(j)' : name} = CAST(${values[name as keyof typeof values][index]} AS ${type})`,
        ),
      ),
      ...typed.map(([name]) => `SELECT count(*) FROM lake.results WHERE ${name} IS NULL`),
    )
    const sorted = (rows: readonly (readonly unknown[])[]) => rows.map(one => JSON.stringify(one)).toSorted()
    expect(sorted(found ?? [])).toEqual(sorted(own.map(one => Object.values(one))))
    expect(Object.fromEntries((described ?? []).map(([name, type]) => [name, type]))).toEqual(
      Object.fromEntries(Object.entries(types).map(([name, type]) => [name, type])),
    )
    expect(each).toEqual([...typed.flatMap(() => [[['2']], [['1']]]), ...typed.map(() => [['1']])])
  })
})
