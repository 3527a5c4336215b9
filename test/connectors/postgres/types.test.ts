import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseColumnType } from '../../../src/core/types.ts'
import { columnType, isHeldBy } from '../../../connectors/postgres/types.ts'
import { serverFor } from '../../servers/for-tests.ts'
import { psql, startPostgres } from '../../servers/postgres.ts'
import { newSchema, openSink, openWriter, publish, sinkOf, type Writer } from './fixtures.ts'

const server = await serverFor(startPostgres)

/** A column type, what it becomes, and values: in SQL of DuckDB, and as PostgreSQL writes them. */
const cases: readonly (readonly [type: string, becomes: string, values: readonly (readonly [string, string])[]])[] = [
  [
    'BOOLEAN',
    'boolean',
    [
      ['true', 'true'],
      ['false', 'false'],
    ],
  ],
  [
    'TINYINT',
    'smallint',
    [
      ['-128', '-128'],
      ['127', '127'],
    ],
  ],
  [
    'SMALLINT',
    'smallint',
    [
      ['-32768', '-32768'],
      ['32767', '32767'],
    ],
  ],
  ['INTEGER', 'integer', [['-2147483648', '-2147483648']]],
  [
    'BIGINT',
    'bigint',
    [
      ['-9223372036854775808', '-9223372036854775808'],
      ['9223372036854775807', '9223372036854775807'],
    ],
  ],
  ['UBIGINT', 'numeric(20,0)', [['18446744073709551615', '18446744073709551615']]],
  [
    'FLOAT',
    'real',
    [
      ["'nan'", 'NaN'],
      ["'-inf'", '-Infinity'],
      ['0.1', '0.1'],
      ['3.4028235e38', '3.4028235e+38'],
    ],
  ],
  [
    'DOUBLE',
    'double precision',
    [
      ["'nan'", 'NaN'],
      ["'inf'", 'Infinity'],
      ["'-inf'", '-Infinity'],
      ['0.1::DOUBLE + 0.2::DOUBLE', '0.30000000000000004'],
      ["'-0.0'", '-0'],
      ['5e-324', '5e-324'],
      ['1.7976931348623157e308', '1.7976931348623157e+308'],
    ],
  ],
  [
    'DECIMAL(18,2)',
    'numeric(18,2)',
    [
      ['1234567890123456.78', '1234567890123456.78'],
      ['-0.01', '-0.01'],
    ],
  ],
  [
    'DECIMAL(38,0)',
    'numeric(38,0)',
    [["'99999999999999999999999999999999999999'", '99999999999999999999999999999999999999']],
  ],
  ['DECIMAL(18,18)', 'numeric(18,18)', [["'0.000000000000000001'", '0.000000000000000001']]],
  [
    'VARCHAR',
    'text',
    [
      ["''", ''],
      ["'NULL'", 'NULL'],
      ["'\\N'", '\\N'],
      ["'\\.'", '\\.'],
      [`'a"b,c|d'`, 'a"b,c|d'],
      ["' x '", ' x '],
      ["'a' || chr(13) || 'b'", 'a\rb'],
      ["'çß漢🚀'", 'çß漢🚀'],
    ],
  ],
  ['UUID', 'uuid', [["'01234567-89ab-cdef-0123-456789abcdef'", '01234567-89ab-cdef-0123-456789abcdef']]],
  [
    'BLOB',
    'bytea',
    [
      ["'\\x00\\xFF\\x5C'", '\\x00ff5c'],
      ["''", '\\x'],
    ],
  ],
  [
    'DATE',
    'date',
    [
      ["'2024-02-29'", '2024-02-29'],
      ["'0044-03-15 (BC)'", '0044-03-15 BC'],
      ["'12022-01-01'", '12022-01-01'],
      ["'infinity'", 'infinity'],
      ["'-infinity'", '-infinity'],
      ["'4714-11-24 (BC)'", '4714-11-24 BC'],
      ["'5874897-12-31'", '5874897-12-31'],
    ],
  ],
  [
    'TIMESTAMP',
    'timestamp without time zone',
    [
      ["'2024-03-31 01:02:03.000001'", '2024-03-31 01:02:03.000001'],
      ["'0044-03-15 (BC) 10:00:00'", '0044-03-15 10:00:00 BC'],
      ["'infinity'", 'infinity'],
      ["'-infinity'", '-infinity'],
      ["'290000-01-01 00:00:00'", '290000-01-01 00:00:00'],
    ],
  ],
  [
    'TIMESTAMPTZ',
    'timestamp with time zone',
    [
      ["'2024-03-31 01:02:03.123456+02'", '2024-03-30 23:02:03.123456+00'],
      ["'0044-03-15 (BC) 10:00:00+00'", '0044-03-15 10:00:00+00 BC'],
      ["'infinity'", 'infinity'],
    ],
  ],
  [
    'JSON',
    'json',
    [
      [`'{"b":1.0,"a":[1,null],"a":"\\u0000"}'`, '{"b":1.0,"a":[1,null],"a":"\\u0000"}'],
      ["'null'", 'null'],
    ],
  ],
  [
    'BIGINT[]',
    'bigint[]',
    [
      ['[1, NULL, -3]', '{1,NULL,-3}'],
      ['[]', '{}'],
    ],
  ],
  [
    'VARCHAR[]',
    'text[]',
    [
      [
        `['a,b', 'c"d', 'e\\f', '{g}', '', 'NULL', NULL, 'x' || chr(10) || 'y']`,
        '{"a,b","c\\"d","e\\\\f","{g}","","NULL",NULL,"x\ny"}',
      ],
    ],
  ],
  ['DOUBLE[]', 'double precision[]', [["['nan'::DOUBLE, 'inf'::DOUBLE, 0.1]", '{NaN,Infinity,0.1}']]],
  ['DECIMAL(9,2)[]', 'numeric(9,2)[]', [['[1.50, NULL]', '{1.50,NULL}']]],
  ['DATE[]', 'date[]', [["['0044-03-15 (BC)', 'infinity']", '{"0044-03-15 BC",infinity}']]],
  ['TIMESTAMPTZ[]', 'timestamp with time zone[]', [["['2024-01-01 00:00:00+00']", '{"2024-01-01 00:00:00+00"}']]],
  ['BLOB[]', 'bytea[]', [["['\\x00\\x5C'::BLOB]", '{"\\\\x005c"}']]],
  ['BOOLEAN[]', 'boolean[]', [['[true, false]', '{t,f}']]],
  ['UUID[]', 'uuid[]', [["['01234567-89ab-cdef-0123-456789abcdef']", '{01234567-89ab-cdef-0123-456789abcdef}']]],
  ['JSON[]', 'json[]', [[`['{"a":1}'::JSON]`, '{"{\\"a\\":1}"}']]],
  [
    'STRUCT(value DOUBLE, count BIGINT)[]',
    'json',
    [["[{'value': 'nan'::DOUBLE, 'count': 2}]", '[{"value":"NaN","count":2}]']],
  ],
]

describe.skipIf(!server)('types', () => {
  let writer: Writer
  beforeAll(async () => {
    writer = await openWriter()
  })
  afterAll(() => writer.close())

  test.each(cases)('%s is %s, and keeps every value', async (type, becomes, values) => {
    if (!server) return
    for (const key of [undefined, ['n']]) {
      const schema = await newSchema(server)
      const sink = sinkOf(server, schema, key && { key })
      const columns = { n: 'INTEGER NOT NULL', v: type }
      const port = await openSink(sink, { columns })
      await port.own(true, 1)
      const rows = ['NULL', ...values.map(([sql]) => sql)].map(
        (sql, n) => `SELECT ${n}::INTEGER AS n, (${sql})::${type} AS v`,
      )
      await publish(port, 1, await writer.write(sink, columns, rows.join(' UNION ALL ')))
      const found = await psql(
        server,
        `SELECT n || '=' || coalesce(v::text, 'absent') || E'\\x01' FROM ${schema}.results ORDER BY n`,
      )
      expect(found.split('\x01\n').map(text => text.replace('\x01', ''))).toEqual(
        ['absent', ...values.map(([, text]) => text)].map((text, n) => `${n}=${text}`),
      )
      expect(
        await psql(
          server,
          `SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '${schema}.results'::regclass AND attname = 'v'`,
        ),
      ).toBe(becomes)
      // Its own table fits again.
      await port.own(false, 2)
    }
  })

  test('a table of one column keeps NULL, an empty text and what would end a COPY', async () => {
    if (!server) return
    const schema = await newSchema(server)
    const sink = sinkOf(server, schema)
    const port = await openSink(sink)
    await port.own(true, 1)
    await publish(
      port,
      1,
      await writer.write(sink, { k: 'VARCHAR' }, "FROM (VALUES ('\\.'), (NULL), (''), ('z')) AS r(k)"),
    )
    expect(await psql(server, `SELECT coalesce(quote_literal(k), 'absent') FROM ${schema}.results ORDER BY ctid`)).toBe(
      "E'\\\\.'\nabsent\n''\n'z'",
    )
  })

  test.each([
    ['VARCHAR', "'a' || chr(0) || 'b'", "column 'v' holds a NUL character", '{"n":7,"v":"a\\u0000b"}'],
    ['VARCHAR[]', "['x', 'a' || chr(0)]", "column 'v' holds a NUL character", '{"n":7,"v":["x","a\\u0000"]}'],
    [
      'DATE',
      "DATE '4714-11-23 (BC)'",
      "column 'v' holds a day outside of 4714-11-24 BC to 5874897-12-31",
      '{"n":7,"v":"4714-11-23 (BC)"}',
    ],
    ['DATE[]', "[DATE '5874898-01-01']", "column 'v' holds a day outside", '{"n":7,"v":["5874898-01-01"]}'],
    ['TIMESTAMP', "TIMESTAMP '4714-11-23 (BC) 23:59:59'", "column 'v' holds a time before 4714-11-24 BC", '{"n":7'],
    [
      'TIMESTAMPTZ',
      "TIMESTAMPTZ '4714-11-23 (BC) 23:59:59+00'",
      "column 'v' holds a time before 4714-11-24 BC",
      '{"n":7',
    ],
  ])(
    'a %s that PostgreSQL cannot keep is refused before the commit, with column and row: %s',
    async (type, sql, what, row) => {
      const sink = sinkOf({ endpoint: 'postgres://h/d' } as never, 's')
      const write = writer.write(sink, { n: 'INTEGER', v: type }, `SELECT 7 AS n, (${sql})::${type} AS v`)
      await expect(write).rejects.toThrow(`flow-1: postgres: ${what}`)
      await expect(write).rejects.toThrow(`in the row ${row}`)
    },
  )
})

test.each([
  [
    'BIGINT',
    ['bigint', 'numeric', 'numeric(19,0)', 'numeric(21,2)'],
    ['integer', 'numeric(18,0)', 'numeric(20,2)', 'text', 'bigint[]', 'double precision'],
  ],
  ['SMALLINT', ['smallint', 'integer', 'bigint', 'numeric(5,0)'], ['numeric(4,0)', 'real']],
  [
    'DECIMAL(18,2)',
    ['numeric(18,2)', 'numeric(20,4)', 'numeric'],
    ['numeric(18,3)', 'numeric(20,1)', 'money', 'bigint'],
  ],
  ['DOUBLE', ['double precision'], ['real', 'numeric']],
  ['FLOAT', ['real'], ['double precision']],
  ['VARCHAR', ['text', 'character varying'], ['character varying(20)', 'character(3)', 'public.citext']],
  [
    'TIMESTAMP',
    ['timestamp without time zone', 'timestamp with time zone'],
    ['timestamp(0) without time zone', 'date'],
  ],
  ['TIMESTAMPTZ', ['timestamp with time zone'], ['timestamp without time zone', 'timestamp(3) with time zone']],
  ['JSON', ['json', 'jsonb'], ['text']],
  ['BIGINT[]', ['bigint[]', 'numeric[]'], ['bigint', 'integer[]', 'text[]']],
  ['STRUCT(value BIGINT, count BIGINT)[]', ['json', 'jsonb'], ['json[]']],
])('%s is held by %j and not by %j', (type, held, not) => {
  const parsed = parseColumnType(type, 'v')
  expect(held.filter(found => !isHeldBy(parsed, found))).toEqual([])
  expect(not.filter(found => isHeldBy(parsed, found))).toEqual([])
  expect(isHeldBy(parsed, columnType(parsed))).toBe(true)
})
