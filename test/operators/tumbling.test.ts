import { expect, test } from 'vitest'
import { select } from '../../operators/select.ts'
import { tumbling, tumblingStep } from '../../operators/tumbling.ts'
import { checkOneToOne, describeOnce, expectConfigError, sourceNode } from './flow.ts'

test('tumbling passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'tumbling', options: { size: '1 hour' } }], trips => trips.pipe(tumbling('1 hour')))
})

test('it is an annotation: columns stay as they are', () => {
  expect(describeOnce(trips => trips.pipe(tumbling('5m'))).columns).toEqual(sourceNode.columns)
  expect(tumblingStep.assigner({ size: '5m' }).stepUs).toBe(300_000_000n)
})

const aDuration = "a whole number and a unit, such as '90s', '5m', '1 hour' or '30 days'"

test.each([
  ['0s', "'0s'", 'a duration above zero'],
  ['0 days', "'0 days'", 'a duration above zero'],
  ['5 parsecs', "'5 parsecs'", aDuration],
  ['1.5h', "'1.5h'", aDuration],
  ['-1h', "'-1h'", aDuration],
  ['', "''", aDuration],
])('a size that is no duration above zero is refused: %j', (size, value, expected) => {
  expectConfigError(() => tumbling(size as never), 'tumbling: size', value, expected)
})

test('the event time rides along hidden, so a window may follow a select without it', () => {
  expect(describeOnce(trips => trips.pipe(select('zone'), tumbling('1 hour'))).columns).toEqual({ zone: 'BIGINT' })
})
