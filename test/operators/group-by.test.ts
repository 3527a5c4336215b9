import { expect, test } from 'vitest'
import { groupBy, groupByStep } from '../../operators/group-by.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { checkOneToOne, errorOf, expectConfigError } from './flow.ts'

const window = { op: 'tumbling', options: { size: '1h' } }

test('groupBy passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([window, { op: 'groupBy', options: { keys: ['zone', 'kind'] } }], trips =>
    trips.pipe(tumbling('1h'), groupBy('zone', 'kind')),
  )
})

test('without keys the whole window is one group', () => {
  checkOneToOne([window, { op: 'groupBy', options: { keys: [] } }], trips => trips.pipe(tumbling('1h'), groupBy()))
  expect(groupByStep.keys({ keys: [] })).toEqual([])
})

test('a key twice is refused', () => {
  expectConfigError(() => groupBy('a' as never, 'a' as never), 'groupBy', "'a'", 'each column once')
})

test('a list of keys is refused with how keys are named', () => {
  expectConfigError(
    () => groupBy(['zone', 'kind'] as never),
    'groupBy',
    '["zone","kind"]',
    "names of columns, one after the other: groupBy('a', 'b')",
  )
})

test('an unknown key is refused with the nearest name and all that there are', () => {
  expect(errorOf(trips => trips.pipe(tumbling('1h'), groupBy('zones' as never)))).toMatchObject({
    kind: 'user',
    code: 'unknown-column',
    message:
      "groupBy: no column 'zones'; did you mean 'zone'? Columns here: picked_up, zone, kind, amount, tip, distance.",
  })
})
