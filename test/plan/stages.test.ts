import { describe, expect, test } from 'vitest'
import { aggregate } from '../../operators/aggregate.ts'
import { count } from '../../operators/aggregates/count.ts'
import { sum } from '../../operators/aggregates/sum.ts'
import { derive } from '../../operators/derive.ts'
import { groupBy } from '../../operators/group-by.ts'
import { select } from '../../operators/select.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { where } from '../../operators/where.ts'
import type { Terminal } from '../../src/plan/mini-batch.ts'
import { chain, type PlanNode } from '../../src/plan/node.ts'
import { applySteps, splitFlow, stagesInOrder, stagesOf } from '../../src/plan/stages.ts'
import { describeOnce, sourceNode, type Trips } from '../operators/flow.ts'

type Apply = (trips: Trips) => ReturnType<Trips['pipe']>

/** The flow as the engine splits it, its expressions taken as bound. */
function flowOf(apply: Apply, name = 'flow-1') {
  const node = describeOnce(apply)
  const terminal: Terminal = { is: 'files', node, uri: 'out', format: 'parquet' }
  const bound = new Map<PlanNode, readonly string[]>(
    chain(node).flatMap(each =>
      each.step.is === 'stateless'
        ? [[each, each.step.expressions(each.options as never).map(({ sql }) => `bound(${sql})`)] as const]
        : [],
    ),
  )
  return splitFlow(name, terminal, bound)
}

const ops = (steps: readonly { readonly node: PlanNode }[]) => steps.map(({ node }) => node.op)

const hourly: Apply = trips =>
  trips.pipe(
    where('amount > 0'),
    derive({ x: ['INTEGER', '1'] }),
    tumbling('1h'),
    groupBy('zone'),
    aggregate({ n: count() }),
    where('n > 10'),
    select('n'),
  )

describe('a flow is split where its state lies', () => {
  test('stateless steps before, the folded step, stateless steps after', () => {
    const flow = flowOf(hourly)
    const [stage] = stagesOf(flow)
    expect(ops(stage?.before ?? [])).toEqual(['where', 'derive'])
    expect(ops(flow.after)).toEqual(['where', 'select'])
    expect(stage?.before.map(({ bound }) => bound)).toEqual([['bound(amount > 0)'], ['bound(1)']])
    expect(stage?.step.columns).toEqual({
      window_start: 'TIMESTAMP NOT NULL',
      window_end: 'TIMESTAMP NOT NULL',
      zone: 'BIGINT',
      n: 'BIGINT NOT NULL',
    })
  })

  test('without state all of its steps come after', () => {
    const flow = flowOf(trips => trips.pipe(where('amount > 0'), select('zone')))
    expect(stagesOf(flow)).toEqual([])
    expect(ops(flow.after)).toEqual(['where', 'select'])
    expect(flowOf(trips => trips.pipe()).after).toEqual([])
  })
})

test('a stateful step may follow another: each is a stage, with the steps between them before the later one', () => {
  const flow = flowOf(trips =>
    trips.pipe(
      tumbling('1h'),
      groupBy('zone'),
      aggregate({ n: count() }),
      where('n > 10'),
      tumbling('1 day'),
      groupBy('zone'),
      aggregate({ hours: count(), n: sum('n') }),
      select('hours'),
    ),
  )
  const [hourly, daily] = stagesOf(flow)
  expect([hourly?.op, daily?.op]).toEqual(['aggregate', 'aggregate'])
  expect(daily?.from).toEqual({ is: 'stage', stage: hourly })
  expect(ops(daily?.before ?? [])).toEqual(['where'])
  expect(ops(flow.after)).toEqual(['select'])
  expect(stagesInOrder([flow, flow])).toEqual([hourly, daily])
})

describe('state is named after the plan up to it', () => {
  test('flows with equal plans up to the state share it, whatever follows', () => {
    const other = flowOf(
      trips =>
        trips.pipe(
          where('amount > 0'),
          derive({ x: ['INTEGER', '1'] }),
          tumbling('1h'),
          groupBy('zone'),
          aggregate({ n: count() }),
        ),
      'flow-2',
    )
    const flows = [flowOf(hourly), other, flowOf(trips => trips.pipe(select('zone')), 'flow-3')]
    const stages = flows.map(stagesOf)
    expect(stages[0]?.[0]?.id).toMatch(/^[0-9a-f]{8}$/)
    expect(stages[1]?.[0]?.id).toBe(stages[0]?.[0]?.id)
    expect(stagesInOrder(flows)).toEqual(stages[0])
  })

  test.each<{ name: string; apply: Apply }>([
    {
      name: 'another predicate before it',
      apply: trips => trips.pipe(where('amount > 1'), tumbling('1h'), groupBy('zone'), aggregate({ n: count() })),
    },
    { name: 'another window', apply: trips => trips.pipe(tumbling('2h'), groupBy('zone'), aggregate({ n: count() })) },
    { name: 'another key', apply: trips => trips.pipe(tumbling('1h'), groupBy('kind'), aggregate({ n: count() })) },
    {
      name: 'another aggregate',
      apply: trips => trips.pipe(tumbling('1h'), groupBy('zone'), aggregate({ n: sum('amount') })),
    },
  ])('$name is another state', ({ apply }) => {
    const plain: Apply = trips => trips.pipe(tumbling('1h'), groupBy('zone'), aggregate({ n: count() }))
    const flows = [flowOf(plain), flowOf(apply)]
    expect(stagesInOrder(flows)).toHaveLength(2)
  })
})

test('applySteps wraps a relation in its steps, in order, and gives the columns of the last', () => {
  const { after } = flowOf(trips => trips.pipe(where('amount > 0'), select('zone')))
  const relation = applySteps({ sql: 'SCAN', columns: sourceNode.columns, hidden: ['_seq'] }, after)
  expect(relation.columns).toEqual({ zone: 'BIGINT' })
  expect(relation.hidden).toEqual(['_seq'])
  const columns = Object.keys(sourceNode.columns).map(name => `"_in"."${name}"`)
  expect(relation.sql).toBe(
    `SELECT "_in"."_seq", "_in"."zone" FROM (SELECT "_in"."_seq", ${columns.join(', ')} FROM (SCAN) AS "_in" WHERE bound(amount > 0)) AS "_in"`,
  )
})
