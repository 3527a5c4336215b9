import { Subject } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { calendar } from '../../operators/calendar.ts'
import { derive } from '../../operators/derive.ts'
import { global } from '../../operators/global.ts'
import { groupBy } from '../../operators/group-by.ts'
import { hopping } from '../../operators/hopping.ts'
import { join } from '../../operators/join.ts'
import { rename } from '../../operators/rename.ts'
import { select } from '../../operators/select.ts'
import { session } from '../../operators/session.ts'
import { topN } from '../../operators/top-n.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { windowJoinStep } from '../../operators/window-join.ts'
import { planJson } from '../../src/plan/node.ts'
import { createHead, describeOnce, errorOf, marbles, type Trips, tripsOf } from './flow.ts'

const untyped = join as unknown as (other: unknown, options?: unknown) => never
const window = { on: ['zone'], window: true }
const tips = (trips: Trips) => trips.pipe(select('zone', 'tip'), rename({ tip: 'paid' }), tumbling('1 hour'))

test('is one step of the plan behind a window on each side', () => {
  const node = describeOnce(trips => trips.pipe(select('zone'), tumbling('1 hour'), untyped(tips(trips), window)))
  expect(planJson(node).slice(1)).toEqual([
    { op: 'select', options: { columns: ['zone'] } },
    { op: 'tumbling', options: { size: '1 hour' } },
    { op: 'select', options: { columns: ['zone', 'tip'] }, inputs: [0] },
    { op: 'rename', options: { tip: 'paid' } },
    { op: 'tumbling', options: { size: '1 hour' } },
    { op: 'join', options: { on: { zone: 'zone' }, window: true, kind: 'inner' }, inputs: [2, 5] },
  ])
})

test('the mini-batches of both sides are paired, in the frame of the later one', () => {
  const { batch } = createHead()
  const input = { a: batch(1), b: batch(2) }
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const [left, right] = [cold('a-b---|', input), cold('-a---b-|', input)]
    const flow = tripsOf(left).pipe(select('zone'), tumbling('1 hour'), untyped(tips(tripsOf(right)), window))
    const given = (epoch: number) => expect.objectContaining({ epoch })
    expectObservable(flow).toBe('-x---y|', { x: given(1), y: given(2) })
    expectSubscriptions(right.subscriptions).toBe('^-----!')
  })
})

describe('columns', () => {
  const [start, end] = ['window_start', 'window_end'].map(name => ({ [name]: 'TIMESTAMP NOT NULL' }))
  test.each([
    ['inner', { zone: 'BIGINT', tip: 'DECIMAL(38,2) NOT NULL', paid: 'DECIMAL(38,2) NOT NULL' }],
    ['left', { zone: 'BIGINT', tip: 'DECIMAL(38,2) NOT NULL', paid: 'DECIMAL(38,2)' }],
    ['right', { zone: 'BIGINT', tip: 'DECIMAL(38,2)', paid: 'DECIMAL(38,2) NOT NULL' }],
    ['full', { zone: 'BIGINT', tip: 'DECIMAL(38,2)', paid: 'DECIMAL(38,2)' }],
    ['semi', { zone: 'BIGINT', tip: 'DECIMAL(38,2) NOT NULL' }],
    ['anti', { zone: 'BIGINT', tip: 'DECIMAL(38,2) NOT NULL' }],
  ])('of %s: those of the window once, before all others', (kind, columns) => {
    const node = describeOnce(trips =>
      trips.pipe(select('zone', 'tip'), tumbling('1 hour'), untyped(tips(trips), { ...window, kind })),
    )
    expect(node.columns).toEqual({ ...start, ...end, ...columns })
    expect(Object.keys(node.columns).slice(0, 2)).toEqual(['window_start', 'window_end'])
  })
})

test('windows that are written otherwise are the same; topN may follow, as the rows of a window come together', () => {
  const node = describeOnce(trips =>
    trips.pipe(
      select('zone'),
      tumbling('60 minutes'),
      untyped(tips(trips), window),
      topN(3, { by: [['paid', 'desc']] } as never),
    ),
  )
  expect(node.columns).toMatchObject({ rank: 'BIGINT NOT NULL' })
})

test('plans are compared by what they say', () => {
  const canonical = (on: Record<string, string>) => windowJoinStep.canonical?.({ on, window: true, kind: 'left' }, [])
  expect(canonical({ a: 'x', b: 'y' })).toEqual(canonical({ b: 'y', a: 'x' }))
  expect(canonical({ a: 'x' })).not.toEqual(canonical({ a: 'y' }))
})

const inHours = (trips: Trips) => trips.pipe(select('zone'), tumbling('1 hour'))
test.each<{ name: string; flow: (trips: Trips) => Trips; message: string }>([
  {
    name: 'another window on the other side',
    flow: trips => trips.pipe(tumbling('2 hours'), untyped(tips(trips), window)),
    message:
      'join: window: true is for the same window on both sides; found tumbling {"size":"2 hours"} on this side ' +
      'and tumbling {"size":"1 hour"} on the other.',
  },
  {
    name: 'another kind of window of the same size',
    flow: trips => trips.pipe(hopping('1 hour', '1 hour'), untyped(tips(trips), window)),
    message: 'on this side and tumbling {"size":"1 hour"} on the other.',
  },
  {
    name: 'a side without a window',
    flow: trips => trips.pipe(select('zone'), untyped(tips(trips), window)),
    message:
      "join: window: true takes rows in windows; put the same window, such as tumbling('1 hour'), at the end of both " +
      'sides. One of them ends with select.',
  },
  {
    name: 'another side without a window',
    flow: trips => inHours(trips).pipe(untyped(trips.pipe(select('zone')), window)),
    message: 'One of them ends with select.',
  },
  {
    name: 'groups',
    flow: trips => inHours(trips).pipe(groupBy('zone'), untyped(tips(trips), window)),
    message: 'One of them ends with groupBy.',
  },
  {
    name: 'the results of windows, saying how these are joined',
    flow: trips => inHours(trips).pipe(aggregate({ n: count() }), untyped(tips(trips), window)),
    message: "compare their columns: on: ['window_start', 'window_end', ...], within: ['0 seconds', '0 seconds'].",
  },
  {
    name: 'sessions',
    flow: trips => trips.pipe(session('1 hour'), untyped(trips.pipe(select('zone'), session('1 hour')), window)),
    message: "join: window: 'session' is not valid; expected windows whose borders do not come from the rows",
  },
  {
    name: 'one window for all',
    flow: trips =>
      trips.pipe(global({ unbounded: true }), untyped(trips.pipe(select('zone'), global({ unbounded: true })), window)),
    message: "join: window: 'global' is not valid; expected windows that end",
  },
  {
    name: 'a column that is named as those of windows',
    flow: trips =>
      trips.pipe(
        derive({ window_end: ['BIGINT', '1'] }),
        select('zone', 'window_end'),
        tumbling('1 hour'),
        untyped(tips(trips), window),
      ),
    message: "join: 'window_end' is not valid; expected another name for this column: windows add this one themselves",
  },
  {
    name: 'a column on both sides',
    flow: trips =>
      trips.pipe(tumbling('1 hour'), untyped(trips.pipe(select('zone', 'tip'), tumbling('1 hour')), window)),
    message: "join: column 'tip' is on both sides; give one of them another name: rename({ tip: '...' }).",
  },
])('refuses $name', ({ flow, message }) => {
  expect(errorOf(flow)).toMatchObject({ kind: 'user', message: expect.stringContaining(message) })
})

test.each([
  {
    name: 'window: false',
    options: { on: ['zone'], window: false },
    message: 'join: window: false is not valid; expected true',
  },
  { name: 'bounds as well', options: { ...window, within: ['0s', '1s'] }, message: 'within' },
  { name: 'no columns', options: { window: true }, message: 'join: on' },
])('refuses $name at once', ({ options, message }) => {
  expect(() => untyped(tripsOf(new Subject()), options)).toThrow(message)
})

test('calendars are compared by what they say too', () => {
  const node = describeOnce(trips =>
    trips.pipe(
      select('zone'),
      calendar('day', { timeZone: 'UTC' }),
      untyped(trips.pipe(select('zone', 'tip'), calendar('day')), window),
    ),
  )
  expect(Object.keys(node.columns)).toEqual(['window_start', 'window_end', 'zone', 'tip'])
})
