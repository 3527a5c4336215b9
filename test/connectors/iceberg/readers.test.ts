import { describe, expect, test } from 'vitest'
import { serverFor } from '../../servers/for-tests.ts'
import { openLakeReaders } from '../../servers/lake-readers.ts'
import { keysOf } from '../../checkpoints/fixtures.ts'
import { metadataOf, openTableLab } from './fixtures.ts'

const readers = await serverFor(openLakeReaders)

/** All rows as text, by pyiceberg and by DuckDB's extension, each in order. */
const readAll = `
import glob, re
from pyiceberg.table import StaticTable
folder, order = args[0], args[1]
newest = max(glob.glob(folder + '/metadata/v*.metadata.json'), key=lambda path: int(re.search(r'v(\\d+)\\.', path).group(1)))
table = StaticTable.from_metadata(newest)
arrow = table.scan().to_arrow()
connection = duckdb_with('avro', 'iceberg')
texts = 'SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (SELECT * FROM {} ORDER BY {})'
by_pyiceberg = connection.execute(texts.format('arrow', order)).fetchall()
by_duckdb = connection.execute(texts.format("iceberg_scan('" + folder + "')", order)).fetchall()
filtered = [len(table.scan(row_filter=each).to_arrow()) for each in args[2:]]
answer([by_pyiceberg, by_duckdb, filtered])
`
const ask = async (folder: string, order: string, ...filters: string[]) =>
  (await readers?.ask(readAll, folder, order, ...filters)) as [unknown, unknown, number[]]

const everyType = {
  n: 'INTEGER',
  yes: 'BOOLEAN',
  tiny: 'TINYINT',
  small: 'SMALLINT',
  big: 'BIGINT',
  unsigned: 'UBIGINT',
  single: 'FLOAT',
  double: 'DOUBLE',
  money: 'DECIMAL(18,2)',
  total: 'DECIMAL(38,0)',
  name: 'VARCHAR',
  id: 'UUID',
  raw: 'BLOB',
  day: 'DATE',
  at: 'TIMESTAMP',
  zoned: 'TIMESTAMPTZ',
  doc: 'JSON',
  tags: 'VARCHAR[]',
  top: 'STRUCT(value VARCHAR, count BIGINT)[]',
} as const

const rowsOfEveryType = `
  SELECT * FROM (VALUES
    (1, true, (-128)::TINYINT, (-32768)::SMALLINT, (-9223372036854775808)::BIGINT, 0::UBIGINT, (-1.5)::FLOAT, 'NaN'::DOUBLE,
     (-1234567890123456.78)::DECIMAL(18,2), (-99999999999999999999999999999999999999)::DECIMAL(38,0), 'naïve 💡 and a text that is longer than bounds',
     '00000000-0000-0000-0000-000000000001'::UUID, '\\x00\\xFF'::BLOB, DATE '0001-01-01', TIMESTAMP '1969-12-31 23:59:59.999999',
     TIMESTAMPTZ '2024-03-31 01:30:00.000001+00', '{"a": 1.50}'::JSON, ['a', NULL, ''], [{'value': 'x', 'count': 2}]),
    (2, false, 127, 32767, 9223372036854775807, 18446744073709551615, 'inf'::FLOAT, 1e308,
     9999999999999999.99, 99999999999999999999999999999999999999, '', 'ffffffff-ffff-ffff-ffff-ffffffffffff', ''::BLOB, DATE '9999-12-31',
     TIMESTAMP '9999-12-31 23:59:59.999999', TIMESTAMPTZ '1900-01-01 00:00:00+00', 'null', [], []),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
  ) AS t(${Object.keys(everyType)
    .map(name => `"${name}"`)
    .join(', ')})`

describe.skipIf(!readers)('tables of Iceberg as others read them', () => {
  test('have every type of a column, to the last digit', async () => {
    const lab = await openTableLab(everyType)
    try {
      const port = await lab.openAs('a')
      await port.own(true, 1)
      await lab.publish(port, 1, rowsOfEveryType)
      const expected = await lab.executor.rows(
        `SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (${rowsOfEveryType}) ORDER BY n`,
      )
      const filters = [
        'big > 5',
        "name == ''",
        'double > 100000.5',
        "day < '1000-01-01'",
        'unsigned == 18446744073709551615',
      ]
      const [byPyiceberg, byDuckdb, counts] = await ask(lab.folder, 'n', ...filters)
      const rows = expected.map(row => Object.values(row))
      expect(byDuckdb).toEqual(rows)
      // To pyiceberg 0.12 a NULL list of structs is an empty one.
      expect(byPyiceberg).toEqual(rows.map((row, index) => (index < 2 ? row : [...row.slice(0, -1), '[]'])))
      expect(counts).toEqual([1, 1, 1, 1, 1])
    } finally {
      await lab.close()
    }
  })

  test('are parted by columns and by parts of the calendar, in UTC and before 1970', async () => {
    const columns = { at: 'TIMESTAMP', zone: 'VARCHAR', n: 'BIGINT', day: 'DATE' } as const
    const partitionBy = [{ hour: 'at' }, 'zone', { month: 'day' }] as const
    const lab = await openTableLab(columns, { partitionBy })
    try {
      const port = await lab.openAs('a')
      await port.own(true, 1)
      const rows =
        "SELECT TIMESTAMP '1969-12-31 22:30:00' + INTERVAL (i * 45) MINUTE AS at, CASE i % 3 WHEN 0 THEN NULL " +
        "WHEN 1 THEN 'a/b' ELSE '' END AS zone, i AS n, DATE '1969-12-31' + (i // 2)::INTEGER AS day FROM range(8) r(i)"
      await lab.publish(port, 1, rows)
      const expected = await lab.executor.rows(`SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (${rows}) ORDER BY n`)
      const [byPyiceberg, byDuckdb, counts] = await ask(
        lab.folder,
        'n',
        "at < '1970-01-01T00:00:00'",
        "zone == 'a/b'",
        "day >= '1970-01-01' and day < '1970-02-01'",
      )
      expect(byPyiceberg).toEqual(expected.map(row => Object.values(row)))
      expect(byDuckdb).toEqual(expected.map(row => Object.values(row)))
      expect(counts).toEqual([2, 3, 6])
    } finally {
      await lab.close()
    }
  })

  test('with a key have the last row of each, through files that are written anew', async () => {
    const columns = { k: 'BIGINT', zone: 'VARCHAR', n: 'DECIMAL(10,2)' } as const
    const lab = await openTableLab(columns, { key: ['k'], partitionBy: ['zone'] })
    try {
      const port = await lab.openAs('a')
      await port.own(true, 1)
      const expected = new Map<number, readonly [string, string]>()
      for (let epoch = 1; epoch <= 6; epoch++) {
        const rows = Array.from(
          { length: 5 },
          (_, i) => [(epoch * 3 + i) % 11, `z${(epoch + i) % 3}`, epoch + i / 4] as const,
        )
        for (const [k, zone, n] of rows) expected.set(k, [zone, n.toFixed(2)])
        const values = rows.map(([k, zone, n]) => `(${k}, '${zone}', ${n})`).join(', ')
        await lab.publish(port, epoch, `SELECT * FROM (VALUES ${values}) t(k, zone, n)`)
      }
      const sorted = [...expected].toSorted(([a], [b]) => a - b).map(([k, rest]) => [String(k), ...rest])
      const [byPyiceberg, byDuckdb] = await ask(lab.folder, 'k')
      expect(byPyiceberg).toEqual(sorted)
      expect(byDuckdb).toEqual(sorted)
    } finally {
      await lab.close()
    }
  })

  test('stay small: manifests are merged, snapshots and metadata expire, and all rows are there', async () => {
    const lab = await openTableLab({ n: 'BIGINT' }, { snapshotsMax: 30 })
    try {
      const port = await lab.openAs('a')
      await port.own(true, 1)
      const epochs = 230
      const most = { manifests: 0, metadata: 0, versions: 0 }
      for (let epoch = 1; epoch <= epochs; epoch++) {
        lab.later(1_000)
        await lab.publish(port, epoch, `SELECT ${epoch}::BIGINT AS n`)
        if (epoch % 10 !== 0) continue
        const keys = await keysOf(lab.store, 'metadata/')
        most.manifests = Math.max(most.manifests, keys.filter(key => key.endsWith('-m0.avro')).length)
        most.metadata = Math.max(most.metadata, keys.length)
        most.versions = Math.max(most.versions, keys.filter(key => key.endsWith('.metadata.json')).length)
      }
      const table = await metadataOf(lab.store)
      expect(table?.snapshots.length).toBeLessThanOrEqual(30 + 20)
      // A hundred small ones, and those of snapshots that are kept.
      expect(most.manifests).toBeLessThanOrEqual(100 + 2 + 30 + 20)
      expect(most.metadata).toBeLessThanOrEqual(100 + 2 + 2 * (30 + 20) + 102)
      // The one in force and a hundred before it, and one that an expiry has made since.
      expect(most.versions).toBeLessThanOrEqual(102)
      const [byPyiceberg, byDuckdb] = await ask(lab.folder, 'n')
      const expected = Array.from({ length: epochs }, (_, i) => [String(i + 1)])
      expect(byPyiceberg).toEqual(expected)
      expect(byDuckdb).toEqual(expected)
    } finally {
      await lab.close()
    }
  })
})
