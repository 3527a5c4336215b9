import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { files } from '../../connectors/files/spec.ts'
import { aggregate } from '../../operators/aggregate.ts'
import { collect } from '../../operators/aggregates/collect.ts'
import { count } from '../../operators/aggregates/count.ts'
import { sum } from '../../operators/aggregates/sum.ts'
import { dedupe } from '../../operators/dedupe.ts'
import { derive } from '../../operators/derive.ts'
import { filterRows } from '../../operators/filter-rows.ts'
import { groupBy } from '../../operators/group-by.ts'
import { hopping } from '../../operators/hopping.ts'
import { rename } from '../../operators/rename.ts'
import { select } from '../../operators/select.ts'
import { tumbling } from '../../operators/tumbling.ts'
import { where } from '../../operators/where.ts'
import type { Json } from '../../src/core/json.ts'
import { formsOf } from '../../src/plan/forms.ts'
import { createGate, type Gate } from '../../src/plan/gate.ts'
import type { Terminal } from '../../src/plan/mini-batch.ts'
import { chain, planJson } from '../../src/plan/node.ts'
import { changesSince } from '../../src/plan/plan-changes.ts'
import { freshIds, planOf, takenIds } from '../../src/plan/plan-ids.ts'
import { type StoredPlan, storedPlan, stepsOf } from '../../src/plan/stored-plan.ts'
import { describeOnce, sourceNode, type Trips } from '../operators/flow.ts'
import { openTestDuckdb, type TestDuckdb } from './duckdb.ts'

let db: TestDuckdb
let gate: Gate
beforeAll(async () => {
  db = await openTestDuckdb()
  gate = createGate(db)
})
afterAll(async () => await db[Symbol.asyncDispose]())

type Apply = (trips: Trips) => ReturnType<Trips['pipe']>

async function pipelineOf(applies: readonly Apply[], end: Partial<Terminal> = {}) {
  const terminals = applies.map(
    apply =>
      ({
        is: 'sink',
        node: describeOnce(apply),
        sink: files('out', { format: 'parquet' }),
        behind: {},
        ...end,
      }) as Terminal,
  )
  const forms = await formsOf(
    terminals.map(({ node }) => node),
    gate,
  )
  return { terminals, forms }
}

/** The plan that a new checkpoint gets, as it comes back from JSON. */
async function storedOf(...applies: readonly Apply[]): Promise<StoredPlan> {
  const { terminals, forms } = await pipelineOf(applies)
  const plan = planOf('tested', terminals, forms, freshIds(terminals, forms))
  return storedPlan(JSON.parse(JSON.stringify(plan)) as Json)
}

/** The plan as releases kept it whose steps had no ids. */
function earlierPlan(...applies: readonly Apply[]): StoredPlan {
  const flows = applies.map(apply => [...planJson(describeOnce(apply)), { op: 'to', options: { format: 'parquet' } }])
  return storedPlan(JSON.parse(JSON.stringify({ pipeline: 'tested', flows })) as Json)
}

/** The ids that a pipeline takes from a checkpoint's plan, by flow. */
async function idsFrom(stored: StoredPlan, ...applies: readonly Apply[]): Promise<string[][]> {
  const { terminals, forms } = await pipelineOf(applies)
  const ids = await takenIds(terminals, forms, stored, gate)
  return terminals.map(({ node }, index) => chain(node).map(step => ids[index]?.get(step) as string))
}

const idsOf = (plan: StoredPlan, flow = 'flow-1') => stepsOf(plan, flow).map(({ id }) => id)

const hourly: Apply = trips =>
  trips.pipe(
    where('amount > 0'),
    derive({ share: ['DOUBLE', 'CAST(tip AS DOUBLE) / amount'] }),
    tumbling('1 hour'),
    groupBy('zone'),
    aggregate({ n: count(), paid: sum('amount', { filter: "kind = 'paid'" }) }),
  )
/** The same, written by somebody else. */
const otherwise: Apply = trips =>
  trips.pipe(
    where('(AMOUNT>0)'),
    derive({ share: ['double' as 'DOUBLE', 'Tip::float8 / Amount'] }),
    tumbling('60 minutes'),
    groupBy('zone'),
    aggregate({ n: count(), paid: sum('amount', { filter: "Kind  ==  'paid'" as 'TRUE' }) }),
  )

describe('the plan in a manifest', () => {
  test('is data: each step once, its options in canonical form, and as they were written where that differs', async () => {
    const plan = await storedOf(hourly, trips => trips.pipe(where('amount > 0')))
    const [source, filtered, derived, windowed, grouped, counted] = plan.nodes.map(({ id }) => id)
    expect(new Set(plan.nodes.map(({ id }) => id)).size).toBe(6)
    expect(plan).toEqual({
      pipeline: 'tested',
      nodes: [
        { id: source, op: 'source', options: sourceNode.options, inputs: [] },
        {
          id: filtered,
          op: 'where',
          options: { predicate: ['>', ['column', 'amount'], ['constant', 'INTEGER', '0']] },
          written: { predicate: 'amount > 0' },
          inputs: [source],
        },
        {
          id: derived,
          op: 'derive',
          options: {
            share: ['DOUBLE', ['call', '/', ['cast', 'DOUBLE', ['column', 'tip']], ['column', 'amount']]],
          },
          written: { share: ['DOUBLE', 'CAST(tip AS DOUBLE) / amount'] },
          inputs: [filtered],
        },
        { id: windowed, op: 'tumbling', options: { size: '1 hour' }, inputs: [derived] },
        { id: grouped, op: 'groupBy', options: { keys: ['zone'] }, inputs: [windowed] },
        {
          id: counted,
          op: 'aggregate',
          options: {
            n: { aggregate: 'count' },
            paid: {
              aggregate: 'sum',
              column: 'amount',
              filter: ['=', ['column', 'kind'], ['constant', 'VARCHAR', 'paid']],
            },
          },
          written: {
            n: { aggregate: 'count' },
            paid: { aggregate: 'sum', column: 'amount', filter: "kind = 'paid'" },
          },
          inputs: [grouped],
        },
      ],
      flows: {
        'flow-1': { from: counted, op: 'to', options: { format: 'parquet' } },
        'flow-2': { from: filtered, op: 'to', options: { format: 'parquet' } },
      },
    })
  })

  test('of an earlier release reads as steps with the ids that named their state', () => {
    const plan = earlierPlan(hourly, trips => trips.pipe(where('amount > 0'), select('zone')))
    expect(idsOf(plan).slice(0, 2)).toEqual(idsOf(plan, 'flow-2').slice(0, 2))
    expect(plan.nodes).toHaveLength(7)
    // As e3e4b2e named it: the SHA-256 of the text of all steps up to it.
    expect(plan.flows['flow-1']).toEqual({ from: '81cbc6ef', op: 'to', options: { format: 'parquet' } })
  })
})

describe('a pipeline takes the ids of its checkpoint', () => {
  test('however it is written', async () => {
    for (const stored of [await storedOf(hourly), earlierPlan(hourly)]) {
      expect(await idsFrom(stored, otherwise)).toEqual([idsOf(stored)])
      expect(await idsFrom(stored, hourly)).toEqual([idsOf(stored)])
    }
    // A new checkpoint gives equal plans the same ids.
    expect(idsOf(await storedOf(otherwise))).toEqual(idsOf(await storedOf(hourly)))
  })

  test('what shared a step still does, and what was apart stays so: each flow has its own state in the checkpoint', async () => {
    const together = await storedOf(hourly, otherwise)
    expect(await idsFrom(together, otherwise, hourly)).toEqual([idsOf(together), idsOf(together)])
    // Two texts had two states before.
    const apart = earlierPlan(hourly, otherwise)
    expect(idsOf(apart)).not.toEqual(idsOf(apart, 'flow-2'))
    expect(await idsFrom(apart, otherwise, otherwise)).toEqual([idsOf(apart), idsOf(apart, 'flow-2')])
  })

  test('an upgrade of DuckDB or of the canonical form renames nothing: what was written is what counts', async () => {
    const stored = await storedOf(hourly)
    const nodes = stored.nodes.map(node =>
      node.written === undefined ? node : { ...node, options: { as: 'an older DuckDB had it' } },
    )
    expect(await idsFrom({ ...stored, nodes }, otherwise)).toEqual([idsOf(stored)])
  })

  test('from what changed on, steps have new ids that nothing has had', async () => {
    const stored = await storedOf(hourly)
    const other: Apply = trips =>
      trips.pipe(where('amount > 1'), tumbling('1 hour'), groupBy('zone'), aggregate({ n: count() }))
    const [ids = []] = await idsFrom(stored, other)
    expect(ids[0]).toBe(idsOf(stored)[0])
    expect(idsOf(stored)).not.toEqual(expect.arrayContaining(ids.slice(1)))
    // Should a hash begin as one does that is taken.
    const [, ...later] = idsOf(await storedOf(other))
    const taken = { ...stored, nodes: [...stored.nodes, { id: String(later[0]), op: 'gone', options: {}, inputs: [] }] }
    expect((await idsFrom(taken, other))[0]?.[1]).toMatch(/^[0-9a-f]{8}$/)
    expect((await idsFrom(taken, other))[0]).not.toContain(later[0])
  })
})

describe('what has changed is told in words of the pipeline', () => {
  const before: Apply = trips =>
    trips.pipe(
      where('amount > 0'),
      dedupe('zone', '1 day'),
      hopping('1 hour', '5 minutes'),
      groupBy('zone', 'kind'),
      aggregate({ n: count(), some: collect('amount', { max: 3 }) }),
      rename({ n: 'trips', some: 'amounts' }),
      select('zone', 'trips'),
    )
  const changes = async (was: readonly Apply[], is: readonly Apply[], name = 'tested', end: Partial<Terminal> = {}) => {
    const stored = await storedOf(...was)
    const { terminals, forms } = await pipelineOf(is, end)
    const ids = await takenIds(terminals, forms, stored, gate)
    return changesSince({ stored, pipeline: name, terminals, forms, gate }, ids)
  }

  test('and what is written otherwise is no change', async () => {
    const same: Apply = trips =>
      trips.pipe(
        where('0 < amount' as string),
        where('amount > 0'),
        dedupe(['zone'], '24 hours'),
        hopping('60 minutes', '300 seconds'),
        groupBy('zone', 'kind'),
        aggregate({ n: count(), some: collect('amount', { order: 'ascending', max: 3 }) }),
        rename({ some: 'amounts', n: 'trips' }),
        select('zone', 'trips'),
      )
    expect(await changes([before], [same])).toEqual(["flow-1: where('0 < amount') is new"])
    expect(await changes([hourly], [otherwise])).toEqual([])
  })

  test.each<{ name: string; was?: Apply; is: Apply; words: readonly string[] }>([
    {
      name: 'a predicate',
      is: trips => trips.pipe(where('amount > 1')),
      was: trips => trips.pipe(where('amount  > 0')),
      words: ["flow-1: where predicate: was 'amount  > 0', is now 'amount > 1'"],
    },
    {
      name: 'a number of another type',
      was: trips => trips.pipe(where('distance > 1e5')),
      is: trips => trips.pipe(where('distance > 100000.0')),
      words: ["flow-1: where predicate: was 'distance > 1e5', is now 'distance > 100000.0'"],
    },
    {
      name: 'a derived column and its type',
      was: trips => trips.pipe(derive({ x: ['DOUBLE', 'amount / 2'], y: ['BIGINT', 'zone'] })),
      is: trips => trips.pipe(derive({ x: ['DOUBLE', 'amount / 3'], y: ['INTEGER', 'zone'] })),
      words: [
        'flow-1: derive x: was ["DOUBLE","amount / 2"], is now ["DOUBLE","amount / 3"]',
        'flow-1: derive y: was ["BIGINT","zone"], is now ["INTEGER","zone"]',
      ],
    },
    {
      name: 'the order of columns',
      was: trips => trips.pipe(derive({ x: ['INTEGER', '1'], y: ['INTEGER', '2'] })),
      is: trips => trips.pipe(derive({ y: ['INTEGER', '2'], x: ['INTEGER', '1'] })),
      words: ['flow-1: derive: the order was x, y, is now y, x'],
    },
    {
      name: 'windows, aggregates and names',
      was: before,
      is: trips =>
        trips.pipe(
          where('amount > 0'),
          dedupe('zone', '2 days'),
          hopping('60 minutes', '10 minutes'),
          groupBy('zone'),
          aggregate({ n: count({ filter: 'tip > 0' }), some: collect('amount', { max: 3, order: 'descending' }) }),
          rename({ n: 'trips', some: 'fares' }),
          select('zone', 'trips'),
        ),
      words: [
        "flow-1: dedupe within: was '1 day', is now '2 days'",
        "flow-1: hopping every: was '5 minutes', is now '10 minutes'",
        'flow-1: groupBy keys: was ["zone","kind"], is now ["zone"]',
        "flow-1: aggregate n.filter: was absent, is now 'tip > 0'",
        "flow-1: aggregate some.order: was absent, is now 'descending'",
        "flow-1: rename some: was 'amounts', is now 'fares'",
      ],
    },
    {
      name: 'steps that came, went and moved',
      was: trips => trips.pipe(where('amount > 0'), derive({ x: ['INTEGER', '1'] }), select('zone', 'x')),
      is: trips => trips.pipe(derive({ x: ['INTEGER', '1'] }), where(' amount > 0'), select('zone', 'x')),
      words: ["flow-1: where('amount > 0') is gone", "flow-1: where(' amount > 0') is new"],
    },
    {
      name: 'the text of a function',
      was: trips => trips.pipe(filterRows(({ zone }) => zone === 1n)),
      is: trips => trips.pipe(filterRows(({ zone }) => zone === 2n)),
      words: ['flow-1: filterRows: the source text of its function has changed'],
    },
    {
      name: 'a function that has a version now',
      was: trips => trips.pipe(filterRows(({ zone }) => zone === 1n, { version: '1' })),
      is: trips => trips.pipe(filterRows(({ zone }) => zone === 1n, { version: '2' })),
      words: ["flow-1: filterRows function.version: was '1', is now '2'"],
    },
  ])('$name', async ({ was = before, is, words }) => {
    expect(await changes([was], [is])).toEqual(words)
  })

  test('flows, their ends, the name of the pipeline; what flows share is said once', async () => {
    const one: Apply = trips => trips.pipe(where('amount > 1'), select('zone'))
    const two: Apply = trips => trips.pipe(where('amount > 1'), select('kind'))
    const was: readonly Apply[] = [
      trips => trips.pipe(where('amount > 0'), select('zone')),
      trips => trips.pipe(where('amount > 0'), select('kind')),
    ]
    expect(await changes(was, [one, two])).toEqual([
      "flow-1 and flow-2: where predicate: was 'amount > 0', is now 'amount > 1'",
    ])
    expect(await changes(was, was.slice(0, 1), 'other')).toEqual([
      "the name of the pipeline: was 'tested', is now 'other'",
      'flow-2 is gone',
    ])
    expect(await changes(was.slice(1), was.toReversed())).toEqual(['flow-2 is new'])
    expect(await changes(was, was, 'tested', { sink: files('out', { format: 'json' }) })).toEqual([
      "flow-1 and flow-2: to format: was 'parquet', is now 'json'",
    ])
    expect(
      await changes(was.slice(1), was.slice(1), 'tested', { is: 'rows', op: 'batches' } as Partial<Terminal>),
    ).toEqual(["flow-1: its end: was 'to', is now 'rows'"])
  })

  test('a source, by its columns', async () => {
    const stored = await storedOf(hourly)
    const [source, ...others] = stored.nodes
    const { columns, ...options } = sourceNode.options as { readonly columns: { readonly [name: string]: Json } }
    const before = { ...options, time: 'dropped_off', columns: { ...columns, zone: 'INTEGER' } }
    const plan = { ...stored, nodes: [{ ...(source as (typeof others)[number]), options: before }, ...others] }
    const { terminals, forms } = await pipelineOf([otherwise])
    const ids = await takenIds(terminals, forms, plan, gate)
    expect(await changesSince({ stored: plan, pipeline: 'tested', terminals, forms, gate }, ids)).toEqual([
      "flow-1: source trips time: was 'dropped_off', is now 'picked_up'",
      "flow-1: source trips columns.zone: was 'INTEGER', is now 'BIGINT'",
    ])
  })
})
