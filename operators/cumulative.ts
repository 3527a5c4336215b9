import { canonicalDuration, type Duration, durationInWords, durationUs } from '../src/core/duration.ts'
import { configError } from '../src/core/errors.ts'
import { aboveZero } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import {
  type ColumnsOf,
  type OfTimedRows,
  type Operator,
  step,
  type TimeOf,
  type Windowed,
} from '../src/plan/batches.ts'
import type { WindowStep } from '../src/plan/step.ts'
import { borderBelow, fixedBorders, type WindowAssigner } from '../src/plan/window.ts'
import { endsApart, firstOpenEnd } from './ends-apart.ts'
import { canonicalOffset, gcd, offsetOption, offsetTold, offsetUs, type WindowOptions } from './window-offset.ts'

type CumulativeOptions = {
  readonly size: string
  readonly every: string
  readonly offset?: string
}

export const cumulativeStep: WindowStep<CumulativeOptions> = {
  is: 'window',
  op: 'cumulative',
  tells: ({ size, every, offset }) => [
    `${durationInWords(size)}, so far every ${durationInWords(every)}${offsetTold(offset)}`,
  ],
  columns: input => input,
  canonical: ({ size, every, offset }) => ({
    size: canonicalDuration(size, 'cumulative size'),
    every: canonicalDuration(every, 'cumulative every'),
    ...canonicalOffset(offset, durationUs(size, 'cumulative size'), 'cumulative'),
  }),
  assigner({ size, every, offset }) {
    const sizeUs = durationUs(size, 'cumulative size')
    return cumulativeWindows(sizeUs, durationUs(every, 'cumulative every'), offsetUs(offset, sizeUs, 'cumulative'))
  },
}

/**
 *     |------------ size ------------|------------ size ------------|
 *     |- every -)                    |- every -)
 *     |------------------)           |------------------)            windows of one start, each so much longer
 *     |------------------------------|------------------------------)
 *
 * A partial row is (key, `_start` of its windows, `_from_end` = the first end of a window that was still open for the
 * row when it came). The window that ends at e merges the rows with `_from_end` <= e (S9).
 */
export function cumulativeWindows(sizeUs: bigint, everyUs: bigint, offsetUs = 0n): WindowAssigner {
  const start = (time: string) => borderBelow(time, sizeUs, offsetUs)
  const lastEndOfPane = `(_start + ${sizeUs})`
  const lastEnd = (time: string) => `(${start(time)} + ${sizeUs})`
  // Ends are the multiples of `every` and the offset, as the size is one of `every`.
  const ends = { everyUs, shiftUs: offsetUs % everyUs, lastEnd, lastEndOfPane }
  return {
    ...fixedBorders,
    ...endsApart(ends),
    startsAlike: true,
    // An end lies in one length only, on whose border it is the last of the one before.
    startOf: end => start(`(${end} - 1)`),
    stepUs: gcd(everyUs, offsetUs),
    paneColumns: ['_start', '_from_end'],
    panes: (time, watermark) => [start(time), firstOpenEnd(ends, time, watermark)],
    // All windows of a row have one start.
    flushAt: highMarkUs => `CASE WHEN _start <= ${highMarkUs} THEN ${lastEndOfPane} END`,
  }
}

const cumulativeOptions = {
  size: { kind: aboveZero, isRequired: true, isPositional: true, about: 'The length of the longest window.' },
  every: {
    kind: aboveZero,
    isRequired: true,
    isPositional: true,
    about: 'By how much each window is longer than the one before; the size is a multiple of it.',
  },
  offset: offsetOption,
} satisfies OptionTable<WindowOptions & { readonly size: Duration; readonly every: Duration }>

/**
 * Assigns each row to windows that begin together and grow: [start, start + every), [start, start + 2 every), and so on
 * up to [start, start + size). It gives a day's totals so far, each hour. Starts are multiples of `size` since the Unix
 * epoch (UTC). A row may be late for some of its windows and count in the longer ones.
 *
 *     trips.pipe(cumulative('1 day', '1 hour'), groupBy('PULocationID'), aggregate({ trips: count() }))
 *
 * @param size Length of the longest window, after which the next one begins.
 * @param every By how much each window is longer than the one before: the size is a multiple of it, at most 100,000
 * times as long.
 * @param options `offset`, by which the starts are moved: `cumulative('1 day', '1 hour', { offset: '5 hours' })`.
 */
export function cumulative<I>(
  size: OfTimedRows<I, Duration>,
  every: Duration,
  options?: WindowOptions,
): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>>
export function cumulative<I>(
  ...[length, distance, options]: readonly unknown[]
): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>> {
  const { size, every, offset } = readCall('cumulative', cumulativeOptions, [length, distance], options)
  const sizeUs = durationUs(size, 'cumulative: size')
  const everyUs = durationUs(every, 'cumulative: every')
  if (everyUs > sizeUs || sizeUs % everyUs !== 0n)
    throw configError('cumulative: every', every, `a part of the size, ${size}, that makes it up without a rest`)
  if (sizeUs / everyUs > 100_000n)
    throw configError('cumulative: every', every, `at least a 100,000th of the size, ${size}`)
  return step(cumulativeStep, { size, every, ...(offset === undefined ? {} : { offset }) })
}
