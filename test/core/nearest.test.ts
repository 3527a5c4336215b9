import { expect, test } from 'vitest'
import { nearestName } from '../../src/core/nearest.ts'

test.each([
  ['inpt', 'input'],
  ['inptu', 'input'],
  ['niput', 'input'],
  ['filtr', 'filter'],
  ['FLITER', 'filter'],
  ['a', undefined],
  ['output', undefined],
  ['', undefined],
])('%s is most like %s', (wanted, found) => {
  expect(nearestName(wanted, ['input', 'filter', 'threads'])).toBe(found)
})
