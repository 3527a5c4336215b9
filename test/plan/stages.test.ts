import { describe, expect, test } from 'vitest'
import { files } from '../../connectors/files/spec.ts'
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
import { formsOf } from '../../src/plan/forms.ts'
import { freshIds } from '../../src/plan/plan-ids.ts'
import { applySteps, type Flow, splitFlows, stagesInOrder, stagesOf } from '../../src/plan/stages.ts'
import { describeOnce, sourceNode, type Trips } from '../operators/flow.ts'

type Apply = (trips: Trips) => ReturnType<Trips['pipe']>

/** Flows as the engine splits them, their expressions taken as bound and as canonical. */
async function flowsOf(...applies: readonly Apply[]) {
  const nodes = applies.map(describeOnce)
  const terminals = nodes.map(
    (node): Terminal => ({ is: 'sink', node, sink: files('out', { format: 'parquet' }), behind: {} }),
  )
  const bound = new Map<PlanNode, readonly string[]>(
    nodes
      .flatMap(chain)
      .flatMap(each =>
        each.step.is === 'stateless'
          ? [[each, each.step.expressions(each.options as never).map(({ sql }) => `bound(${sql})`)] as const]
          : [],
      ),
  )
  const forms = await formsOf(nodes, { canonical: async sql => sql.replaceAll(' ', '') })
  return splitFlows(terminals, bound, freshIds(terminals, forms))
}

async function flowOf(apply: Apply) {
  const [flow] = await flowsOf(apply)
  return flow as Flow
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
  test('stateless steps before, the folded step, stateless steps after', async () => {
    const flow = await flowOf(hourly)
    const [stage] = stagesOf(flow)
    expect(ops(stage?.inputs[0]?.steps ?? [])).toEqual(['where', 'derive'])
    expect(ops(flow.rows.steps)).toEqual(['where', 'select'])
    expect(stage?.inputs[0]?.steps.map(({ bound }) => bound)).toEqual([['bound(amount > 0)'], ['bound(1)']])
    expect(stage?.step.columns).toEqual({
      window_start: 'TIMESTAMP NOT NULL',
      window_end: 'TIMESTAMP NOT NULL',
      zone: 'BIGINT',
      n: 'BIGINT NOT NULL',
    })
  })

  test('without state all of its steps come after', async () => {
    const flow = await flowOf(trips => trips.pipe(where('amount > 0'), select('zone')))
    expect(stagesOf(flow)).toEqual([])
    expect(ops(flow.rows.steps)).toEqual(['where', 'select'])
    expect((await flowOf(trips => trips.pipe())).rows.steps).toEqual([])
  })
})

test('a stateful step may follow another: each is a stage, with the steps between them before the later one', async () => {
  const flow = await flowOf(trips =>
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
  expect(daily?.inputs[0]?.from).toEqual({ is: 'stage', stage: hourly })
  expect(ops(daily?.inputs[0]?.steps ?? [])).toEqual(['where'])
  expect(ops(flow.rows.steps)).toEqual(['select'])
  expect(stagesInOrder([flow, flow])).toEqual([hourly, daily])
})

describe('state is named after the plan up to it', () => {
  test('flows with equal plans up to the state share it, however they are written and whatever follows', async () => {
    const other: Apply = trips =>
      trips.pipe(
        where('amount  >  0'),
        derive({ x: ['integer' as 'INTEGER', '1'] }),
        tumbling('60 minutes'),
        groupBy('zone'),
        aggregate({ n: count() }),
      )
    const flows = await flowsOf(hourly, other, trips => trips.pipe(select('zone')))
    const stages = flows.map(stagesOf)
    expect(stages[0]?.[0]?.id).toMatch(/^[0-9a-f]{8}$/)
    expect(stages[1]?.[0]).toBe(stages[0]?.[0])
    expect(stagesInOrder(flows)).toEqual(stages[0])
    expect(flows.map(({ name }) => name)).toEqual(['flow-1', 'flow-2', 'flow-3'])
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
  ])('$name is another state', async ({ apply }) => {
    const plain: Apply = trips => trips.pipe(tumbling('1h'), groupBy('zone'), aggregate({ n: count() }))
    expect(stagesInOrder(await flowsOf(plain, apply))).toHaveLength(2)
  })
})

test('applySteps wraps a relation in its steps, in order, and gives the columns of the last', async () => {
  const { rows } = await flowOf(trips => trips.pipe(where('amount > 0'), select('zone')))
  const relation = applySteps({ sql: 'SCAN', columns: sourceNode.columns, hidden: ['_seq'] }, rows.steps)
  expect(relation.columns).toEqual({ zone: 'BIGINT' })
  expect(relation.hidden).toEqual(['_seq'])
  const columns = Object.keys(sourceNode.columns).map(name => `"_in"."${name}"`)
  expect(relation.sql).toBe(
    `SELECT "_in"."_seq", "_in"."zone" FROM (SELECT "_in"."_seq", ${columns.join(', ')} FROM (SCAN) AS "_in" WHERE bound(amount > 0)) AS "_in"`,
  )
})
