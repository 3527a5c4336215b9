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
  ['1 month', 'month'],
  ['week', 'week'],
  ['1 quarter', 'quarter'],
  ['1year', 'year'],
])('a period of the calendar is refused with how to write it: %s', (size, unit) => {
  expectConfigError(
    () => tumbling(size as never),
    'tumbling: size',
    `'${size}'`,
    `a length that is always the same, such as '30 days'; for a period of the calendar write calendar('${unit}')`,
  )
})

test('a time zone is refused with how to write it', () => {
  expectConfigError(
    () => tumbling('1 day', { timeZone: 'Europe/Berlin' } as never),
    'tumbling: timeZone',
    "'Europe/Berlin'",
    "none, as these windows are of UTC; for days of a time zone write calendar('day', { timeZone: '...' })",
  )
})

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

test('an offset moves the borders; one of whole windows moves nothing, in the plan neither', () => {
  checkOneToOne([{ op: 'tumbling', options: { size: '1 day', offset: '5h' } }], trips =>
    trips.pipe(tumbling('1 day', { offset: '5h' })),
  )
  const hour = 3_600_000_000n
  expect(tumblingStep.assigner({ size: '1 day', offset: '5h' }).firstEnd(4n * hour)).toBe(5n * hour)
  expect(tumblingStep.assigner({ size: '1 day', offset: '5h' }).firstEnd(5n * hour)).toBe(29n * hour)
  const canonical = (offset?: string) => tumblingStep.canonical?.({ size: '24h', ...(offset && { offset }) }, [])
  expect(canonical('53h')).toEqual({ size: '1 day', offset: '5 hours' })
  expect(canonical('48h')).toEqual({ size: '1 day' })
  expect(canonical()).toEqual({ size: '1 day' })
  expectConfigError(() => tumbling('1 day', { offset: 'noon' as never }), 'tumbling: offset', "'noon'", aDuration)
})

test('the event time rides along hidden, so a window may follow a select without it', () => {
  expect(describeOnce(trips => trips.pipe(select('zone'), tumbling('1 hour'))).columns).toEqual({ zone: 'BIGINT' })
})
