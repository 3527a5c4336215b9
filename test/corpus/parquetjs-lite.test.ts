import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
// @ts-expect-error It comes without types.
import untyped from 'parquetjs-lite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runs } from '../engine/harness.ts'
import { sharedData } from '../shared-data.ts'
import { readParquet } from './reading.ts'

// An independent writer, and a reader where it is right: see docs/decisions/0016.
interface Field {
  readonly type?: string
  readonly compression?: string
  readonly optional?: boolean
  readonly repeated?: boolean
  readonly typeLength?: number
  readonly fields?: Readonly<Record<string, Field>>
}
interface Writer {
  appendRow(row: object): Promise<void>
  close(): Promise<void>
}
interface Reader {
  getCursor(columns?: readonly (readonly string[])[]): { next(): Promise<Readonly<Record<string, unknown>> | null> }
  close(): Promise<void>
}
interface WriterOptions {
  readonly useDataPageV2?: boolean
  readonly pageSize?: number
  readonly rowGroupSize?: number
}
const parquetjs = untyped as {
  readonly ParquetSchema: new (fields: Readonly<Record<string, Field>>) => object
  readonly ParquetWriter: { openFile(schema: object, path: string, options?: WriterOptions): Promise<Writer> }
  readonly ParquetReader: { openFile(path: string): Promise<Reader> }
}

let folder: string
let count = 0
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'millrace-parquetjs-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function write(
  fields: Readonly<Record<string, Field>>,
  rows: readonly object[],
  options: WriterOptions = {},
): Promise<string> {
  const path = join(await mkdtemp(join(folder, 'file-')), `${count++}.parquet`)
  const writer = await parquetjs.ParquetWriter.openFile(new parquetjs.ParquetSchema(fields), path, options)
  for (const row of rows) await writer.appendRow(row)
  await writer.close()
  return path
}

async function readBack(path: string, columns?: readonly string[]) {
  const reader = await parquetjs.ParquetReader.openFile(path)
  try {
    const cursor = reader.getCursor(columns?.map(column => [column]))
    const rows: Readonly<Record<string, unknown>>[] = []
    for (let row = await cursor.next(); row; row = await cursor.next()) rows.push(row)
    return rows
  } finally {
    await reader.close()
  }
}

/** What it compresses with; LZO and BROTLI are "Not Supported in Lite version". */
const compressions = ['UNCOMPRESSED', 'GZIP', 'SNAPPY']
const pages = [
  ['pages of version 1', false],
  ['pages of version 2', true],
] as const

describe.each(pages)('what parquetjs-lite writes in %s', (_, useDataPageV2) => {
  // TIME_MICROS and UINT_32 from 2^31 on it cannot write: it throws. NULL is the third row of each.
  test.each<[string, string, readonly [unknown, unknown], readonly [string, string]]>([
    ['BOOLEAN', 'BOOLEAN', [true, false], ['true', 'false']],
    ['INT32', 'INTEGER', [-2147483648, 2147483647], ['-2147483648', '2147483647']],
    ['INT64', 'BIGINT', [-5, 9007199254740991], ['-5', '9007199254740991']],
    ['FLOAT', 'FLOAT', [1.5, -0.25], ['1.5', '-0.25']],
    ['DOUBLE', 'DOUBLE', [0.1, 1e300], ['0.1', '1e+300']],
    ['BYTE_ARRAY', 'BLOB', [Buffer.from([0, 255]), Buffer.from('a')], ['00ff', '61']],
    ['FIXED_LEN_BYTE_ARRAY', 'BLOB', [Buffer.from('abc'), Buffer.from('xyz')], ['616263', '78797a']],
    ['UTF8', 'VARCHAR', ['', 'é😀'], ['', 'é😀']],
    ['ENUM', 'VARCHAR', ['a', 'b'], ['a', 'b']],
    ['TIME_MILLIS', 'VARCHAR', [1, 86_399_999], ['00:00:00.001', '23:59:59.999']],
    ['DATE', 'DATE', [new Date('2022-01-31'), new Date('1999-12-31')], ['19023', '10956']],
    ['TIMESTAMP_MILLIS', 'TIMESTAMP', [new Date(1), new Date(1_640_995_200_001)], ['1000', '1640995200001000']],
    ['TIMESTAMP_MICROS', 'TIMESTAMP', [new Date(1), new Date(1_640_995_200_001)], ['1000', '1640995200001000']],
    ['INT_8', 'TINYINT', [-128, 127], ['-128', '127']],
    ['INT_16', 'SMALLINT', [-32768, 32767], ['-32768', '32767']],
    ['INT_32', 'INTEGER', [-1, 1], ['-1', '1']],
    ['INT_64', 'BIGINT', [-1, 1], ['-1', '1']],
    ['UINT_8', 'SMALLINT', [0, 255], ['0', '255']],
    ['UINT_16', 'INTEGER', [0, 65535], ['0', '65535']],
    ['UINT_32', 'BIGINT', [0, 2147483647], ['0', '2147483647']],
    ['UINT_64', 'UBIGINT', [0, 9007199254740991], ['0', '9007199254740991']],
    ['JSON', 'JSON', [{ a: [1] }, { b: null }], ['{"a":[1]}', '{"b":null}']],
    [
      'INTERVAL',
      'VARCHAR',
      [
        { months: 1, days: 2, milliseconds: 3 },
        { months: 9, days: 1, milliseconds: 1000 },
      ],
      ['1 month 2 days 00:00:00.003', '9 months 1 day 00:00:01'],
    ],
  ])('%s is read as %s, in every codec', async (type, declared, values, expected) => {
    const typeLength = type === 'FIXED_LEN_BYTE_ARRAY' ? { typeLength: 3 } : {}
    const fields = Object.fromEntries(
      compressions.map(compression => [compression, { type, compression, optional: true, ...typeLength }]),
    )
    const row = (value: unknown) => Object.fromEntries(compressions.map(column => [column, value]))
    const path = await write(fields, [row(values[0]), row(values[1]), {}], { useDataPageV2 })
    const reading = await readParquet(path, row(declared) as Record<string, string>)
    expect(reading).toEqual({
      reason: null,
      rows: [row(expected[0]), row(expected[1]), row(null)],
      aside: [],
    })
  })

  test('repeated fields, groups and repeated groups are lists, structs and JSON', async () => {
    const path = await write(
      {
        list: { type: 'INT64', repeated: true },
        place: { optional: true, fields: { name: { type: 'UTF8', optional: true }, x: { type: 'DOUBLE' } } },
        stops: { repeated: true, fields: { name: { type: 'UTF8' }, n: { type: 'INT32', repeated: true } } },
      },
      [
        { list: [1, 2], place: { name: 'a', x: 1.5 }, stops: [{ name: 'p', n: [1, 2] }, { name: 'q' }] },
        {},
        { list: [3], place: { x: 2 }, stops: [{ name: 'r', n: [3] }] },
      ],
      { useDataPageV2 },
    )
    const columns = { list: 'BIGINT[]', 'place.name': 'VARCHAR', 'place.x': 'DOUBLE', place: 'JSON', stops: 'JSON' }
    expect((await readParquet(path, columns)).rows).toEqual([
      {
        list: '[1,2]',
        'place.name': 'a',
        'place.x': '1.5',
        place: '{"name":"a","x":1.5}',
        stops: '[{"name":"p","n":[1,2]},{"name":"q","n":[]}]',
      },
      { list: '[]', 'place.name': null, 'place.x': null, place: null, stops: '[]' },
      {
        list: '[3]',
        'place.name': null,
        'place.x': '2.0',
        place: '{"name":null,"x":2.0}',
        stops: '[{"name":"r","n":[3]}]',
      },
    ])
  })

  test('any rows in any cut into pages and row groups come back, by both readers', async () => {
    const row = fc.record(
      {
        i: fc.maxSafeInteger(),
        // It writes -0 as 0, and DuckDB's text of an infinity is 'inf', no number of JavaScript.
        d: fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => value + 0),
        s: fc.string({ unit: 'binary', maxLength: 5 }).filter(text => !/\0/.test(text)),
        b: fc.boolean(),
      },
      { requiredKeys: ['i'] },
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(row, { minLength: 1, maxLength: 40 }),
        fc.constantFrom(...compressions),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 1, max: 20 }),
        async (rows, compression, pageSize, rowGroupSize) => {
          const field = (type: string) => ({ type, compression, optional: type !== 'INT64' })
          const fields = { i: field('INT64'), d: field('DOUBLE'), s: field('UTF8'), b: field('BOOLEAN') }
          const path = await write(fields, rows, { useDataPageV2, pageSize, rowGroupSize })
          const reading = await readParquet(path, { i: 'BIGINT', d: 'DOUBLE', s: 'VARCHAR', b: 'BOOLEAN' })
          expect(
            reading.rows.map(({ i, d, s, b }) => [
              Number(i),
              d === null ? null : Number(d),
              s,
              b === null ? null : b === 'true',
            ]),
          ).toEqual(rows.map(({ i, d, s, b }) => [i, d === undefined ? null : d, s ?? null, b ?? null]))
          expect((await readBack(path)).map(({ i, s }) => [Number(i), s ?? null])).toEqual(
            rows.map(({ i, s }) => [i, s ?? null]),
          )
        },
      ),
      runs(15),
    )
  })
})

describe('parquetjs-lite as a reader', () => {
  const corpus = sharedData('parquet-testing')
  const months = sharedData('tlc')

  // The columns whose encodings and types it knows.
  test.skipIf(!corpus.isThere).each([
    ['alltypes_plain.parquet', { id: 'INTEGER', bool_col: 'BOOLEAN', bigint_col: 'BIGINT', double_col: 'DOUBLE' }],
    [
      'alltypes_tiny_pages.parquet',
      { id: 'INTEGER', bool_col: 'BOOLEAN', bigint_col: 'BIGINT', string_col: 'VARCHAR' },
    ],
    ['datapage_v1-snappy-compressed-checksum.parquet', { a: 'INTEGER', b: 'INTEGER' }],
    ['int32_with_null_pages.parquet', { int32_field: 'INTEGER' }],
  ])('agrees on %s', async (key, columns) => {
    const path = join(corpus.path, key)
    const text = (value: unknown) =>
      value === null || value === undefined ? null : Number.isNaN(Number(value)) ? `${value as string}` : Number(value)
    const cells = (rows: readonly Readonly<Record<string, unknown>>[]) =>
      rows.map(row =>
        Object.keys(columns).map(column => (typeof row[column] === 'boolean' ? `${row[column]}` : text(row[column]))),
      )
    const reading = await readParquet(path, columns)
    expect(cells(reading.rows)).toEqual(cells(await readBack(path, Object.keys(columns))))
  })

  test.skipIf(!corpus.isThere)('reads a page whose checksum is wrong, so it cannot tell what is broken', async () => {
    expect(await readBack(join(corpus.path, 'datapage_v1-corrupt-checksum.parquet'))).toHaveLength(5120)
  })

  test.skipIf(!months.isThere)('fails on every real month of New York’s TLC, at its times', async () => {
    for (const key of (await readdir(months.path)).filter(name => name.startsWith('green')))
      await expect(readBack(join(months.path, key), ['lpep_pickup_datetime'])).rejects.toThrow('Cannot mix BigInt')
  })
})

test('a column and a field of a struct is read by its own name, whatever DuckDB makes of names that differ by case', async () => {
  const names = fc.uniqueArray(
    fc.constantFrom('a', 'A', 'a_1', 'A_1', 'a_2', 'ab', 'AB', 'aB', 'AB_1', '0', 'É', 'é'),
    {
      minLength: 1,
      maxLength: 8,
    },
  )
  await fc.assert(
    fc.asyncProperty(names, names, fc.nat(), async (columns, fields, seed) => {
      const numbered = (of: readonly string[]) => Object.fromEntries(of.map((name, index) => [name, index + 1]))
      const schema = (of: readonly string[]) => Object.fromEntries(of.map(name => [name, { type: 'INT64' }]))
      const path = await write({ ...schema(columns), s: { fields: schema(fields) } }, [
        { ...numbered(columns), s: numbered(fields) },
      ])
      const own = { ...numbered(columns), ...Object.fromEntries(fields.map((name, index) => [`s.${name}`, index + 1])) }
      // Of names that a pipeline cannot declare beside one another one is picked.
      const picked = Object.entries(own).filter(([name], at, all) => {
        const twins = all.filter(([other]) => other.toLowerCase() === name.toLowerCase())
        return twins[seed % twins.length]?.[0] === name
      })
      const { reason, rows } = await readParquet(path, Object.fromEntries(picked.map(([name]) => [name, 'BIGINT'])))
      expect(reason).toBeNull()
      expect(rows).toEqual([Object.fromEntries(picked.map(([name, value]) => [name, String(value)]))])
    }),
    runs(40),
  )
})
