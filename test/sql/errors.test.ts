import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import { siteOf } from '../../src/sql/sql-error.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { compiled, statements } from './plans.ts'

let duckdb: TestDuckdb
beforeAll(async () => {
  duckdb = await openTestDuckdb()
})
afterAll(() => duckdb[Symbol.asyncDispose]())

/** The error of a text, `^` in which stands before the place that it must name. */
async function failing(marked: string, environment: Readonly<Record<string, string>> = {}): Promise<MillraceError> {
  const at = marked.indexOf('^')
  const text = marked.replace('^', '')
  const error: unknown = await compiled(duckdb, text, environment).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(MillraceError)
  const { kind, at: site, message } = error as MillraceError
  expect(kind, message).toBe('user')
  const lines = text.slice(0, at).split('\n')
  const expected = `${lines.length}:${[...(lines.at(-1) ?? '')].length + 1}`
  expect(`${site?.line}:${site?.column}`, message).toBe(expected)
  return error as MillraceError
}

const query = (sql: string) => `${statements}INSERT INTO out ${sql};`

describe('a query that is refused names its place and what to write', () => {
  test.each<[what: string, sql: string, message: string]>([
    ['GROUP BY without a window', 'SELECT zone, count(*) AS n FROM trips ^GROUP BY zone', 'the bound is missing'],
    ['an aggregate of all rows', 'SELECT ^count(*) AS n FROM trips', 'the bound is missing'],
    [
      'windows that are put together',
      `SELECT zone, count(*) AS n FROM TUMBLE(trips, INTERVAL '1 hour') ^GROUP BY zone`,
      'GROUP BY window_start, window_end',
    ],
    [
      'a join without bounds',
      'SELECT fare FROM trips ^JOIN payments ON trip_id = payments.id',
      "AND b.paid_at BETWEEN a.ordered_at - INTERVAL '10 minutes'",
    ],
    [
      'a column of a join that took the place of the event time',
      `SELECT fare FROM trips AS t JOIN (SELECT id, paid_at + INTERVAL '1 day' AS paid_at FROM payments) AS p
       ON trip_id = p.id AND ^p.paid_at BETWEEN t.at AND t.at + INTERVAL '1 hour'`,
      'this is no condition of a join',
    ],
    [
      'a join of rows without event time',
      `SELECT fare FROM trips AS t ^JOIN raw ON t.zone = raw.id AND raw.id BETWEEN t.at AND t.at + INTERVAL '1 hour'`,
      'source raw has none; expected WATERMARK FOR',
    ],
    [
      'a join of rows whose time is no column',
      `SELECT fare FROM trips AS t ^JOIN (SELECT trips.trip_id FROM trips JOIN payments ON trips.trip_id = payments.id
       AND payments.paid_at BETWEEN trips.at AND trips.at + INTERVAL '1 hour') AS p ON t.trip_id = p.trip_id`,
      'the event time of the right side is no column of its rows',
    ],
    ['ORDER BY', 'SELECT fare FROM trips ^ORDER BY fare', 'its bound is missing; of each window the first rows are'],
    ['LIMIT', 'SELECT fare FROM trips ^LIMIT 10', 'LIMIT counts all rows that will ever come'],
    ['DISTINCT', 'SELECT ^DISTINCT fare FROM trips', 'FROM DEDUPE(trips, id, INTERVAL'],
    ['DEDUPE for ever', 'SELECT fare FROM DEDUPE(trips, ^zone)', 'its bound is missing'],
    ['EXCEPT', 'SELECT fare FROM trips ^EXCEPT SELECT fare FROM trips', 'ANTI JOIN'],
    ['UNION', 'SELECT fare FROM trips ^UNION ALL SELECT fare FROM trips', 'expected UNION ALL BY NAME'],
    [
      'row_number() without a window',
      'SELECT fare FROM trips QUALIFY ^row_number() OVER (PARTITION BY zone ORDER BY fare) <= 3',
      'expected PARTITION BY window_start',
    ],
    ['a misspelt column', 'SELECT fare FROM trips WHERE ^zon > 3', 'Did you mean "zone"?'],
    ['a misspelt source', 'SELECT fare FROM ^trip', "did you mean 'trips'?"],
    ['a misspelt window', `SELECT fare FROM ^TUMBEL(trips, INTERVAL '1 hour')`, "did you mean 'TUMBLE'?"],
    ['a window of Flink', `SELECT fare FROM TUMBLE(^TABLE trips, DESCRIPTOR(a), INTERVAL '1 hour')`, 'the name alone'],
    ['DESCRIPTOR', `SELECT fare FROM TUMBLE(trips, ^DESCRIPTOR(a), INTERVAL '1 hour')`, 'no DESCRIPTOR'],
    ['EMIT behind', 'SELECT fare FROM trips ^EMIT CHANGES', 'INSERT INTO sink EMIT UPDATE SELECT'],
    ['a week', `SELECT fare FROM TUMBLE(trips, INTERVAL ^'1 week')`, "CALENDAR(trips, 'week')"],
    ['no interval', `SELECT fare FROM TUMBLE(trips, ^'1 hour')`, "expected an interval such as INTERVAL '1 hour'"],
    ['a lookup by itself', 'SELECT "Name" FROM ^zones', 'FROM trips JOIN zones ON'],
    ['a file', `SELECT * FROM ^'/etc/passwd'`, 'files are read by sources alone'],
    ['a function of tables', `SELECT * FROM ^read_csv(trips)`, 'rows do not come from read_csv(...)'],
    ['a subquery', 'SELECT fare FROM trips WHERE fare > ^(SELECT 1)', 'subqueries'],
    ['now()', 'SELECT fare FROM trips WHERE "at" < ^now()', 'now'],
    ['a column without a name', 'SELECT ^fare + 1 FROM trips', 'this column has no name'],
    ['no predicate', 'SELECT fare FROM trips WHERE ^fare + 1', 'expected a BOOLEAN'],
    ['two columns of one name', 'SELECT fare, ^tip AS fare FROM trips', 'two columns would be called fare'],
    ['an aggregate in WHERE', 'SELECT fare FROM trips WHERE ^count(*) > 1', 'in HAVING'],
    [
      'a window in WHERE',
      `SELECT count(*) AS n FROM TUMBLE(trips, INTERVAL '1 day') WHERE ^window_start > DATE '2024-01-01' GROUP BY ALL`,
      'in HAVING',
    ],
    ['a type that no column has', `SELECT ^fare::HUGEINT AS n FROM trips`, 'expected a cast'],
    ['bad syntax', `SELECT fare FROM trips WHERE fare > ^> 3`, 'syntax error'],
    [
      'the key that a join has lost',
      'SELECT zones.^"LocationID" FROM trips LEFT JOIN zones ON zone = "LocationID"',
      'is NULL where a row of the left side has no partner',
    ],
    ['behind ä and ö', `SELECT 'äöü' AS t FROM trips WHERE '€' <> 'x' AND ^zon > 3`, 'Did you mean "zone"?'],
  ])('%s', async (_, sql, message) => {
    expect((await failing(query(sql))).message).toContain(message)
  })
})

describe('a statement that is refused names its place and what to write', () => {
  const pipeline = "CREATE PIPELINE p WITH (checkpoint = 'ck');\n"
  test.each<[what: string, text: string, message: string]>([
    ['another statement', `${pipeline}^CREATE TABLE t (a INTEGER);`, 'expected CREATE PIPELINE, CREATE SOURCE'],
    ['a misspelt statement', `${pipeline}^CREATE SOURC t (a INTEGER);`, 'Did you mean CREATE SOURCE?'],
    ['a query alone', '^SELECT 1', 'INSERT INTO sink SELECT'],
    ['no pipeline', '^', 'CREATE PIPELINE revenue'],
    ['a text that does not end', `CREATE PIPELINE p WITH (checkpoint = ^'ck);`, 'the text does not end'],
    ['a comment that does not end', `CREATE ^/* PIPELINE /* p */`, 'the comment does not end'],
    ['a type', `CREATE SOURCE s (a ^INT) WITH (objects = 'x', format = 'json');`, 'INTEGER'],
    ['an option', `CREATE SOURCE s (a BIGINT) WITH (^objets = 'x', format = 'json');`, "did you mean 'objects'?"],
    ['a format', `CREATE SOURCE s (a BIGINT) WITH (objects = 'x', ^format = 'jsn');`, "did you mean 'json'?"],
    ['no format', `CREATE SOURCE ^s (a BIGINT) WITH (objects = 'x');`, 'format is missing'],
    [
      "a format's option",
      `CREATE SOURCE s (a BIGINT) WITH (objects = 'x', format = 'csv', ^'format.delimeter' = ';');`,
      "did you mean 'delimiter'?",
    ],
    [
      'a value',
      `CREATE SOURCE s (a BIGINT) WITH (objects = 'x', format = 'json', ^hidden = 'show');`,
      "'show' is not valid; expected 'ignore' or 'read'",
    ],
    ['a connector', `CREATE SINK s WITH (^connector = 'file', path = 'x');`, "did you mean 'files'?"],
    ['no path', `CREATE SINK ^s WITH (connector = 'files', format = 'json');`, 'path is missing'],
    ['no sink', `${pipeline}INSERT INTO ^out SELECT 1 FROM t;`, 'a CREATE SINK before it'],
    ['a variable that is not there', `CREATE PIPELINE p WITH (^checkpoint = '\${NO}/ck');`, 'no variable NO'],
    [
      'a watermark of another column',
      `CREATE SOURCE s (a TIMESTAMP, WATERMARK FOR a AS ^b - INTERVAL '1 day') WITH (objects = 'x', format = 'json');`,
      'the watermark of a is made of a itself',
    ],
    ['a second name', `${pipeline}CREATE PIPELINE ^q WITH (checkpoint = 'b');`, 'one CREATE PIPELINE'],
  ])('%s', async (_, text, message) => {
    expect((await failing(text)).message).toContain(message)
  })
})

test('the frame shows the line, and no login that it holds', async () => {
  const text = `CREATE PIPELINE p WITH (checkpoint = 'ck');
CREATE SINK s WITH (connector = 'postgres', url = 'postgres://me:hunter2@host/db', ^tabel = 't');`
  const { at } = await failing(text)
  expect(at?.frame).toBe(
    "  2 | CREATE SINK s WITH (connector = 'postgres', url = 'postgres://**********@host/db', tabel = 't');\n" +
      `    | ${' '.repeat(83)}^`,
  )
})

test.each([
  ["key = 'shop'", "key = 'shop'"],
  ["'key' = ('shop', 'day')", "'key' = ('shop', 'day')"],
  ["keyPattern = '{dt}.csv'", "keyPattern = '{dt}.csv'"],
  ["'tls.key' = 'abc'", "'tls.key' = '***'"],
  ["accessKey = 'abc'", "accessKey = '***'"],
  ["access_key_id = 'abc'", "access_key_id = '***'"],
  ["password='abc'", "password='***'"],
  ["'oauth.clientSecret' = 'abc'", "'oauth.clientSecret' = '***'"],
  ["certificate = 'abc'", "certificate = '***'"],
])('of options in the frame those are stars that may be secret: %s', (written, shown) => {
  expect(siteOf({ file: 'pipeline.sql', text: `CREATE SINK s WITH (${written});` }, 0).frame).toBe(
    `  1 | CREATE SINK s WITH (${shown});\n    | ^`,
  )
})

test('a function of the environment is refused with what helps in a file of SQL', async () => {
  const { message } = await failing(query("SELECT ^getenv('HOME') AS home FROM trips"))
  expect(message).toContain('a variable stands in values of WITH, as ${NAME}, and a query takes the value itself')
  expect(message).not.toContain('process.env')
})

test('variables are put into values of options when all is parsed, and what they hold is known', async () => {
  const text = statements
    .replace("'ck'", "'${PLACE}/ck'")
    .replace("path = 'out'", () => "path = '${PLACE}/$${x}'")
    .concat('INSERT INTO out SELECT fare FROM trips;')
  const injected = "data', format = 'csv"
  const pipeline = await compiled(duckdb, text, { PLACE: injected })
  expect(pipeline.checkpoint).toBe(`${injected}/ck`)
  expect(pipeline.secrets?.()).toEqual(new Map([['PLACE', injected]]))
})

test('a variable is refused in what the checkpoint would keep', async () => {
  const text = `CREATE PIPELINE p WITH (checkpoint = 'ck');
CREATE SINK s WITH (connector = 'postgres', url = '\${PG}', ^table = '\${TABLE}');`
  const { message } = await failing(text, { PG: 'postgres://me:hunter2@host/db', TABLE: 'secret_table' })
  expect(message).toContain("'${TABLE}' would lie in the checkpoint")
  expect(message).not.toContain('secret_table')
})
