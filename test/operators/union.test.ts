import { map, Subject, zip } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { files } from '../../connectors/files/spec.ts'
import { json } from '../../connectors/json/spec.ts'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { derive } from '../../operators/derive.ts'
import { groupBy } from '../../operators/group-by.ts'
import { rename } from '../../operators/rename.ts'
import { rows } from '../../operators/rows.ts'
import { select } from '../../operators/select.ts'
import { to } from '../../operators/to.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { union } from '../../operators/union.ts'
import { where } from '../../operators/where.ts'
import type { Json } from '../../src/core/json.ts'
import { PlannedBatch } from '../../src/plan/mini-batch.ts'
import { planJson, type PlanNode } from '../../src/plan/node.ts'
import { defineSource } from '../../src/plan/source.ts'
import { createHead, describeOnce, errorOf, marbles, sourceNode, type Trips, tripsOf } from './flow.ts'

type Untyped = (...flows: readonly unknown[]) => Trips
const untyped = union as unknown as Untyped

const seen = (value: unknown) => (value instanceof PlannedBatch ? [value.epoch, value.node.op] : value)

describe('the mini-batches of an epoch become one', () => {
  test('paired, in the frame of the later one; it completes with the first, and unsubscribes from all', () => {
    const { batch } = createHead()
    const input = { a: batch(1), b: batch(2), c: batch(3) }
    const out = { x: [1, 'union'], y: [2, 'union'] }
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const [left, right] = [cold('a-b---c-|', input), cold('-a---b-|', input)]
      const flow = untyped(tripsOf(left), tripsOf(right)).pipe(map(seen))
      expectObservable(flow).toBe('-x---y-|', out)
      expectSubscriptions(left.subscriptions).toBe('^------!')
      expectSubscriptions(right.subscriptions).toBe('^------!')
    })
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const [left, right] = [cold('a----', input), cold('--#', input)]
      expectObservable(untyped(tripsOf(left), tripsOf(right))).toBe('--#')
      expectSubscriptions(left.subscriptions).toBe('^-!')
    })
    marbles(({ cold, expectObservable, expectSubscriptions }) => {
      const right = cold('a----', input)
      expectObservable(untyped(tripsOf(cold('a----', input)), tripsOf(right)).pipe(map(seen)), '^-!').toBe('x--', out)
      expectSubscriptions(right.subscriptions).toBe('^-!')
    })
  })

  test('of one epoch: an operator that drops a mini-batch is found', () => {
    const [left, right] = [new Subject<PlannedBatch>(), new Subject<PlannedBatch>()]
    const errors: unknown[] = []
    untyped(tripsOf(left), tripsOf(right)).subscribe({ error: error => errors.push(error) })
    left.next(createHead().batch(2))
    right.next(createHead().batch(3))
    expect(errors).toEqual([
      expect.objectContaining({
        code: 'not-a-mini-batch',
        message: expect.stringContaining('union: expected the mini-batches of one epoch, got epoch 2 beside epoch 3.'),
      }),
    ])
  })
})

describe('a union of branches', () => {
  const busy = describeOnce(trips =>
    untyped(trips.pipe(where('amount > 100')), trips.pipe(where('tip > 10'))).pipe(
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ n: count() }),
    ),
  )

  test('is one step of the plan with several inputs', () => {
    expect(planJson(busy).slice(1)).toEqual([
      { op: 'where', options: { predicate: 'amount > 100' } },
      { op: 'where', options: { predicate: 'tip > 10' }, inputs: [0] },
      { op: 'union', options: {}, inputs: [1, 2] },
      { op: 'tumbling', options: { size: '1 hour' } },
      { op: 'groupBy', options: { keys: ['zone'] } },
      { op: 'aggregate', options: { n: { aggregate: 'count' } } },
    ])
  })

  test('has the columns of all by name, each of the widest type, NULL where one lacks it', () => {
    const { columns } = describeOnce(trips =>
      untyped(
        trips.pipe(derive({ n: ['SMALLINT NOT NULL', '1'], d: ['DATE', 'DATE 2024-01-01' as string] })),
        trips.pipe(
          select('picked_up', 'zone', 'tip'),
          derive({ n: ['BIGINT NOT NULL', '2'], extra: ['UUID', 'NULL'] }),
        ),
        trips.pipe(
          select('picked_up', 'tip'),
          derive({ zone: ['DOUBLE', '3'], n: ['INTEGER', '3'], d: ['TIMESTAMP', 'picked_up'] }),
        ),
      ),
    )
    expect(columns).toEqual({
      picked_up: 'TIMESTAMP NOT NULL',
      zone: 'DOUBLE',
      kind: 'VARCHAR',
      amount: 'DECIMAL(18,2)',
      tip: 'DECIMAL(38,2) NOT NULL',
      distance: 'DOUBLE',
      n: 'BIGINT',
      d: 'TIMESTAMP',
      extra: 'UUID',
    })
  })

  test('names the source of each row where that is asked for', () => {
    const node = describeOnce(trips => untyped(trips, trips.pipe(where('tip > 1')), { sourceColumn: 'from' }))
    expect(node.options).toEqual({ sourceColumn: 'from', sources: ['trips', 'trips'] })
    expect(Object.entries(node.columns).at(-1)).toEqual(['from', 'VARCHAR NOT NULL'])
  })

  test.each<{ name: string; flow: (trips: Trips) => Trips; message: string }>([
    {
      name: 'text beside a number',
      flow: trips => untyped(trips, trips.pipe(select('picked_up', 'tip'), derive({ zone: ['VARCHAR', "'a'"] }))),
      message: "union: column 'zone' is BIGINT before input 2 and VARCHAR there; expected one type",
    },
    {
      name: 'digits that fit into no DECIMAL',
      flow: trips => untyped(trips, trips.pipe(select('picked_up'), derive({ tip: ['DECIMAL(38,20) NOT NULL', '1'] }))),
      message: "union: column 'tip' is DECIMAL(38,2) before input 2 and DECIMAL(38,20) there",
    },
    {
      name: 'a column that may not be NULL and is not there',
      flow: trips => untyped(trips.pipe(select('picked_up')), trips),
      message: "union: input 1 has no column 'tip', which is DECIMAL(38,2) NOT NULL in input 2",
    },
    {
      name: 'names that differ in case only',
      flow: trips => untyped(trips, trips.pipe(rename({ zone: 'Zone' }))),
      message: "union: 'zone' is not valid; expected a name that differs from 'Zone' in more than case",
    },
    {
      name: 'a name that is taken',
      flow: trips => untyped(trips, trips.pipe(where('tip > 1')), { sourceColumn: 'zone' }),
      message: "union: sourceColumn: 'zone' is not valid; expected a name that no column has",
    },
    {
      name: 'a window that is open',
      flow: trips => untyped(trips, trips.pipe(tumbling('1 hour'))),
      message: 'union: cannot follow tumbling; add aggregate({...}) before it',
    },
    {
      name: 'a flow that has ended',
      flow: trips => untyped(trips, trips.pipe(to(files('out', { format: 'json' })))),
      message: 'union: a flow that ends with to(...) has no rows; take it before that.',
    },
    {
      name: 'an event time of another type',
      flow: trips => untyped(trips, daily(trips)),
      message:
        'union: the event time of its inputs is TIMESTAMP (source trips) and DATE (source days); expected one type.',
    },
  ])('refuses $name', ({ flow, message }) => {
    expect(errorOf(flow)).toMatchObject({ kind: 'user', message: expect.stringContaining(message) })
  })

  test.each<{ name: string; make: () => unknown; message: string }>([
    {
      name: 'one flow',
      make: () => untyped(tripsOf(new Subject())),
      message:
        "union: '1 flow' is not valid; expected two flows or more: union(green, yellow). It begins a flow and is no step",
    },
    {
      name: 'a list of flows',
      make: () => untyped([tripsOf(new Subject()), tripsOf(new Subject())]),
      message: "union: 'a list' is not valid; expected flows one after the other: union(green, yellow).",
    },
    {
      name: 'what is no flow',
      make: () => untyped(tripsOf(new Subject()), 7),
      message: "union: input 2: 'number' is not valid",
    },
    {
      name: 'a flow that hands its rows over',
      make: () => untyped(tripsOf(new Subject()), tripsOf(new Subject()).pipe(rows())),
      message: 'union: input 2: a flow that hands its rows over ends there',
    },
    {
      name: 'an option that it does not know',
      make: () => untyped(tripsOf(new Subject()), tripsOf(new Subject()), { sourceColum: 'x' }),
      message: 'sourceColum',
    },
  ])('refuses $name at once', ({ make, message }) => {
    expect(make).toThrow(message)
  })

  test('refuses a window over an event time that one of its inputs replaced', () => {
    const failure = errorOf(trips =>
      untyped(trips, trips.pipe(derive({ picked_up: ['TIMESTAMP NOT NULL', 'picked_up'] }))).pipe(tumbling('1 hour')),
    )
    expect(failure).toMatchObject({
      message: expect.stringContaining("the event time column 'picked_up' was replaced by derive()"),
    })
  })
})

/** The same epochs, of a source whose event time is a DATE. */
function daily(trips: Trips): Trips {
  const { settings } = defineSource('days', {
    objects: 'days',
    format: json(),
    columns: { day: 'DATE' },
    time: 'day',
  })
  const node: PlanNode = {
    ...sourceNode,
    options: settings as unknown as Json,
    columns: settings.columns,
  }
  const { terminals } = createHead()
  return tripsOf(
    zip(trips).pipe(map(() => new PlannedBatch(1, node, { end: it => terminals.push(it), ask: () => {} }))),
  )
}
