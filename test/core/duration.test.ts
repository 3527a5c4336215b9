import { expect, test } from 'vitest'
import { canonicalDuration, durationUs } from '../../src/core/duration.ts'

test.each([
  ['0s', 0n],
  ['200ms', 200_000n],
  ['1 millisecond', 1_000n],
  ['1s', 1_000_000n],
  ['90s', 90_000_000n],
  ['1 second', 1_000_000n],
  ['2 seconds', 2_000_000n],
  ['5m', 300_000_000n],
  ['1 minute', 60_000_000n],
  ['15 minutes', 900_000_000n],
  ['1h', 3_600_000_000n],
  ['1 hour', 3_600_000_000n],
  ['36 hours', 129_600_000_000n],
  ['1d', 86_400_000_000n],
  ['1 day', 86_400_000_000n],
  ['30 days', 2_592_000_000_000n],
  ['007 days', 604_800_000_000n],
  // The longest, still inside BIGINT microseconds when it is given in seconds.
  ['999999999999s', 999_999_999_999_000_000n],
])('%s is %i microseconds', (text, expected) => {
  expect(durationUs(text, 'delay')).toBe(expected)
})

test.each([
  '',
  ' ',
  '5',
  'm',
  '5 parsecs',
  '5us',
  '1.5h',
  '-1h',
  '+1h',
  '1  hour',
  ' 1h',
  '1h ',
  '1H',
  '1 Hour',
  '1h30m',
  '1e3s',
  '１h',
  '10000000000000s',
  '999999999999d',
  '1 constructor',
])('%j is no duration: the error names field, value and what was expected', text => {
  expect(() => durationUs(text, 'source trips: watermark.delay')).toThrow(
    expect.objectContaining({
      kind: 'user',
      message: `source trips: watermark.delay: '${text}' is not valid; expected a whole number and a unit, such as '90s', '5m', '1 hour' or '30 days'.`,
    }),
  )
})

test.each([
  ['60 minutes', '1 hour'],
  ['1h', '1 hour'],
  ['24 hours', '1 day'],
  ['90 minutes', '90 minutes'],
  ['007 days', '7 days'],
  ['1500ms', '1500 milliseconds'],
  ['1000ms', '1 second'],
])('%s is %s in canonical form, of the same length', (text, canonical) => {
  expect(canonicalDuration(text, 'size')).toBe(canonical)
  expect(durationUs(canonical, 'size')).toBe(durationUs(text, 'size'))
})
