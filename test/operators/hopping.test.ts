import { expect, test } from 'vitest'
import { hopping, hoppingStep } from '../../operators/hopping.ts'
import { checkOneToOne, describeOnce, expectConfigError, sourceNode } from './flow.ts'

test('hopping passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'hopping', options: { size: '1 hour', every: '5m' } }], trips =>
    trips.pipe(hopping('1 hour', '5m')),
  )
})

test('it is an annotation: columns stay as they are', () => {
  expect(describeOnce(trips => trips.pipe(hopping('1h', '7m'))).columns).toEqual(sourceNode.columns)
  expect(hoppingStep.assigner({ size: '1h', every: '7m' }).startOf('e')).toBe('(e - 3600000000)')
})

const aDuration = "a whole number and a unit, such as '90s', '5m', '1 hour' or '30 days'"

test.each([
  ['0s', '1s', 'hopping: size', "'0s'", 'a duration above zero'],
  ['1h', '0s', 'hopping: every', "'0s'", 'a duration above zero'],
  ['1h', '61m', 'hopping: every', "'61m'", 'at most the size, 1h'],
  ['2 days', '1s', 'hopping: every', "'1s'", 'at least a 100,000th of the size, 2 days'],
  ['1 fortnight', '1s', 'hopping: size', "'1 fortnight'", aDuration],
  ['1h', '0.5m', 'hopping: every', "'0.5m'", aDuration],
])('sizes and distances that make no windows are refused: %s every %s', (size, every, field, value, expected) => {
  expectConfigError(() => hopping(size as never, every as never), field, value, expected)
})

test('an offset moves the starts; one of whole distances moves nothing, in the plan neither', () => {
  expect(hopping('1h', '20m', { offset: '5m' }).options).toEqual({ size: '1h', every: '20m', offset: '5m' })
  const canonical = (offset: string) => hoppingStep.canonical?.({ size: '1h', every: '20m', offset }, [])
  expect(canonical('45m')).toEqual({ size: '1 hour', every: '20 minutes', offset: '5 minutes' })
  expect(canonical('1h')).toEqual({ size: '1 hour', every: '20 minutes' })
})

test('the limits themselves are allowed: every = size, and a 100,000th of it', () => {
  expect(hopping('1h', '1h').options).toEqual({ size: '1h', every: '1h' })
  expect(hopping('100000s', '1s').options).toEqual({ size: '100000s', every: '1s' })
})
