import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseColumnType, sqlNames } from '../../src/core/types.ts'
import { checkedCast, type ColumnsAre } from '../../src/plan/checked-cast.ts'
import { openTestDuckdb, type TestDuckdb } from './duckdb.ts'

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

interface Outcome {
  readonly misfit: boolean
  readonly value: string | null
  readonly type: string
}

/** Casts a value read from a table, so that nothing is folded before it runs. */
async function cast(literal: string, declared: string, columns: ColumnsAre): Promise<Outcome | 'impossible'> {
  const type = parseColumnType(declared, 'columns.c')
  const source = `(SELECT ${literal} AS c FROM range(1))`
  const physical = (await db.describe(`SELECT c FROM ${source}`)).c ?? ''
  const checked = checkedCast('c', physical, type, columns)
  if ('impossible' in checked) return 'impossible'
  const misfit = checked.misfit?.('v') ?? 'false'
  const [row] = await db.rows(
    `SELECT ${misfit} AS misfit, CASE WHEN ${misfit} THEN NULL ELSE CAST(v AS VARCHAR) END AS "value",
            typeof(v) AS "type" FROM (SELECT c, ${checked.value} AS v FROM ${source})`,
  )
  expect(row?.misfit).not.toBeNull()
  return row as unknown as Outcome
}

const sqlType = (declared: string) =>
  parseColumnType(declared, 'c').sql.replace('TIMESTAMPTZ', 'TIMESTAMP WITH TIME ZONE')

const fits: readonly (readonly [literal: string, declared: string, value: string])[] = [
  // Text to integers: by exact value.
  ["'12'", 'BIGINT', '12'],
  ["'+12'", 'INTEGER', '12'],
  ["'1.0'", 'INTEGER', '1'],
  ["'1.'", 'INTEGER', '1'],
  ["'1e3'", 'INTEGER', '1000'],
  ["'1000.0'", 'INTEGER', '1000'],
  ["'1.5e1'", 'INTEGER', '15'],
  ["'10e-1'", 'INTEGER', '1'],
  ["'1e18'", 'BIGINT', '1000000000000000000'],
  ["'1.0e18'", 'BIGINT', '1000000000000000000'],
  ["'123456789012345e3'", 'BIGINT', '123456789012345000'],
  ["'9223372036854775807'", 'BIGINT', '9223372036854775807'],
  ["'-9223372036854775808'", 'BIGINT', '-9223372036854775808'],
  ["'9007199254740993.0'", 'BIGINT', '9007199254740993'],
  ["'18446744073709551615'", 'UBIGINT', '18446744073709551615'],
  ["'-0'", 'TINYINT', '0'],
  ["'0.000'", 'TINYINT', '0'],
  // Numbers to integers.
  ['2.0::DOUBLE', 'BIGINT', '2'],
  ['-0.0::DOUBLE', 'BIGINT', '0'],
  ['9007199254740992::DOUBLE', 'BIGINT', '9007199254740992'],
  ['2.00::DECIMAL(18,2)', 'INTEGER', '2'],
  ['127::HUGEINT', 'TINYINT', '127'],
  ['4294967295::UINTEGER', 'BIGINT', '4294967295'],
  ['300::USMALLINT', 'SMALLINT', '300'],
  // To DECIMAL.
  ["'12.34'", 'DECIMAL(18,2)', '12.34'],
  ["'12.340'", 'DECIMAL(18,2)', '12.34'],
  ["'.5'", 'DECIMAL(18,2)', '0.50'],
  ["'1.234e1'", 'DECIMAL(18,2)', '12.34'],
  ["'1e2'", 'DECIMAL(18,2)', '100.00'],
  ["'99999999999999999999999999999999999999'", 'DECIMAL(38,0)', '99999999999999999999999999999999999999'],
  ["'0.12345678901234567890123456789012345678'", 'DECIMAL(38,38)', '.12345678901234567890123456789012345678'],
  ['12.35::DOUBLE', 'DECIMAL(18,2)', '12.35'],
  ["'123456789012345.67'::DOUBLE", 'DECIMAL(18,2)', '123456789012345.67'],
  ["'1e22'::DOUBLE", 'DECIMAL(38,2)', '10000000000000000000000.00'],
  ["'-1.2345678901234567e20'::DOUBLE", 'DECIMAL(38,0)', '-123456789012345670000'],
  ["'1e-30'::DOUBLE", 'DECIMAL(38,30)', '0.000000000000000000000000000001'],
  ["'0.1'::DOUBLE", 'DECIMAL(38,38)', '.10000000000000000000000000000000000000'],
  ['12.35::FLOAT', 'DECIMAL(18,2)', '12.35'],
  ['5::BIGINT', 'DECIMAL(18,2)', '5.00'],
  ['1.5::DECIMAL(4,1)', 'DECIMAL(18,2)', '1.50'],
  ['1.50::DECIMAL(18,2)', 'DECIMAL(4,1)', '1.5'],
  ['170141183460469231731687303715884105::HUGEINT', 'DECIMAL(38,2)', '170141183460469231731687303715884105.00'],
  // To DOUBLE and FLOAT.
  ["'0.1'", 'DOUBLE', '0.1'],
  ["'1e-320'", 'DOUBLE', '1e-320'],
  ["'NaN'", 'DOUBLE', 'nan'],
  ["'-Infinity'", 'DOUBLE', '-inf'],
  ["'0.1'", 'FLOAT', '0.1'],
  ['9007199254740992::BIGINT', 'DOUBLE', '9007199254740992.0'],
  ['0.5::DOUBLE', 'FLOAT', '0.5'],
  ["'nan'::DOUBLE", 'FLOAT', 'nan'],
  ["'inf'::DOUBLE", 'FLOAT', 'inf'],
  ['0.1::FLOAT', 'DOUBLE', '0.10000000149011612'],
  ['12.35::DECIMAL(18,2)', 'DOUBLE', '12.35'],
  ['1.1::DECIMAL(2,1)', 'DOUBLE', '1.1'],
  ['7::TINYINT', 'FLOAT', '7.0'],
  // To BOOLEAN.
  ["'true'", 'BOOLEAN', 'true'],
  ["'FALSE'", 'BOOLEAN', 'false'],
  ['1::TINYINT', 'BOOLEAN', 'true'],
  ['0::BIGINT', 'BOOLEAN', 'false'],
  // To VARCHAR.
  ['5', 'VARCHAR', '5'],
  ['1.50::DECIMAL(18,2)', 'VARCHAR', '1.50'],
  ["DATE '2022-01-31'", 'VARCHAR', '2022-01-31'],
  ["TIMESTAMPTZ '2022-01-01 00:00:00+02'", 'VARCHAR', '2021-12-31 22:00:00+00'],
  ["'b'::ENUM('a', 'b')", 'VARCHAR', 'b'],
  ["encode('é')", 'VARCHAR', 'é'],
  ['true', 'VARCHAR', 'true'],
  // Text to times: an offset gives the UTC instant.
  ["'2022-01-01T00:00:00+02:00'", 'TIMESTAMP', '2021-12-31 22:00:00'],
  ["'2022-01-01T00:00:00+0200'", 'TIMESTAMP', '2021-12-31 22:00:00'],
  ["'2022-01-01 00:00:00-05'", 'TIMESTAMP', '2022-01-01 05:00:00'],
  ["'2022-01-01T00:00:00Z'", 'TIMESTAMP', '2022-01-01 00:00:00'],
  ["'2022-01-01 00:00:00 UTC'", 'TIMESTAMP', '2022-01-01 00:00:00'],
  ["'2022-01-01 10:11:12.123456'", 'TIMESTAMP', '2022-01-01 10:11:12.123456'],
  ["'2022-01-01T10:11:12.123456000Z'", 'TIMESTAMP', '2022-01-01 10:11:12.123456'],
  ["'2022-01-01'", 'TIMESTAMP', '2022-01-01 00:00:00'],
  ["'2022-01-01 10:11'", 'TIMESTAMP', '2022-01-01 10:11:00'],
  ["'2022-01-01 10:11:12'", 'TIMESTAMPTZ', '2022-01-01 10:11:12+00'],
  ["'2022-01-01T00:00:00+02:00'", 'TIMESTAMPTZ', '2021-12-31 22:00:00+00'],
  ["'2022-01-31'", 'DATE', '2022-01-31'],
  // Times to times.
  ["TIMESTAMP_NS '2022-01-01 10:11:12.123456'", 'TIMESTAMP', '2022-01-01 10:11:12.123456'],
  ["TIMESTAMP_MS '2022-01-01 10:11:12.123'", 'TIMESTAMP', '2022-01-01 10:11:12.123'],
  ["TIMESTAMP_S '2022-01-01 10:11:12'", 'TIMESTAMPTZ', '2022-01-01 10:11:12+00'],
  ["TIMESTAMPTZ '2022-01-01 00:00:00+02'", 'TIMESTAMP', '2021-12-31 22:00:00'],
  ["TIMESTAMP '2022-01-01 00:00:00'", 'TIMESTAMPTZ', '2022-01-01 00:00:00+00'],
  ["TIMESTAMP '2022-01-01 00:00:00'", 'DATE', '2022-01-01'],
  ["TIMESTAMPTZ '2022-01-01 00:00:00+00'", 'DATE', '2022-01-01'],
  ["DATE '2022-01-01'", 'TIMESTAMP', '2022-01-01 00:00:00'],
  ["DATE '2022-01-01'", 'TIMESTAMPTZ', '2022-01-01 00:00:00+00'],
  ["TIMESTAMP 'infinity'", 'TIMESTAMPTZ', 'infinity'],
  // The rest.
  ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", 'UUID', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ["'é'", 'BLOB', '\\xC3\\xA9'],
  ["'\\xAA'", 'BLOB', '\\x5CxAA'],
  [`'{"a": 1}'`, 'JSON', '{"a": 1}'],
  ["{'a': 1, 'b': [1, 2]}", 'JSON', '{"a":1,"b":[1,2]}'],
  ['[1, 2]::INTEGER[]', 'JSON', '[1,2]'],
  ['1.5::DOUBLE', 'JSON', '1.5'],
  [`'{"a": [1]}'::JSON`, 'JSON', '{"a": [1]}'],
  ["{'a': 1, 'b': [1, 2]}::VARIANT", 'JSON', '{"a":1,"b":[1,2]}'],
  ["'POINT (1 2)'::GEOMETRY", 'VARCHAR', 'POINT (1 2)'],
  ['[1, 2]::INTEGER[]', 'BIGINT[]', '[1, 2]'],
  ['[1, NULL]::INTEGER[2]', 'BIGINT[]', '[1, NULL]'],
  ["['1', '2.0']", 'BIGINT[]', '[1, 2]'],
  ['[1.0, 2.0]::DOUBLE[]', 'INTEGER[]', '[1, 2]'],
  ['[]::INTEGER[]', 'BIGINT[]', '[]'],
]

const misfits: readonly (readonly [literal: string, declared: string])[] = [
  ["'1.5'", 'INTEGER'],
  ["'1.5e0'", 'INTEGER'],
  ["'15e-1'", 'INTEGER'],
  ["'1.00000000000000000001'", 'INTEGER'],
  ["'1.00000000000000000001e0'", 'INTEGER'],
  ["' 12 '", 'INTEGER'],
  ["'1_000'", 'INTEGER'],
  ["'0x1F'", 'INTEGER'],
  ["''", 'INTEGER'],
  ["'x'", 'INTEGER'],
  ["'.'", 'INTEGER'],
  ["'true'", 'INTEGER'],
  ["'2147483648'", 'INTEGER'],
  ["'9223372036854775808'", 'BIGINT'],
  ["'1e19'", 'BIGINT'],
  ["'-1'", 'UBIGINT'],
  ['2.5::DOUBLE', 'BIGINT'],
  ['9223372036854775808::DOUBLE', 'BIGINT'],
  ["'nan'::DOUBLE", 'BIGINT'],
  ["'inf'::DOUBLE", 'BIGINT'],
  ['2.50::DECIMAL(18,2)', 'INTEGER'],
  ['0.99::DECIMAL(2,2)', 'INTEGER'],
  ['128::INTEGER', 'TINYINT'],
  ['-1::INTEGER', 'UBIGINT'],
  ['9223372036854775808::UBIGINT', 'BIGINT'],
  ['170141183460469231731687303715884105727', 'BIGINT'],
  ["'12.345'", 'DECIMAL(18,2)'],
  ["'1.2345e1'", 'DECIMAL(18,2)'],
  ["'1_0'", 'DECIMAL(18,2)'],
  ["'.'", 'DECIMAL(18,2)'],
  ["'NaN'", 'DECIMAL(18,2)'],
  ["'10000000000000000.00'", 'DECIMAL(18,2)'],
  ['12.345::DOUBLE', 'DECIMAL(18,2)'],
  ['0.1::DOUBLE + 0.2::DOUBLE', 'DECIMAL(18,2)'],
  ['1e20::DOUBLE', 'DECIMAL(18,2)'],
  ["'nan'::DOUBLE", 'DECIMAL(18,2)'],
  ["'-inf'::DOUBLE", 'DECIMAL(18,2)'],
  ['1.55::DECIMAL(18,2)', 'DECIMAL(4,1)'],
  ['1000::INTEGER', 'DECIMAL(4,2)'],
  ["'1e999'", 'DOUBLE'],
  ["'1e39'", 'FLOAT'],
  ["' 1.5'", 'DOUBLE'],
  ["'1_0.5'", 'DOUBLE'],
  ["'0x10'", 'DOUBLE'],
  ["'1,5'", 'DOUBLE'],
  ['9007199254740993::BIGINT', 'DOUBLE'],
  ['9223372036854775807::BIGINT', 'DOUBLE'],
  ['16777217::INTEGER', 'FLOAT'],
  ['0.1::DOUBLE', 'FLOAT'],
  ['1e300::DOUBLE', 'FLOAT'],
  ['1234567890123456.78::DECIMAL(18,2)', 'DOUBLE'],
  ["'t'", 'BOOLEAN'],
  ["'1'", 'BOOLEAN'],
  ["'yes'", 'BOOLEAN'],
  // Without regard to case 'ſ' is an S, but not to DuckDB.
  ["'falſe'", 'BOOLEAN'],
  ['2::INTEGER', 'BOOLEAN'],
  ['0.5::DOUBLE', 'BOOLEAN'],
  ["'now'", 'TIMESTAMP'],
  ["'today'", 'TIMESTAMP'],
  ["'epoch'", 'TIMESTAMP'],
  ["'infinity'", 'TIMESTAMP'],
  // Where ICU raises.
  ["'294247-01-10T04:00:54.775806'", 'TIMESTAMP'],
  ["'294247-01-10T04:00:54.775806Z'", 'TIMESTAMPTZ'],
  ["'-infinity'", 'TIMESTAMPTZ'],
  ["'2022-01-01 10:11:12.1234567'", 'TIMESTAMP'],
  ["'2022-01-01 24:00:00'", 'TIMESTAMP'],
  ["'2022-02-30'", 'TIMESTAMP'],
  ["'2022-01-01 00:00:60'", 'TIMESTAMP'],
  ["'2022/01/01'", 'TIMESTAMP'],
  ["'2022-1-1'", 'TIMESTAMP'],
  ["'2022-01-01 00:00:00 America/New_York'", 'TIMESTAMP'],
  ["' 2022-01-01'", 'TIMESTAMP'],
  ["'1640995200'", 'TIMESTAMP'],
  ["''", 'TIMESTAMP'],
  ["'epoch'", 'DATE'],
  ["'2022-01-01 10:00:00'", 'DATE'],
  ["'2022-01-01T00:00:00Z'", 'DATE'],
  ["' 2022-01-01 '", 'DATE'],
  ["'2022-01-01 (BC)'", 'DATE'],
  ["TIMESTAMP_NS '2022-01-01 10:11:12.123456789'", 'TIMESTAMP'],
  ["TIMESTAMP '2022-01-01 00:00:01'", 'DATE'],
  ["TIMESTAMPTZ '2022-01-01 00:00:00+02'", 'DATE'],
  ["DATE '5000000-01-01'", 'TIMESTAMP'],
  ["'{a0eebc999c0b4ef8bb6d6bb9bd380a11}'", 'UUID'],
  ["'a0eebc99'", 'UUID'],
  ["'\\xAA'::BLOB", 'VARCHAR'],
  ["'{a'", 'JSON'],
  ["''", 'JSON'],
  ["'[1,]'", 'JSON'],
  [`'{"a": NaN}'`, 'JSON'],
  [`CAST('{"a": -Infinity}' AS JSON)`, 'JSON'],
  ["'NaN'::DOUBLE", 'JSON'],
  ["{'a': [1.5, 'inf'::DOUBLE]}", 'JSON'],
  ["'NaN'::DOUBLE::VARIANT", 'JSON'],
  ["['1', '1.5']", 'BIGINT[]'],
  ['[1.5]::DOUBLE[]', 'INTEGER[]'],
  ['1::INTEGER', 'TIMESTAMP'],
]

const impossible: readonly (readonly [literal: string, declared: string])[] = [
  ["{'a': 1}", 'BIGINT'],
  ["{'a': 1}", 'VARCHAR'],
  ['[1]::INTEGER[]', 'BIGINT'],
  ['map {1: 2}', 'VARCHAR'],
  ['1::BIGINT', 'TIMESTAMP'],
  ['1.5::DOUBLE', 'DATE'],
  ["DATE '2022-01-01'", 'BIGINT'],
  ["TIMESTAMP '2022-01-01'", 'DOUBLE'],
  ["TIMESTAMP '2022-01-01'", 'BOOLEAN'],
  ['true', 'INTEGER'],
  ['true', 'DATE'],
  ["INTERVAL '1 day'", 'BIGINT'],
  ["TIME '10:00'", 'TIMESTAMP'],
  ['1::BIGINT', 'BLOB'],
  ['1::BIGINT', 'UUID'],
  ["'[1]'", 'BIGINT[]'],
  ["[{'a': 1}]", 'BIGINT[]'],
  ["DATE '2022-01-01'", 'JSON'],
]

describe('S17: a column is cast by value', () => {
  test.each(fits)('S17: %s fits %s as %s', async (literal, declared, value) => {
    const outcome = await cast(literal, declared, 'typed')
    expect(outcome).toEqual({ misfit: false, value, type: sqlType(declared) })
  })

  test.each(misfits)('S17: %s is a misfit of %s', async (literal, declared) => {
    expect(await cast(literal, declared, 'typed')).toMatchObject({ misfit: true })
  })

  test.each(impossible)('S17: a column like %s can never be read as %s', async (literal, declared) => {
    expect(await cast(literal, declared, 'typed')).toBe('impossible')
  })

  test('S17: NULL of any physical type fits any declared type that its column can be read as', async () => {
    const names = [
      'BOOLEAN',
      'TINYINT',
      'BIGINT',
      'UBIGINT',
      'FLOAT',
      'DOUBLE',
      'DECIMAL(18,2)',
      'VARCHAR',
      'UUID',
      'BLOB',
    ]
    const declared = [...names, 'DATE', 'TIMESTAMP', 'TIMESTAMPTZ', 'JSON', 'BIGINT[]', 'VARCHAR[]']
    const physical = [
      ...declared,
      'INTEGER',
      'HUGEINT',
      'UHUGEINT',
      'TIMESTAMP_NS',
      "ENUM('a')",
      'STRUCT(a INTEGER)',
      'VARIANT',
      'GEOMETRY',
      'TIME',
    ]
    const wrong: unknown[] = []
    for (const from of physical) {
      for (const to of declared) {
        const outcome = await cast(`CAST(NULL AS ${from})`, to, 'typed')
        if (outcome === 'impossible') continue
        if (outcome.misfit || outcome.value !== null || outcome.type !== sqlType(to)) wrong.push([from, to, outcome])
      }
    }
    expect(wrong).toEqual([])
  })

  test('S17: a column of one type is free, a widening one needs no check', () => {
    const plain = (from: string, to: string) => checkedCast('c', from, parseColumnType(to, 'c'), 'typed')
    expect(plain('VARCHAR', 'VARCHAR NOT NULL')).toEqual({ free: true, value: 'c', misfit: null })
    // What is written may be no value of the type.
    for (const type of ['TIMESTAMPTZ', 'DECIMAL(18,2)'])
      expect(plain(type, type)).toMatchObject({ free: true, value: 'c', misfit: expect.any(Function) })
    expect(plain('BIGINT[]', 'BIGINT[]')).toEqual({ free: true, value: 'c', misfit: null })
    expect(plain('INTEGER', 'BIGINT')).toMatchObject({ free: false, misfit: null })
    expect(plain('UINTEGER', 'BIGINT')).toMatchObject({ free: false, misfit: null })
    expect(plain('BIGINT', 'TIMESTAMP')).toEqual({
      impossible:
        'BIGINT can never be read as TIMESTAMP; declare BIGINT and derive the time, for example with epoch_ms(...)',
    })
  })

  test('S17: a group without fields is told as such, and not as DuckDB calls it', () => {
    const impossible = 'it is or has a group without fields, which holds no value; leave it out'
    expect(checkedCast('c', 'STRUCT()', parseColumnType('VARCHAR', 'c'), 'typed')).toEqual({ impossible })
    expect(checkedCast('c', 'STRUCT(a STRUCT())[]', parseColumnType('BIGINT[]', 'c'), 'typed')).toEqual({
      impossible,
    })
  })

  test('S17: an INTEGER column of NULLs stands for a type that integers never have', async () => {
    expect(await cast('NULL::INTEGER', 'TIMESTAMP', 'typed')).toMatchObject({ misfit: false, value: null })
    expect(await cast('NULL::INTEGER', 'VARCHAR[]', 'typed')).toMatchObject({ misfit: false, value: null })
  })
})

test.each([...sqlNames, 'DECIMAL(18,2)', 'BIGINT[]', 'DOUBLE[]', 'VARCHAR[]'])(
  'text that is cast to %s keeps the order of its rows: no join and no window is in the plan',
  async declared => {
    const checked = checkedCast('c', 'VARCHAR', parseColumnType(declared, 'c'), 'text')
    if ('impossible' in checked) throw new Error(checked.impossible)
    const misfit = checked.misfit?.('v') ?? 'false'
    const plans = await db.rows(
      `EXPLAIN (FORMAT json) SELECT ${misfit}, v FROM (SELECT c, ${checked.value} AS v FROM (SELECT CAST(i AS VARCHAR) AS c FROM range(9) AS t(i)))`,
    )
    const names = plans.flatMap(plan =>
      [...String(plan.explain_value).matchAll(/"name": "([A-Z_]+) *"/g)].map(at => at[1]),
    )
    expect(new Set(names)).toEqual(new Set(['PROJECTION', 'RANGE']))
  },
)

describe('S17: fields of JSON lines arrive as text', () => {
  const field = (value: string) => `(('{"f":' || '${value}' || '}') ->> '$.f')`

  test.each([
    ['1', 'BIGINT', '1'],
    ['1e3', 'BIGINT', '1000'],
    ['1.50', 'DECIMAL(18,2)', '1.50'],
    ['0.1', 'DOUBLE', '0.1'],
    ['true', 'BOOLEAN', 'true'],
    ['null', 'BIGINT', null],
    ['"2022-01-01T00:00:00+02:00"', 'TIMESTAMP', '2021-12-31 22:00:00'],
    ['[1, 2.0, null]', 'BIGINT[]', '[1, 2, NULL]'],
    ['["a", 1]', 'VARCHAR[]', '[a, 1]'],
    ['[]', 'BIGINT[]', '[]'],
    ['[[1], {"a": 2}]', 'JSON[]', '[[1], {"a":2}]'],
    ['{"a": [1, 2]}', 'JSON', '{"a":[1,2]}'],
    ['12345678901234567890123', 'DECIMAL(38,0)', '12345678901234567890123'],
  ])('S17: the JSON value %s fits %s as %s', async (json, declared, value) => {
    expect(await cast(field(json), declared, 'text')).toEqual({ misfit: false, value, type: sqlType(declared) })
  })

  test.each([
    ['1.5', 'BIGINT'],
    ['12.345', 'DECIMAL(18,2)'],
    ['true', 'BIGINT'],
    ['1', 'BOOLEAN'],
    ['[1, 1.5]', 'BIGINT[]'],
    ['[1, "x"]', 'BIGINT[]'],
    ['{"a": 1}', 'BIGINT[]'],
    ['"x"', 'BIGINT[]'],
    ['"[1,]"', 'BIGINT[]'],
    ['1640995200', 'TIMESTAMP'],
  ])('S17: the JSON value %s is a misfit of %s', async (json, declared) => {
    expect(await cast(field(json), declared, 'text')).toMatchObject({ misfit: true })
  })
})
