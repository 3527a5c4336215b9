import { expect, test } from 'vitest'
import { parseSizeBytes } from '../../src/core/size.ts'

test.each([
  ['500kB', 500_000],
  ['128MB', 128_000_000],
  ['1.5 GB', 1_500_000_000],
  ['64MiB', 67_108_864],
  ['2 TiB', 2_199_023_255_552],
])('%s is %d bytes', (text, bytes) => {
  expect(parseSizeBytes(text)).toBe(bytes)
})

test.each([
  '',
  '128',
  '128 mb',
  '128  MB',
  '-1MB',
  '0MB',
  '0.0000001kB',
  '1e3MB',
  'MB',
  '1,5GB',
  '99999999999TiB',
  '1toString',
])('%j is no size', text => {
  expect(parseSizeBytes(text)).toBeUndefined()
})
