import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { RowsSource } from '../../checkpoints/checkpoint-store.ts'
import type { Executor } from '../../src/core/ports.ts'
import type { TextRows } from '../../src/core/text-rows.ts'
import { withRows } from '../../src/engine/state/channels.ts'
import { openSession, type Session } from '../../src/engine/duckdb/session.ts'
import { text } from '../../src/plan/sql.ts'
import { counter } from '../checkpoints/fixtures.ts'
import { runs } from './harness.ts'

let session: Session
let executor: Executor
let folder: string
beforeAll(async () => {
  session = await openSession({ threads: 1 })
  executor = await session.executor(new AbortController().signal)
  folder = session.stage
})
afterAll(() => session.close())

const newId = counter('rows')

// ---- Values of every type that a channel may hold, as SQL. ------------------------------------------------------

const whole = (bits: number, signed: boolean) =>
  signed
    ? fc.bigInt({ min: -(2n ** BigInt(bits - 1)), max: 2n ** BigInt(bits - 1) - 1n })
    : fc.bigInt({ min: 0n, max: 2n ** BigInt(bits) - 1n })
const cast = (type: string) => (value: unknown) => `CAST('${String(value)}' AS ${type})`
const floating = (type: string, value: fc.Arbitrary<number>) =>
  value.map(v => `CAST('${Object.is(v, -0) ? '-0.0' : v}' AS ${type})`)
const decimal = (width: number, scale: number) =>
  fc.bigInt({ min: -(10n ** BigInt(width)) + 1n, max: 10n ** BigInt(width) - 1n }).map(units => {
    const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, '0')
    const at = digits.length - scale
    return `CAST('${units < 0n ? '-' : ''}${digits.slice(0, at)}.${digits.slice(at)}' AS DECIMAL(${width},${scale}))`
  })
const varchar = fc
  .oneof(
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.constantFrom('', '\0', 'a\0b', '\u001b[0m', '\ufffd', '🦆', 'NULL', '{"a": 1}', '\\x00', "'", '"'),
  )
  .map(text)
/** Those of DuckDB's range, which ends at 294247-01-10 and begins in 290309 BC. */
const micros = fc.oneof(
  fc.bigInt({ min: -9_223_372_022_400_000_000n, max: 9_223_372_036_854_775_806n }),
  fc.constantFrom(-1n, 0n, 1n, 2n ** 53n + 1n),
)
const timestamp = fc.oneof(
  micros.map(us => `make_timestamp(CAST('${us}' AS BIGINT))`),
  fc.constantFrom(`TIMESTAMP 'infinity'`, `TIMESTAMP '-infinity'`),
)
const date = fc.oneof(
  fc.integer({ min: -2_147_483_646, max: 2_145_031_948 }).map(days => `(DATE '1970-01-01' + CAST(${days} AS INTEGER))`),
  fc.constantFrom(`DATE 'infinity'`, `DATE '-infinity'`),
)
const blob = fc.uint8Array({ maxLength: 9 }).map(bytes => `from_hex('${Buffer.from(bytes).toString('hex')}')`)

const scalars: Readonly<Record<string, fc.Arbitrary<string>>> = {
  BOOLEAN: fc.boolean().map(String),
  TINYINT: whole(8, true).map(cast('TINYINT')),
  SMALLINT: whole(16, true).map(cast('SMALLINT')),
  INTEGER: whole(32, true).map(cast('INTEGER')),
  BIGINT: whole(64, true).map(cast('BIGINT')),
  UTINYINT: whole(8, false).map(cast('UTINYINT')),
  USMALLINT: whole(16, false).map(cast('USMALLINT')),
  UINTEGER: whole(32, false).map(cast('UINTEGER')),
  UBIGINT: whole(64, false).map(cast('UBIGINT')),
  FLOAT: floating('FLOAT', fc.float()),
  DOUBLE: floating('DOUBLE', fc.oneof(fc.double(), fc.constantFrom(-0, 5e-324, -5e-324, Number.NaN, 1 / 3))),
  'DECIMAL(4,1)': decimal(4, 1),
  'DECIMAL(9,0)': whole(28, true).map(cast('DECIMAL(9,0)')),
  'DECIMAL(18,3)': decimal(18, 3),
  'DECIMAL(38,10)': decimal(38, 10),
  VARCHAR: varchar,
  BLOB: blob,
  UUID: fc.uuid().map(cast('UUID')),
  DATE: date,
  TIME: fc.integer({ min: 0, max: 86_399_999_999 }).map(us => `CAST(make_timestamp(${us}) AS TIME)`),
  TIMESTAMP: timestamp,
  'TIMESTAMP WITH TIME ZONE': fc.oneof(
    // ICU, which makes them here, ends a little earlier.
    micros
      .filter(us => us < 9_000_000_000_000_000_000n && us > -9_000_000_000_000_000_000n)
      .map(us => `timezone('UTC', make_timestamp(CAST('${us}' AS BIGINT)))`),
    fc.constantFrom(`TIMESTAMPTZ 'infinity'`, `TIMESTAMPTZ '-infinity'`),
  ),
  JSON: fc.json().map(value => `CAST(${text(value.replaceAll(/\\ud[89a-f][0-9a-f]{2}/gi, ''))} AS JSON)`),
}
/** Those that Parquet does not keep. */
const others: Readonly<Record<string, fc.Arbitrary<string>>> = {
  HUGEINT: whole(128, true).map(cast('HUGEINT')),
  UHUGEINT: whole(128, false).map(cast('UHUGEINT')),
  INTERVAL: fc
    .tuple(fc.integer({ min: -999, max: 999 }), fc.integer({ min: -999, max: 999 }), fc.maxSafeInteger())
    .map(([months, days, us]) => `(to_months(${months}) + to_days(${days}) + to_microseconds(${us}))`),
}

const orNull = (value: fc.Arbitrary<string>) => fc.option(value, { nil: 'NULL', freq: 6 })
const list = (item: fc.Arbitrary<string>) =>
  fc.array(orNull(item), { maxLength: 3 }).map(items => `[${items.join(', ')}]`)
const of = (type: string) => scalars[type] as fc.Arbitrary<string>
const nested: Readonly<Record<string, fc.Arbitrary<string>>> = {
  ...Object.fromEntries(Object.entries(scalars).map(([type, value]) => [`${type}[]`, list(value)])),
  'DOUBLE[][]': list(list(of('DOUBLE'))),
  'STRUCT("at" BIGINT, "row ""x""" VARCHAR, "0" DOUBLE, "value" DECIMAL(18,3))': fc
    .tuple(orNull(of('BIGINT')), orNull(varchar), orNull(of('DOUBLE')), orNull(of('DECIMAL(18,3)')))
    .map(([at, row, zero, value]) => `{'at': ${at}, 'row "x"': ${row}, '0': ${zero}, 'value': ${value}}`),
  'STRUCT("value" BLOB, "count" BIGINT)[]': list(
    fc.tuple(orNull(blob), orNull(of('BIGINT'))).map(([value, count]) => `{'value': ${value}, 'count': ${count}}`),
  ),
  'STRUCT("v" TIMESTAMP[], "s" STRUCT("a" UUID))': fc
    .tuple(orNull(list(timestamp)), orNull(of('UUID')))
    .map(([v, a]) => `{'v': ${v}, 's': {'a': ${a}}}`),
  'MAP(VARCHAR, DOUBLE)': fc
    .uniqueArray(fc.tuple(fc.constantFrom('a', '', 'key "x"', '\0'), orNull(of('DOUBLE'))), {
      selector: ([key]) => key,
      maxLength: 3,
    })
    .map(entries => `map {${entries.map(([key, value]) => `${text(key)}: ${value}`).join(', ')}}`),
}

/** Rows as VALUES of the columns c0, c1, ... */
function rowsOf(types: Readonly<Record<string, fc.Arbitrary<string>>>): fc.Arbitrary<readonly (readonly string[])[]> {
  return fc.array(fc.tuple(...Object.values(types).map(orNull)), { minLength: 1, maxLength: 6 })
}

/** Lets `use` ask for the rows as a table. */
async function withTable<T>(
  types: readonly string[],
  rows: readonly (readonly string[])[],
  use: (table: string) => Promise<T>,
): Promise<T> {
  try {
    await executor.run(`CREATE TABLE original (n BIGINT, ${types.map((type, i) => `c${i} ${type}`).join(', ')})`)
    const values = rows.map((row, n) => `(${n}, ${row.join(', ')})`)
    await executor.run(`INSERT INTO original VALUES ${values.join(', ')}`)
    return await use('original')
  } finally {
    await executor.run('DROP TABLE IF EXISTS original')
  }
}

/** As HEAD keeps them. */
async function kept(query: string): Promise<TextRows> {
  const found = await executor.textRows(query, ['n'])
  if (!found) throw new Error(`no text: ${query}`)
  return JSON.parse(JSON.stringify(found)) as TextRows
}

const bytesOf = async (query: string) => (await executor.write(query, join(folder, newId()), [])).sha256

async function checkSame(name: string, types: readonly string[], check: (query: string) => Promise<unknown>) {
  const rows = await kept(`SELECT * FROM ${name}`)
  expect(Object.values(rows.columns).slice(1)).toEqual(types)
  await withRows(executor, [{ text: rows }], newId, async again => {
    expect(await executor.describe(`SELECT * FROM ${again}`)).toEqual(await executor.describe(`SELECT * FROM ${name}`))
    expect(await check(`SELECT * FROM ${again}`)).toEqual(await check(`SELECT * FROM ${name} ORDER BY n`))
  })
}

// ---- The properties. --------------------------------------------------------------------------------------------

const textOf = (query: string) => executor.rows(`SELECT CAST(COLUMNS(*) AS VARCHAR) FROM (${query})`)

describe('rows as text', () => {
  test.each([
    ['values', scalars, bytesOf],
    ['lists, structs and maps', nested, bytesOf],
    ['what Parquet does not keep', others, textOf],
  ] as const)('give the same Parquet, byte for byte, as the rows themselves: %s (P3)', async (_what, types, check) => {
    const names = Object.keys(types)
    await fc.assert(
      fc.asyncProperty(rowsOf(types), rows => withTable(names, rows, name => checkSame(name, names, check))),
      runs(25),
    )
  })

  test('merge to the same file, byte for byte, as files of Parquet do, also where some are text and some are files (P3)', async () => {
    const types = { ...scalars, ...nested }
    const names = Object.keys(types)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(rowsOf(types), fc.boolean()), { minLength: 2, maxLength: 5 }), async parts => {
        const sources: RowsSource[] = []
        const files: RowsSource[] = []
        for (const [rows, isText] of parts) {
          await withTable(names, rows, async name => {
            const { file } = await executor.write(`SELECT * FROM ${name}`, join(folder, newId()), ['n'])
            files.push({ file })
            sources.push(isText ? { text: await kept(`SELECT * FROM ${name}`) } : { file })
          })
        }
        const merged = (from: readonly RowsSource[]) =>
          withRows(executor, from, newId, rows => bytesOf(`SELECT * FROM ${rows}`))
        expect(await merged(sources)).toBe(await merged(files))
      }),
      runs(10),
    )
  })

  test('hold what DuckDB can: half a character is no text there', async () => {
    await expect(executor.rows('SELECT chr(55296)')).rejects.toThrow('Invalid UTF8 Codepoint')
  })

  test('are none for a type that no channel has: those rows go into a file', async () => {
    expect(await executor.textRows(`SELECT 'a'::ENUM('a') AS e`, [])).toBeUndefined()
    expect(await executor.textRows(`SELECT ['1'::BIT] AS b`, [])).toBeUndefined()
  })

  test('are none where an object would not keep the columns in their places: those rows go into a file', async () => {
    expect(await executor.textRows(`SELECT 'a' AS object, 5::BIGINT AS "2024", 6::BIGINT AS x`, [])).toBeUndefined()
    expect(await executor.textRows(`SELECT 1 AS a, 2 AS b, 3 AS a`, [])).toBeUndefined()
    const first = await executor.textRows(`SELECT 5::BIGINT AS "2024", 'a' AS object, 'b' AS "02"`, [])
    expect(first?.rows).toEqual([[5, 'a', 'b']])
  })

  test('of parts with other columns stand side by side, NULL where a part has none', async () => {
    const old = { columns: { a: 'BIGINT' }, rows: [[1], [2]] }
    const later = { columns: { b: 'VARCHAR', a: 'BIGINT' }, rows: [['x', 3]] }
    const rows = await withRows(executor, [{ text: old }, { text: later }, { text: old }], newId, from =>
      executor.rows(`SELECT * FROM ${from}`),
    )
    expect(rows).toEqual([
      { a: 1n, b: null },
      { a: 2n, b: null },
      { a: 3n, b: 'x' },
      { a: 1n, b: null },
      { a: 2n, b: null },
    ])
    expect(await executor.rows('SELECT count(*) AS n FROM duckdb_tables()')).toEqual([{ n: 0n }])
  })
})
