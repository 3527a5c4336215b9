import { expect, test } from 'vitest'
import { cumulative, cumulativeStep } from '../../operators/cumulative.ts'
import { checkOneToOne, describeOnce, expectConfigError, sourceNode } from './flow.ts'

test('cumulative passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'cumulative', options: { size: '1 day', every: '1h' } }], trips =>
    trips.pipe(cumulative('1 day', '1h')),
  )
})

test('it is an annotation: columns stay as they are', () => {
  expect(describeOnce(trips => trips.pipe(cumulative('1 day', '1h'))).columns).toEqual(sourceNode.columns)
})

const aDuration = "a whole number and a unit, such as '90s', '5m', '1 hour' or '30 days'"

test.each([
  ['0s', '1s', 'cumulative: size', "'0s'", 'a duration above zero'],
  ['1h', '0s', 'cumulative: every', "'0s'", 'a duration above zero'],
  ['1h', '2h', 'cumulative: every', "'2h'", 'a part of the size, 1h, that makes it up without a rest'],
  ['1h', '25m', 'cumulative: every', "'25m'", 'a part of the size, 1h, that makes it up without a rest'],
  ['2 days', '1s', 'cumulative: every', "'1s'", 'at least a 100,000th of the size, 2 days'],
  ['1 fortnight', '1s', 'cumulative: size', "'1 fortnight'", aDuration],
  ['1h', '0.5m', 'cumulative: every', "'0.5m'", aDuration],
])('sizes and steps that make no windows are refused: %s by %s', (size, every, field, value, expected) => {
  expectConfigError(() => cumulative(size as never, every as never), field, value, expected)
})

test('an offset moves the starts; one of whole sizes moves nothing, in the plan neither', () => {
  expect(cumulative('1 day', '1h', { offset: '5h' }).options).toEqual({ size: '1 day', every: '1h', offset: '5h' })
  const canonical = (offset: string) => cumulativeStep.canonical?.({ size: '24h', every: '60m', offset }, [])
  expect(canonical('29h')).toEqual({ size: '1 day', every: '1 hour', offset: '5 hours' })
  expect(canonical('2 days')).toEqual({ size: '1 day', every: '1 hour' })
})

test('the limits themselves are allowed: every = size, and a 100,000th of it', () => {
  expect(cumulative('1h', '1h').options).toEqual({ size: '1h', every: '1h' })
  expect(cumulative('100000s', '1s').options).toEqual({ size: '100000s', every: '1s' })
})
