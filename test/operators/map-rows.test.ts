import { createHash } from 'node:crypto'
import type { Observable, OperatorFunction } from 'rxjs'
import { expect, test } from 'vitest'
import { aggregate } from '../../operators/aggregate.ts'
import { topK } from '../../operators/aggregates/top-k.ts'
import { filterRows } from '../../operators/filter-rows.ts'
import { groupBy } from '../../operators/group-by.ts'
import { mapBatches } from '../../operators/map-batches.ts'
import { mapRows } from '../../operators/map-rows.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { checkOneToOne, describeOnce, errorOf, expectConfigError, sourceNode } from './flow.ts'

const columns = { picked_up: 'TIMESTAMP NOT NULL', n: 'decimal(18, 2)' } as const
const canonical = { picked_up: 'TIMESTAMP NOT NULL', n: 'DECIMAL(18,2)' }
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** The three operators with a function of theirs, as plain calls. */
const operators = {
  mapRows: (of: unknown, options?: object) => mapRows(of as never, columns as never, options),
  filterRows: (of: unknown, options?: object) => filterRows(of as never, options),
  mapBatches: (of: unknown, options?: object) => mapBatches(of as never, columns as never, options),
}
const each = Object.entries(operators)
const recorded = (op: string, code: object) => ({
  op,
  options: { ...(op === 'filterRows' ? {} : { columns: canonical }), function: code, portable: false },
})

test.each(each)('%s passes each mini-batch on, one for one and at once, and only adds its step', (op, make) => {
  const of = (row: unknown) => row
  checkOneToOne([recorded(op, { sha256: sha256('(row) => row') })] as never, trips => trips.pipe(make(of) as never))
  checkOneToOne([recorded(op, { version: '3' })] as never, trips => trips.pipe(make(of, { version: '3' }) as never))
})

test('columns are those that were declared, and of filterRows those of its input', () => {
  for (const [op, make] of each)
    expect(describeOnce(trips => trips.pipe(make(() => null) as never)).columns).toEqual(
      op === 'filterRows' ? sourceNode.columns : canonical,
    )
})

test('functions of one text have one hash, and of another text another: the text is what tells them apart', () => {
  const code = (of: unknown) => (filterRows(of as never).options as { function: { sha256: string } }).function.sha256
  const made = (limit: number) => (row: { n: number }) => row.n > limit
  expect(code(made(1))).toBe(code(made(2)))
  expect(code(() => true)).not.toBe(code(() => false))
})

test.each(each)('%s refuses what is no function that answers at once', (op, make) => {
  const such = `a function, such as ${op}((row) => ...)`
  expectConfigError(() => make(undefined), op, "'undefined'", such)
  expectConfigError(() => make('a > 0'), op, "'string'", such)
  expectConfigError(
    () => make(async () => true),
    op,
    "'an async function'",
    'a function that answers at once; millrace waits for none',
  )
})

test.each(each)('%s refuses options that are none', (op, make) => {
  const of = () => null
  expect(() => make(of, { Version: '1' })).toThrow(
    `${op}: unknown option 'Version'; did you mean 'version'? Options here: version.`,
  )
  expectConfigError(() => make(of, null as never), op, 'null', 'an object of options')
  for (const [version, shown] of [
    ['', "''"],
    [' ', "' '"],
    [1, '1'],
    ['x'.repeat(101), `'${'x'.repeat(101)}'`],
  ])
    expectConfigError(
      () => make(of, { version }),
      `${op}: version`,
      String(shown),
      'text that is not empty, at most 100 characters',
    )
})

test.each(each)('%s asks for a version where the text of a function says nothing', (op, make) => {
  for (const of of [Boolean, (() => true).bind(null)]) {
    expectConfigError(
      () => make(of),
      `${op}: version`,
      'undefined',
      "a version such as '1', as a bound or built-in function has no source text to tell a change by",
    )
    expect(() => make(of, { version: '1' })).not.toThrow()
  }
})

test.each([
  [{}, 'columns', '{}', 'at least one column: { name: SQL type }'],
  [undefined, 'columns', 'undefined', 'at least one column: { name: SQL type }'],
  [{ n: 'INT' }, 'columns.n', "'INT'", 'INTEGER'],
  [{ _n: 'BIGINT' }, 'columns', "'_n'", "a column name that does not start with '_' (millrace's own do)"],
  [
    { n: 'BIGINT', N: 'BIGINT' },
    'columns',
    "'N'",
    "a name that differs from 'n' in more than case, as SQL ignores case",
  ],
])('columns that are none are refused: %j', (wrong, field, value, expected) => {
  expectConfigError(() => mapRows(() => null, wrong as never), `mapRows: ${field}`, value, expected)
  expectConfigError(() => mapBatches(() => null as never, wrong as never), `mapBatches: ${field}`, value, expected)
})

test('the counts of topK are handed over as rows, not as Arrow, and no function gives them', () => {
  const steps = (operator: unknown): never =>
    ((source: Observable<unknown>) =>
      source.pipe(
        tumbling('1 hour') as never,
        groupBy() as never,
        aggregate({ top: topK('kind' as never, 2) }) as never,
        operator as OperatorFunction<unknown, unknown>,
      )) as never
  expect(errorOf(trips => trips.pipe(steps(operators.mapRows(() => null))))).toBe(undefined)
  expect(errorOf(trips => trips.pipe(steps(operators.filterRows(() => true))))).toBe(undefined)
  expect(errorOf(trips => trips.pipe(steps(operators.mapBatches(() => null))))).toMatchObject({
    kind: 'user',
    message:
      'mapBatches: column \'top\' is STRUCT("value" VARCHAR, count BIGINT)[], which is not handed over as Arrow; leave it out with select(), or use mapRows().',
  })
  expectConfigError(
    () => mapRows(() => null, { top: 'STRUCT(value VARCHAR, count BIGINT)[]' } as never),
    'mapRows: columns.top',
    "'STRUCT(value VARCHAR, count BIGINT)[]'",
    'JSON, as only topK makes this type',
  )
})

test('a function cannot stand between a window and its aggregate', () => {
  expect(errorOf(trips => trips.pipe(windowThen(operators.mapRows(() => null))))).toMatchObject({
    kind: 'user',
    message: 'mapRows: cannot follow tumbling; add aggregate({...}) before it, which makes rows of windows.',
  })
})

/** The types refuse it, so it is put together behind their back. */
function windowThen(operator: unknown): never {
  return ((source: Observable<unknown>) =>
    source.pipe(tumbling('1 hour') as never, operator as OperatorFunction<unknown, unknown>)) as never
}
