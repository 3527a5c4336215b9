import { canonicalDuration, type Duration, durationInWords, durationUs } from '../src/core/duration.ts'
import { configError } from '../src/core/errors.ts'
import { plainJson } from '../src/core/json.ts'
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
import { borderBelow, fixedBorders, floorToUs, whereCloses, type WindowAssigner } from '../src/plan/window.ts'
import { canonicalOffset, gcd, offsetOption, offsetTold, offsetUs, type WindowOptions } from './window-offset.ts'

type TumblingOptions = {
  readonly size: string
  readonly offset?: string
}

export const tumblingStep: WindowStep<TumblingOptions> = {
  is: 'window',
  op: 'tumbling',
  tells: ({ size, offset }) => [`${durationInWords(size)}${offsetTold(offset)}`],
  columns: input => input,
  canonical: ({ size, offset }) => ({
    size: canonicalDuration(size, 'tumbling'),
    ...canonicalOffset(offset, durationUs(size, 'tumbling'), 'tumbling'),
  }),
  assigner({ size, offset }) {
    const sizeUs = durationUs(size, 'tumbling')
    return tumblingWindows(sizeUs, offsetUs(offset, sizeUs, 'tumbling'))
  },
}

/**
 *     ...|---- size ----|---- size ----|...   one window a row; a partial row holds the window's start
 */
export function tumblingWindows(sizeUs: bigint, offsetUs = 0n): WindowAssigner {
  const start = (time: string) => borderBelow(time, sizeUs, offsetUs)
  const end = (time: string) => `(${start(time)} + ${sizeUs})`
  return {
    ...fixedBorders,
    startOf: end => `(${end} - ${sizeUs})`,
    stepUs: gcd(sizeUs, offsetUs),
    paneColumns: ['_start'],
    isOneWindow: true,
    panes: time => [start(time)],
    paneOf: end => [`(${end} - ${sizeUs})`],
    // The window's end is above the watermark iff the time is at or above the start of the watermark's own window.
    accepts: (time, watermark) => `(${watermark} IS NULL OR ${time} >= ${start(watermark)})`,
    lateEnds: (time, watermark) => `CASE WHEN ${end(time)} <= ${watermark} THEN [${end(time)}] ELSE []::BIGINT[] END`,
    firstEnd: timeUs => floorToUs(timeUs - offsetUs, sizeUs) + offsetUs + sizeUs,
    windowsOf: (partials, fromUs, toUs) =>
      `SELECT *, _start + ${sizeUs} AS _window_end ` +
      `FROM (${partials})${whereCloses(`_start + ${sizeUs}`, fromUs, toUs)}`,
    closesAt: `(_start + ${sizeUs})`,
    emitsFrom: `(_start + ${sizeUs})`,
    flushAt: highMarkUs => `CASE WHEN _start <= ${highMarkUs} THEN _start + ${sizeUs} END`,
  }
}

const tumblingOptions = {
  size: { kind: aboveZero, isRequired: true, isPositional: true, about: 'The length of a window.' },
  offset: offsetOption,
} satisfies OptionTable<WindowOptions & { readonly size: Duration }>

/**
 * Assigns each row to one window [start, start + size) of event time, aligned to the Unix epoch (UTC). Windows close
 * when the watermark reaches their end; a row that comes later goes to the late ledger.
 *
 *     trips.pipe(tumbling('1 hour'), groupBy('PULocationID'), aggregate({ trips: count() }))
 *
 * @param size A duration such as '5m' or '1 hour'; whole days when the event time is a DATE.
 * @param options `offset`, where windows begin: `tumbling('1 day', { offset: '5 hours' })`.
 */
export function tumbling<I>(
  size: OfTimedRows<I, Duration>,
  options?: WindowOptions,
): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>>
export function tumbling<I>(size: unknown, options?: unknown): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>> {
  checkNoCalendar(size, options)
  return step(tumblingStep, plainJson(readCall('tumbling', tumblingOptions, [size], options)) as TumblingOptions)
}

/** What only a calendar knows is refused with how to ask for it. */
function checkNoCalendar(size: unknown, options: unknown): void {
  const [, unit] = (typeof size === 'string' && /^(?:1 ?)?(week|month|quarter|year)s?$/.exec(size)) || []
  if (unit !== undefined)
    throw configError(
      'tumbling: size',
      size,
      `a length that is always the same, such as '30 days'; for a period of the calendar write calendar('${unit}')`,
    )
  if (typeof options === 'object' && options !== null && 'timeZone' in options)
    throw configError(
      'tumbling: timeZone',
      options.timeZone,
      `none, as these windows are of UTC; for days of a time zone write calendar('day', { timeZone: '...' })`,
    )
}
