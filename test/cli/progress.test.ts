import { EventEmitter } from 'node:events'
import { expect, test } from 'vitest'
import { createLiveLines, type DrawLines } from '../../src/cli/live-lines.ts'
import { describeProgress, displayProgress } from '../../src/cli/progress.ts'
import { showBytes, showSeconds } from '../../src/core/quantity.ts'
import { renderTable } from '../../src/cli/table.ts'
import type { Progress } from '../../src/engine/report/summary.ts'
import { recordingTerminal } from './recorder.ts'
import { emulateScreen } from './screen.ts'

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

/** A terminal with a screen, and the bar on it. */
function onScreen(columns: number, isForMachine = false) {
  const screen = emulateScreen(columns)
  const stderr = screen.openStream()
  let shows = 0
  const lines = createLiveLines({
    screen: stderr as never,
    others: [],
    isColoured: false,
    process: Object.assign(new EventEmitter(), { pid: 1, kill: () => true }),
  })
  const live = {
    show(draw: DrawLines) {
      shows++
      lines.show(draw)
    },
    hide: lines.hide,
  }
  const terminal = { ...recordingTerminal(), live, err: (text: string) => void stderr.write(text) }
  const display = displayProgress(terminal, isForMachine)
  return { screen, stderr, terminal, display, shows: () => shows }
}

test('on a terminal a bar is redrawn at most ten times a second, and removed', async () => {
  const { screen, terminal, display, shows } = onScreen(120)
  for (; terminal.clockMs < 1000; terminal.clockMs += 10) display.update(half)
  expect(shows()).toBe(10)
  expect(await screen.lines()).toEqual([expect.stringMatching(/^█{15}░{15} {2}50% {2}2\/5 objects, .*, 0\.9 s left$/)])
  terminal.err('a line\n')
  expect(await screen.lines()).toEqual(['a line', expect.stringMatching(/^█/)])
  display.done()
  display.update(half)
  expect(await screen.lines()).toEqual(['a line'])
})

test('its shades are the phases that took the work', async () => {
  const { screen, display } = onScreen(120)
  for (const [phase, ms] of [
    ['mark', 30],
    ['partial', 15],
    ['mark', 15],
    ['apply', 15],
    ['commit', 9],
    ['publish', 6],
  ] as const)
    display.onEvent({ is: 'phase', phase, ms })
  display.onEvent({ is: 'draining' })
  display.update({ ...half, bytesDone: 2_000_000 })
  const [bar, legend] = await screen.lines()
  expect(bar).toMatch(/^█{10}▓{3}▒{4}▚▚▞░{10} {2}66% /)
  expect(legend).toBe('█ mark 50%  ▓ partial 17%  ▒ apply 17%  ▚ commit 10%  ▞ publish 7%')
})

test('80 columns hold a bar beside large numbers', async () => {
  const { screen, terminal, display } = onScreen(80)
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
  expect(await screen.lines()).toEqual([
    expect.stringMatching(/^█+░+ {2}91% {2}110\/120 objects, 12\.3M rows, 1\.2M rows\/s, 0\.9 s left$/),
  ])
})

test('on a narrow terminal the text is cut, so that it never wraps', async () => {
  for (const columns of [1, 2, 20, 40]) {
    const { screen, display } = onScreen(columns)
    display.onEvent({ is: 'phase', phase: 'mark', ms: 1 })
    display.update(half)
    expect((await screen.lines()).length).toBeLessThanOrEqual(2)
  }
  const { screen, display } = onScreen(40)
  display.update(half)
  expect(await screen.lines()).toEqual([' 50%  2/5 objects, 100K rows, 1.5 MB/3…'])
})

test('with --json there are lines, and no bar', async () => {
  const { screen, terminal, display, shows } = onScreen(120, true)
  for (; terminal.clockMs <= 5_000; terminal.clockMs += 100) display.update(half)
  display.done()
  expect(shows()).toBe(0)
  expect(await screen.lines()).toEqual([expect.stringMatching(/^2\/5 objects, 100,000 rows/)])
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
