import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createDirectoryStore } from '../../../connectors/directory/store.ts'
import { delta, type DeltaOptions } from '../../../connectors/delta/spec.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { openLakeReaders } from '../../servers/lake-readers.ts'
import { lentDuckdb } from '../lake/duckdb.ts'
import { entriesOf, openSink, publish, writeRows } from './fixtures.ts'
import { readTable, type Row } from './readers.ts'

const readers = await serverFor(openLakeReaders)
const lent = lentDuckdb()

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-delta-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

async function open(columns: Readonly<Record<string, string>>, options: DeltaOptions = {}) {
  const store = createDirectoryStore(folder)
  const sink = delta(folder, options as DeltaOptions<never>)
  const port = await openSink(store, lent, options, { columns })
  await port.own(true, 1)
  const write = (sql: string) => writeRows(lent, sink, columns, sql)
  return { store, port, write }
}

const byKey = (rows: readonly Row[]) => rows.toSorted((a, b) => (String(a.k) < String(b.k) ? -1 : 1))

/** A column type, and values: in SQL of DuckDB, and as readers in Python have them. */
const cases: readonly (readonly [type: string, values: readonly (readonly [string, unknown])[]])[] = [
  [
    'BOOLEAN',
    [
      ['true', true],
      ['false', false],
    ],
  ],
  [
    'TINYINT',
    [
      ['-128', '-128'],
      ['127', '127'],
    ],
  ],
  ['SMALLINT', [['-32768', '-32768']]],
  ['INTEGER', [['-2147483648', '-2147483648']]],
  [
    'BIGINT',
    [
      ['-9223372036854775808', '-9223372036854775808'],
      ['9223372036854775807', '9223372036854775807'],
    ],
  ],
  ['UBIGINT', [['18446744073709551615', '18446744073709551615']]],
  [
    'FLOAT',
    [
      ["'nan'", 'nan'],
      ['0.5', 0.5],
      ["'-inf'", '-inf'],
    ],
  ],
  [
    'DOUBLE',
    [
      ["'nan'", 'nan'],
      ['0.1::DOUBLE + 0.2::DOUBLE', 0.30000000000000004],
      ['5e-324', 5e-324],
    ],
  ],
  [
    'DECIMAL(4,1)',
    [
      ['-0.1', '-0.1'],
      ['999.9', '999.9'],
    ],
  ],
  ['DECIMAL(18,2)', [['1234567890123456.78', '1234567890123456.78']]],
  ['DECIMAL(38,0)', [["'99999999999999999999999999999999999999'", '99999999999999999999999999999999999999']]],
  [
    'VARCHAR',
    [
      ["''", ''],
      ["'NULL'", 'NULL'],
      ["'çß漢🚀'", 'çß漢🚀'],
      ["'a' || chr(0) || 'b'", 'a\0b'],
      ["repeat('ÿ', 40)", 'ÿ'.repeat(40)],
    ],
  ],
  ['UUID', [["'01234567-89ab-cdef-0123-456789abcdef'", '01234567-89ab-cdef-0123-456789abcdef']]],
  [
    'BLOB',
    [
      ["'\\x00\\xFF\\x5C'", '00ff5c'],
      ["''", ''],
    ],
  ],
  [
    'DATE',
    [
      ["'2024-02-29'", '2024-02-29'],
      ["'1583-01-01'", '1583-01-01'],
      ["'9999-12-31'", '9999-12-31'],
    ],
  ],
  [
    'TIMESTAMP',
    [
      ["'2024-03-31 01:02:03.000001'", '2024-03-31 01:02:03.000001'],
      ["'1600-01-01'", '1600-01-01 00:00:00'],
    ],
  ],
  ['TIMESTAMPTZ', [["'2024-03-31 01:02:03.123456+02'", '2024-03-30 23:02:03.123456+00']]],
  ['JSON', [[`'{"b":1.0,"a":[1,null],"a":"\\u0000"}'`, '{"b":1.0,"a":[1,null],"a":"\\u0000"}']]],
  [
    'BIGINT[]',
    [
      ['[1, NULL, -3]', ['1', null, '-3']],
      ['[]', []],
    ],
  ],
  ['UBIGINT[]', [['[18446744073709551615]', ['18446744073709551615']]]],
  ['TIMESTAMPTZ[]', [["['2024-01-01 00:00:00+00']", ['2024-01-01 00:00:00+00']]]],
  ['STRUCT(value DOUBLE, count BIGINT)[]', [["[{'value': 0.5, 'count': 2}]", [{ value: 0.5, count: '2' }]]]],
]

describe.skipIf(!readers)('two foreign readers', () => {
  test.each([{}, { key: ['n'] }])(
    'have every value of every type, with %j',
    async options => {
      if (!readers) return
      const columns = Object.fromEntries(cases.map(([type], index) => [`v${index}`, type]))
      const { port, write } = await open({ n: 'INTEGER NOT NULL', ...columns }, options)
      const valuesOf = (n: number) => cases.map(([, values]) => values[n] ?? (['NULL', null] as const))
      const numbers = [0, 1, 2, 3, 4, 5]
      const row = (n: number) =>
        `SELECT ${n}::INTEGER AS n, ${valuesOf(n)
          .map(([value], index) => `(${value})::${cases[index]?.[0]} AS v${index}`)
          .join(', ')}`
      await publish(port, 1, await write(numbers.map(row).join(' UNION ALL ')))
      const expected = numbers.map(n => ({
        n: String(n),
        ...Object.fromEntries(valuesOf(n).map(([, value], index) => [`v${index}`, value])),
      }))
      for (const found of await readTable(readers, folder)) expect(found).toEqual(expected)
      // Its own table fits again.
      await port.own(false, 2)
    },
    60_000,
  )

  test('find by the bounds of files what is there', async () => {
    if (!readers) return
    const { port, write } = await open({ u: 'TIMESTAMPTZ', t: 'TIMESTAMP', s: 'VARCHAR', d: 'DECIMAL(20,3)' })
    const row = (us: string, s: string, d: string) =>
      `SELECT TIMESTAMPTZ '2024-01-01 00:00:00${us}+00' AS u, TIMESTAMP '2024-01-01 00:00:00${us}' AS t, ${s} AS s, ${d}::DECIMAL(20,3) AS d`
    await publish(port, 1, await write(row('.000999', "repeat('z', 33)", '12345678901234567.125')))
    await publish(port, 2, await write(row('.5', "'a'", '0.1')))
    for (const where of [
      "WHERE u = TIMESTAMPTZ '2024-01-01 00:00:00.000999+00'",
      "WHERE t >= TIMESTAMP '2024-01-01 00:00:00.000999' AND t < TIMESTAMP '2024-01-01 00:00:00.1'",
      "WHERE s = repeat('z', 33)",
      'WHERE d = 12345678901234567.125',
    ]) {
      const [, ours] = await readTable(readers, folder, where)
      expect(ours, where).toMatchObject([{ d: '12345678901234567.125' }])
    }
  }, 60_000)

  test('have partitions with their values', async () => {
    if (!readers) return
    const columns = { k: 'INTEGER', zone: 'VARCHAR', day: 'DATE', n: 'DECIMAL(9,2)' }
    const sql =
      "SELECT * FROM (VALUES (1, 'a b/ü%=', DATE '2024-01-01', 1.50), (2, NULL, NULL, NULL), (3, 'a b/ü%=', DATE '2024-01-01', 1.50)) AS r(k, zone, day, n)"
    const expected = [
      { k: '1', zone: 'a b/ü%=', day: '2024-01-01', n: '1.50' },
      { k: '2', zone: null, day: null, n: null },
      { k: '3', zone: 'a b/ü%=', day: '2024-01-01', n: '1.50' },
    ]
    for (const key of [undefined, ['k'], ['zone', 'k']]) {
      const { store, port, write } = await open(columns, { partitionBy: ['zone', 'day', 'n'], ...(key && { key }) })
      await publish(port, 1, await write(sql))
      const adds = (await entriesOf(store)).flat().flatMap(({ add }) => add ?? [])
      expect(
        adds.map(({ partitionValues }) => partitionValues).toSorted((a, b) => (a.zone ? 1 : 0) - (b.zone ? 1 : 0)),
      ).toEqual([
        { zone: null, day: null, n: null },
        { zone: 'a b/ü%=', day: '2024-01-01', n: '1.50' },
      ])
      for (const found of await readTable(readers, folder)) expect(byKey(found)).toEqual(expected)
      if (key) {
        // It moves to another partition.
        await publish(
          port,
          2,
          await write("SELECT 2::INTEGER AS k, NULL::VARCHAR AS zone, DATE '2024-01-02' AS day, 1.50 AS n"),
        )
        for (const found of await readTable(readers, folder))
          expect(byKey(found)).toEqual(
            expected.map(row => (row.k === '2' ? { ...row, day: '2024-01-02', n: '1.50' } : row)),
          )
      }
      await rm(folder, { recursive: true, force: true })
    }
  }, 60_000)
})
