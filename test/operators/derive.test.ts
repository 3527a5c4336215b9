import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { derive, deriveStep } from '../../operators/derive.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { checkOneToOne, describeOnce, errorOf, expectConfigError } from './flow.ts'

test('derive passes each mini-batch on, one for one and at once, and only adds its step', () => {
  const options = { share: ['DOUBLE', 'tip / amount'], day: ['DATE', 'picked_up'] }
  checkOneToOne([{ op: 'derive', options }], trips =>
    trips.pipe(derive({ share: ['DOUBLE', 'tip / amount'], day: ['DATE', 'picked_up'] })),
  )
})

test('a new column comes last; a replaced one moves to the end and takes the new type', () => {
  const { columns } = describeOnce(trips => trips.pipe(derive({ zone: ['VARCHAR', 'zone'], n: ['INTEGER', '1'] })))
  expect(Object.entries(columns)).toEqual([
    ['picked_up', 'TIMESTAMP NOT NULL'],
    ['kind', 'VARCHAR'],
    ['amount', 'DECIMAL(18,2)'],
    ['tip', 'DECIMAL(38,2) NOT NULL'],
    ['distance', 'DOUBLE'],
    ['zone', 'VARCHAR'],
    ['n', 'INTEGER'],
  ])
})

test.each([
  [{}, 'derive', '{}', 'at least one column: { name: [type, expression] }'],
  [{ x: 'a + 1' }, 'derive x', "'a + 1'", "[SQL type, expression], such as ['DOUBLE', 'a / b']"],
  [{ x: ['DOUBLE'] }, 'derive x', '["DOUBLE"]', "[SQL type, expression], such as ['DOUBLE', 'a / b']"],
  [{ x: ['DOUBLE', '  '] }, 'derive x', '["DOUBLE","  "]', "[SQL type, expression], such as ['DOUBLE', 'a / b']"],
  [{ x: ['DOUBLE', 5] }, 'derive x', '["DOUBLE",5]', "[SQL type, expression], such as ['DOUBLE', 'a / b']"],
  [{ x: ['INT', 'a'] }, 'derive x', "'INT'", 'INTEGER'],
  [
    { x: ['HUGEINT', 'a'] },
    'derive x',
    "'HUGEINT'",
    'DECIMAL(38,0), as HUGEINT becomes DOUBLE in Parquet and loses digits (S21)',
  ],
])('options that make no column are refused: %j', (options, field, value, expected) => {
  expectConfigError(() => derive(options as never), field, value, expected)
})

test.each([
  ['_seq', "a column name that does not start with '_' (millrace's own do)"],
  ['Zone', "a name that differs from 'zone' in more than case, as SQL ignores case"],
  ['', 'a column name that is not empty'],
])('a name that no column may have is refused when the plan is made: %j', (name, expected) => {
  const error = errorOf(trips => trips.pipe(derive({ [name]: ['INTEGER', '1'] } as never)))
  expect(error).toMatchObject({ kind: 'user', message: `derive: '${name}' is not valid; expected ${expected}.` })
})

describe('over rows', () => {
  let db: TestDuckdb
  beforeAll(async () => {
    db = await openTestDuckdb()
  })
  afterAll(async () => await db[Symbol.asyncDispose]())

  test('all expressions see the columns before the step, so two columns can be exchanged', async () => {
    const input = {
      sql: 'SELECT 1 AS _row, 2 AS a, 3 AS b, 4 AS c',
      columns: { a: '', b: '', c: '' },
      hidden: ['_row'],
    }
    const sql = deriveStep.sql(input, { b: ['INTEGER', 'a'], a: ['INTEGER', 'b'] }, ['"_in"."a"', '"_in"."b"'])
    const [row] = await db.rows(sql)
    expect(Object.entries(row ?? {})).toEqual([
      ['_row', 1],
      ['c', 4],
      ['b', 2],
      ['a', 3],
    ])
  })

  test('a name with quotes and dots stays one column', async () => {
    const input = { sql: 'SELECT 1 AS a', columns: { a: 'INTEGER' }, hidden: [] }
    const sql = deriveStep.sql(input, { 'we"ird.name': ['INTEGER', 'a'] }, ['"_in"."a"'])
    expect(await db.rows(sql)).toEqual([{ a: 1, 'we"ird.name': 1 }])
  })
})
