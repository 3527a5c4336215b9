import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isMillraceError } from '../../src/core/errors.ts'
import { type FunctionEntry, allowedMacros, functionEntriesSql, functionRules } from '../../src/plan/functions.ts'
import { type Gate, createGate } from '../../src/plan/gate.ts'
import { id } from '../../src/plan/sql.ts'
import { openTestDuckdb, type TestDuckdb } from './duckdb.ts'

let db: TestDuckdb
let gate: Gate
beforeAll(async () => {
  db = await openTestDuckdb()
  gate = createGate(db)
})
afterAll(async () => await db[Symbol.asyncDispose]())

const columns: Readonly<Record<string, string>> = {
  a: 'DOUBLE',
  n: 'BIGINT',
  s: 'VARCHAR',
  b: 'INTEGER[]',
  t: 'TIMESTAMP',
  z: 'TIMESTAMP WITH TIME ZONE',
  j: 'JSON',
  st: 'STRUCT(x INTEGER, y STRUCT(q VARCHAR))',
  ok: 'BOOLEAN',
  d: 'DECIMAL(18,2)',
  m: 'MAP(VARCHAR, INTEGER)',
  day: 'DATE',
  current_date: 'DATE',
  order: 'BIGINT',
  'we"ird': 'BIGINT',
  über: 'INTEGER',
}

/** One row of these columns. */
const row = `(SELECT 12.5::DOUBLE AS a, 7::BIGINT AS n, 'Abc-d' AS s, [3, 1, 2]::INTEGER[] AS b,
  TIMESTAMP '2022-01-31 10:11:12' AS t, TIMESTAMPTZ '2022-01-31 10:11:12+02' AS z, '{"a": {"b": 5}}'::JSON AS j,
  {'x': 1, 'y': {'q': 'v'}} AS st, true AS ok, 12.35::DECIMAL(18,2) AS d, MAP {'a': 1} AS m,
  DATE '2022-01-31' AS "day", DATE '2001-02-03' AS "current_date", 8::BIGINT AS "order", 9::BIGINT AS "we""ird",
  10::INTEGER AS "über")`

const check = (sql: string) => gate.expression(sql, columns, { step: 'where', field: 'predicate' }, 'r')

/** Expression, type, value as text. */
const accepted: readonly (readonly [sql: string, type: string, value: string | null])[] = [
  ['a > 0', 'BOOLEAN', 'true'],
  ['N + 1', 'BIGINT', '8'],
  ['a / n > 1 AND NOT (n = 8 OR n IS NULL)', 'BOOLEAN', 'true'],
  ['n IN (1, 7)', 'BOOLEAN', 'true'],
  ['n NOT IN (1, 7)', 'BOOLEAN', 'false'],
  ['n BETWEEN 1 AND 7', 'BOOLEAN', 'true'],
  ['a IS DISTINCT FROM NULL', 'BOOLEAN', 'true'],
  ["CASE WHEN n > 6 THEN 'x' ELSE s END", 'VARCHAR', 'x'],
  ["CASE n WHEN 7 THEN 'seven' END", 'VARCHAR', 'seven'],
  ["if(ok, 'y', 'n')", 'VARCHAR', 'y'],
  ['coalesce(NULL, n)', 'BIGINT', '7'],
  ['nullif(n, 7)', 'BIGINT', null],
  ['ok IS TRUE', 'BOOLEAN', 'true'],
  ["s LIKE 'Abc%' AND s ILIKE 'aBC%' AND s NOT LIKE 'x'", 'BOOLEAN', 'true'],
  ["s LIKE 'Abc!%' ESCAPE '!'", 'BOOLEAN', 'false'],
  ["s SIMILAR TO 'Abc.*'", 'BOOLEAN', 'true'],
  ["split_part(s, '-', 2)", 'VARCHAR', 'd'],
  ["trim(BOTH 'A' FROM s)", 'VARCHAR', 'bc-d'],
  ['substring(s FROM 2 FOR 2)', 'VARCHAR', 'bc'],
  ['s[1:2]', 'VARCHAR', 'Ab'],
  ['(s).upper()', 'VARCHAR', 'ABC-D'],
  ['main.upper(s)', 'VARCHAR', 'ABC-D'],
  ['LOWER("S")', 'VARCHAR', 'abc-d'],
  ["s || '''' || s", 'VARCHAR', "Abc-d'Abc-d"],
  ['md5(s)', 'VARCHAR', 'caad6ad2615231bd9b4a853ff5c8684a'],
  ['fmod(n, 4)', 'DOUBLE', '3.0'],
  ['n % 4 + n // 4 + (n & 3) + (n << 1)', 'BIGINT', '21'],
  ['- - n', 'BIGINT', '7'],
  ['2 - -5', 'INTEGER', '7'],
  ['a ** 2', 'DOUBLE', '156.25'],
  ['@(-a)', 'DOUBLE', '12.5'],
  ['~n', 'BIGINT', '-8'],
  ['d * 1.5', 'DECIMAL(18,3)', '18.525'],
  ['TRY_CAST(s AS INTEGER)', 'INTEGER', null],
  ["TRY('x'::VARCHAR::INTEGER)", 'INTEGER', null],
  ['n::HUGEINT', 'HUGEINT', '7'],
  ['n::DECIMAL(18, 2)', 'DECIMAL(18,2)', '7.00'],
  ["'x'::ENUM('x', 'y')", "ENUM('x', 'y')", 'x'],
  ['b::BIGINT[]', 'BIGINT[]', '[3, 1, 2]'],
  ["{'k': n, 'l': [n]}", 'STRUCT(k BIGINT, l BIGINT[])', "{'k': 7, 'l': [7]}"],
  ['struct_pack(k := n)', 'STRUCT(k BIGINT)', "{'k': 7}"],
  ['map {1: n}[1]', 'BIGINT', '7'],
  ["m['a']", 'INTEGER', '1'],
  ['st.y.q', 'VARCHAR', 'v'],
  ["struct_extract(st, 'x')", 'INTEGER', '1'],
  ['b[1] + b[-1]', 'INTEGER', '5'],
  ['b[2:]', 'INTEGER[]', '[1, 2]'],
  ['3 IN b', 'BOOLEAN', 'true'],
  ['list_sum(b)', 'HUGEINT', '6'],
  ["list_aggregate(b, 'max')", 'INTEGER', '3'],
  ['list_sort(b)', 'INTEGER[]', '[1, 2, 3]'],
  // Lambdas: both spellings, shadowing columns and one another, names that are SQL functions elsewhere.
  ['list_transform(b, x -> x + n)', 'BIGINT[]', '[10, 8, 9]'],
  ['list_transform(b, lambda x: x + n)', 'BIGINT[]', '[10, 8, 9]'],
  ['list_transform(b, lambda x, i: x * i)', 'BIGINT[]', '[3, 2, 6]'],
  ['list_transform(b, (x, i) -> x * i)', 'BIGINT[]', '[3, 2, 6]'],
  ['list_transform(b, n -> n + 1)', 'INTEGER[]', '[4, 2, 3]'],
  ['list_transform(b, N -> n + 1)', 'INTEGER[]', '[4, 2, 3]'],
  ['list_transform(b, x -> list_transform([x], x -> x + 1)[1] + x)', 'INTEGER[]', '[7, 3, 5]'],
  ['list_transform(b, current_timestamp -> current_timestamp)', 'INTEGER[]', '[3, 1, 2]'],
  ['list_transform(b, r -> r + n)', 'BIGINT[]', '[10, 8, 9]'],
  ['list_transform(b, x -> fmod(x, 2))', 'DOUBLE[]', '[1.0, 1.0, 0.0]'],
  ['list_transform([st], st -> st.x)', 'INTEGER[]', '[1]'],
  ['list_filter(b, x -> x > 1)', 'INTEGER[]', '[3, 2]'],
  ['list_reduce(b, lambda acc, x: acc + x)', 'INTEGER', '6'],
  ['[x + 1 FOR x IN b IF x > 1]', 'INTEGER[]', '[4, 3]'],
  // JSON extraction parses as a lambda.
  ["j -> 'a' ->> 'b'", 'VARCHAR', '5'],
  ["j ->> '$.a.b'", 'VARCHAR', '5'],
  ["list_transform(b, lambda x: j ->> '$.a.b')", 'VARCHAR[]', '[5, 5, 5]'],
  // Names that run as functions when they are not columns, and names that need quotes.
  ['current_date', 'DATE', '2001-02-03'],
  ['CURRENT_DATE', 'DATE', '2001-02-03'],
  ['"order" + 1', 'BIGINT', '9'],
  ['"we""ird"', 'BIGINT', '9'],
  ['über', 'INTEGER', '10'],
  ['ÜBER', 'INTEGER', '10'],
  ['day', 'DATE', '2022-01-31'],
  // Constants keep value and type.
  ['170141183460469231731687303715884105727', 'HUGEINT', '170141183460469231731687303715884105727'],
  ['-170141183460469231731687303715884105728', 'HUGEINT', '-170141183460469231731687303715884105728'],
  ['9223372036854775807', 'BIGINT', '9223372036854775807'],
  ['9223372036854775808', 'HUGEINT', '9223372036854775808'],
  ['9007199254740993', 'BIGINT', '9007199254740993'],
  ['0.1234567890123456789012345678901234567', 'DECIMAL(38,37)', '0.1234567890123456789012345678901234567'],
  ['1e-320', 'DOUBLE', '1e-320'],
  ['1e5', 'DOUBLE', '100000.0'],
  ['1e22', 'DOUBLE', '1e+22'],
  ['1.7976931348623157e308', 'DOUBLE', '1.7976931348623157e+308'],
  ['0.1e0', 'DOUBLE', '0.1'],
  ['.5', 'DECIMAL(1,1)', '.5'],
  ['1_000', 'INTEGER', '1000'],
  ['true', 'BOOLEAN', 'true'],
  ['NULL', 'INTEGER', null],
  ["E'a\\nb'", 'VARCHAR', 'a\nb'],
  ["$$it's$$", 'VARCHAR', "it's"],
  ["'\\xAA'::BLOB", 'BLOB', '\\xAA'],
  ["'1); DROP TABLE x; --'", 'VARCHAR', '1); DROP TABLE x; --'],
  // Times.
  ["t + INTERVAL '1 day'", 'TIMESTAMP', '2022-02-01 10:11:12'],
  ['t + INTERVAL (n) DAY', 'TIMESTAMP', '2022-02-07 10:11:12'],
  ["date_trunc('hour', t)", 'TIMESTAMP', '2022-01-31 10:00:00'],
  ['extract(year FROM t)', 'BIGINT', '2022'],
  ["t AT TIME ZONE 'America/New_York'", 'TIMESTAMP WITH TIME ZONE', '2022-01-31 15:11:12+00'],
  ['age(t, t)', 'INTERVAL', '00:00:00'],
  ["DATE '2022-01-31' + 1", 'DATE', '2022-02-01'],
  ['epoch_ms(n)', 'TIMESTAMP', '1970-01-01 00:00:00.007'],
  ["date_part(['year', 'month'], t)", 'STRUCT("year" BIGINT, "month" BIGINT)', "{'year': 2022, 'month': 1}"],
  // Casts to TIMESTAMPTZ: of texts without a zone's name, of other types, of a constant with any zone.
  ["CAST(CAST(t AS VARCHAR) || 'Z' AS TIMESTAMPTZ)", 'TIMESTAMP WITH TIME ZONE', '2022-01-31 10:11:12+00'],
  ["CAST(CAST(t AS VARCHAR) || '+02:00' AS TIMESTAMPTZ)", 'TIMESTAMP WITH TIME ZONE', '2022-01-31 08:11:12+00'],
  ["CAST(lower(' INFINITY ') AS TIMESTAMPTZ)", 'TIMESTAMP WITH TIME ZONE', 'infinity'],
  ['CAST(t AS TIMESTAMPTZ)', 'TIMESTAMP WITH TIME ZONE', '2022-01-31 10:11:12+00'],
  ['CAST(z AS TIMESTAMPTZ)', 'TIMESTAMP WITH TIME ZONE', '2022-01-31 08:11:12+00'],
  ['CAST(nullif(s, s) AS TIMESTAMPTZ)', 'TIMESTAMP WITH TIME ZONE', null],
  ["TRY_CAST(CAST(t AS VARCHAR) || ' Asia/Tokyo' AS TIMESTAMPTZ)", 'TIMESTAMP WITH TIME ZONE', null],
  ["TRY((CAST(t AS VARCHAR) || ' Asia/Tokyo')::TIMESTAMPTZ)", 'TIMESTAMP WITH TIME ZONE', null],
  ["TIMESTAMPTZ '2022-01-31 10:11:12 Asia/Tokyo'", 'TIMESTAMP WITH TIME ZONE', '2022-01-31 01:11:12+00'],
  ['CAST([t] AS TIMESTAMPTZ[])', 'TIMESTAMP WITH TIME ZONE[]', "['2022-01-31 10:11:12+00']"],
  ['list_transform([s], lambda x: TRY_CAST(x AS TIMESTAMPTZ))', 'TIMESTAMP WITH TIME ZONE[]', '[NULL]'],
  // Comments and white space.
  ['n -- a comment', 'BIGINT', '7'],
  ['n /* a comment */ + 1', 'BIGINT', '8'],
  ['\n\tn\n', 'BIGINT', '7'],
]

const refused: readonly (readonly [sql: string, message: string])[] = [
  // Not one expression.
  ['', 'the expression is empty'],
  ['  \n ', 'the expression is empty'],
  ['-- nothing', 'exactly one expression'],
  ['a, n', 'exactly one expression'],
  ['order > 1', 'order is a word of SQL: write the column in double quotes, "order"'],
  ['n > order', 'order is a word of SQL: write the column in double quotes, "order"'],
  ['a], [n', 'exactly one expression'],
  ['a] || [n', 'exactly one expression'],
  ['a][1:1', 'exactly one expression'],
  ['a) , (n', 'syntax error'],
  ['a) + (n', 'syntax error'],
  ['a AS x', 'syntax error'],
  ['a x', 'syntax error'],
  ['x := 1', 'syntax error'],
  ['1); DROP TABLE x; --', 'syntax error'],
  ['1]; DROP TABLE x; --', 'it ends too early'],
  ['1]; DROP TABLE x; SELECT [1', 'it is no SQL expression'],
  ['1]; SELECT [1', 'exactly one expression'],
  ['1] FROM r WHERE a IN [1', 'exactly one expression'],
  ['1] UNION SELECT [1', 'exactly one expression'],
  ['a /* open', 'unterminated /* comment'],
  ["'open", 'unterminated quoted string'],
  ['"open', 'unterminated quoted identifier'],
  ['$$open', 'unterminated dollar-quoted string'],
  ['a FROM r', 'syntax error'],
  ['a LIMIT 1', 'syntax error'],
  ['*', 'exactly one expression'],
  ['r.*', 'exactly one expression'],
  ["COLUMNS('a')", 'COLUMNS(...) are not allowed'],
  ["'a\0b'", 'NUL character'],
  ["'\ud800'", 'half a surrogate pair'],
  // Not of one row.
  ['(SELECT 1)', 'subqueries'],
  ['(TABLE x)', 'subqueries'],
  ['(VALUES (1))', 'subqueries'],
  ['EXISTS (SELECT 1)', 'subqueries'],
  ['n IN (SELECT 1)', 'subqueries'],
  ['n = ANY([1, 2])', 'subqueries'],
  ['list_transform(b, x -> (SELECT x))', 'subqueries'],
  ['sum(a)', 'it is an aggregate; those belong in aggregate({...})'],
  ['count(*)', 'count(...) is not allowed: it is an aggregate'],
  ['first(a)', 'it is an aggregate'],
  ['geomean(a)', 'it is an aggregate'],
  ['row_number() OVER ()', 'window functions'],
  ['sum(a) OVER (ORDER BY n)', 'window functions'],
  ['upper(DISTINCT s)', 'may not have DISTINCT'],
  ['upper(s ORDER BY s)', 'may not have DISTINCT'],
  ['unnest(b)', 'several rows of one'],
  ['grouping(n)', 'not allowed'],
  ['?', 'parameters'],
  ['$1', 'parameters'],
  ['$name', 'parameters'],
  ['#1', 'name the column'],
  ['DEFAULT', 'DEFAULT is not allowed'],
  ['s COLLATE NOCASE', 'COLLATE is not allowed'],
  // Not of the row alone.
  ['now()', 'reads the clock, so a replay would answer differently; use the event time column'],
  ['"now"()', 'reads the clock'],
  ['NOW()', 'reads the clock'],
  ['main.now()', 'reads the clock'],
  ['system.main.now()', 'reads the clock'],
  ['system.main.upper(s)', 'or a catalog'],
  ['pg_catalog.now()', 'write now(...) with all its arguments'],
  ['s.upper()', 'write upper(...) with all its arguments'],
  ['current_timestamp', 'reads the clock'],
  ['localtime', 'reads the clock'],
  ['today()', 'reads the clock'],
  ['ago(INTERVAL 1 DAY)', 'reads the clock'],
  ['age(t)', 'with one argument it reads the clock'],
  ['current_localtimestamp()', 'reads the clock'],
  ['coalesce(a, random())', 'another value in every run'],
  ['uuid()', 'another value in every run'],
  ['struct_pack(k := random())', 'another value in every run'],
  ['list_transform(b, x -> random())', 'another value in every run'],
  ['CASE WHEN ok THEN 1 ELSE random() END', 'another value in every run'],
  ['a BETWEEN 0 AND random()', 'another value in every run'],
  ['CAST(random() AS INTEGER)', 'another value in every run'],
  ['b[random()::INTEGER]', 'another value in every run'],
  ["nextval('q')", 'a sequence gives another value'],
  ["getenv('HOME')", 'reads the environment'],
  ["current_setting('threads')", 'depends on the session'],
  ["getvariable('x')", 'depends on the session'],
  ['version()', 'depends on the session'],
  ['user', 'depends on the session'],
  ['session_user', 'depends on the session'],
  ['current_catalog', "reads DuckDB's catalog"],
  ['txid_current()', 'depends on the session'],
  ["read_text('/etc/passwd')", 'reads files'],
  ["read_csv('/etc/passwd')", 'reads files'],
  ["glob('*')", 'table function'],
  ['hash(n)', 'may change with the DuckDB version'],
  ['sleep_ms(1)', 'only blocks'],
  ['pg_sleep(1)', 'only blocks'],
  ["write_log('x')", "writes to DuckDB's log"],
  ["error('x')", 'would end the run'],
  ['alias(n)', 'text of an expression'],
  ["json_serialize_plan('SELECT 1')", "reads DuckDB's catalog"],
  ['list_where(b, [ok])', 'use list_transform(places, lambda i: list[i])'],
  ['b <-> b', 'as in array_distance('],
  ['parse_filename(s, ok)', 'takes no column after its first argument, only a constant'],
  ['date_part(s, z)', 'takes no column as its first argument, only a constant'],
  ['date_diff(s, z, z)', 'takes no column as its first argument, only a constant'],
  ["date_sub('era', z, z)", 'Specifier type not implemented'],
  ["list_aggr(b, 'approx_quantile', 0.5)", 'takes one of'],
  ['list_aggr(b, s)', 'takes one of'],
  ['no_such_function(n)', 'DuckDB has no such function'],
  // Names.
  ['totall > 1', 'there is no column "totall"'],
  ['curent_date', 'Did you mean "current_date"?'],
  ['r.a', 'there is no column "r"'],
  ['rowid', 'there is no column "rowid"'],
  ['\u0430 > 0', 'there is no column "\u0430"'],
  ['list_transform(b, x -> y)', 'there is no column "y"'],
  ['list_transform(b, x -> x)[1] + x', 'there is no column "x"'],
  ['x -> x', 'there is no column "x"'],
  ['st.y.nope', 'Could not find key "nope"'],
  ['list_transform(b, (x, x) -> x)', 'different plain names'],
  ['list_transform(b, r.n -> 1)', 'different plain names'],
  ['fmod(x := a, y := 2)', 'the name "x" has no place here'],
  // Types.
  ['n::mood', 'there is no type mood'],
  ['n::MAP(INTEGER, mood)', 'there is no type mood'],
  ['s || b', 'DuckDB does not accept it: Cannot concatenate'],
  ['n + s', 'DuckDB does not accept it'],
  ['s::GEOMETRY', 'a cast to GEOMETRY is not allowed'],
  ['s::VARIANT', 'a cast to VARIANT is not allowed'],
  ['[s]::TIMESTAMPTZ[]', 'cast each text by itself'],
  ["{'u': s}::STRUCT(u TIMESTAMPTZ)", 'cast each text by itself'],
  ['TRY_CAST(s AS TIMESTAMPTZ[])', 'cast each text by itself'],
  ["CAST('[2022-01-31 10:11:12 Asia/Tokyo, 2022-01-31]' AS TIMESTAMPTZ[])", 'cast each text by itself'],
  // `->` binds its left side first, as in DuckDB: write `lambda x:` around a JSON extraction.
  ["list_transform(b, x -> j ->> '$.a.b')", 'there is no column "x"'],
  ['1e400', 'beyond the range of DOUBLE'],
  // Size.
  ['x'.repeat(10_001), 'it has 10001 characters'],
  [`${'('.repeat(4_990)}1`, 'it ends too early'],
  [`n${'+n'.repeat(300)}`, 'nested more than 250 deep'],
  [`${'[ '.repeat(300)}1${']'.repeat(300)}`, 'nested more than 250 deep'],
  [`n::INTEGER${'[]'.repeat(300)}`, 'nested more than 250 deep'],
  [`${'CAST('.repeat(6)}t${' AS TIMESTAMPTZ)'.repeat(6)}`, 'nested more than 250 deep'],
  [`n${'+n'.repeat(4_900)}`, 'depth limit'],
  [`${'NOT '.repeat(2_400)}ok`, 'depth limit'],
]

/** What stands for the types of DuckDB's list that are none of a column. */
const columnTypes: Readonly<Record<string, readonly string[]>> = {
  ANY: ['BIGINT', 'VARCHAR', 'BIGINT[]', 'STRUCT(a BIGINT)', 'MAP(VARCHAR, BIGINT)'],
  'ANY[]': ['BIGINT[]', 'VARCHAR[]', 'STRUCT(k VARCHAR, v BIGINT)[]'],
  T: ['BIGINT'],
  'T[]': ['BIGINT[]'],
  K: ['VARCHAR'],
  V: ['BIGINT'],
  'K[]': ['VARCHAR[]'],
  'V[]': ['BIGINT[]'],
  LAMBDA: ['LAMBDA'],
  STRUCT: ['STRUCT(a BIGINT)'],
  MAP: ['MAP(VARCHAR, BIGINT)'],
  'MAP(K, V)': ['MAP(VARCHAR, BIGINT)'],
  INTEGER_LITERAL: ['INTEGER'],
  null: ['BIGINT', 'VARCHAR', 'BIGINT[]', 'VARCHAR[]', 'BOOLEAN[]', 'TIMESTAMP', 'JSON', 'MAP(VARCHAR, BIGINT)'],
}

/** One of each, in all ways. */
function combinations(choices: readonly (readonly string[])[]): readonly (readonly string[])[] {
  return choices.reduce<readonly (readonly string[])[]>(
    (made, choice) => made.flatMap(before => choice.map(one => [...before, one])).slice(0, 200),
    [[]],
  )
}

async function messageOf(sql: string): Promise<string> {
  const error = await check(sql).then(
    passed => new Error(`it passed as ${passed.sql}`),
    (thrown: unknown) => thrown,
  )
  if (!isMillraceError(error) || error.kind !== 'user' || error.code !== 'expression') throw error
  return error.message
}

describe('S19: an expression is a function of the row', () => {
  test.each(accepted)('S19: %s passes and keeps type %s and value %s', async (sql, type, value) => {
    const passed = await check(sql)
    expect(passed.type).toBe(type)
    const [written] = await db.rows(`SELECT CAST((${passed.sql}) AS VARCHAR) AS "value" FROM ${row} AS r`)
    expect(written?.value).toBe(value)
  })

  test.each(refused)('S19: %s is refused: %s', async (sql, message) => {
    expect(await messageOf(sql)).toContain(message)
  })

  test('S19: an error names step, field, columns and the expression', async () => {
    const error = gate.expression(
      'totl > 1',
      { total: 'DOUBLE', zone: 'BIGINT' },
      { step: 'derive', field: 'share' },
      'r',
    )
    await expect(error).rejects.toThrow(
      'derive, share: there is no column "totl". Did you mean "total"? Columns here: total, zone. At character 1 of: totl > 1',
    )
    const named = gate.expression('totl', { total: 'DOUBLE' }, { step: 'derive', field: 'derive share' }, 'r')
    await expect(named).rejects.toThrow(/^derive share: there is no column "totl"/)
  })

  test('S19: the type that the gate tells is the type over a real relation', async () => {
    for (const [sql, type] of accepted) {
      const { sql: written } = await check(sql)
      const bound = await db.describe(`SELECT (${written}) AS "value" FROM ${row} AS r`)
      expect([sql, bound.value]).toEqual([sql, type])
    }
  })

  test('S19: the alias may be any name, also that of a column or of a lambda parameter', async () => {
    for (const alias of ['a', 'st', 'x', 'select', 'we "ird', 'über']) {
      const { sql } = await gate.expression(
        'list_transform(b, x -> x + st.x + a)',
        columns,
        { step: 's', field: 'f' },
        alias,
      )
      const [result] = await db.rows(`SELECT CAST(${sql} AS VARCHAR) AS "value" FROM ${row} AS ${id(alias)}`)
      expect([alias, result?.value]).toEqual([alias, '[16.5, 14.5, 15.5]'])
    }
  })

  test("S24: a cast of a text with a zone's name fails, and says how to read it", async () => {
    const { sql } = await check("CAST(s || ' Asia/Tokyo' AS TIMESTAMPTZ)")
    const evaluated = db.rows(`SELECT ${sql} FROM (SELECT '2022-01-31 10:11:12' AS s) AS r`)
    await expect(evaluated).rejects.toThrow(
      "'2022-01-31 10:11:12 Asia/Tokyo' (the name of a zone is read by strptime(text, '%Y-%m-%d %H:%M:%S %Z') only)",
    )
  })

  test('S19: DuckDB reads no clock for now, today and their like in text', async () => {
    for (const word of [
      'now',
      'today',
      'tomorrow',
      'yesterday',
      'current_date',
      'current_timestamp',
      'NOW',
      'allballs',
    ]) {
      for (const type of [
        'TIMESTAMP',
        'TIMESTAMPTZ',
        'DATE',
        'TIME',
        'TIMETZ',
        'TIMESTAMP_NS',
        'TIMESTAMP_S',
        'TIMESTAMP_MS',
      ]) {
        const [result] = await db.rows(
          `SELECT TRY_CAST(w AS ${type}) IS NULL AS "none" FROM (VALUES ('${word}')) AS v(w)`,
        )
        expect([word, type, result?.none]).toEqual([word, type, true])
      }
    }
  })
})

describe('what can never work is refused before any data is read, in words of the user', () => {
  test.each([
    ["n = 'abc'", "it can never work: Could not convert string 'abc' to BIGINT. In: n = 'abc'"],
    ["n > 5 AND n IN (1, 'abc')", "Could not convert string 'abc' to BIGINT."],
    ["coalesce(n, 'none')", "Could not convert string 'none' to BIGINT."],
    ["CASE WHEN ok THEN 1 ELSE CAST('x' AS INTEGER) END", "Could not convert string 'x' to INTEGER."],
    ["t > 'yesterday'", 'invalid timestamp field format: "yesterday"'],
    ["date_trunc('fortnight', t)", 'extract specifier "fortnight" not recognized.'],
    ["regexp_matches(s, '(')", 'DuckDB does not accept it: missing ): (.'],
    ["n = 'null'", "Could not convert string 'null' to BIGINT."],
    ["strptime(s, '%Q')", 'Failed to parse format specifier %Q'],
    ["j ->> '$.['", "JSON path error near '.['."],
    ['n + 9223372036854775807 + 1 > 0 OR 9223372036854775807 + 1::BIGINT = n', 'Overflow in addition of BIGINT'],
    ['n LIKE 5', "No function matches the given name and argument types 'LIKE(BIGINT, INTEGER_LITERAL)'."],
    ["n NOT ILIKE 'a'", "argument types 'NOT ILIKE(BIGINT, STRING_LITERAL)'."],
  ])('%s: %s', async (sql, message) => {
    const told = await messageOf(sql)
    expect(told).toContain(message)
    // Nothing of the query that is made of it, and no name of what DuckDB holds.
    expect(told).not.toMatch(/LINE 1|SELECT|"r"|INT64|INT32| Error:/)
  })

  test.each([
    ["TRY_CAST('abc' AS BIGINT) = n"],
    ["CASE WHEN n > 5 THEN CAST('abc' AS BIGINT) END"],
    ["TRY('x'::INTEGER) = n"],
    ["ok AND s = 'abc'"],
    ["list_filter(b, x -> x = 'abc')"],
    // These mind NULLs, not constants.
    ['json_object(s, n)'],
    ['map {s: n}'],
    ["map_from_entries([{'k': s, 'v': n}])"],
    ['array_distance([a, n]::FLOAT[2], [1, 2]::FLOAT[2])'],
    ['map {s: CAST(s AS DATE)}'],
  ])('%s may work for some row', async sql => {
    expect((await check(sql)).sql).not.toBe('')
  })

  test.each([
    ['n > ', 'it is no SQL expression: it ends too early. At character 4 of: n > '],
    ['n > > 5', 'it is no SQL expression: syntax error. At character 5 of: n > > 5'],
    ['n FROM r', 'syntax error. At character 3 of: n FROM r'],
    ["'é😀' || 5 6", 'syntax error. At character 11 of:'],
    ['n >\n  5 AND\n  (1 6)', 'syntax error. At line 3, character 6 of: n >'],
    ["n = 5 AND 'open", 'unterminated quoted string. At character 11 of:'],
    ["'é😀' || totl", 'there is no column "totl". Columns here: '],
    ["'é😀' || totl", "At character 9 of: 'é😀' || totl"],
    ['n > 1\n  AND now() > t', 'At line 2, character 7 of: n > 1'],
    ['struct_pack(k := random())', 'At character 18 of:'],
    [`${' '.repeat(300)}totl${' '.repeat(300)}`, `At character 301 of: ...${' '.repeat(100)}totl${' '.repeat(96)}...`],
  ])('%j is told with its place: %s', async (sql, message) => {
    const told = await messageOf(sql)
    expect(told).toContain(message)
    expect(told).not.toContain(']')
  })
})

describe('S19: every function that DuckDB lists is judged', () => {
  test('S19: an allowed one is CONSISTENT or a reviewed macro, a refused one has a reason', async () => {
    const entries = (await db.rows(functionEntriesSql)) as unknown as FunctionEntry[]
    const rules = functionRules(entries)
    const called = entries.filter(entry => entry.type === 'scalar' || entry.type === 'macro')
    const names = [...new Set(called.map(entry => entry.name))].sort()
    const allowed: string[] = []
    const because: string[] = []
    for (const name of names) {
      const verdict = rules(name, 2)
      if (verdict === 'allowed') {
        allowed.push(name)
        const kinds = called.filter(entry => entry.name === name)
        const isSound = allowedMacros.has(name) || kinds.every(entry => entry.stability === 'CONSISTENT')
        expect([name, isSound]).toEqual([name, true])
      } else {
        because.push(`${name}: ${verdict.refused}`)
      }
    }
    // A DuckDB upgrade shows here: review each new name before updating.
    expect(allowed.join('\n')).toMatchSnapshot('allowed')
    expect(because.join('\n')).toMatchSnapshot('refused')
  })

  test('no allowed function fails over a row of NULLs, whatever types it takes, so that no valid call is refused', async () => {
    const entries = (await db.rows(functionEntriesSql)) as unknown as FunctionEntry[]
    const rules = functionRules(entries)
    const overloads = await db.rows(
      `SELECT DISTINCT function_name AS "name", len(parameters) AS "arity", to_json(parameter_types)::VARCHAR AS "types", varargs
       FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro') AND regexp_full_match(function_name, '[a-z_0-9]+')`,
    )
    const failed: string[] = []
    const passed = new Set<string>()
    for (const { name, arity, types, varargs } of overloads) {
      const declared = (JSON.parse(String(types)) as (string | null)[] | null) ?? Array<null>(Number(arity)).fill(null)
      for (const more of varargs === null ? [0] : [1, 2]) {
        const parameters = [...declared, ...Array<string>(more).fill(String(varargs))]
        if (rules(String(name), parameters.length) !== 'allowed') continue
        for (const taken of combinations(parameters.map(type => columnTypes[type ?? 'null'] ?? [type ?? 'BIGINT']))) {
          const call = `${String(name)}(${taken.map((type, at) => (type === 'LAMBDA' ? 'lambda x: x' : `c${at}`)).join(', ')})`
          const scope = Object.fromEntries(taken.flatMap((type, at) => (type === 'LAMBDA' ? [] : [[`c${at}`, type]])))
          const told = await gate.expression(call, scope, { step: 'where', field: 'where' }, 'r').then(
            () => undefined,
            (error: unknown) => String(error),
          )
          if (told === undefined) passed.add(String(name))
          else if (told.includes('it can never work')) failed.push(`${call} of ${taken.join(', ')}: ${told}`)
        }
      }
    }
    expect(failed.filter(call => !/^equi_width_bins.*Unsupported type/.test(call))).toEqual([])
    expect(passed.size).toBeGreaterThan(360)
  })

  test('S19: every reviewed macro is one that DuckDB has', async () => {
    const entries = (await db.rows(functionEntriesSql)) as unknown as FunctionEntry[]
    const macros = new Set(entries.filter(entry => entry.type === 'macro').map(entry => entry.name))
    expect([...allowedMacros].filter(name => !macros.has(name))).toEqual([])
  })
})
