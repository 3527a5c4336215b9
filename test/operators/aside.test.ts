import { map } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { files } from '../../connectors/files/spec.ts'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { dedupe } from '../../operators/dedupe.ts'
import { derive } from '../../operators/derive.ts'
import { global } from '../../operators/global.ts'
import { groupBy } from '../../operators/group-by.ts'
import { join } from '../../operators/join.ts'
import { late } from '../../operators/late.ts'
import { quarantine } from '../../operators/quarantine.ts'
import { rename } from '../../operators/rename.ts'
import { rows } from '../../operators/rows.ts'
import { select } from '../../operators/select.ts'
import { to } from '../../operators/to.ts'
import { topN } from '../../operators/top-n.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { union } from '../../operators/union.ts'
import { where } from '../../operators/where.ts'
import { PlannedBatch } from '../../src/plan/mini-batch.ts'
import { planJson } from '../../src/plan/node.ts'
import { createHead, describeOnce, errorOf, marbles, type Trips, tripColumns, tripsOf } from './flow.ts'

type Untyped = (...given: readonly unknown[]) => Trips
const lateOf = late as unknown as Untyped
const quarantineOf = quarantine as unknown as Untyped
const unionOf = union as unknown as Untyped
const seen = (value: unknown) => (value instanceof PlannedBatch ? [value.epoch, value.node.op] : value)

const hourly = (trips: Trips) => trips.pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ n: count() }))
const paired = (trips: Trips) =>
  trips.pipe(
    select('zone', 'tip'),
    join(trips.pipe(select('zone', 'kind'), rename({ zone: 'place' })), {
      on: { zone: 'place' },
      within: ['0s', '1 hour'],
    }),
  )

describe('what was set aside is a step of the plan', () => {
  test.each([
    { name: 'late', of: (trips: Trips) => lateOf(hourly(trips)) },
    { name: 'quarantine', of: (trips: Trips) => quarantineOf(trips) },
  ])(
    '$name: one mini-batch for each, in its frame; errors, completion and unsubscription go through',
    ({ name, of }) => {
      const { batch } = createHead()
      const input = { a: batch(1), b: batch(2) }
      marbles(({ cold, expectObservable, expectSubscriptions }) => {
        const head = cold('a-b-|', input)
        expectObservable(of(tripsOf(head)).pipe(map(seen))).toBe('x-y-|', { x: [1, name], y: [2, name] })
        expectSubscriptions(head.subscriptions).toBe('^---!')
      })
      marbles(({ cold, expectObservable, expectSubscriptions }) => {
        const head = cold('--#')
        expectObservable(of(tripsOf(head))).toBe('--#')
        const open = cold('a---', input)
        expectObservable(of(tripsOf(open)).pipe(map(seen)), '^-!').toBe('x--', { x: [1, name] })
        expectSubscriptions(open.subscriptions).toBe('^-!')
      })
    },
  )

  test('behind the step that set it aside', () => {
    expect(planJson(describeOnce(trips => lateOf(hourly(trips)).pipe(where('zone > 1')))).slice(1)).toEqual([
      { op: 'tumbling', options: { size: '1 hour' } },
      { op: 'groupBy', options: { keys: ['zone'] } },
      { op: 'aggregate', options: { n: { aggregate: 'count' } } },
      { op: 'late', options: {} },
      { op: 'where', options: { predicate: 'zone > 1' } },
    ])
    expect(planJson(describeOnce(trips => lateOf(paired(trips), 'right'))).at(-1)).toMatchObject({
      op: 'late',
      options: { side: 'right' },
    })
    expect(planJson(describeOnce(quarantineOf)).slice(1)).toEqual([{ op: 'quarantine', options: {} }])
  })
})

describe('columns', () => {
  const place = { late_watermark: 'TIMESTAMP NOT NULL', late_object: 'VARCHAR', late_row: 'BIGINT' }

  test('late rows have those that the step saw, and why they are late', () => {
    const windows = { late_window_start: 'TIMESTAMP', late_window_end: 'TIMESTAMP' }
    expect(describeOnce(trips => lateOf(hourly(trips))).columns).toEqual({ ...tripColumns, ...windows, ...place })
    expect(describeOnce(trips => lateOf(trips.pipe(select('zone'), dedupe('zone', '1 hour')))).columns).toEqual({
      zone: 'BIGINT',
      ...place,
    })
    expect(describeOnce(trips => lateOf(paired(trips), 'left')).columns).toEqual({
      zone: 'BIGINT',
      tip: 'DECIMAL(38,2) NOT NULL',
      ...place,
    })
    expect(describeOnce(trips => lateOf(paired(trips), 'right')).columns).toEqual({
      place: 'BIGINT',
      kind: 'VARCHAR',
      ...place,
    })
  })

  test('bad rows have those of their record', () => {
    expect(Object.keys(describeOnce(quarantineOf).columns)).toEqual([
      'source',
      'seq',
      'object',
      'e_tag',
      'row_number',
      'column_name',
      'expected',
      'found',
      'reason',
    ])
  })
})

describe('what cannot be', () => {
  test.each<{ name: string; flow: (trips: Trips) => Trips; message: string }>([
    {
      name: 'late rows of a source',
      flow: trips => lateOf(trips),
      message: 'late: rows are late for a step that keeps state, and the flow ends with source here',
    },
    {
      name: 'late rows of a flow that goes on',
      flow: trips => lateOf(hourly(trips).pipe(where('n > 1'))),
      message: 'ends with where here; give it the flow right behind the step',
    },
    {
      name: 'late rows of all rows together',
      flow: trips => lateOf(trips.pipe(global({ unbounded: true }), aggregate({ n: count() }))),
      message: 'late: no row is late for global(...)',
    },
    {
      name: 'no side of a join',
      flow: trips => lateOf(paired(trips)),
      message:
        "late: side: undefined is not valid; expected which side of the join the rows are late on: late(flow, 'left') or late(flow, 'right')",
    },
    {
      name: 'a side that there is not',
      flow: trips => lateOf(paired(trips), 'lefft'),
      message: "late: side: 'lefft' is not valid; expected which side of the join",
    },
    {
      name: 'a side of one input',
      flow: trips => lateOf(hourly(trips), 'left'),
      message: "late: side: 'left' is not valid; expected none, as aggregate has one input",
    },
    {
      name: 'a column that is there already',
      flow: trips => lateOf(hourly(trips.pipe(derive({ Late_row: ['BIGINT', '1'] })) as unknown as Trips)),
      message: "late: the rows have a column 'Late_row' already; give it another name before aggregate",
    },
    {
      name: 'bad rows of a flow',
      flow: trips => quarantineOf(trips.pipe(where('zone > 1'))),
      message: 'quarantine: a source sets rows aside, before any step, and the flow ends with where here',
    },
    {
      name: 'late rows of a flow that hands its rows over',
      flow: trips => lateOf(hourly(trips).pipe(rows())),
      message: 'late: a flow that hands its rows over ends there',
    },
    {
      name: 'late rows of a flow that has ended',
      flow: trips => lateOf(hourly(trips).pipe(to(files('out', { format: 'json' })))),
      message: 'late: a flow that ends with to(...) has no rows; take it before that.',
    },
    {
      name: 'no flow',
      flow: () => quarantineOf('trips'),
      message: "quarantine: 'string' is not valid; expected a source",
    },
    {
      name: 'a window of late rows',
      flow: trips =>
        lateOf(hourly(trips)).pipe(where('zone > 1'), tumbling('1 hour'), aggregate({ n: count() })) as never,
      message: 'tumbling: it goes by an event time, and the rows of late(...) have none',
    },
    {
      name: 'state of bad rows',
      flow: trips => quarantineOf(trips).pipe(dedupe('object' as never, '1 hour')) as never,
      message: 'dedupe: it goes by an event time, and the rows of quarantine(...) have none',
    },
    {
      name: 'a window behind a union with late rows',
      flow: trips => unionOf(lateOf(hourly(trips)), lateOf(hourly(trips))).pipe(tumbling('1 hour')) as never,
      message: 'tumbling: it goes by an event time, and the rows of late(...) have none',
    },
    {
      name: 'late rows beside others',
      flow: trips => unionOf(trips, lateOf(hourly(trips))),
      message: 'union: the event time of its inputs is TIMESTAMP (source trips) and none (source trips)',
    },
    {
      name: 'the best of late rows',
      flow: trips => lateOf(hourly(trips)).pipe(topN(3, { by: ['zone'] } as never)) as never,
      message: 'topN: compares the rows of a window, which an aggregate makes',
    },
    {
      name: 'changes of late rows',
      flow: trips => lateOf(hourly(trips)).pipe(rows({ emit: 'update' })) as never,
      message: "rows: emit: 'update' needs results that change",
    },
  ])('$name', ({ flow, message }) => {
    expect(errorOf(flow)).toMatchObject({ kind: 'user', message: expect.stringContaining(message) })
  })
})
