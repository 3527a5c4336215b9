import { expect, test } from 'vitest'
import { calendar, calendarStep } from '../../operators/calendar.ts'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { explain } from '../../src/engine/explain.ts'
import { files, json, pipeline, source, to } from '../../src/index.ts'
import { checkOneToOne, describeOnce, sourceNode } from './flow.ts'

test('calendar passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'calendar', options: { unit: 'day', timeZone: 'Europe/Berlin' } }], trips =>
    trips.pipe(calendar('day', { timeZone: 'Europe/Berlin' })),
  )
})

test('it is an annotation: columns stay as they are', () => {
  expect(describeOnce(trips => trips.pipe(calendar('month'))).columns).toEqual(sourceNode.columns)
})

const units = "'hour' or 'day' or 'week' or 'month' or 'quarter' or 'year'"

test.each([
  ['fortnight', {}, `unit: 'fortnight' is not valid; expected ${units}.`],
  ['days', {}, `unit: 'days' is not valid; expected ${units}. Did you mean 'day'?`],
  ['day', { timeZone: '' }, "timeZone: '' is not valid; expected the name of a time zone, such as 'Europe/Berlin'."],
  ['week', { weekStartsOn: 'sundae' }, "Did you mean 'sunday'?"],
  [
    'day',
    { weekStartsOn: 'sunday' },
    "weekStartsOn: 'sunday' is not valid; expected no such option for 'day', only for 'week'.",
  ],
])('%s with %j is refused', (unit, options, message) => {
  expect(() => calendar(unit as never, options as never)).toThrow(message)
})

test('defaults are a part of the plan as if they were written', () => {
  const canonical = (options: object) => calendarStep.canonical?.(options as never, [])
  expect(canonical({ unit: 'week' })).toEqual({ unit: 'week', timeZone: 'UTC', weekStartsOn: 'monday' })
  expect(canonical({ unit: 'week', timeZone: 'UTC', weekStartsOn: 'monday' })).toEqual(canonical({ unit: 'week' }))
  expect(canonical({ unit: 'day', timeZone: 'Europe/Berlin' })).toEqual({ unit: 'day', timeZone: 'Europe/Berlin' })
})

const explained = (time: 'DATE' | 'TIMESTAMP', options: Parameters<typeof calendar>) =>
  explain(
    pipeline(
      'calendars',
      { checkpoint: 'checkpoint' },
      source('rows', { objects: 'in', format: json(), columns: { at: `${time} NOT NULL` }, time: 'at' }).pipe(
        calendar(...(options as ['day'])),
        aggregate({ n: count() }),
        to(files('out', { format: 'json' })),
      ),
    ),
  )

test.each([
  ['Europe/Berlim', " Did you mean 'Europe/Berlin'?"],
  // Whatever DuckDB would take itself: plans have one way to write a zone.
  ['europe/berlin', " Did you mean 'Europe/Berlin'?"],
  ['+02:00', ''],
  ["Nowhere'; DROP TABLE rows", ''],
])('a zone that does not exist is refused before anything is read: %s', async (timeZone, near) => {
  await expect(explained('TIMESTAMP', ['day', { timeZone }])).rejects.toMatchObject({
    kind: 'user',
    message: `calendar: timeZone: '${timeZone}' is not valid; expected the name of a time zone of the IANA database, such as 'America/New_York'.${near}`,
  })
})

test('DATEs take days of UTC and what is made of them, and no zone', async () => {
  const { flows } = await explained('DATE', ['month'])
  expect(flows[0]?.columns.window_start).toBe('DATE NOT NULL')
  const expected = 'whole days, as the event time is a DATE'
  await expect(explained('DATE', ['day', { timeZone: 'Asia/Tokyo' }])).rejects.toThrow(
    `window: 'day in Asia/Tokyo' is not valid; expected ${expected}.`,
  )
  await expect(explained('DATE', ['hour'])).rejects.toThrow(`window: 'hour in UTC' is not valid; expected ${expected}.`)
})
