import fc from 'fast-check'
import { expect, test } from 'vitest'
import { collect } from '../../../operators/aggregates/collect.ts'
import { compareDoubles, doubleSql, evaluatorForTests, fewDoubles, inputRows, type Placed, wanted } from './evaluate.ts'

const evaluator = await evaluatorForTests()

test('collect gives the first values of its order, ties in ledger order, whatever the cut (S14, I11)', async () => {
  const order = (compare: (a: Placed<number>, b: Placed<number>) => number) => (rows: readonly Placed<number>[]) =>
    // `toSorted` keeps the ledger's order of what is equal.
    rows.filter(({ x }) => x !== null).toSorted(compare)
  const first = (max: number, rows: readonly Placed<number>[]) =>
    rows.length === 0 ? null : rows.slice(0, max).map(({ x }) => (x === 0 ? 0 : x))
  const byTime = order((a, b) => a.minute - b.minute)
  const latest = order((a, b) => b.minute - a.minute)
  const by = (rows: readonly Placed<number>[]) => rows.filter(row => row.by !== null)
  const byColumn = order((a, b) => (a.by as number) - (b.by as number))
  const bySelf = order((a, b) => compareDoubles(b.x as number, a.x as number))
  await fc.assert(
    fc.asyncProperty(inputRows(fewDoubles), rows =>
      evaluator.check(
        'DOUBLE',
        doubleSql,
        {
          one: collect('x', { max: 1 }),
          few: collect('x', { max: 3 }),
          all: collect('x', { max: 10_000, filter: 'wanted' }),
          latest: collect('x', { max: 3, order: 'descending' }),
          sorted: collect('x', { max: 10_000, by: 'x', order: 'descending' }),
          least: collect('x', { max: 3, by: 'by' }),
          largest: collect('x', { max: 3, by: 'x', order: 'descending', filter: 'wanted' }),
        },
        rows,
        {
          one: own => first(1, byTime(own)),
          few: own => first(3, byTime(own)),
          all: own => first(10_000, byTime(wanted(own))),
          latest: own => first(3, latest(own)),
          sorted: own => first(10_000, bySelf(own)),
          least: own => first(3, byColumn(by(own))),
          largest: own => first(3, bySelf(wanted(own))),
        },
      ),
    ),
    { numRuns: 8 },
  )
})

test('every scalar can be collected; without any value the list is NULL', async () => {
  const calls = { list: collect('x', { max: 2 }) }
  expect(await evaluator.one('VARCHAR', ["'b' || chr(0)", 'NULL', "''"], calls)).toEqual({
    list: ['b\0', ''],
  })
  expect(await evaluator.one('DECIMAL(38,2)', ['1.25', '0.5', '3'], calls)).toEqual({ list: [1.25, 0.5] })
  expect(await evaluator.one('TIMESTAMPTZ', ["'1970-01-01 00:00:01Z'"], calls)).toEqual({ list: [new Date(1000)] })
  expect(await evaluator.one('JSON', [`'{"a":1}'`], calls)).toEqual({ list: ['{"a":1}'] })
  const bytes = await evaluator.one('BLOB', ["'\\x00\\x01\\xff\\x00'"], { list: collect('x', { max: 2, by: 'x' }) })
  expect(bytes).toEqual({ list: [Buffer.from([0, 1, 255, 0])] })
  expect(await evaluator.one('BLOB', ['NULL'], calls)).toEqual({ list: null })
})
