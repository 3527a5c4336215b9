import { Subject } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { files } from '../../connectors/files/spec.ts'
import { derive } from '../../operators/derive.ts'
import { join, joinStep } from '../../operators/join.ts'
import { rename } from '../../operators/rename.ts'
import { rows } from '../../operators/rows.ts'
import { select } from '../../operators/select.ts'
import { to } from '../../operators/to.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { PlannedBatch } from '../../src/plan/mini-batch.ts'
import { foldStep, planJson } from '../../src/plan/node.ts'
import { createHead, describeOnce, errorOf, marbles, sourceNode, type Trips, tripsOf } from './flow.ts'

const within = ['-10 minutes', '2 hours']
type Join = (other: unknown, options?: unknown) => never
const untyped = join as unknown as Join
const tips = (trips: Trips) => trips.pipe(select('zone', 'tip'), rename({ tip: 'paid' }))

test('is one step of the plan with two inputs; names of the list stand for both sides', () => {
  const node = describeOnce(trips => trips.pipe(select('zone', 'kind'), untyped(tips(trips), { on: ['zone'], within })))
  expect(planJson(node).slice(1)).toEqual([
    { op: 'select', options: { columns: ['zone', 'kind'] } },
    { op: 'select', options: { columns: ['zone', 'tip'] }, inputs: [0] },
    { op: 'rename', options: { tip: 'paid' } },
    { op: 'join', options: { on: { zone: 'zone' }, within, kind: 'inner' }, inputs: [1, 3] },
  ])
})

test('the mini-batches of both sides are paired, in the frame of the later one', () => {
  const { batch } = createHead()
  const input = { a: batch(1), b: batch(2) }
  marbles(({ cold, expectObservable, expectSubscriptions }) => {
    const [left, right] = [cold('a-b---|', input), cold('-a---b-|', input)]
    const flow = tripsOf(left).pipe(untyped(tips(tripsOf(right)), { on: ['zone'], within, kind: 'semi' }))
    expectObservable(flow).toBe(
      '-x---y|',
      Object.fromEntries(
        Object.entries({ x: 1, y: 2 }).map(([name, epoch]) => [name, expect.objectContaining({ epoch })]),
      ),
    )
    expectSubscriptions(right.subscriptions).toBe('^-----!')
  })
  const sources = [new Subject<PlannedBatch>(), new Subject<PlannedBatch>()] as const
  const errors: unknown[] = []
  tripsOf(sources[0])
    .pipe(untyped(tips(tripsOf(sources[1])), { on: ['zone'], within }))
    .subscribe({ error: error => errors.push(error) })
  sources[0].next(batch(1))
  sources[1].next(batch(2))
  expect(errors).toEqual([expect.objectContaining({ message: expect.stringContaining('of one epoch') })])
})

describe('columns', () => {
  test.each([
    ['inner', { zone: 'BIGINT', tip: 'DECIMAL(38,2) NOT NULL', paid: 'DECIMAL(38,2) NOT NULL' }],
    ['left', { zone: 'BIGINT', tip: 'DECIMAL(38,2) NOT NULL', paid: 'DECIMAL(38,2)' }],
    ['right', { zone: 'BIGINT', tip: 'DECIMAL(38,2)', paid: 'DECIMAL(38,2) NOT NULL' }],
    ['full', { zone: 'BIGINT', tip: 'DECIMAL(38,2)', paid: 'DECIMAL(38,2)' }],
    ['semi', { zone: 'BIGINT', tip: 'DECIMAL(38,2) NOT NULL' }],
    ['anti', { zone: 'BIGINT', tip: 'DECIMAL(38,2) NOT NULL' }],
  ])('of %s: those of on once, others may be NULL where a row may stand alone', (kind, columns) => {
    const node = describeOnce(trips =>
      trips.pipe(select('zone', 'tip'), untyped(tips(trips), { on: ['zone'], within, kind })),
    )
    expect(node.columns).toEqual(columns)
  })

  test('of on that are named differently have the left name; NOT NULL stays where both sides have it', () => {
    const node = describeOnce(trips =>
      trips.pipe(
        derive({ id: ['BIGINT NOT NULL', '1'] }),
        select('id'),
        untyped(trips.pipe(derive({ other: ['BIGINT NOT NULL', '1'] }), select('other', 'kind')), {
          on: { id: 'other' },
          within,
          kind: 'full',
        }),
      ),
    )
    expect(node.columns).toEqual({ id: 'BIGINT NOT NULL', kind: 'VARCHAR' })
  })
})

test('the hold is how far behind the watermark a row may lie that is still given (S13)', () => {
  const holds = (text: readonly [string, string]) =>
    (['inner', 'left', 'right', 'full', 'semi', 'anti'] as const).map(kind => {
      const { holdUs } = foldStep([sourceNode, { ...sourceNode, columns: { zone: 'BIGINT' } }], joinStep, {
        on: { zone: 'zone' },
        within: text,
        kind,
      })
      return Number(holdUs / 60_000_000n)
    })
  expect(holds(['-10 minutes', '2 hours'])).toEqual([0, 120, 10, 120, 120, 120])
  expect(holds(['-3 hours', '-1 hour'])).toEqual([0, 0, 180, 180, 0, 0])
  expect(holds(['1 hour', '3 hours'])).toEqual([0, 180, 0, 180, 180, 180])
})

test('plans are compared by what they say', () => {
  const canonical = (on: Record<string, string>, text: readonly [string, string]) =>
    joinStep.canonical?.({ on, within: text, kind: 'left' }, [])
  expect(canonical({ a: 'x', b: 'y' }, ['-60 minutes', '0s'])).toEqual(
    canonical({ b: 'y', a: 'x' }, ['-1 hour', '-0ms']),
  )
  expect(canonical({ a: 'x' }, ['-1 hour', '1 hour'])).not.toEqual(canonical({ a: 'x' }, ['1 hour', '1 hour']))
})

test.each<{ name: string; flow: (trips: Trips) => Trips; message: string }>([
  {
    name: 'a column on both sides',
    flow: trips => trips.pipe(untyped(trips.pipe(select('zone', 'tip')), { on: ['zone'], within })),
    message: "join: column 'tip' is on both sides; give one of them another name: rename({ tip: '...' }).",
  },
  {
    name: 'columns on both sides',
    flow: trips => trips.pipe(untyped(trips.pipe(select('zone', 'tip', 'kind')), { on: ['zone'], within })),
    message:
      "join: columns 'tip', 'kind' are on both sides; give those of one side other names: " +
      "rename({ tip: '...', kind: '...' }).",
  },
  {
    name: 'a flow that has ended',
    flow: trips => trips.pipe(untyped(trips.pipe(to(files('out', { format: 'json' }))), { on: ['zone'], within })),
    message: 'join: a flow that ends with to(...) has no rows; take it before that.',
  },
  {
    name: 'columns of different types',
    flow: trips => trips.pipe(untyped(tips(trips), { on: { kind: 'zone' }, within })),
    message: "join: on: 'kind' is VARCHAR and 'zone' of the other side BIGINT; expected one type.",
  },
  {
    name: 'a column that is not there',
    flow: trips => trips.pipe(untyped(tips(trips), { on: ['zon'], within })),
    message: "join: on: no column 'zon'; did you mean 'zone'?",
  },
  {
    name: 'a column that the other side lacks',
    flow: trips => trips.pipe(untyped(tips(trips), { on: ['kind'], within })),
    message: "join: on, other side: no column 'kind'",
  },
  {
    name: 'a window that is open',
    flow: trips => trips.pipe(tumbling('1 hour'), untyped(tips(trips), { on: ['zone'], within })),
    message: 'join: cannot follow tumbling; add aggregate({...}) before it',
  },
  {
    name: 'an event time that was replaced',
    flow: trips =>
      trips.pipe(
        derive({ picked_up: ['TIMESTAMP NOT NULL', 'picked_up'] }),
        untyped(tips(trips), { on: ['zone'], within }),
      ),
    message: "join: the event time column 'picked_up' was replaced by derive()",
  },
])('refuses $name', ({ flow, message }) => {
  expect(errorOf(flow)).toMatchObject({ kind: 'user', message: expect.stringContaining(message) })
})

test.each<{ name: string; options: unknown; message: string }>([
  {
    name: 'no bounds, saying what to write',
    options: { on: ['zone'] },
    message: "two durations, the first at most the second, such as ['-10 minutes', '2 hours']",
  },
  { name: 'bounds the wrong way round', options: { on: ['zone'], within: ['2 hours', '1 hour'] }, message: 'within' },
  { name: 'what is no duration', options: { on: ['zone'], within: ['1 hour', 'later'] }, message: 'within' },
  { name: 'no column', options: { on: [], within }, message: 'join: on: [] is not valid' },
  {
    name: 'a column that is no list',
    options: { on: 'zone', within },
    message: "join: on: 'zone' is not valid; expected a list of columns: on: ['zone'].",
  },
  {
    name: 'a flow in the place of options',
    options: tripsOf(new Subject()),
    message: "join: 'two flows' is not valid; expected the other side and options, behind the left side",
  },
  { name: 'a column twice', options: { on: ['zone', 'zone'], within }, message: 'join: on:' },
  {
    name: 'another kind',
    options: { on: ['zone'], within, kind: 'outer' },
    message: "join: kind: 'outer' is not valid",
  },
  { name: 'another option', options: { on: ['zone'], within, filtr: 'x' }, message: 'filtr' },
])('refuses $name at once', ({ options, message }) => {
  expect(() => untyped(tripsOf(new Subject()), options)).toThrow(message)
})

test('refuses what is no flow, and one that hands its rows over', () => {
  expect(() => untyped(7, { on: ['zone'], within })).toThrow("join: other side: 'number' is not valid")
  const over = tripsOf(new Subject()).pipe(rows())
  expect(() => untyped(over, { on: ['zone'], within })).toThrow('a flow that hands its rows over ends there')
})
