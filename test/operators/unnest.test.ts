import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { derive } from '../../operators/derive.ts'
import { select } from '../../operators/select.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { unnest, type UnnestOptions, unnestStep } from '../../operators/unnest.ts'
import type { Relation } from '../../src/plan/relation.ts'
import type { SqlRow } from '../../src/core/ports.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'
import { checkOneToOne, describeOnce, errorOf, expectConfigError } from './flow.ts'

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

/** Rows of `(_row, id, list)`, with the list as SQL. */
const rowsOf = (type: string, ...lists: readonly string[]): Relation => ({
  sql: `SELECT 7 AS _seq, row_number() OVER () - 1 AS _row, * FROM (VALUES ${lists.map((list, index) => `(${index + 1}, ${list}::${type})`).join(', ')}) AS t(id, list)`,
  columns: { id: 'INTEGER', list: type },
  hidden: ['_seq', '_row'],
})

const plainOf = (options: UnnestOptions) => unnest('list' as never, options as never).options as never
const sqlOf = (input: Relation, options: UnnestOptions = {}) => unnestStep.sql(input, plainOf(options), [])
const columnsOf = (input: Relation, options: UnnestOptions = {}) => unnestStep.columns(input.columns, plainOf(options))

/** What the elements become, without the hidden columns but `_ordinal`. */
const unnested = async (input: Relation, options: UnnestOptions = {}, items = '*') => {
  const rows = await db.rows(`SELECT ${items} FROM (${sqlOf(input, options)}) ORDER BY _seq, _row, _ordinal`)
  return rows.map(({ _seq, _row, ...row }): SqlRow => ({ ...row, _ordinal: Number(row._ordinal) }))
}

test('unnest passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne(
    [
      { op: 'derive', options: { list: ['VARCHAR[]', '[kind]'] } },
      { op: 'unnest', options: { column: 'list', position: 'n', outer: true } },
    ],
    trips =>
      trips.pipe(derive({ list: ['VARCHAR[]', '[kind]'] }), unnest('list', { as: 'list', position: 'n', outer: true })),
  )
})

describe('a list', () => {
  const lists = () => rowsOf('BIGINT[]', '[5, NULL, 6]', 'NULL', '[]', '[7]')

  test('becomes a row for each element, in its place; NULL is an element, no list and an empty one give none', async () => {
    expect(columnsOf(lists())).toEqual({ id: 'INTEGER', list: 'BIGINT' })
    expect(await unnested(lists())).toEqual([
      { _ordinal: 0, id: 1, list: 5n },
      { _ordinal: 1, id: 1, list: null },
      { _ordinal: 2, id: 1, list: 6n },
      { _ordinal: 0, id: 4, list: 7n },
    ])
  })

  test('with outer each row stays, with its place by choice', async () => {
    const options = { as: 'n', position: 'place', outer: true }
    expect(columnsOf(lists(), options)).toEqual({ id: 'INTEGER', n: 'BIGINT', place: 'BIGINT' })
    expect(columnsOf(lists(), { position: 'place' })).toMatchObject({ place: 'BIGINT NOT NULL' })
    expect(await unnested(lists(), options)).toEqual([
      { _ordinal: 0, id: 1, n: 5n, place: 1n },
      { _ordinal: 1, id: 1, n: null, place: 2n },
      { _ordinal: 2, id: 1, n: 6n, place: 3n },
      { _ordinal: 0, id: 2, n: null, place: null },
      { _ordinal: 0, id: 3, n: null, place: null },
      { _ordinal: 0, id: 4, n: 7n, place: 1n },
    ])
  })

  test('of values and counts, as topK makes it, becomes both', async () => {
    const type = 'STRUCT("value" VARCHAR, count BIGINT)[]'
    const input = rowsOf(type, `[{'value': 'a', 'count': 2}, {'value': 'b', 'count': 1}]`)
    expect(columnsOf(input)).toEqual({ id: 'INTEGER', value: 'VARCHAR NOT NULL', count: 'BIGINT NOT NULL' })
    expect(columnsOf(input, { outer: true })).toEqual({ id: 'INTEGER', value: 'VARCHAR', count: 'BIGINT' })
    expect(await unnested(input)).toEqual([
      { _ordinal: 0, id: 1, value: 'a', count: 2n },
      { _ordinal: 1, id: 1, value: 'b', count: 1n },
    ])
  })

  test('of more than 2^20 elements is refused, as their order would not fit', async () => {
    const input = rowsOf('BIGINT[]', 'range(1048577)')
    await expect(db.rows(`SELECT count(*) FROM (${sqlOf(input)})`)).rejects.toThrow(
      'unnest list: row 0 (id 1): expected at most 1048576 elements, found 1048577',
    )
    const most = rowsOf('BIGINT[]', 'range(1048576)')
    expect(await db.rows(`SELECT max(_ordinal) AS last FROM (${sqlOf(most)})`)).toEqual([{ last: 1048575n }])
  })
})

describe('rows that one source row has become already', () => {
  test('are numbered on, so that no two are alike', async () => {
    const nested = rowsOf('BIGINT[]', '[1, 2]', '[3]')
    const once = {
      sql: sqlOf(nested),
      columns: { id: 'INTEGER', list: 'BIGINT' },
      hidden: ['_seq', '_row', '_ordinal'],
    }
    const again = {
      ...once,
      sql: `SELECT _seq, _row, _ordinal, id, [list * 10, list * 10 + 1] AS list FROM (${once.sql})`,
      columns: { id: 'INTEGER', list: 'BIGINT[]' },
    }
    expect(await unnested(again)).toEqual([
      { _ordinal: 0, id: 1, list: 10n },
      { _ordinal: 1, id: 1, list: 11n },
      { _ordinal: 2, id: 1, list: 20n },
      { _ordinal: 3, id: 1, list: 21n },
      { _ordinal: 0, id: 2, list: 30n },
      { _ordinal: 1, id: 2, list: 31n },
    ])
    await expect(
      db.rows(
        `SELECT max(_ordinal) FROM (${sqlOf({ ...again, sql: again.sql.replace('[list * 10, list * 10 + 1]', 'range(600000)') })})`,
      ),
    ).rejects.toThrow('expected at most 1048576 rows for one, found more')
  })
})

describe('an array of JSON', () => {
  const columns = { sku: 'VARCHAR NOT NULL', qty: 'INTEGER', price: 'DECIMAL(20,2) FROM unit_price' } as const

  test('gives its elements as JSON; a JSON null is NULL, as an element and as a list', async () => {
    const input = rowsOf('JSON', `'[1.5, "a", null, {"b": [2]}]'`, `'null'`, 'NULL', `'[]'`)
    expect(columnsOf(input)).toEqual({ id: 'INTEGER', list: 'JSON' })
    const rows = await unnested(input)
    expect(rows.map(({ list }) => list)).toEqual(['1.5', '"a"', null, '{"b":[2]}'])
    expect((await unnested(input, { outer: true })).map(({ id }) => id)).toEqual([1, 1, 1, 1, 2, 3, 4])
  })

  test('of objects gives their fields, cast by value; what an element lacks is NULL', async () => {
    const input = rowsOf(
      'JSON',
      `'[{"sku":"a","qty":2,"unit_price":1.25},{"sku":"b","unit_price":"123456789012345678.99"}]'`,
      `'[{"sku":"c","qty":3e0,"more":[1]}]'`,
    )
    expect(columnsOf(input, { columns, position: 'line' })).toEqual({
      id: 'INTEGER',
      sku: 'VARCHAR NOT NULL',
      qty: 'INTEGER',
      price: 'DECIMAL(20,2)',
      line: 'BIGINT NOT NULL',
    })
    const items = '* REPLACE (CAST(price AS VARCHAR) AS price)'
    expect(await unnested(input, { columns, position: 'line' }, items)).toEqual([
      { _ordinal: 0, id: 1, sku: 'a', qty: 2, price: '1.25', line: 1n },
      { _ordinal: 1, id: 1, sku: 'b', qty: null, price: '123456789012345678.99', line: 2n },
      { _ordinal: 0, id: 2, sku: 'c', qty: 3, price: null, line: 1n },
    ])
  })

  test.each([
    [`'[{"sku":"a"},{"sku":"b","qty":1.5}]'`, "element 2: column 'qty': expected INTEGER, found 1.5"],
    [`'[{"sku":"a","qty":"few"}]'`, "element 1: column 'qty': expected INTEGER, found few"],
    [`'[{"qty":1}]'`, "element 1: column 'sku': expected VARCHAR NOT NULL, found NULL"],
    [`'[null]'`, "element 1: column 'sku': expected VARCHAR NOT NULL, found NULL"],
    [`'[{"sku":"a","unit_price":1.255}]'`, "element 1: column 'price': expected DECIMAL(20,2), found 1.255"],
    [
      `'[{"sku":"a","unit_price":1234567890123456.78}]'`,
      "element 1: column 'price': expected DECIMAL(20,2), found 1234567890123456.8 is a JSON number with a fraction and more than 15 digits",
    ],
    [`'[5]'`, 'element 1: expected an object, found 5'],
    [`'{"sku":"a"}'`, 'row 0 (id 1): expected an array, found {"sku":"a"}'],
    [`'"a"'`, 'row 0 (id 1): expected an array, found "a"'],
  ])('raises for what does not fit, naming row and element: %s', async (list, message) => {
    const input = rowsOf('JSON', list)
    await expect(unnested(input, { columns })).rejects.toThrow(message)
    // Whether or not anything is asked of it.
    await expect(db.rows(`SELECT count(*) FROM (${sqlOf(input, { columns })})`)).rejects.toThrow(message)
    await expect(db.rows(`SELECT id FROM (${sqlOf(input, { columns })}) WHERE sku = 'z'`)).rejects.toThrow(message)
  })

  test('a row that was left out before is not looked at', async () => {
    const input = rowsOf('JSON', `'[{"sku":"a","qty":"few"}]'`, `'[{"sku":"b","qty":1}]'`, `'{}'`)
    const kept = { ...input, sql: `SELECT * FROM (${input.sql}) WHERE id = 2` }
    expect(await unnested(kept, { columns })).toEqual([{ _ordinal: 0, id: 2, sku: 'b', qty: 1, price: null }])
  })

  test('with rescue keeps what does not fit beside its row, and raises for what cannot be NULL', async () => {
    const nullable = { sku: 'VARCHAR', qty: 'INTEGER', tags: 'VARCHAR[]' } as const
    const input = rowsOf(
      'JSON',
      `'[{"sku":"a","qty":"few","tags":["x"]}, 5, null, {"sku":"b","qty":1,"tags":{"y":2}}]'`,
      `'{"sku":"c"}'`,
      `'[]'`,
    )
    expect(columnsOf(input, { columns: nullable, rescue: 'odd' })).toMatchObject({ odd: 'JSON' })
    const rows = await unnested(input, { columns: nullable, rescue: 'odd' })
    expect(
      rows.map(({ tags, ...row }) => ({ ...row, tags: (tags as { items?: unknown } | null)?.items ?? tags })),
    ).toEqual([
      { _ordinal: 0, id: 1, sku: 'a', qty: null, tags: ['x'], odd: '{"qty":"few"}' },
      { _ordinal: 1, id: 1, sku: null, qty: null, tags: null, odd: '{"list":"5"}' },
      { _ordinal: 2, id: 1, sku: null, qty: null, tags: null, odd: null },
      { _ordinal: 3, id: 1, sku: 'b', qty: 1, tags: null, odd: '{"tags":"{\\"y\\":2}"}' },
      { _ordinal: 0, id: 2, sku: null, qty: null, tags: null, odd: '{"list":"{\\"sku\\":\\"c\\"}"}' },
    ])
    await expect(unnested(rowsOf('JSON', `'[{"qty":"few"}]'`), { columns, rescue: 'odd' })).rejects.toThrow(
      "column 'sku': expected VARCHAR NOT NULL, found NULL",
    )
    await expect(unnested(rowsOf('JSON', `'{"a":1}'`), { columns, rescue: 'odd' })).rejects.toThrow(
      'expected an object, found {"a":1}',
    )
    // Without fields only what is no array does not fit.
    expect(await unnested(rowsOf('JSON', `'{"a":1}'`, `'[2]'`), { rescue: 'odd' })).toEqual([
      { _ordinal: 0, id: 1, list: null, odd: '{"list":"{\\"a\\":1}"}' },
      { _ordinal: 0, id: 2, list: '2', odd: null },
    ])
  })

  test('with outer a row without elements has no misfit, NOT NULL or not', async () => {
    const input = rowsOf('JSON', `'[]'`, 'NULL', `'[{"sku":"a"}]'`)
    expect(columnsOf(input, { columns, outer: true })).toMatchObject({ sku: 'VARCHAR', qty: 'INTEGER' })
    const rows = await unnested(input, { columns, outer: true, position: 'line' })
    expect(rows.map(({ id, sku, line }) => [id, sku, line])).toEqual([
      [1, null, null],
      [2, null, null],
      [3, 'a', 1n],
    ])
    await expect(unnested(rowsOf('JSON', `'[{}]'`), { columns, outer: true })).rejects.toThrow(
      'expected VARCHAR NOT NULL',
    )
  })
})

describe('is refused', () => {
  test.each<[UnnestOptions & { type?: string }, string, string, string]>([
    [
      { type: 'BIGINT' },
      'unnest',
      "'list BIGINT'",
      'a column that is a list, such as VARCHAR[], or JSON with an array',
    ],
    [{ as: 'id' }, 'unnest list', "'id'", 'a name that no other column has; rename({...}) that one before'],
    [{ as: 'ID' }, 'unnest list', "'ID'", "a name that differs from 'id' in more than case, as SQL ignores case"],
    [{ position: 'list' }, 'unnest list', "'list'", 'a name that no other column has; rename({...}) that one before'],
    [
      { columns: { a: 'VARCHAR' } },
      'unnest list: columns',
      '{"a":"VARCHAR"}',
      'none, as the elements of BIGINT[] are no JSON',
    ],
    [{ rescue: 'odd' }, 'unnest list: rescue', "'odd'", 'none, as every element of BIGINT[] fits'],
    [
      { type: 'JSON', as: 'item', columns: { a: 'VARCHAR' } },
      'unnest list: as',
      "'item'",
      'none, as the elements have columns with names of their own; rename({...}) those',
    ],
  ])('%j', ({ type = 'BIGINT[]', ...options }, field, value, expected) => {
    expectConfigError(() => columnsOf(rowsOf(type, 'NULL'), options), field, value, expected)
  })

  test('a declaration of more than a type and a name, and an option that is none', () => {
    const field = 'unnest list: columns.a'
    const expected =
      'TYPE [NOT NULL] [FROM name]: a field that an element lacks is NULL, and derive(...) puts another value there'
    expectConfigError(
      () => plainOf({ columns: { a: 'BIGINT DEFAULT 1' as never } }),
      field,
      "'BIGINT DEFAULT 1'",
      expected,
    )
    expectConfigError(() => plainOf({ columns: { a: 'BIGINT FROM KEY' } }), field, "'BIGINT FROM KEY'", expected)
    expect(() => plainOf({ outter: true } as never)).toThrow(
      "unnest: unknown option 'outter'; did you mean 'outer'? Options here: as, columns, rescue, position, outer.",
    )
    expectConfigError(
      () => plainOf({ columns: {} }),
      'unnest list: columns',
      '{}',
      'at least one column: { name: SQL type }',
    )
  })

  test('an unknown column, with the nearest name', () => {
    expect(errorOf(trips => trips.pipe(unnest('kinds' as never)))).toMatchObject({
      code: 'unknown-column',
      message: expect.stringContaining("unnest: no column 'kinds'; did you mean 'kind'?"),
    })
  })

  test('a window after elements that are called as the event time was', () => {
    const body = { body: ['JSON', "'[]'"] } as const
    const columns = { picked_up: 'TIMESTAMP NOT NULL' } as const
    const flow = (of: typeof columns | { at: 'TIMESTAMP' }) =>
      errorOf(trips => trips.pipe(derive(body), select('body'), unnest('body', { columns: of }), tumbling('1 hour')))
    expect(flow(columns)).toMatchObject({
      code: 'plan',
      message:
        "tumbling: the event time column 'picked_up' was replaced by unnest(); watermarks are taken from the column as read, so give the column of the elements another name.",
    })
    expect(flow({ at: 'TIMESTAMP' })).toBeUndefined()
  })
})

test('options are plain and in one form, however they are written (P14)', () => {
  const optionsOf = (options: UnnestOptions) => plainOf(options)
  expect(optionsOf({ as: 'list', outer: false })).toEqual({ column: 'list' })
  expect(optionsOf({ columns: { a: 'decimal(5, 2) not null FROM b', c: 'bigint' } as never })).toEqual({
    column: 'list',
    columns: { a: 'DECIMAL(5,2) NOT NULL', c: 'BIGINT' },
    from: { a: 'b' },
  })
  const node = describeOnce(trips => trips.pipe(derive({ list: ['DATE[]', '[]'] }), unnest('list', { as: 'day' })))
  expect(Object.keys(node.columns)).toEqual(['picked_up', 'zone', 'kind', 'amount', 'tip', 'distance', 'day'])
})
