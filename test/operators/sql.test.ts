import { defer, map, type Observable, of } from 'rxjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parquet } from '../../connectors/parquet/spec.ts'
import * as m from '../../src/index.ts'
import { sql } from '../../operators/sql.ts'
import type { MillraceError } from '../../src/core/errors.ts'
import { UnknownSteps } from '../../src/plan/asked-steps.ts'
import type { PlannedBatch } from '../../src/plan/mini-batch.ts'
import { planJson, type PlanNode } from '../../src/plan/node.ts'
import { knowingSteps } from '../../src/sql/knowing-steps.ts'
import { describeFlows } from '../../src/engine/bind/describe-flows.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { compileSql } from '../../src/sql/compile-sql.ts'
import { canonicalPlan, compiled, sqlFile, statements } from '../sql/plans.ts'
import { checkOneToOne, createHead, describeOnce, errorOf, expectConfigError, type Trips, tripsOf } from './flow.ts'

let duckdb: TestDuckdb
beforeAll(async () => {
  duckdb = await openTestDuckdb()
})
afterAll(() => duckdb[Symbol.asyncDispose]())

/** The last node of a flow whose queries are read as a run reads them. */
function described(apply: (trips: Trips) => Observable<unknown>): Promise<PlanNode> {
  let head = createHead()
  const flow = apply(tripsOf(defer(() => of(head.batch(1)))))
  return knowingSteps(duckdb, () => {
    head = createHead()
    let found: unknown
    let failure: Error | undefined
    flow.subscribe({ next: value => (found = value), error: (error: Error) => (failure = error) })
    if (failure !== undefined) throw failure
    if (head.asked.length > 0) throw new UnknownSteps(head.asked)
    return (found as PlannedBatch).node
  })
}

async function failing(apply: (trips: Trips) => Observable<unknown>): Promise<MillraceError> {
  const error: unknown = await described(apply).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ name: 'MillraceError', kind: 'user' })
  return error as MillraceError
}

describe('a query is the steps that it stands for', () => {
  test.each<[what: string, query: string, steps: (trips: Trips) => Observable<unknown>]>([
    ['all rows', 'SELECT * FROM _in', trips => trips],
    [
      'WHERE',
      'SELECT * FROM _in WHERE zone > 3 AND zone IS DISTINCT FROM 7',
      trips => trips.pipe(m.where('zone > 3 AND zone IS DISTINCT FROM 7')),
    ],
    ['columns', 'select zone, picked_up from _in;', trips => trips.pipe(m.select('zone', 'picked_up'))],
    [
      'other names',
      'SELECT picked_up AS at, zone AS area FROM _in AS t',
      trips => trips.pipe(m.select('picked_up', 'zone'), m.rename({ picked_up: 'at', zone: 'area' })),
    ],
    [
      'an expression with the type that DuckDB finds, and one with the type of its cast',
      'SELECT *, distance / 2 AS half, CAST(amount * 2 AS DECIMAL(18,2)) AS twice FROM _in',
      trips => trips.pipe(m.derive({ half: ['DOUBLE', 'distance / 2'], twice: ['DECIMAL(18,2)', 'amount * 2'] })),
    ],
    [
      'all of them',
      'SELECT picked_up, _in.zone, lower(kind) AS sort -- as text\nFROM _in WHERE distance > 1e5',
      trips =>
        trips.pipe(
          m.where('distance > 1e5'),
          m.derive({ sort: ['VARCHAR', 'lower(kind)'] }),
          m.select('picked_up', 'zone', 'sort'),
        ),
    ],
    [
      'queries within queries, one after the other',
      `WITH long AS (SELECT picked_up, distance FROM _in WHERE distance > 3)
       SELECT * FROM (SELECT *, distance * 2 AS twice FROM long) AS t WHERE twice < 9`,
      trips =>
        trips.pipe(
          m.where('distance > 3'),
          m.select('picked_up', 'distance'),
          m.derive({ twice: ['DOUBLE', 'distance * 2'] }),
          m.where('twice < 9'),
        ),
    ],
    [
      'columns left out and replaced',
      'SELECT * EXCLUDE (tip) REPLACE (upper(kind) AS kind) FROM _in',
      trips =>
        trips.pipe(
          m.derive({ kind: ['VARCHAR', 'upper(kind)'] }),
          m.select('picked_up', 'zone', 'kind', 'amount', 'distance'),
        ),
    ],
  ])('%s', async (_, query, steps) => {
    const node = await described(trips => trips.pipe(sql(query)))
    const other = describeOnce(steps)
    expect(planJson(node)).toEqual(planJson(other))
    expect(Object.entries(node.columns)).toEqual(Object.entries(other.columns))
  })

  test('a window follows, and several queries one another', async () => {
    const half = { picked_up: 'TIMESTAMP NOT NULL', half: 'DOUBLE' } as const
    const hourly = <I>(flow: (trips: Trips) => Observable<I>) => flow
    const node = await described(
      hourly(trips =>
        trips.pipe(
          sql('SELECT *, distance / 2 AS half FROM _in'),
          sql('SELECT picked_up, half FROM _in WHERE half > 0', half),
          m.tumbling('1 hour'),
          m.aggregate({ most: m.max('half') }),
          sql('SELECT window_end, most * 2 AS most FROM _in'),
        ),
      ),
    )
    expect(node.columns).toEqual({ window_end: 'TIMESTAMP NOT NULL', most: 'DOUBLE' })
    expect(
      planJson(node)
        .map(step => (step as { op: string }).op)
        .join(' '),
    ).toBe('source derive where select tumbling groupBy aggregate derive select')
  })

  test('the canonical plan is that of the same query in a file of SQL, so that a checkpoint goes on with either (P14)', async () => {
    const trips = m.source('trips', {
      objects: 'in/trips',
      format: parquet(),
      columns: {
        at: 'TIMESTAMP NOT NULL FROM lpep_pickup_datetime',
        zone: 'BIGINT',
        fare: 'DOUBLE',
        tip: 'DOUBLE DEFAULT 0',
        trip_id: 'VARCHAR',
      },
      time: 'at',
      watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
    })
    const query = 'SELECT _in.at, zone, tip / fare AS share FROM _in WHERE fare > 1e5'
    const own = m.pipeline(
      'p',
      { checkpoint: 'ck' },
      trips.pipe(sql(query), m.to(m.files('out', { format: 'parquet' }))),
    )
    ;(await describeFlows(own)).unsubscribe()
    const other = await compiled(duckdb, `${statements}INSERT INTO out ${query.replaceAll('_in', 'trips')};`)
    expect(await canonicalPlan(duckdb, own)).toEqual(await canonicalPlan(duckdb, other))
  })
})

test('a query whose steps are known passes each mini-batch on, one for one and at once, and only adds them', async () => {
  const step = sql<Trips extends Observable<infer I> ? I : never>('SELECT zone FROM _in WHERE zone > 3')
  await described(trips => trips.pipe(step))
  checkOneToOne(
    [
      { op: 'where', options: { predicate: 'zone > 3' } },
      { op: 'select', options: { columns: ['zone'] } },
    ],
    trips => trips.pipe(step),
  )
})

test('one query over rows of other columns is read for each of them', async () => {
  const step = sql('SELECT *, zone + 1 AS next FROM _in')
  const first = await described(trips => trips.pipe(m.select('zone'), step as never))
  const second = await described(trips => trips.pipe(m.select('zone', 'kind'), step as never))
  expect([first.columns, second.columns]).toEqual([
    { zone: 'BIGINT', next: 'BIGINT' },
    { zone: 'BIGINT', kind: 'VARCHAR', next: 'BIGINT' },
  ])
})

describe('what keeps state is refused with the operator that does it', () => {
  test.each<[query: string, instead: string]>([
    [
      'SELECT zone FROM _in ^GROUP BY zone',
      "GROUP BY is about more rows than one; expected tumbling('1 hour'), groupBy(",
    ],
    ['SELECT ^count(*) AS n FROM _in', 'count(...) is about more rows than one; expected tumbling('],
    ['SELECT zone FROM _in WHERE zone > ^max(zone)', 'max(...) is about more rows than one; expected tumbling('],
    ['SELECT zone FROM _in ^HAVING zone > 3', "HAVING is about more rows than one; expected where('trips > 3') behind"],
    [
      'SELECT zone FROM _in ^ORDER BY zone',
      "ORDER BY is about more rows than one; expected topN(10, { by: [['trips', 'desc']] })",
    ],
    ['SELECT zone FROM _in ^LIMIT 3', 'LIMIT is about more rows than one; expected topN('],
    ['SELECT zone FROM _in ^OFFSET 3', 'OFFSET is about more rows than one; expected topN('],
    [
      'SELECT zone FROM _in ^QUALIFY row_number() OVER (ORDER BY zone) < 3',
      'QUALIFY is about more rows than one; expected topN(',
    ],
    ['SELECT row_number() ^OVER (PARTITION BY zone) AS n FROM _in', 'OVER is about more rows than one; expected topN('],
    ['SELECT lag(zone) ^OVER w AS n FROM _in', 'or deltas('],
    ['SELECT ^DISTINCT zone FROM _in', "DISTINCT is about more rows than one; expected dedupe('id', '1 day')"],
    [
      'SELECT zone FROM _in ^UNION ALL BY NAME SELECT zone FROM _in',
      'UNION is about more rows than one; expected union(a, b)',
    ],
    ['SELECT zone FROM _in ^INTERSECT SELECT zone FROM _in', "kind: 'semi'"],
    ['SELECT zone FROM _in ^EXCEPT SELECT zone FROM _in', "kind: 'anti'"],
    [
      'SELECT a.zone FROM _in AS a ^JOIN _in AS b ON a.zone = b.zone',
      'JOIN is about more rows than one; expected join(other, {',
    ],
    ['SELECT ^unnest([zone]) AS one FROM _in', "UNNEST is about more rows than one; expected unnest('tags')"],
    [
      "SELECT zone FROM ^TUMBLE(_in, INTERVAL '1 hour')",
      'TUMBLE(...) is a step of its own; expected FROM _in, and tumbling(...)',
    ],
    [
      "SELECT zone FROM ^dedupe(_in, zone, INTERVAL '1 hour')",
      'dedupe(...) is a step of its own; expected FROM _in, and dedupe(...)',
    ],
    ['SELECT zone FROM (SELECT zone FROM _in ^LIMIT 3)', 'LIMIT is about more rows than one'],
    ['WITH h AS (SELECT zone FROM _in) SELECT zone FROM h ^GROUP BY zone', 'GROUP BY is about more rows than one'],
  ])('%s', async (marked, instead) => {
    const at = marked.indexOf('^')
    const error = await failing(trips => trips.pipe(sql(marked.replace('^', ''))))
    expect(error.message).toContain(`sql: ${instead}`.replace(/^sql: (kind|or)/, '$1'))
    expect(error.at?.frame).toBe(`  sql | ${marked.replace('^', '')}\n      | ${' '.repeat(at)}^`)
  })

  test.each(['SELECT "order".kind AS kind FROM _in AS "order"', 'SELECT zone IS DISTINCT FROM 3 AS is_other FROM _in'])(
    'and what only looks like it is taken: %s',
    async query => {
      expect(Object.keys((await described(trips => trips.pipe(sql(query)))).columns)).toHaveLength(1)
    },
  )
})

describe('a mistake is told with its place, in the file and in the query', () => {
  test.each<[what: string, query: string, message: string]>([
    [
      'a misspelt column',
      'SELECT zone FROM _in WHERE ^zon > 3',
      'sql: WHERE: there is no column "zon". Did you mean "zone"?',
    ],
    [
      'rows that are not there',
      'SELECT zone FROM ^trips',
      'sql: there are no rows but those of the step before, which are called _in',
    ],
    ['rows of a file', "SELECT zone FROM ^'trips.parquet'", 'sql: files are read by sources alone'],
    ['rows of a function', 'SELECT zone FROM ^read_csv(_in)', 'expected FROM _in, found read_csv'],
    ['a refused function', 'SELECT ^random() AS r FROM _in', 'sql: r: random(...) is not allowed'],
    ['a subquery', 'SELECT ^(SELECT 1) AS r FROM _in', ''],
    ['a function of the environment', "SELECT ^getenv('HOME') AS r FROM _in", 'read process.env in the pipeline file'],
    ['a column without a name', 'SELECT ^zone + 1 FROM _in', 'sql: this column has no name'],
    ['two columns of one name', 'SELECT zone, ^kind AS Zone FROM _in', 'sql: two columns would be called Zone'],
    ['no SELECT', '^DELETE FROM _in', 'sql: expected SELECT, found DELETE'],
    ['two queries', 'SELECT zone FROM _in^; DROP TABLE x', 'expected'],
    ['what is no SQL', 'SELECT zone +^) FROM _in', ''],
    [
      'a predicate of another type',
      'SELECT zone FROM _in WHERE ^zone + 1',
      'sql: WHERE has the type BIGINT; expected a BOOLEAN',
    ],
    ['a type that no column has', 'SELECT ^INTERVAL 1 DAY AS d FROM _in', 'which no column has'],
  ])('%s', async (_, marked, message) => {
    const error = await failing(trips => trips.pipe(sql(marked.replace('^', ''))))
    expect(error.message).toContain(message)
    expect(error.message).toMatch(/^sql: /)
    expect(error.at?.file).toBe(import.meta.filename)
    expect(error.at?.frame?.split('\n')[1]).toBe(`      | ${' '.repeat(marked.indexOf('^'))}^`)
  })

  test('of several lines the one is shown', async () => {
    const error = await failing(trips => trips.pipe(sql('SELECT zone\nFROM _in\nWHERE zon > 3')))
    expect(error.at?.frame).toBe('  sql:3 | WHERE zon > 3\n        |       ^')
  })

  test('so many brackets are too many', async () => {
    const error = await failing(trips =>
      trips.pipe(sql(`SELECT ${'('.repeat(50_000)}zone${')'.repeat(50_000)} AS z FROM _in`)),
    )
    expect(error.message).toMatch(/^sql: /)
  })

  test('a query behind a window is refused as its steps are', async () => {
    const error = await failing(trips => trips.pipe(m.tumbling('1 hour'), sql('SELECT zone FROM _in') as never))
    expect(error.message).toBe(
      'sql: cannot follow tumbling; add aggregate({...}) before it, which makes rows of windows.',
    )
  })

  test('the event time cannot be made anew before a window', async () => {
    const error = await failing(trips =>
      trips.pipe(
        sql("SELECT zone, picked_up + INTERVAL '1 day' AS picked_up FROM _in"),
        m.tumbling('1 hour'),
        m.aggregate({ n: m.count() }),
      ),
    )
    expect(error.message).toContain("tumbling: the event time column 'picked_up' was replaced by derive()")
  })
})

describe('columns are as they are said to be', () => {
  test('in any order, and NULL may be allowed where it cannot come', async () => {
    const columns = { half: 'DOUBLE', picked_up: 'TIMESTAMP', twice: 'DECIMAL( 38, 2 )' } as const
    const query = 'SELECT picked_up, distance / 2 AS half, CAST(amount * 2 AS DECIMAL(38,2)) AS twice FROM _in'
    const node = await described(trips => trips.pipe(sql(query, columns)))
    expect(node.columns).toEqual({ picked_up: 'TIMESTAMP NOT NULL', half: 'DOUBLE', twice: 'DECIMAL(38,2)' })
  })

  test.each<[columns: Readonly<Record<string, string>>, message: string]>([
    [
      { zone: 'BIGINT', haf: 'DOUBLE' },
      'sql: columns: the query gives no haf; did you mean half? It gives zone, half.',
    ],
    [{ zone: 'BIGINT' }, 'sql: columns: half is not among them; expected all columns of the query: zone, half.'],
    [
      { zone: 'BIGINT', half: 'DECIMAL(18,2)' },
      'sql: columns: half is DOUBLE; expected the same, or CAST(... AS DECIMAL(18,2)) AS half in the query, found DECIMAL(18,2).',
    ],
    [
      { zone: 'BIGINT', half: 'DOUBLE NOT NULL' },
      "sql: columns: half may be NULL; expected DOUBLE, and for NULL as an error derive({ half: ['DOUBLE NOT NULL', 'half'] }) behind this step.",
    ],
    [{ zone: 'BIGINT NOT NULL', half: 'DOUBLE' }, 'sql: columns: zone may be NULL; expected BIGINT'],
  ])('or it is told: %j', async (columns, message) => {
    const query = 'SELECT zone, distance / 2 AS half FROM _in'
    const error = await failing(trips => trips.pipe(sql(query, columns as never)))
    expect(error.message).toContain(message)
  })

  test.each<[columns: unknown, field: string, value: string, expected: string]>([
    [{}, 'sql: columns', '{}', 'at least one column: { name: SQL type }'],
    ['zone', 'sql: columns', "'zone'", 'at least one column: { name: SQL type }'],
    [{ zone: 'INT' }, 'sql: columns.zone', "'INT'", 'INTEGER'],
  ])('what is no list of columns is refused: %j', (columns, field, value, expected) => {
    expectConfigError(() => sql('SELECT zone FROM _in', columns as never), field, value, expected)
  })

  test.each([
    [7, '7'],
    ['  ', "'  '"],
  ])('what is no query is refused: %j', (query, value) => {
    const expected = "a query, such as 'SELECT a, a + b AS c FROM _in WHERE a > 0'"
    expectConfigError(() => sql(query as never), 'sql', value, expected)
  })
})

test('one that is made anew at each subscription is refused, and not read for ever', async () => {
  const error = await failing(trips => defer(() => trips.pipe(sql('SELECT zone FROM _in'))))
  expect(error.message).toMatch(/^sql: it is made anew each time/)
})

test('a function of a SQL file may be a query, also one over the rows of another', async () => {
  const load = async () => ({
    halves: sql('SELECT *, fare / 2 AS half FROM _in'),
    quarters: sql('SELECT *, half / 2 AS quarter FROM _in WHERE half > 1'),
  })
  const text = `${statements}
    CREATE FUNCTION halves LANGUAGE typescript FROM './rows.ts';
    CREATE FUNCTION quarters LANGUAGE typescript FROM './rows.ts';
    CREATE VIEW parts AS SELECT * FROM quarters(halves(trips)) WHERE zone > 3;
    INSERT INTO out SELECT quarter FROM parts;`
  const own = await compileSql(sqlFile(text), { executor: duckdb, environment: {}, load })
  const { nodes } = await canonicalPlan(duckdb, own)
  expect(nodes.map(({ op }) => op)).toEqual(['source', 'derive', 'where', 'derive', 'where', 'select'])
})

test('what is no mini-batch is refused by name', () => {
  expect(errorOf(trips => trips.pipe(map(() => 7) as never, sql('SELECT zone FROM _in') as never))).toMatchObject({
    code: 'not-a-mini-batch',
    message: expect.stringMatching(/^sql: expected a mini-batch/),
  })
})

test('each mistake is told with the call of sql(...), also in a pipeline of several flows', async () => {
  const trips = m.source('trips', { objects: 'in', format: parquet(), columns: { zone: 'BIGINT' } })
  const end = () => m.to(m.files('out', { format: 'parquet' }))
  const own = m.pipeline(
    'p',
    { checkpoint: 'ck' },
    trips.pipe(sql('SELECT zone FROM _in'), end()),
    trips.pipe(sql('SELECT zone + 1 AS next FROM _in'), sql('SELECT zone FROM _in'), end()),
  )
  await expect(describeFlows(own)).rejects.toMatchObject({
    message: expect.stringMatching(/^sql: .*zone.* Columns here: next\.$/),
    at: { file: import.meta.filename },
  })
})
