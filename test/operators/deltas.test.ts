import { expect, test } from 'vitest'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { deltas, deltasStep } from '../../operators/deltas.ts'
import { groupBy } from '../../operators/group-by.ts'
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
    'deltas: per: undefined is not valid; expected the columns of which rows with equal values follow one another.',
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

test('the columns that were there stay as they are', () => {
  const node = describeOnce(trips => trips.pipe(deltas({ of: of('zone'), per: of('kind'), expireAfter: '1 day' })))
  expect(node.columns).toEqual({ ...sourceNode.columns, zone_delta: 'DECIMAL(38,0)' })
})
