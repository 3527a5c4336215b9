import { expect, test } from 'vitest'
import { describeProgress, displayProgress } from '../../src/cli/progress.ts'
import { showBytes, showSeconds } from '../../src/core/quantity.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { Progress } from '../../src/engine/report/summary.ts'
import { recordingTerminal } from './recorder.ts'

const half: Progress = {
  objectsDone: 2,
  objectsTotal: 5,
  bytesDone: 1_500_000,
  bytesTotal: 3_000_000,
  rows: 100_000,
  epoch: 2,
  undelivered: 0,
}

test('progress tells objects, rows, bytes, rows/s and time left', () => {
  expect(describeProgress(half, 4)).toBe('2/5 objects, 100,000 rows, 1.5 MB/3.0 MB, 25,000 rows/s, 4.0 s left')
  expect(describeProgress({ ...half, bytesDone: 0, rows: 0 }, 0)).toBe('2/5 objects, 0 rows, 0 B/3.0 MB, - rows/s')
})

test('a run that waits for its flows to take rows says so', () => {
  const done = { ...half, bytesDone: half.bytesTotal, objectsDone: 5 }
  expect(describeProgress({ ...done, undelivered: 3 }, 4)).toMatch(/, 3 epochs to hand over$/)
  expect(describeProgress({ ...done, undelivered: 1 }, 4)).toMatch(/, 1 epoch to hand over$/)
})

test('on a terminal a bar of one line is redrawn at most ten times a second, and cleared', () => {
  const terminal = recordingTerminal(true)
  const display = displayProgress(terminal)
  for (; terminal.clockMs < 1000; terminal.clockMs += 10) display.update(half)
  const draws = terminal.stderr.split('\r\x1b[2K').slice(1)
  expect(draws).toHaveLength(10)
  expect(draws[0]).toMatch(/^█+░+ {2}50% {2}2\/5 objects/)
  for (const draw of draws) expect(draw.length).toBeLessThan(120)
  display.done()
  expect(terminal.stderr.endsWith('\r\x1b[2K')).toBe(true)
  const before = terminal.stderr
  display.update(half)
  expect(terminal.stderr).toBe(before)
})

test('80 columns hold a bar beside large numbers', () => {
  const terminal = recordingTerminal(true, 80)
  const display = displayProgress(terminal)
  terminal.clockMs = 10_000
  display.update({
    objectsDone: 110,
    objectsTotal: 120,
    bytesDone: 550e6,
    bytesTotal: 600e6,
    rows: 12_345_678,
    epoch: 3,
    undelivered: 0,
  })
  const line = terminal.stderr.replace('\r\x1b[2K', '')
  expect(line).toMatch(/^█+░+ {2}91% {2}110\/120 objects, 12\.3M rows, 1\.2M rows\/s, 0\.9 s left$/)
  expect(line.length).toBeLessThan(80)
})

test('on a narrow terminal the text is cut, so that it never wraps', () => {
  const terminal = recordingTerminal(true, 40)
  displayProgress(terminal).update(half)
  expect(terminal.stderr.replace('\r\x1b[2K', '')).toHaveLength(39)
})

test('elsewhere plain lines, one each five seconds', () => {
  const terminal = recordingTerminal()
  const display = displayProgress(terminal)
  for (; terminal.clockMs <= 10_000; terminal.clockMs += 100) display.update(half)
  display.done()
  expect(terminal.stderr.split('\n')).toHaveLength(3)
  for (const drawn of ['\r', '\x1b', '█']) expect(terminal.stderr).not.toContain(drawn)
})

test.each([
  [0, '0 B'],
  [999, '999 B'],
  [1000, '1.0 kB'],
  [999_949, '999.9 kB'],
  [999_950, '1.0 MB'],
  [2.5e12, '2.5 TB'],
])('%i bytes are %s', (bytes, text) => expect(showBytes(bytes)).toBe(text))

test.each([
  [0, '0.0 s'],
  [9.94, '9.9 s'],
  [9.96, '10 s'],
  [59.6, '1 min 0 s'],
  [3599.6, '1 h 0 min'],
  [7265, '2 h 1 min'],
])('%f seconds are %s', (seconds, text) => expect(showSeconds(seconds)).toBe(text))

test('a table aligns numbers to the right', () => {
  expect(
    renderTable(
      ['zone', 'name', 'trips'],
      [
        ['74', 'East Harlem', '1,234'],
        ['7', '', '56'],
      ],
    ),
  ).toBe(
    [
      'zone  name         trips',
      '----  -----------  -----',
      '  74  East Harlem  1,234',
      '   7                  56',
    ].join('\n'),
  )
})
