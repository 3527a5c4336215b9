import { concatMap, of, Subject } from 'rxjs'
import { describe, expect, test } from 'vitest'
import { files } from '../../connectors/files/spec.ts'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { derive } from '../../operators/derive.ts'
import { groupBy } from '../../operators/group-by.ts'
import { hopping } from '../../operators/hopping.ts'
import { rows } from '../../operators/rows.ts'
import { select } from '../../operators/select.ts'
import { to } from '../../operators/to.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { where } from '../../operators/where.ts'
import { PlannedBatch } from '../../src/plan/mini-batch.ts'
import {
  chain,
  groupsContext,
  planJson,
  planKey,
  type PlanNode,
  sourcesOf,
  timeNameOf,
  timeTypeOf,
} from '../../src/plan/node.ts'
import { batchOf, createHead, describeOnce, errorOf, sourceNode, tripsOf } from '../operators/flow.ts'

const hourly = () =>
  describeOnce(trips =>
    trips.pipe(
      where('amount > 0'),
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ trips: count() }),
      select('trips'),
    ),
  )

describe('a plan', () => {
  test('is a chain from the source to its last step', () => {
    const node = hourly()
    expect(chain(node).map(({ op }) => op)).toEqual(['source', 'where', 'tumbling', 'groupBy', 'aggregate', 'select'])
    expect(chain(node)[0]).toBe(sourceNode)
    expect(sourcesOf(node)).toEqual([sourceNode.options])
    expect(timeNameOf(node)).toBeUndefined()
    expect(timeNameOf(sourceNode)).toBe('picked_up')
    expect(timeTypeOf(node)).toBe('TIMESTAMP')
  })

  test('is plain data: what a checkpoint keeps, equal after JSON, and all that shapes the answer (P14)', () => {
    const plan = planJson(hourly())
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan)
    expect(plan.slice(1)).toEqual([
      { op: 'where', options: { predicate: 'amount > 0' } },
      { op: 'tumbling', options: { size: '1 hour' } },
      { op: 'groupBy', options: { keys: ['zone'] } },
      { op: 'aggregate', options: { trips: { aggregate: 'count' } } },
      { op: 'select', options: { columns: ['trips'] } },
    ])
    expect(plan[0]).toEqual({
      op: 'source',
      options: {
        name: 'trips',
        format: 'parquet',
        columns: {
          picked_up: 'TIMESTAMP NOT NULL',
          zone: 'BIGINT',
          kind: 'VARCHAR',
          amount: 'DECIMAL(18,2)',
          tip: 'DECIMAL(38,2) NOT NULL',
          distance: 'DOUBLE',
        },
        time: 'picked_up',
      },
    })
  })

  test('of a step with several inputs has each step once, after those that feed it', () => {
    const head = describeOnce(trips => trips.pipe(where('amount > 0')))
    const [left, right] = [describeOnce(trips => trips.pipe(select('zone'))), head]
    const fork = { ...left, inputs: [head] }
    const union: PlanNode = { ...head, op: 'union', options: {}, inputs: [fork, right] }
    expect(chain(union)).toEqual([sourceNode, head, fork, union])
    expect(planJson(union).slice(1)).toEqual([
      { op: 'where', options: { predicate: 'amount > 0' } },
      { op: 'select', options: { columns: ['zone'] } },
      { op: 'union', options: {}, inputs: [2, 1] },
    ])
    expect(planKey(union)).not.toBe(planKey({ ...union, inputs: [right, fork] }))
  })

  test('equal plans have equal keys, others have not; the epoch is no part of it', () => {
    expect(planKey(hourly())).toBe(planKey(hourly()))
    const other = describeOnce(trips => trips.pipe(where('amount > 1')))
    expect(planKey(other)).not.toBe(planKey(describeOnce(trips => trips.pipe(where('amount > 0')))))
    const [a, b] = [createHead().batch(1), createHead().batch(2)]
    expect(planKey(a.node)).toBe(planKey(b.node))
  })

  test('a step changes nothing of the batch it was given: two branches of one batch do not see each other', () => {
    const source = new Subject<PlannedBatch>()
    const plans: string[] = []
    const note = (batch: unknown) => plans.push(planKey((batch as PlannedBatch).node))
    tripsOf(source).pipe(where('amount > 0')).subscribe(note)
    tripsOf(source).pipe(where('amount > 1'), select('zone')).subscribe(note)
    source.next(createHead().batch(1))
    expect(plans).toEqual([
      planKey(describeOnce(trips => trips.pipe(where('amount > 0')))),
      planKey(describeOnce(trips => trips.pipe(where('amount > 1'), select('zone')))),
    ])
  })

  test('plain RxJS operators may stand between, one for one', () => {
    const flow = describeOnce(trips =>
      trips.pipe(
        where('amount > 0'),
        concatMap(batch => of(batch)),
        select('zone'),
      ),
    )
    expect(chain(flow).map(({ op }) => op)).toEqual(['source', 'where', 'select'])
  })
})

describe('what a stateful step is folded from', () => {
  test('the window and the keys before it, and the type of the event time', () => {
    const node = describeOnce(trips => trips.pipe(hopping('1h', '5m'), groupBy('zone', 'kind')))
    const { input, timeType, windows, keys } = groupsContext(node, 'aggregate')
    expect({ input, timeType, start: windows.startOf('e'), keys }).toEqual({
      input: sourceNode.columns,
      timeType: 'TIMESTAMP',
      start: '(e - 3600000000)',
      keys: ['zone', 'kind'],
    })
  })
})

describe('an order of steps that makes no sense is refused, naming both steps', () => {
  const end = to(files('out', { format: 'parquet' })) as never

  test.each<{ name: string; apply: Parameters<typeof errorOf>[0]; message: string }>([
    {
      name: 'aggregate without a window',
      apply: trips => trips.pipe(aggregate({ n: count() }) as never),
      message: 'aggregate: rows are aggregated in windows: add a window such as tumbling(...) before it; found source.',
    },
    {
      name: 'aggregate after groupBy without a window',
      apply: trips => trips.pipe(groupBy('zone' as never) as never, aggregate({ n: count() }) as never),
      message: 'groupBy: rows are aggregated in windows: add a window such as tumbling(...) before it.',
    },
    {
      name: 'a stateless step between window and groupBy',
      apply: trips => trips.pipe(tumbling('1h'), where('amount > 0' as never) as never),
      message: 'where: cannot follow tumbling; add aggregate({...}) before it, which makes rows of windows.',
    },
    {
      name: 'a stateless step between groupBy and aggregate',
      apply: trips => trips.pipe(tumbling('1h'), groupBy('zone'), derive({ x: ['INTEGER', '1'] }) as never),
      message: 'derive: cannot follow groupBy; add aggregate({...}) before it, which makes rows of windows.',
    },
    {
      name: 'two windows',
      apply: trips => trips.pipe(tumbling('1h'), hopping('1h', '5m') as never),
      message: 'hopping: cannot follow tumbling; add aggregate({...}) before it, which makes rows of windows.',
    },
    {
      name: 'groupBy twice',
      apply: trips => trips.pipe(tumbling('1h'), groupBy('zone'), groupBy('kind' as never) as never),
      message: 'groupBy: cannot follow groupBy; name all keys in one groupBy(...).',
    },
    {
      name: 'a sink after a window',
      apply: trips => trips.pipe(hopping('1h', '5m'), end),
      message: 'to: cannot follow hopping; add aggregate({...}) before it, which makes rows of windows.',
    },
    {
      name: 'rows of a group',
      apply: trips => trips.pipe(tumbling('1h'), groupBy('zone'), rows() as never),
      message: 'rows: cannot follow groupBy; add aggregate({...}) before it, which makes rows of windows.',
    },
    {
      name: 'a window over a derived event time',
      apply: trips => trips.pipe(derive({ picked_up: ['TIMESTAMP NOT NULL', 'picked_up'] }), tumbling('1h')),
      message:
        "tumbling: the event time column 'picked_up' was replaced by derive(); watermarks are taken from the column as read, so derive another name.",
    },
  ])('$name', ({ apply, message }) => {
    expect(errorOf(apply)).toMatchObject({ name: 'MillraceError', kind: 'user', code: 'plan', message })
  })

  test('a flow goes on after a to() only as its epochs: no operator follows', () => {
    expect(errorOf(trips => trips.pipe(end, where('amount > 0' as never) as never))).toMatchObject({
      code: 'plan',
      message: 'where: a flow that ends with to(...) has no rows; take it before that.',
    })
  })
})

test('a batch shows its epoch and columns', () => {
  const batch = batchOf(trips => trips.pipe(select('zone')))
  expect(batch).toBeInstanceOf(PlannedBatch)
  expect({ epoch: batch.epoch, columns: batch.columns }).toEqual({ epoch: 1, columns: { zone: 'BIGINT' } })
})
