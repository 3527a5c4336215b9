import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { aggregate, aggregateStep } from '../../operators/aggregate.ts'
import { argMax } from '../../operators/aggregates/arg-max.ts'
import { argMin } from '../../operators/aggregates/arg-min.ts'
import { bitOr } from '../../operators/aggregates/bit-or.ts'
import { boolAnd } from '../../operators/aggregates/bool-and.ts'
import { collectSet } from '../../operators/aggregates/collect-set.ts'
import { collect } from '../../operators/aggregates/collect.ts'
import { count } from '../../operators/aggregates/count.ts'
import { exactQuantile } from '../../operators/aggregates/exact-quantile.ts'
import { first } from '../../operators/aggregates/first.ts'
import { histogram } from '../../operators/aggregates/histogram.ts'
import { last } from '../../operators/aggregates/last.ts'
import { max } from '../../operators/aggregates/max.ts'
import { median } from '../../operators/aggregates/median.ts'
import { min } from '../../operators/aggregates/min.ts'
import { product } from '../../operators/aggregates/product.ts'
import { quantile } from '../../operators/aggregates/quantile.ts'
import { aggregates } from '../../operators/aggregates/registry.ts'
import { sum } from '../../operators/aggregates/sum.ts'
import { topK } from '../../operators/aggregates/top-k.ts'
import { corr } from '../../operators/aggregates/corr.ts'
import { covarPop } from '../../operators/aggregates/covar-pop.ts'
import { varPop } from '../../operators/aggregates/var-pop.ts'
import { variance } from '../../operators/aggregates/variance.ts'
import { derive } from '../../operators/derive.ts'
import { groupBy } from '../../operators/group-by.ts'
import { hopping } from '../../operators/hopping.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { where } from '../../operators/where.ts'
import type { OptionTable } from '../../src/core/options.ts'
import type { ColType } from '../../src/core/types.ts'
import { groupsContext, planJson, planKey } from '../../src/plan/node.ts'
import type { ColumnTypes } from '../../src/plan/relation.ts'
import type { Stateful } from '../../src/plan/step.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { checkOneToOne, describeOnce, errorOf, expectConfigError } from './flow.ts'

const window = { op: 'tumbling', options: { size: '1h' } }
const group = { op: 'groupBy', options: { keys: ['zone'] } }

test('aggregate passes each mini-batch on, one for one and at once, and only adds its step', () => {
  const options = {
    trips: { aggregate: 'count' },
    revenue: { aggregate: 'sum', column: 'amount' },
    near: { aggregate: 'min', column: 'distance' },
    far: { aggregate: 'max', column: 'distance' },
  }
  checkOneToOne([window, group, { op: 'aggregate', options }], trips =>
    trips.pipe(
      tumbling('1h'),
      groupBy('zone'),
      aggregate({ trips: count(), revenue: sum('amount'), near: min('distance'), far: max('distance') }),
    ),
  )
})

test('stateless steps may follow: they see the window, the keys and the aggregates only', () => {
  const flow = describeOnce(trips =>
    trips.pipe(
      hopping('1h', '5m'),
      groupBy('kind'),
      aggregate({
        trips: count(),
        revenue: sum('amount'),
        tips: sum('tip'),
        zones: sum('zone'),
        first: min('picked_up'),
      }),
      where('trips > 10'),
      derive({ mean: ['DOUBLE', 'revenue / trips'] }),
    ),
  )
  expect(Object.entries(flow.columns)).toEqual([
    ['window_start', 'TIMESTAMP NOT NULL'],
    ['window_end', 'TIMESTAMP NOT NULL'],
    ['kind', 'VARCHAR'],
    ['trips', 'BIGINT NOT NULL'],
    ['revenue', 'DECIMAL(38,2)'],
    ['tips', 'DECIMAL(38,2) NOT NULL'],
    ['zones', 'DECIMAL(38,0)'],
    ['first', 'TIMESTAMP NOT NULL'],
    ['mean', 'DOUBLE'],
  ])
})

test.each([
  [{}, 'aggregate', '{}', 'at least one aggregate: { name: count() }'],
  [{ n: 'count' }, 'aggregate n', "'count'", "an aggregate such as count() or sum('column')"],
  [{ n: null }, 'aggregate n', 'null', "an aggregate such as count() or sum('column')"],
  [{ n: count }, 'aggregate n', 'a function', "an aggregate such as count() or sum('column')"],
])('calls that are no aggregates are refused: %j', (calls, field, value, expected) => {
  expectConfigError(() => aggregate(calls as never), field, value, expected)
})

const errorWith = (calls: object, keys: readonly string[] = ['zone']) =>
  errorOf(trips => trips.pipe(tumbling('1h'), groupBy(...(keys as never[])), aggregate(calls as never)))

const names = 'a name that is neither a group key nor window_start nor window_end'
test.each([
  [
    { n: { aggregate: 'percentile', column: 'amount' } },
    `aggregate n: 'percentile' is not valid; expected one of ${[...aggregates.keys()].join(', ')}.`,
  ],
  [{ n: sum('kind') }, "aggregate n: sum('kind'): 'VARCHAR' is not valid; expected a number."],
  [{ n: sum('picked_up') }, "aggregate n: sum('picked_up'): 'TIMESTAMP' is not valid; expected a number."],
  [{ n: { aggregate: 'sum' } }, 'aggregate n: sum(): column is missing; expected the name of a column.'],
  [
    { n: sum('amount', { fliter: 'zone > 1' } as never) },
    "aggregate n: sum('amount'): unknown option 'fliter'; did you mean 'filter'? Options here: column, filter.",
  ],
  [
    { n: argMax('zone', 'amount', { max: 5 } as never) },
    "aggregate n: argMax('zone'): unknown option 'max'. Options here: column, by, filter.",
  ],
  [
    { n: count({ filter: 5 } as never) },
    'aggregate n: count(): filter: 5 is not valid; expected a SQL predicate as text.',
  ],
  [
    { n: exactQuantile('kind', 0.5) },
    "aggregate n: exactQuantile('kind'): 'VARCHAR' is not valid; expected a number or a time.",
  ],
  [
    { n: exactQuantile('amount', 95 as number) },
    "aggregate n: exactQuantile('amount'): q: 95 is not valid; expected a number from 0 to 1 with at most 18 decimal places, such as 0.95.",
  ],
  [
    { n: exactQuantile('amount', 1.5e-18) },
    "aggregate n: exactQuantile('amount'): q: 1.5e-18 is not valid; expected a number from 0 to 1 with at most 18 decimal places, such as 0.95.",
  ],
  [{ n: topK('zone', 0) }, "aggregate n: topK('zone'): k: 0 is not valid; expected a whole number from 1 to 10000."],
  [
    { n: topK('zone', 2.5) },
    "aggregate n: topK('zone'): k: 2.5 is not valid; expected a whole number from 1 to 10000.",
  ],
  [
    { n: quantile('picked_up', 0.5) },
    "aggregate n: quantile('picked_up'): 'TIMESTAMP' is not valid; expected a number; exactQuantile takes times too.",
  ],
  [
    { n: quantile('amount', -0.5 as number) },
    "aggregate n: quantile('amount'): q: -0.5 is not valid; expected a number from 0 to 1 with at most 18 decimal places, such as 0.95.",
  ],
  [
    { n: quantile('amount', 0.5, { relativeError: 1 }) },
    "aggregate n: quantile('amount'): relativeError: 1 is not valid; expected a number from 0.001 to 0.25.",
  ],
  [
    { n: collect('zone', {} as never) },
    "aggregate n: collect('zone'): max is missing; expected a whole number from 1 to 10000.",
  ],
  [
    { n: collect('zone', { max: 1e6 }) },
    "aggregate n: collect('zone'): max: 1000000 is not valid; expected a whole number from 1 to 10000.",
  ],
  [
    { n: collect('zone', { max: 5, order: 'desc' as never }) },
    "aggregate n: collect('zone'): order: 'desc' is not valid; expected 'ascending' or 'descending'.",
  ],
  [
    { n: collect('zone', { max: 5, by: 'amout' }) },
    "aggregate n: collect('zone'): by: no column 'amout'; did you mean 'amount'? Columns here: picked_up, zone, kind, amount, tip, distance.",
  ],
  [{ n: corr('zone', 'kind') }, "aggregate n: corr('zone'): other: 'VARCHAR' is not valid; expected a number."],
  [{ n: variance('kind') }, "aggregate n: variance('kind'): 'VARCHAR' is not valid; expected a number."],
  [{ zone: count() }, `aggregate: 'zone' is not valid; expected ${names}.`],
  [{ window_end: count() }, `aggregate: 'window_end' is not valid; expected ${names}.`],
  [
    { _n: count() },
    "aggregate: '_n' is not valid; expected a column name that does not start with '_' (millrace's own do).",
  ],
  [
    { Zone: count() },
    "aggregate: 'Zone' is not valid; expected a name that differs from 'zone' in more than case, as SQL ignores case.",
  ],
  [
    { n: max('amout') },
    "aggregate n: no column 'amout'; did you mean 'amount'? Columns here: picked_up, zone, kind, amount, tip, distance.",
  ],
])('%j is refused when the plan is made', (calls, message) => {
  expect(errorWith(calls)).toMatchObject({ name: 'MillraceError', kind: 'user', message })
})

test.each([...aggregates.values()])('$name refuses a misspelt option of its call', ({ name, options }) => {
  const given = Object.fromEntries(
    Object.entries(options as OptionTable).flatMap(([option, { isRequired }]) =>
      isRequired ? [[option, 'zone']] : [],
    ),
  )
  expect(() => aggregate({ n: { aggregate: name, ...given, filtr: 'zone > 1' } } as never)).toThrow(
    /^aggregate n: \w+\(('zone')?\): unknown option 'filtr'; did you mean 'filter'\? Options here: /,
  )
})

test('without groupBy the whole window is one group: the plan is that of groupBy()', () => {
  for (const window of [tumbling<never>('1 hour'), hopping<never>('1 hour', '5 minutes')] as const) {
    const calls = { trips: count(), revenue: sum('amount', { filter: 'distance > 1' }) } as const
    const left = describeOnce(trips => trips.pipe(window as never, aggregate(calls as never)))
    const written = describeOnce(trips => trips.pipe(window as never, groupBy(), aggregate(calls as never)))
    expect(planJson(left)).toEqual(planJson(written))
    expect(planKey(left)).toBe(planKey(written))
    expect(left.columns).toEqual(written.columns)
  }
})

test('window_start cannot be a group key: windows add it themselves', () => {
  const error = errorOf(trips =>
    trips.pipe(
      derive({ window_start: ['TIMESTAMP', 'picked_up'] }),
      tumbling('1h'),
      groupBy('window_start'),
      aggregate({ n: count() }),
    ),
  )
  expect(error).toMatchObject({
    message: "groupBy: 'window_start' is not valid; expected another column: windows add this one themselves.",
  })
})

test('aggregates of this release, and their results by input type (S21)', () => {
  expect([...aggregates.keys()]).toEqual([
    'approxDistinct',
    'argMax',
    'argMin',
    'avg',
    'bitAnd',
    'bitOr',
    'bitXor',
    'boolAnd',
    'boolOr',
    'collect',
    'collectSet',
    'corr',
    'count',
    'countDistinct',
    'covarPop',
    'covarSamp',
    'entropy',
    'exactQuantile',
    'first',
    'histogram',
    'largest',
    'last',
    'listagg',
    'max',
    'median',
    'min',
    'mode',
    'product',
    'quantile',
    'regrIntercept',
    'regrR2',
    'regrSlope',
    'smallest',
    'stddev',
    'stddevPop',
    'sum',
    'topK',
    'varPop',
    'variance',
  ])
  const results = (types: readonly ColType[], call: (column: 'x') => object) =>
    types.map(type => {
      const { columns } = describeOnce(trips =>
        trips.pipe(
          derive({ x: [type, 'zone'] } as never),
          tumbling('1h'),
          groupBy(),
          aggregate({ r: call('x') } as never),
        ),
      )
      return columns.r
    })
  expect(results(['TINYINT', 'SMALLINT', 'INTEGER NOT NULL', 'BIGINT', 'UBIGINT'], sum)).toEqual([
    'DECIMAL(38,0)',
    'DECIMAL(38,0)',
    'DECIMAL(38,0) NOT NULL',
    'DECIMAL(38,0)',
    'DECIMAL(38,0)',
  ])
  expect(results(['DECIMAL(18,2)', 'DECIMAL(5,5) NOT NULL', 'DECIMAL(38,0)'], sum)).toEqual([
    'DECIMAL(38,2)',
    'DECIMAL(38,5) NOT NULL',
    'DECIMAL(38,0)',
  ])
  expect(results(['INTEGER NOT NULL', 'DECIMAL(5,2)'], product)).toEqual(['DECIMAL(38,0) NOT NULL', 'DECIMAL(38,2)'])
  expect(results(['INTEGER NOT NULL', 'DECIMAL(18,9)', 'DOUBLE'], variance)).toEqual(['DOUBLE', 'DOUBLE', 'DOUBLE'])
  expect(results(['INTEGER NOT NULL', 'DECIMAL(18,9)'], varPop)).toEqual(['DOUBLE NOT NULL', 'DOUBLE'])
  expect(results(['INTEGER NOT NULL', 'DOUBLE'], x => covarPop(x as never, x as never))).toEqual([
    'DOUBLE NOT NULL',
    'DOUBLE',
  ])
  expect(results(['INTEGER NOT NULL'], x => corr(x as never, x as never))).toEqual(['DOUBLE'])
  for (const type of ['DECIMAL(19,2)', 'DECIMAL(18,10)', 'BIGINT[]'] as const)
    expect(() => results([type], variance)).toThrow(
      `aggregate r: variance('x'): '${type}' is not valid; expected a ${type === 'BIGINT[]' ? 'number, not a list' : 'DECIMAL of at most 18 digits and scale 9; derive one, or a DOUBLE, first'}.`,
    )
  expect(results(['INTEGER NOT NULL', 'DECIMAL(18,9)', 'FLOAT'], median)).toEqual([
    'DOUBLE NOT NULL',
    'DOUBLE',
    'DOUBLE',
  ])
  expect(results(['UBIGINT NOT NULL', 'TINYINT'], bitOr)).toEqual(['UBIGINT NOT NULL', 'TINYINT'])
  expect(results(['BOOLEAN NOT NULL'], boolAnd)).toEqual(['BOOLEAN NOT NULL'])
  expect(results(['VARCHAR', 'DATE NOT NULL'], histogram)).toEqual([
    'STRUCT("value" VARCHAR, count BIGINT)[]',
    'STRUCT("value" DATE, count BIGINT)[] NOT NULL',
  ])
  expect(results(['VARCHAR', 'DATE NOT NULL'], x => collectSet(x, 3))).toEqual(['VARCHAR[]', 'DATE[] NOT NULL'])
  for (const [type, call] of [
    ['DOUBLE', bitOr],
    ['BIGINT', boolAnd],
    ['TIMESTAMP', median],
  ] as const)
    expect(() => results([type], call)).toThrow(/^aggregate r: \w+\('x'\): '\w+' is not valid; expected an? /)
  expect(results(['VARCHAR', 'DATE NOT NULL', 'DOUBLE'], min)).toEqual(['VARCHAR', 'DATE NOT NULL', 'DOUBLE'])
})

// ---- Over rows. -----------------------------------------------------------------------------------------------

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

const hidden = ['_seq', '_row', '_watermark']

/** The step over columns `t` (event time), `k` and `x`. */
function fold(
  types: { readonly t?: string; readonly k: string; readonly x: string },
  keys: readonly string[],
  asked?: object,
  bound: readonly string[] = [],
): Stateful {
  const columns: ColumnTypes = { t: types.t ?? 'TIMESTAMP NOT NULL', k: types.k, x: types.x }
  const source = {
    op: 'source',
    options: { time: 't', columns },
    inputs: [],
    columns,
    step: { is: 'source', op: 'source', columns: (input: ColumnTypes) => input },
  } as const
  const hour = tumbling('1h')
  const by = groupBy(...(keys as never[]))
  const windowed = { ...source, ...hour, op: 'tumbling', inputs: [source], columns } as never
  const grouped = { ...source, ...by, op: 'groupBy', inputs: [windowed], columns } as never
  const calls =
    types.x === 'DOUBLE'
      ? { n: count(), low: min('x' as never), high: max('x' as never) }
      : { n: count(), total: sum('x' as never), low: min('x' as never), high: max('x' as never) }
  const { options } = aggregate((asked ?? calls) as never)
  return aggregateStep.fold(groupsContext(grouped, 'aggregate'), options as never, bound)
}

type Value = string | null

/** One relation of rows, all in the first hour of 1970. */
function relation(types: { readonly k: string; readonly x: string }, rows: readonly (readonly [k: Value, x: Value])[]) {
  const literal = (value: Value, type: string) => `CAST(${value === null ? 'NULL' : `'${value}'`} AS ${type})`
  const values = rows.map(
    ([k, x], row) =>
      `(1, ${row}, NULL::BIGINT, TIMESTAMP '1970-01-01 00:00:00', ${literal(k, types.k)}, ${literal(x, types.x)})`,
  )
  const sql = `SELECT *, epoch_us(t) AS _time FROM (VALUES ${values.join(', ')}) AS v(_seq, _row, _watermark, t, k, x)`
  return { sql, columns: { t: 'TIMESTAMP NOT NULL', ...types }, hidden }
}

/** Everything that ends by this many hours, as text. */
async function emitted(step: Stateful, partials: string): Promise<readonly Record<string, unknown>[]> {
  const { sql, columns } = step.emit({
    rows: { sql: 'SELECT 1', columns: {}, hidden: [] },
    partials: channel => (channel === step.channels[0] ? [{ sql: partials, isMerged: false }] : []),
    committed: () => partials,
    own: () => partials,
    fromUs: null,
    toUs: 10n ** 12n,
  })
  const names = Object.keys(columns)
  return db.rows(
    `SELECT ${names.map(name => `CAST("${name}" AS VARCHAR) AS "${name}"`).join(', ')} FROM (${sql}) ORDER BY ALL`,
  ) as Promise<readonly Record<string, unknown>[]>
}

/** '-0.50' of -50 and scale 2. */
function decimalText(value: bigint, scale: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
  const at = digits.length - scale
  return `${value < 0n ? '-' : ''}${digits.slice(0, at)}${scale > 0 ? `.${digits.slice(at)}` : ''}`
}

function unscaled(text: string, scale: number): bigint {
  const [whole = '', part = ''] = text.split('.')
  return BigInt(`${whole}${part.padEnd(scale, '0')}`)
}

describe('over rows', () => {
  test('NULLs: a group of their own as keys, ignored by aggregates, counted by count (S22)', async () => {
    const types = { k: 'VARCHAR', x: 'BIGINT' }
    const step = fold(types, ['k'])
    const rows = relation(types, [
      ['a', '5'],
      ['a', null],
      [null, null],
      [null, null],
      ['null', '7'],
    ])
    const at = { window_start: '1970-01-01 00:00:00', window_end: '1970-01-01 01:00:00' }
    expect(await emitted(step, step.channels[0].partial(rows))).toEqual([
      { ...at, k: 'a', n: '2', total: '5', low: '5', high: '5' },
      { ...at, k: 'null', n: '1', total: '7', low: '7', high: '7' },
      { ...at, k: null, n: '2', total: null, low: null, high: null },
    ])
  })

  test('-0.0 counts as 0.0 and NaN is one value, the largest, in keys and in min and max (S19)', async () => {
    const types = { k: 'DOUBLE', x: 'DOUBLE' }
    const step = fold(types, ['k'])
    const rows = relation(types, [
      ['-0', '-0'],
      ['0', '1'],
      ['nan', 'nan'],
      ['-nan', '-inf'],
    ])
    const at = { window_start: '1970-01-01 00:00:00', window_end: '1970-01-01 01:00:00' }
    expect(await emitted(step, step.channels[0].partial(rows))).toEqual([
      { ...at, k: '0.0', n: '2', low: '0.0', high: '1.0' },
      { ...at, k: 'nan', n: '2', low: '-inf', high: 'nan' },
    ])
  })

  test('a sum of wide decimals that passes 38 digits is an error that names the window and the group (S21)', async () => {
    const types = { k: 'VARCHAR', x: 'DECIMAL(38,2)' }
    const step = fold(types, ['k'])
    const nines = '999999999999999999999999999999999999.99'
    const rows = relation(types, [
      ['north', nines],
      ['north', '0.01'],
    ])
    await expect(emitted(step, step.channels[0].partial(rows))).rejects.toThrow(
      /aggregate total: sum\('x'\): the sum passes 38 digits in the window and group 1970-01-01 00:00:00, north/,
    )
    // What is too large on its way and not in the end is no error: the order of rows must not decide.
    const back = relation(types, [
      ['north', nines],
      ['north', nines],
      ['north', `-${nines}`],
    ])
    expect(await emitted(step, step.channels[0].partial(back))).toMatchObject([{ total: nines }])
  })

  test('a DATE as event time makes windows of dates, of whole days only', async () => {
    expect(() => fold({ t: 'DATE', k: 'VARCHAR', x: 'BIGINT' }, [])).toThrow(
      "window: '3600000000 microseconds' is not valid; expected whole days, as the event time is a DATE.",
    )
  })

  // A hundredth of the range, so that no sum of these rows passes it.
  const decimals = fc.bigInt({ min: -(10n ** 36n), max: 10n ** 36n }).map(unscaled => decimalText(unscaled, 5))

  test('partials merged in any grouping and order mean the same: merge is associative and commutative (I11)', async () => {
    const cases = [
      {
        types: { k: 'BIGINT', x: 'BIGINT' },
        x: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)),
      },
      {
        types: { k: 'BIGINT', x: 'DECIMAL(9,3)' },
        x: fc.option(fc.integer({ min: -999_999, max: 999_999 }).map(String)),
      },
      { types: { k: 'BIGINT', x: 'DECIMAL(38,5)' }, x: fc.option(decimals) },
      { types: { k: 'BIGINT', x: 'DOUBLE' }, x: fc.option(fc.double().map(String)) },
    ] as const
    for (const { types, x } of cases) {
      const step = fold(types, ['k'])
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(fc.option(fc.bigInt({ min: 0n, max: 2n }).map(String)), x), { minLength: 1, maxLength: 9 }),
          fc.infiniteStream(fc.nat(2)),
          async (rows, part) => {
            const parts: (readonly [Value, Value])[][] = [[], [], []]
            for (const row of rows) parts[part.next().value as number]?.push(row)
            const [first, ...rest] = parts
              .filter(some => some.length > 0)
              .map(some => `SELECT * FROM (${step.channels[0].partial(relation(types, some))})`)
            // ((a + b) + c), then the rows in one partial.
            const merged = rest.reduce(
              (a, b) => step.channels[0].merge(`${b} UNION ALL SELECT * FROM (${a})`),
              first as string,
            )
            const found = await emitted(step, merged)
            expect(found).toEqual(await emitted(step, step.channels[0].partial(relation(types, rows))))
            if (types.x === 'DOUBLE') return
            const scale = Number(/,(\d+)\)/.exec(types.x)?.[1] ?? 0)
            for (const { k, total } of found) {
              const own = rows.flatMap(([key, value]) => (key === k && value !== null ? [unscaled(value, scale)] : []))
              const expected =
                own.length === 0
                  ? null
                  : decimalText(
                      own.reduce((a, b) => a + b),
                      scale,
                    )
              expect(total).toBe(expected)
            }
          },
        ),
        { numRuns: 25 },
      )
    }
  })

  interface Picked {
    readonly minute: number
    readonly by: bigint | null
    readonly x: bigint | null
    readonly row: number
  }

  test('first, last, argMin and argMax pick one row, ties by ledger order, filters apply; any grouping of rows (S14, I11)', async () => {
    const types = { k: 'BIGINT', x: 'BIGINT' }
    const asked = {
      first: first('x'),
      last: last('x'),
      least: argMin('x', 'k'),
      most: argMax('x', 'k'),
      firstEven: first('x', { filter: 'even' }),
      mostEven: argMax('x', 'k', { filter: 'even' }),
      even: count({ filter: 'even' }),
      evenSum: sum('x', { filter: 'even' }),
    }
    const isEven = '"_in"."x" % 2 = 0'
    const step = fold(types, [], asked, [isEven, isEven, isEven, isEven])
    const [main] = step.channels
    const sqlOf = (rows: readonly Picked[]) => {
      const values = rows.map(
        ({ minute, by, x, row }) =>
          `(7, ${row}, NULL::BIGINT, make_timestamp(${minute * 60_000_000}), ${by ?? 'NULL'}::BIGINT, ${x ?? 'NULL'}::BIGINT)`,
      )
      const sql = `SELECT *, epoch_us(t) AS _time FROM (VALUES ${values.join(', ')}) AS v(_seq, _row, _watermark, t, k, x)`
      return main.partial({ sql, columns: { t: 'TIMESTAMP NOT NULL', ...types }, hidden })
    }
    /** Row by row, in ledger order: only a row that is strictly better takes the place of an earlier one. */
    const pick = (rows: readonly Picked[], isBetter: (a: Picked, b: Picked) => boolean) =>
      rows.reduce<Picked | undefined>(
        (best, row) => (best === undefined || isBetter(row, best) ? row : best),
        undefined,
      )
    const text = (row: Picked | undefined) => row?.x?.toString() ?? null
    const expected = (rows: readonly Picked[]) => {
      const valued = rows.filter(({ x }) => x !== null)
      const compared = rows.filter(({ by }) => by !== null)
      const even = rows.filter(({ x }) => x !== null && x % 2n === 0n)
      const greater = (a: Picked, b: Picked) => (a.by as bigint) > (b.by as bigint)
      return {
        first: text(pick(valued, (a, b) => a.minute < b.minute)),
        last: text(pick(valued, (a, b) => a.minute >= b.minute)),
        least: text(pick(compared, (a, b) => greater(b, a))),
        most: text(pick(compared, greater)),
        firstEven: text(pick(even, (a, b) => a.minute < b.minute)),
        mostEven: text(
          pick(
            even.filter(({ by }) => by !== null),
            greater,
          ),
        ),
        even: String(even.length),
        evenSum: even.length === 0 ? null : even.reduce((total, { x }) => total + (x as bigint), 0n).toString(),
      }
    }
    const value = fc.option(fc.bigInt({ min: -3n, max: 3n }))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ minute: fc.nat(3), by: value, x: value, part: fc.nat(2) }), {
          minLength: 1,
          maxLength: 9,
        }),
        async drawn => {
          const rows = drawn.map((row, index) => ({ ...row, row: index }))
          const parts = [2, 0, 1].map(part => rows.filter(row => row.part === part)).filter(some => some.length > 0)
          const [one, ...rest] = parts.map(sqlOf)
          const merged = rest.reduce(
            (a, b) => main.merge(`SELECT * FROM (${b}) UNION ALL SELECT * FROM (${a})`),
            one as string,
          )
          const [found] = await emitted(step, merged)
          expect(found).toMatchObject(expected(rows))
          expect(await emitted(step, sqlOf(rows))).toEqual([found])
        },
      ),
      { numRuns: 60 },
    )
  })

  test('partial rows have the declared columns, of types that Parquet keeps (S21)', async () => {
    for (const x of ['UBIGINT', 'DECIMAL(18,2)', 'DECIMAL(38,2)', 'DOUBLE']) {
      const types = { k: 'DOUBLE', x }
      const step = fold(types, ['k'])
      const partial = step.channels[0].partial(relation(types, [['1', '2']]))
      expect(await db.describe(partial)).toEqual(step.channels[0].columns)
      expect(await db.describe(step.channels[0].merge(partial))).toEqual(step.channels[0].columns)
      expect(Object.values(step.channels[0].columns)).not.toContain('HUGEINT')
    }
  })

  test('late gives each closed window of a row, with the row as it was (S8)', async () => {
    const types = { k: 'VARCHAR', x: 'BIGINT' }
    const step = fold(types, ['k'])
    const rows = relation(types, [['a', '5']])
    const hour = 3_600_000_000n
    const at = (watermark: bigint) => ({ ...rows, sql: rows.sql.replace('NULL::BIGINT', `${watermark}::BIGINT`) })
    expect(await db.rows(step.late.rows(at(hour - 1n)))).toEqual([])
    expect(await db.rows(step.late.rows(at(hour)))).toEqual([
      { _seq: 1, _row: 0, _watermark: hour, _window_start: 0n, _window_end: hour, t: new Date(0), k: 'a', x: 5n },
    ])
    expect(step.late.mayBe(0n, hour)).toBe(true)
    expect(step.late.mayBe(0n, hour - 1n)).toBe(false)
    expect(await db.rows(step.channels[0].partial(at(hour)))).toEqual([])
  })

  test('open windows are counted with their groups', async () => {
    const types = { k: 'VARCHAR', x: 'BIGINT' }
    const step = fold(types, ['k'])
    const partials = step.channels[0].partial(
      relation(types, [
        ['a', '5'],
        ['a', '6'],
        [null, '7'],
      ]),
    )
    expect(await db.rows(step.openWindows?.(partials, null) as string)).toEqual([
      { _window_start: 0n, _window_end: 3_600_000_000n, groups: 2n },
    ])
  })
})

test('count takes no column, and says how values of one are counted', () => {
  expect(() => count('fare' as never)).toThrow(
    "count: 'fare' is not valid; expected no column, as it counts rows: count(). Values of a column are count({ filter: 'name IS NOT NULL' })",
  )
})
