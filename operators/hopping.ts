import { configError } from '../src/core/errors.ts'
import { canonicalDuration, type Duration, durationInWords, durationUs } from '../src/core/duration.ts'
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

type HoppingOptions = {
  readonly size: string
  readonly every: string
  readonly offset?: string
}

export const hoppingStep: WindowStep<HoppingOptions> = {
  is: 'window',
  op: 'hopping',
  tells: ({ size, every, offset }) => [`${durationInWords(size)} every ${durationInWords(every)}${offsetTold(offset)}`],
  columns: input => input,
  canonical: ({ size, every, offset }) => ({
    size: canonicalDuration(size, 'hopping size'),
    every: canonicalDuration(every, 'hopping every'),
    ...canonicalOffset(offset, durationUs(every, 'hopping every'), 'hopping'),
  }),
  assigner({ size, every, offset }) {
    const everyUs = durationUs(every, 'hopping every')
    return hoppingWindows(durationUs(size, 'hopping size'), everyUs, offsetUs(offset, everyUs, 'hopping'))
  },
}

/**
 *     |------- size -------|
 *     every |------- size -------|
 *           every |------- size -------|
 *     |pane|pane|pane|...    panes of gcd(size, every): a row counts once, in its pane
 *
 * A partial row is (key, pane, `_from_end` = the first end of a window still open for the row when it came). The
 * window [s, e) merges the panes inside it with `_from_end` <= e (S9): so a late row of one window still counts in
 * the later ones, whatever the cut.
 */
export function hoppingWindows(sizeUs: bigint, everyUs: bigint, offsetUs = 0n): WindowAssigner {
  const paneUs = gcd(sizeUs, everyUs)
  // Window starts are the multiples of `every` and the offset, so ends are those of `every`, shifted by the size as
  // well.
  const shift = (sizeUs + offsetUs) % everyUs
  // Its start is the last one at or below the time.
  const lastEnd = (time: string) => `(${borderBelow(time, everyUs, offsetUs)} + ${sizeUs})`
  const ends = { everyUs, shiftUs: shift, lastEnd, lastEndOfPane: lastEnd('_pane') }
  return {
    ...fixedBorders,
    ...endsApart(ends),
    startOf: end => `(${end} - ${sizeUs})`,
    stepUs: gcd(paneUs, offsetUs),
    paneColumns: ['_pane', '_from_end'],
    panes: (time, watermark) => [borderBelow(time, paneUs, offsetUs % paneUs), firstOpenEnd(ends, time, watermark)],
    // Of the pane that a window begins with, that window is the last.
    paneOf: end => [`(${end} - ${sizeUs})`, end],
    flushAt: highMarkUs => {
      // The last window that holds the pane and starts at or below M, if one of those ends at or above `_from_end`.
      const end = `least(${lastEnd('_pane')}, ${lastEnd(String(highMarkUs))})`
      return `CASE WHEN ${end} >= _from_end THEN ${end} END`
    },
  }
}

const hoppingOptions = {
  size: { kind: aboveZero, isRequired: true, isPositional: true, about: 'The length of a window.' },
  every: {
    kind: aboveZero,
    isRequired: true,
    isPositional: true,
    about: 'The distance between the starts of two windows, at most their length.',
  },
  offset: offsetOption,
} satisfies OptionTable<WindowOptions & { readonly size: Duration; readonly every: Duration }>

/**
 * Assigns each row to every window [start, start + size) whose start is a multiple of `every` since the Unix epoch
 * (UTC) and that holds the row's event time. A row may be late for some of its windows and count in the others.
 *
 *     trips.pipe(hopping('1 hour', '5 minutes'), groupBy('PULocationID'), aggregate({ trips: count() }))
 *
 * @param size Length of a window.
 * @param every Distance between starts, at most `size`.
 * @param options `offset`, by which the starts are moved.
 */
export function hopping<I>(
  size: OfTimedRows<I, Duration>,
  every: Duration,
  options?: WindowOptions,
): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>>
export function hopping<I>(
  ...[length, distance, options]: readonly unknown[]
): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>> {
  const { size, every, offset } = readCall('hopping', hoppingOptions, [length, distance], options)
  const sizeUs = durationUs(size, 'hopping: size')
  const everyUs = durationUs(every, 'hopping: every')
  if (everyUs > sizeUs) throw configError('hopping: every', every, `at most the size, ${size}`)
  if (sizeUs / everyUs > 100_000n)
    throw configError('hopping: every', every, `at least a 100,000th of the size, ${size}`)
  return step(hoppingStep, { size, every, ...(offset === undefined ? {} : { offset }) })
}
