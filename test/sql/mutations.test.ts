/**
 * Statements that were changed at random give an error or a plan, and nothing of them is run.
 * `MILLRACE_RUNS=50000 npm test -- test/sql/mutations.test.ts` tries as many.
 */
import { expect, test } from 'vitest'
import { MillraceError } from '../../src/core/errors.ts'
import type { Executor } from '../../src/core/ports.ts'
import { compileSql } from '../../src/sql/compile-sql.ts'
import { stepsOfQuery } from '../../src/sql/steps-of-query.ts'
import { seededRandom } from '../../src/testing/random.ts'
import { wholeFromEnvironment } from '../golden/drawn.ts'
import { sourceNode } from '../operators/flow.ts'
import { openTestDuckdb } from '../plan/duckdb.ts'
import { seed } from '../seed.ts'
import { sqlFile, statements } from './plans.ts'

const runs = wholeFromEnvironment('MILLRACE_RUNS', 600)

const queries = [
  `SELECT window_start, window_end, zone, count(*) AS trips, sum(fare) FILTER (WHERE fare < 1e5) AS revenue
   FROM TUMBLE(trips, INTERVAL '60 minutes') WHERE fare > 0 GROUP BY window_start, window_end, zone HAVING count(*) > 3`,
  `SELECT *, CAST(tip / fare AS DECIMAL(9,4)) AS share, lower(trip_id) AS key FROM trips WHERE zone IN (1, 2)`,
  `WITH h AS (SELECT window_start, window_end, zone, count(*) AS trips
   FROM TUMBLE(DEDUPE(trips, trip_id, INTERVAL '1 day'), INTERVAL '1 hour') GROUP BY ALL)
   SELECT window_start, window_end, arg_max(window_start, trips) AS busiest FROM CALENDAR(h, 'day') GROUP BY 1, 2`,
  `SELECT t.trip_id, p.amount FROM trips AS t LEFT JOIN payments p
   ON p.id = t.trip_id AND p.paid_at BETWEEN t.at - INTERVAL '10 minutes' AND t.at + INTERVAL '2 hours'`,
  `SELECT zone, fare FROM trips LEFT JOIN zones ON zone = zones."LocationID"
   UNION ALL BY NAME SELECT CAST(amount AS DOUBLE) AS fare FROM payments`,
  `SELECT window_start, zone, count(*) AS n FROM HOP(trips, INTERVAL '5 minutes', INTERVAL '1 hour')
   GROUP BY window_start, window_end, zone QUALIFY row_number() OVER (PARTITION BY window_start ORDER BY n DESC) <= 3`,
]

/** Queries of `sql(...)`, over the columns of `sourceNode`. */
const steps = [
  `SELECT picked_up, zone, distance / 2 AS half FROM _in WHERE amount > 1e5 -- dear ones`,
  `SELECT *, CAST(tip / amount AS DECIMAL(9,4)) AS share, lower(kind) AS sort FROM _in WHERE zone IN (1, 2)`,
  `WITH long AS (SELECT * EXCLUDE (tip) FROM _in WHERE distance > 3) SELECT t.zone AS area FROM (SELECT * FROM long) AS t`,
]

/** What must not pass, and what makes sense elsewhere. */
const pieces = [
  ..."read_csv('/etc/passwd')|(SELECT 1)|now()|random()|getenv('HOME')|'/etc/passwd'|current_date|nextval('s')".split(
    '|',
  ),
  ..."; COPY trips TO 'x'|; ATTACH 'x' AS y|; DROP TABLE trips|; SET threads = 1|PRAGMA version|CALL f()".split('|'),
  ...'( ) [ ] { } , ; . * :: := => = <> -- /* */ " \' $$ $a$ \\ \0 \ud800 € 😀 ? $1 #1 @ : -> lambda'.split(' '),
  ...'SELECT FROM WHERE GROUP BY HAVING QUALIFY ORDER LIMIT UNION ALL NAME WITH AS ON JOIN LEFT USING'.split(' '),
  ...'INSERT INTO CREATE VIEW SOURCE SINK EMIT UPDATE OVER FILTER DISTINCT NULL CASE WHEN THEN END'.split(' '),
  ...'window_start zone fare trips payments zones h 1 1e400 99999999999999999999 TUMBLE count sum'.split(' '),
  "INTERVAL '1 hour'",
  '${HOME}',
  '(((((((((((',
  'x'.repeat(300),
]

/** All that the compiler may ask of DuckDB: to parse, to write back, to bind over a row of NULLs, to list functions. */
const asked = [
  /^SELECT json_serialize_sql\('(?:[^']|'')*'\) AS tree$/,
  /^SELECT json_deserialize_sql\('(?:[^']|'')*'::JSON\) AS "sql"$/,
  /^SELECT DISTINCT function_name AS "name", function_type AS "type", stability FROM duckdb_functions\(\)$/,
  /^SELECT \([^]*\) AS "value" FROM \(SELECT (?:CAST\(NULL AS |coalesce\(TRY_CAST\()[^]*\) AS "_in"$/,
]

test('a statement that was changed at random gives an error or a plan, and is not run', {
  timeout: 3_600_000,
}, async () => {
  await using duckdb = await openTestDuckdb()
  const random = seededRandom(seed)
  const below = (most: number) => Math.floor(random() * most)
  const one = <T>(list: readonly T[]): T => list[below(list.length)] as T
  const strangers: string[] = []
  const watched = (sql: string) => {
    if (!asked.some(pattern => pattern.test(sql))) strangers.push(sql)
    return sql
  }
  const executor: Pick<Executor, 'run' | 'rows' | 'describe'> = {
    run: sql => duckdb.run(watched(sql)),
    rows: sql => duckdb.rows(watched(sql)),
    describe: sql => duckdb.describe(watched(sql)),
  }
  const mutated = (text: string) => {
    const words = text.split(/(\s+|\b)/)
    for (let times = 1 + below(3); times > 0; times--) {
      const at = below(words.length)
      const what = below(5)
      if (what === 0) words.splice(at, 1)
      else if (what === 1) words.splice(at, 0, ' ', one(pieces), ' ')
      else if (what === 2) words[at] = one(pieces)
      else if (what === 3) words.splice(at, 0, ...words.slice(below(words.length)).slice(0, 1 + below(4)))
      else words[at] = (words[at] ?? '').slice(0, below(4)) + one(['', "'", '"', '(', ')', '\\', '\n', '\u00a0'])
    }
    return words.join('')
  }
  const found = { plans: 0, errors: 0 }
  for (let run = 0; run < runs; run++) {
    const query = `INSERT INTO out ${one(queries)};`
    const isStep = below(4) === 0
    const text = isStep
      ? mutated(one(steps))
      : below(4) === 0
        ? mutated(statements) + query
        : statements + mutated(query)
    const result: unknown = await (isStep
      ? stepsOfQuery(executor, {
          query: text,
          at: { file: 'p.ts', line: 1, column: 1 },
          input: sourceNode,
          answer() {},
        })
      : compileSql(sqlFile(text), { executor, environment: {} })
    ).catch((error: unknown) => error)
    if (result instanceof Error) {
      expect(result, `seed ${seed}, run ${run}:\n${text}\n${result.stack}`).toBeInstanceOf(MillraceError)
      expect((result as MillraceError).kind, text).toBe('user')
      expect((result as MillraceError).at, `${result.message}\n${text}`).toBeDefined()
      found.errors++
    } else found.plans++
    expect(strangers, `seed ${seed}, run ${run}:\n${text}`).toEqual([])
  }
  // Both come out often, or the mutations test nothing.
  expect(found.plans).toBeGreaterThan(runs / 50)
  expect(found.errors).toBeGreaterThan(runs / 4)
})
