import { expect, test } from 'vitest'
import { aggregate } from '../../operators/aggregate.ts'
import { collect } from '../../operators/aggregates/collect.ts'
import { count } from '../../operators/aggregates/count.ts'
import { sum } from '../../operators/aggregates/sum.ts'
import { deltas } from '../../operators/deltas.ts'
import { dedupe } from '../../operators/dedupe.ts'
import { derive } from '../../operators/derive.ts'
import { global } from '../../operators/global.ts'
import { groupBy } from '../../operators/group-by.ts'
import { rename } from '../../operators/rename.ts'
import { session } from '../../operators/session.ts'
import { topN, topNStep } from '../../operators/top-n.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { where } from '../../operators/where.ts'
import { checkOneToOne, describeOnce, type Trips } from './flow.ts'

const hourly = (trips: Trips) => trips.pipe(tumbling('1 hour'), groupBy('zone', 'kind'), aggregate({ n: count() }))
const untyped = topN as unknown as (n: unknown, options: unknown) => ReturnType<typeof topN>

test('topN passes each mini-batch on, one for one and at once, and only adds its step', () => {
  checkOneToOne(
    [
      { op: 'tumbling', options: { size: '1 hour' } },
      { op: 'groupBy', options: { keys: ['zone', 'kind'] } },
      { op: 'aggregate', options: { n: { aggregate: 'count' } } },
      { op: 'topN', options: { n: 3, by: [['n', 'desc'], 'zone'], per: ['kind'] } },
    ],
    trips => hourly(trips).pipe(topN(3, { by: [['n', 'desc'], 'zone'], per: ['kind'] })),
  )
})

test('rank comes behind the other columns', () => {
  const node = describeOnce(trips => hourly(trips).pipe(topN(3, { by: ['n'] })))
  expect(Object.entries(node.columns).at(-1)).toEqual(['rank', 'BIGINT NOT NULL'])
  expect(node.options).toEqual({ n: 3, by: ['n'], per: [] })
})

test('plans are compared with the direction that is meant, and groups without their order', () => {
  const canonical = (by: readonly unknown[], per: readonly string[]) =>
    topNStep.canonical?.({ n: 3, by, per } as never, [])
  expect(canonical(['n'], ['b', 'a'])).toEqual(canonical([['n', 'asc']], ['a', 'b']))
  expect(canonical(['a', 'b'], [])).not.toEqual(canonical(['b', 'a'], []))
})

test('its unit is the window: whoever tells what has changed compares whole windows (S15)', () => {
  const node = describeOnce(trips => hourly(trips).pipe(topN(3, { by: ['n'] })))
  expect(node.step).toMatchObject({ is: 'stateless', unit: 'window' })
})

test.each<[string, (trips: Trips) => unknown]>([
  [
    'where, derive and rename',
    trips =>
      hourly(trips).pipe(
        where('n > 1'),
        derive({ m: ['BIGINT', '2 * n'] }),
        rename({ m: 'k' }),
        topN(1, { by: ['k'] }),
      ),
  ],
  [
    'steps that keep times',
    trips =>
      hourly(trips).pipe(
        deltas({ of: ['n'], expireAfter: '1 day' }),
        dedupe('zone', '1 hour', { keep: 'last' }),
        dedupe('kind', '1 hour'),
        topN(1, { by: [['n_delta', 'desc']] }),
      ),
  ],
  [
    'an aggregate of an aggregate of sessions',
    trips =>
      trips.pipe(
        session('1 hour'),
        groupBy('zone'),
        aggregate({ n: count() }),
        tumbling('1 day'),
        groupBy('zone'),
        aggregate({ n: sum('n') }),
        topN(1, { by: ['n'] }),
      ),
  ],
  [
    'global',
    trips =>
      trips.pipe(global({ unbounded: true }), groupBy('zone'), aggregate({ n: count() }), topN(1, { by: ['n'] })),
  ],
])('it may follow %s', (_, apply) => {
  expect(describeOnce(apply as never).op).toBe('topN')
})

const aggregateFirst =
  "topN: compares the rows of a window, which an aggregate makes: write tumbling('1 day'), groupBy(...), aggregate({...}), " +
  "topN(...). For the largest values among the rows as they are write aggregate({ top: largest('column', 10) })."

test.each<[string, (trips: Trips) => unknown, string]>([
  ['rows as they are read', trips => trips.pipe(topN(3, { by: ['zone'] })), aggregateFirst],
  ['rows of dedupe', trips => trips.pipe(dedupe('zone', '1 day'), topN(3, { by: ['zone'] })), aggregateFirst],
  [
    'a window that is open',
    trips => trips.pipe(tumbling('1 hour'), untyped(3, { by: ['zone'] }) as never),
    'topN: cannot follow tumbling; add aggregate({...}) before it, which makes rows of windows.',
  ],
  [
    'sessions',
    trips => trips.pipe(session('1 hour'), groupBy('zone'), aggregate({ n: count() }), topN(3, { by: ['n'] })),
    'topN: cannot follow an aggregate of sessions',
  ],
  [
    'differences of sessions',
    trips =>
      trips.pipe(
        session('1 hour'),
        groupBy('zone'),
        aggregate({ n: count() }),
        deltas({ of: ['n'], expireAfter: '1 day' }),
        topN(3, { by: ['n'] }),
      ),
    'topN: cannot follow an aggregate of sessions',
  ],
  [
    'a column that is none',
    trips => hourly(trips).pipe(untyped(3, { by: [['m', 'desc']] }) as never),
    "topN: by: no column 'm'; did you mean 'n'?",
  ],
  [
    'a direction beside its column',
    trips => hourly(trips).pipe(untyped(3, { by: ['n', 'desc'] }) as never),
    'topN: by: ["n","desc"] is not valid; expected a direction with its column: by: [[\'n\', \'desc\']]',
  ],
  [
    'a group that is none',
    trips => hourly(trips).pipe(untyped(3, { by: ['n'], per: ['zoen'] }) as never),
    "topN: per: no column 'zoen'; did you mean 'zone'?",
  ],
  [
    'lists',
    trips => trips.pipe(tumbling('1 hour'), aggregate({ all: collect('zone', { max: 3 }) }), topN(3, { by: ['all'] })),
    "topN: by: 'all' is not valid; expected a column whose values have an order, so no list and no JSON.",
  ],
  [
    'a rank that is there',
    trips => hourly(trips).pipe(topN(3, { by: ['n'] }), topN(2, { by: ['zone'] })),
    "topN: 'rank' is not valid; expected rows without a 'rank' of their own; rename that first.",
  ],
])('%s are refused', (_, apply, message) => {
  expect(() => describeOnce(apply as never)).toThrow(message)
})

test.each<[unknown, unknown, string]>([
  [0, { by: ['n'] }, 'topN: n: 0 is not valid; expected a whole number above zero.'],
  [3, {}, 'topN: by is missing'],
  [3, { by: [] }, 'topN: by: [] is not valid; expected a list of names of columns'],
  [
    3,
    { by: [['n', 'down']] },
    "topN: by[0]: [\"n\",\"down\"] is not valid; expected the name of a column or ['column', 'asc' or 'desc'].",
  ],
  [3, { by: ['n', ['n', 'desc']] }, 'topN: by: ["n","n"] is not valid; expected each column once.'],
  [3, { by: ['n'], per: ['zone', 'zone'] }, 'topN: per: ["zone","zone"] is not valid; expected each column once.'],
])('topN(%j, %j) is refused', (n, options, message) => {
  expect(() => untyped(n, options)).toThrow(message)
})
