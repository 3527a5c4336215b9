import { expect, test } from 'vitest'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { deltas, deltasStep } from '../../operators/deltas.ts'
import { groupBy } from '../../operators/group-by.ts'
import { hopping } from '../../operators/hopping.ts'
import { cumulative } from '../../operators/cumulative.ts'
import { mapRows } from '../../operators/map-rows.ts'
import { session } from '../../operators/session.ts'
import { select } from '../../operators/select.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { checkOneToOne, describeOnce, sourceNode, type Trips } from './flow.ts'

const of = (...names: string[]) => names as never

test('deltas passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne([{ op: 'deltas', options: { of: ['zone'], per: ['kind'], expireAfter: '1 day' } }], trips =>
    trips.pipe(deltas({ of: of('zone'), per: of('kind'), expireAfter: '1 day' })),
  )
})

const hourly = (trips: Trips) => trips.pipe(tumbling('1 hour'), groupBy('zone', 'kind'), aggregate({ n: count() }))

test('behind an aggregate the keys are those of groupBy, and the plan says so', () => {
  const node = describeOnce(trips => hourly(trips).pipe(deltas({ of: of('n'), expireAfter: '1 day' })))
  expect(node.options).toEqual({ of: ['n'], per: ['zone', 'kind'], expireAfter: '1 day' })
  expect(Object.entries(node.columns).at(-1)).toEqual(['n_delta', 'DECIMAL(38,0)'])
  const ungrouped = describeOnce(trips =>
    trips.pipe(tumbling('1 hour'), aggregate({ n: count() }), deltas({ of: of('n'), expireAfter: '1 day' })),
  )
  expect(ungrouped.options).toMatchObject({ per: [] })
})

test('keys are a set: plans are compared without their order', () => {
  const canonical = (per: readonly string[]) => deltasStep.canonical?.({ of: ['n'], per, expireAfter: '24h' }, [])
  expect(canonical(['b', 'a'])).toEqual(canonical(['a', 'b']))
  expect(canonical(['a'])).toMatchObject({ expireAfter: '1 day' })
})

test.each<[string, (trips: Trips) => unknown, string]>([
  [
    'no key',
    trips => trips.pipe(deltas({ of: of('zone'), expireAfter: '1 day' })),
    'deltas: per is missing; expected the columns of which rows with equal values follow one another, as no aggregate comes before it.',
  ],
  [
    'a key that was dropped',
    trips => hourly(trips).pipe(select('zone', 'n'), deltas({ of: of('n'), expireAfter: '1 day' })),
    "deltas: per: no column 'kind'",
  ],
  [
    'no such column',
    trips => hourly(trips).pipe(deltas({ of: of('m'), expireAfter: '1 day' })),
    "deltas: of: no column 'm'; did you mean 'n'?",
  ],
  [
    'a column twice',
    trips => hourly(trips).pipe(deltas({ of: of('n', 'n'), expireAfter: '1 day' })),
    'deltas: of: ["n","n"] is not valid; expected each column once.',
  ],
  [
    'no number',
    trips => hourly(trips).pipe(deltas({ of: of('window_start'), expireAfter: '1 day' })),
    "deltas: of: 'window_start' is not valid; expected a column of numbers.",
  ],
  [
    'a name that is taken',
    trips =>
      hourly(trips).pipe(
        deltas({ of: of('n'), expireAfter: '1 day' }),
        deltas({ of: of('n'), per: of('zone'), expireAfter: '1 day' }),
      ),
    "there is no 'n_delta' yet",
  ],
  [
    'no time to expire',
    trips => hourly(trips).pipe(deltas({ of: of('n'), expireAfter: '0s' })),
    'deltas: expireAfter:',
  ],
])('%s is refused', (_, apply, message) => {
  expect(() => describeOnce(apply as never)).toThrow(message)
})

test.each<[string, (trips: Trips) => Trips, string]>([
  ['tumbling', trips => trips.pipe(tumbling('1 hour')) as never, '1 hour'],
  ['tumbling with an offset', trips => trips.pipe(tumbling('1 hour', { offset: '25 minutes' })) as never, '1 hour'],
  ['hopping', trips => trips.pipe(hopping('1 hour', '20 minutes')) as never, '20 minutes'],
  ['cumulative', trips => trips.pipe(cumulative('1 day', '30 minutes')) as never, '30 minutes'],
  ['session', trips => trips.pipe(session('10 minutes')) as never, '10 minutes'],
])('behind %s, a reach in which no other result of the key lies is refused', (_, window, apart) => {
  const plan = (expireAfter: string, ...between: readonly unknown[]) =>
    describeOnce(trips =>
      (window(trips) as unknown as { pipe(...steps: readonly unknown[]): never }).pipe(
        groupBy('zone' as never),
        aggregate({ n: count() }),
        ...between,
        deltas({ of: of('n'), expireAfter: expireAfter as never }),
      ),
    )
  expect(() => plan('599999ms')).toThrow(
    `deltas: expireAfter: '599999ms' is not valid; expected at least '${apart}', as results of a key are so far apart: ` +
      'with less none would be compared.',
  )
  expect(plan(apart).op).toBe('deltas')
  // Rows of a coarser key, or those that a function made of one, may be nearer.
  expect(plan('599999ms', mapRows(((row: never) => row) as never, { zone: 'BIGINT', n: 'BIGINT' } as never)).op).toBe(
    'deltas',
  )
})

test('a coarser key than that of the aggregate has rows that are nearer', () => {
  const node = describeOnce(trips =>
    hourly(trips).pipe(deltas({ of: of('n'), per: of('zone'), expireAfter: '1 minute' })),
  )
  expect(node.op).toBe('deltas')
})

test('the columns that were there stay as they are', () => {
  const node = describeOnce(trips => trips.pipe(deltas({ of: of('zone'), per: of('kind'), expireAfter: '1 day' })))
  expect(node.columns).toEqual({ ...sourceNode.columns, zone_delta: 'DECIMAL(38,0)' })
})
