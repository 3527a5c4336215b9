import { configError } from '../../src/core/errors.ts'
import type { ParsedType } from '../../src/core/types.ts'
import { timeFromMicroseconds } from '../../src/plan/relation.ts'
import type { WindowAssigner } from '../../src/plan/window.ts'

/** Columns that windows add to every result. */
export const startColumn = 'window_start'
export const endColumn = 'window_end'

/** How the results of windows tell when these are. */
export interface WindowTimes {
  /** The windows say by themselves when they start: then `_window_start` stands beside `_window_end`. */
  readonly hasOwnStart: boolean
  /** Results have the window's columns. */
  readonly areShown: boolean
  /** @param end SQL of the window's end, in microseconds @param start of its start, used where it has its own */
  startOf(end: string, start: string): string
  /** A time in microseconds, as the type of the event time. */
  toTime(us: string): string
}

export function windowTimes(windows: WindowAssigner, timeType: ParsedType): WindowTimes {
  const hasOwnStart = windows.windowColumns.includes('_window_start')
  return {
    hasOwnStart,
    areShown: windows.isEndless !== true,
    startOf: (end, start) => (hasOwnStart ? start : windows.startOf(end)),
    toTime: us => timeFromMicroseconds(us, timeType.name),
  }
}

/** A DATE can tell windows of whole days only. */
export function checkWholeDays(windows: WindowAssigner, timeType: ParsedType): void {
  if (timeType.name === 'DATE' && windows.stepUs % 86_400_000_000n !== 0n)
    throw configError(
      'window',
      windows.asked ?? `${windows.stepUs} microseconds`,
      'whole days, as the event time is a DATE',
    )
}
