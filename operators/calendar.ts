import { plainJson } from '../src/core/json.ts'
import { oneOf, text } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import { configError } from '../src/core/errors.ts'
import {
  type ColumnsOf,
  type OfTimedRows,
  type Operator,
  step,
  type TimeOf,
  type Windowed,
} from '../src/plan/batches.ts'
import { inputColumn } from '../src/plan/relation.ts'
import type { WindowStep } from '../src/plan/step.ts'
import { fixedBorders, whereCloses, type WindowAssigner } from '../src/plan/window.ts'
import {
  type Calendar,
  type CalendarUnit,
  calendarUnits,
  calendarWindows,
  type WeekDay,
  weekDays,
} from './calendar-borders.ts'

export type { CalendarUnit, WeekDay }

/** Whose calendar it is. */
export interface CalendarOptions {
  /** A zone of the IANA database, such as 'Europe/Berlin'. Default: 'UTC'. */
  readonly timeZone?: string
  /** The day on which weeks begin, of `calendar('week')`. Default: 'monday'. */
  readonly weekStartsOn?: WeekDay
}

type Options = CalendarOptions & { readonly unit: CalendarUnit }
type PlainOptions = { readonly unit: CalendarUnit; readonly timeZone?: string; readonly weekStartsOn?: WeekDay }

const calendarOf = ({ unit, timeZone = 'UTC', weekStartsOn = 'monday' }: Options): Calendar => ({
  unit,
  timeZone,
  weekStartsOn,
})

export const calendarStep: WindowStep<PlainOptions> = {
  is: 'window',
  op: 'calendar',
  tells(options) {
    const { unit, timeZone, weekStartsOn } = calendarOf(options)
    return [`${unit} in ${timeZone}${unit === 'week' ? `, from ${weekStartsOn} on` : ''}`]
  },
  columns: input => input,
  canonical(options) {
    const { unit, timeZone, weekStartsOn } = calendarOf(options)
    return { unit, timeZone, ...(unit === 'week' ? { weekStartsOn } : {}) }
  },
  timeZone: options => calendarOf(options).timeZone,
  assigner: options => calendarAssigner(calendarOf(options)),
}

/**
 *     ...|-- 24 hours --|-- 23 hours -|-- 24 hours --|...   one window a row, looked up in a table of borders (S23)
 *
 * A partial row has the start and the end of its window. So nothing that is counted changes its window where another
 * release of DuckDB knows a zone's rules better.
 */
function calendarAssigner(calendar: Calendar): WindowAssigner {
  const { unit, timeZone } = calendar
  const [start, end] = [inputColumn('_start'), inputColumn('_end')]
  const isWholeDays = timeZone === 'UTC' && unit !== 'hour'
  return {
    ...fixedBorders,
    windowColumns: ['_window_start', '_window_end'],
    // Of a late row, which has its window beside it.
    startOf: () => '_start',
    stepUs: isWholeDays ? 86_400_000_000n : 1_000_000n,
    asked: `${unit} in ${timeZone}`,
    beside: calendarWindows(calendar),
    paneColumns: ['_start', '_end'],
    isOneWindow: true,
    panes: () => [start, end],
    accepts: (_, watermark) => `(${watermark} IS NULL OR ${end} > ${watermark})`,
    lateEnds: (_, watermark) => `CASE WHEN ${end} <= ${watermark} THEN [${end}] ELSE []::BIGINT[] END`,
    // What is known without asking for the zone.
    firstEnd: timeUs => timeUs + 1n,
    windowsOf: (partials, fromUs, toUs) =>
      `SELECT *, _start AS _window_start, _end AS _window_end FROM (${partials})${whereCloses('_end', fromUs, toUs)}`,
    closesAt: '_end',
    emitsFrom: '_end',
    flushAt: highMarkUs => `CASE WHEN _start <= ${highMarkUs} THEN _end END`,
  }
}

const calendarOptions = {
  unit: {
    kind: oneOf(...calendarUnits),
    isRequired: true,
    isPositional: true,
    about: 'The period of the calendar that a window is.',
  },
  timeZone: {
    kind: text<string>("the name of a time zone, such as 'Europe/Berlin'"),
    otherwise: "'UTC'",
    about: 'The zone of the IANA database in whose calendar the periods lie.',
  },
  weekStartsOn: {
    kind: oneOf(...weekDays),
    otherwise: "'monday'",
    about: "The day on which weeks begin, of calendar('week').",
  },
} satisfies OptionTable<Options>

/**
 * Assigns each row to the hour, day, week, month, quarter or year of a calendar in which it lies, in UTC or in a time
 * zone. A window is [first instant of the period, first instant of the next one): days have 23 to 25 hours where clocks
 * change.
 *
 *     sales.pipe(calendar('day', { timeZone: 'Europe/Berlin' }), groupBy('shop'), aggregate({ sales: count() }))
 *
 * `window_start` and `window_end` have the event time's type, in UTC like all times. What DuckDB knows of zones
 * decides, which comes with its version.
 *
 * @param unit 'hour', 'day', 'week', 'month', 'quarter' or 'year'; 'day' or longer, in UTC, when the event time is a
 * DATE.
 * @param options `timeZone`, and `weekStartsOn` of a week.
 */
export function calendar<I>(
  unit: OfTimedRows<I, CalendarUnit>,
  options?: CalendarOptions,
): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>>
export function calendar<I>(unit: unknown, options?: unknown): Operator<I, Windowed<ColumnsOf<I>, TimeOf<I>>> {
  const read = readCall('calendar', calendarOptions, [unit], options)
  if (read.weekStartsOn !== undefined && read.unit !== 'week')
    throw configError('calendar: weekStartsOn', read.weekStartsOn, `no such option for '${read.unit}', only for 'week'`)
  return step(calendarStep, plainJson(read) as PlainOptions)
}
