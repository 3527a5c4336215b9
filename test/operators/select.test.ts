import { expect, test } from 'vitest'
import { select, selectStep } from '../../operators/select.ts'
import { checkOneToOne, describeOnce, errorOf, expectConfigError } from './flow.ts'

test('select passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'select', options: { columns: ['amount', 'zone'] } }], trips =>
    trips.pipe(select('amount', 'zone')),
  )
})

test('it keeps these columns in this order, with their types', () => {
  const { columns } = describeOnce(trips => trips.pipe(select('tip', 'picked_up')))
  expect(Object.entries(columns)).toEqual([
    ['tip', 'DECIMAL(38,2) NOT NULL'],
    ['picked_up', 'TIMESTAMP NOT NULL'],
  ])
})

test('its SQL names the columns and keeps the hidden ones', () => {
  const input = { sql: 'SELECT 1', columns: { a: 'INTEGER', b: 'INTEGER' }, hidden: ['_seq', '_row'] }
  expect(selectStep.sql(input, { columns: ['b'] }, [])).toBe(
    'SELECT "_in"."_seq", "_in"."_row", "_in"."b" FROM (SELECT 1) AS "_in"',
  )
})

test('no column and a column twice are refused', () => {
  expectConfigError(() => select(), 'select', '[]', 'at least one column name')
  expectConfigError(
    () => select(['zone'] as never),
    'select',
    '["zone"]',
    "names of columns, one after the other: select('a', 'b')",
  )
  expectConfigError(() => select('a' as never, 'b' as never, 'a' as never), 'select', "'a'", 'each column once')
})

test('an unknown column is refused with the nearest name and all that there are', () => {
  expect(errorOf(trips => trips.pipe(select('amont' as never)))).toMatchObject({
    kind: 'user',
    code: 'unknown-column',
    message:
      "select: no column 'amont'; did you mean 'amount'? Columns here: picked_up, zone, kind, amount, tip, distance.",
  })
})
