import { expect, test } from 'vitest'
import { backoffMs } from '../../src/core/backoff.ts'

const after = [0, 1, 2, 3, 4, 40, 4_000]

test('doubles a pause with each failure, up to the longest', () => {
  expect(after.map(failures => backoffMs({ firstMs: 50, mostMs: 700 }, failures))).toEqual([
    50, 100, 200, 400, 700, 700, 700,
  ])
})

test('lets chance decide the share of a pause that it is given', () => {
  const half = { firstMs: 200, mostMs: 5_000, byChance: 0.5 }
  expect([0, 0.5, 1].map(chance => backoffMs(half, 1, () => chance))).toEqual([200, 300, 400])
  const all = { firstMs: 100, mostMs: 5_000, byChance: 1 }
  expect([0, 0.5, 1].map(chance => backoffMs(all, 9, () => chance))).toEqual([0, 2_500, 5_000])
})
