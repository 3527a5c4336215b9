import { calendar, type CalendarUnit, type WeekDay } from '../../../operators/calendar.ts'
import type { WindowFunction } from './window-function.ts'

export const calendarWindow: WindowFunction = {
  name: 'CALENDAR',
  form: "CALENDAR(trips, 'day', 'America/New_York')",
  op: 'calendar',
  takes: [
    { name: 'unit', is: 'text' },
    { name: 'timeZone', is: 'text', isOptional: true },
    { name: 'weekStartsOn', is: 'text', isOptional: true },
  ],
  make: ({ unit, timeZone, weekStartsOn }) =>
    calendar(unit as CalendarUnit, {
      ...(timeZone === undefined ? {} : { timeZone }),
      ...(weekStartsOn === undefined ? {} : { weekStartsOn: weekStartsOn as WeekDay }),
    }),
}
