import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createCheckpointStore } from '../../checkpoints/checkpoint-store.ts'
import type { Manifest } from '../../checkpoints/types.ts'
import { createDirectoryStore } from '../../connectors/directory/store.ts'
import {
  aggregate,
  count,
  dedupe,
  derive,
  files,
  groupBy,
  parquet,
  pipeline,
  query,
  source,
  sum,
  to,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import type { Json } from '../../src/core/json.ts'
import { type StoredPlan, storedPlan } from '../../src/plan/stored-plan.ts'
import { failure, type Lab, openLab, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

/** Files of six hours each; every fifth trip is recorded twice. */
const trips = (first: number, count: number) =>
  Promise.all(
    Array.from({ length: count }, (_, at) => first + at).map(file =>
      lab.parquet(
        `trips_${file}.parquet`,
        `SELECT TIMESTAMP '2024-01-01' + INTERVAL (${file} * 6) HOUR + to_microseconds((id * 7919 % 21600) * 1000000) AS at,
          ${file} * 1000 + id AS id, id * 31 % 6 AS zone, (id % 50 - 3)::DOUBLE / 7 AS fare FROM (SELECT i - i % 5 // 4 AS id FROM range(300) AS r(i))`,
      ),
    ),
  )

const head = () =>
  source('trips', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', id: 'BIGINT', zone: 'BIGINT', fare: 'DOUBLE' },
    time: 'at',
    watermark: { delay: '1 hour' },
  })

/** Each trip once, hours into days, with an expression in every place that has one. */
const plain = (paid = 'fare > 0') =>
  pipeline(
    'daily',
    { checkpoint: lab.checkpoint },
    head().pipe(
      where(`${paid} AND (zone <> 5 OR fare >= 1e0)` as string),
      derive({ fifths: ['BIGINT', 'CAST(floor(fare * 5) AS BIGINT)'] }),
      dedupe(['id', 'zone'], '2 hours'),
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ trips: count(), much: count({ filter: 'fifths > 10' }), fifths: sum('fifths') }),
      where('trips > 1'),
      tumbling('1 day'),
      groupBy('zone'),
      aggregate({ hours: count(), trips: sum('trips'), much: sum('much'), fifths: sum('fifths') }),
      to(files(lab.output, { format: 'parquet' })),
    ),
  )
/** The same by another hand. */
const otherwise = () =>
  pipeline(
    'daily',
    { checkpoint: lab.checkpoint },
    head().pipe(
      where(`((FARE > 0) and ("zone" != 5 or Fare>=10E-1)) -- who paid` as string),
      derive({ fifths: ['bigint' as 'BIGINT', 'FLOOR(Fare * 5)::int8'] }),
      dedupe(['zone', 'id'], '120 minutes'),
      tumbling('60 minutes'),
      groupBy('zone'),
      aggregate({ trips: count({}), much: count({ filter: '(FIFTHS>10)' }), fifths: sum('fifths') }),
      where('((trips) > 1)'),
      tumbling('24 hours'),
      groupBy('zone'),
      aggregate({ hours: count(), trips: sum('trips'), much: sum('much'), fifths: sum('fifths') }),
      to(files(lab.output, { format: 'parquet' })),
    ),
  )

/** One query over all rows: none of them is late. */
const expected = () =>
  lab.sql(
    `WITH once AS (SELECT DISTINCT * FROM read_parquet(${quoted(join(lab.input, '*.parquet'))}) WHERE fare > 0 AND (zone <> 5 OR fare >= 1)),
      hourly AS (SELECT time_bucket(INTERVAL 1 HOUR, "at") AS hour, zone, count(*) AS trips, count(*) FILTER (floor(fare * 5) > 10) AS much, sum(floor(fare * 5)::BIGINT) AS fifths
        FROM once GROUP BY ALL HAVING count(*) > 1)
     SELECT date_trunc('day', hour)::TIMESTAMP AS window_start, date_trunc('day', hour)::TIMESTAMP + INTERVAL 1 DAY AS window_end, zone, count(*) AS hours, sum(trips)::DECIMAL(38,0) AS trips, sum(much)::DECIMAL(38,0) AS much, sum(fifths)::DECIMAL(38,0) AS fifths
     FROM hourly GROUP BY ALL ORDER BY window_start, zone`,
  )
const results = async () => {
  const rows = await lab.rows()
  return rows.toSorted((a, b) => (`${a.window_start} ${a.zone}` < `${b.window_start} ${b.zone}` ? -1 : 1))
}

const planIn = async () => storedPlan((await lab.head()).manifest.engine.plan)
const channelsOf = async () =>
  Object.keys((await lab.head()).manifest.channels).filter(name => /^(segment|late)-/.test(name))

describe('the same pipeline, written otherwise', () => {
  test('goes on with the state of its checkpoint, in the channels that it has; views and a replay know them', async () => {
    await trips(0, 5)
    await run(plain(), { objectsPerEpoch: 1, flush: false })
    const [before, channels] = [await planIn(), await channelsOf()]
    expect(channels.filter(name => name.startsWith('segment-'))).toHaveLength(3)
    await trips(5, 5)
    await run(otherwise(), { objectsPerEpoch: 2 })
    const found = await results()
    expect(found.length).toBeGreaterThan(12)
    expect(found).toEqual(await expected())

    const after = await planIn()
    expect(after.nodes.map(({ id }) => id)).toEqual(before.nodes.map(({ id }) => id))
    expect(after.nodes[1]).toMatchObject({ op: 'where', options: before.nodes[1]?.options })
    // What the manifest shows of the user's text is what ran last.
    expect(after.nodes[1]?.written).toEqual({
      predicate: '((FARE > 0) and ("zone" != 5 or Fare>=10E-1)) -- who paid',
    })
    expect(await channelsOf()).toEqual(channels)
    const { rows } = await query(lab.checkpoint, `SELECT DISTINCT flow FROM state`)
    expect(rows).toEqual([{ flow: 'flow-1' }])
    expect(await verify(otherwise(), { threads: 2 })).toMatchObject({ differences: [], gone: [], changed: [] })
  })

  test('has its state in the columns that it belongs to, whatever their order was when it was written', async () => {
    await trips(0, 1)
    await run(plain(), { flush: false })
    await lab.parquet(
      'trips_0_later.parquet',
      `SELECT TIMESTAMP '2024-01-01 05:30:00' AS at, 5000 + i AS id, i AS zone, 1.5::DOUBLE AS fare FROM range(5) AS r(i)`,
    )
    await run(otherwise(), { flush: false })
    const { rows } = await query(
      lab.checkpoint,
      'SELECT _time IS NOT NULL AS seen, max(zone) < 6 AS fits, count(*) > 100 AS some FROM state GROUP BY ALL ORDER BY seen',
    )
    expect(rows[1]).toEqual({ seen: true, fits: true, some: true })
  })

  test('but not with another value: the refusal says what it was and what it is', async () => {
    await trips(0, 2)
    await run(plain(), { flush: false })
    const before = await lab.head()
    const error = await failure(run(plain('fare > 0.0e0'), {}))
    expect(error).toMatchObject({ kind: 'user', code: 'plan-changed' })
    expect(error.message).toContain(
      "flow-1: where predicate: was 'fare > 0 AND (zone <> 5 OR fare >= 1e0)', is now 'fare > 0.0e0 AND (zone <> 5 OR fare >= 1e0)'. Undo the change",
    )
    expect(await failure(verify(plain('fare > 1')))).toMatchObject({ code: 'plan-changed' })
    expect(await lab.head()).toEqual(before)
  })
})

/** Writes HEAD as another release might have left it. */
async function rewritePlan(change: (plan: StoredPlan) => StoredPlan): Promise<void> {
  const checkpoint = createCheckpointStore({
    store: createDirectoryStore(lab.checkpoint),
    owner: 'elsewhere/1/1',
    newId: () => crypto.randomUUID(),
    scratch: lab.root,
    merge: () => Promise.reject(new Error('nothing to merge')),
  })
  const { manifest } = await lab.head()
  const claimed = await checkpoint.claim(manifest.engine)
  const plan = change(storedPlan(claimed.manifest.engine.plan)) as unknown as Json
  const next: Manifest = { ...claimed.manifest, epoch: manifest.epoch + 1, engine: { ...manifest.engine, plan } }
  expect(await checkpoint.commit(next)).toMatchObject({ is: 'committed' })
}

test('an upgrade of DuckDB that has other canonical forms renames nothing', async () => {
  await trips(0, 5)
  await run(plain(), { objectsPerEpoch: 1, flush: false })
  const [before, channels] = [await planIn(), await channelsOf()]
  await rewritePlan(plan => ({
    ...plan,
    nodes: plan.nodes.map(node =>
      node.written === undefined ? node : { ...node, options: { written: 'as another DuckDB has it' } },
    ),
  }))
  await trips(5, 5)
  await run(otherwise(), { objectsPerEpoch: 2, takeover: true })
  expect(await results()).toEqual(await expected())
  expect(await channelsOf()).toEqual(channels)
  const after = await planIn()
  expect(after.nodes.map(({ id }) => id)).toEqual(before.nodes.map(({ id }) => id))
  // The first commit has written the forms anew.
  expect(after.nodes.map(({ options }) => options)).toEqual(before.nodes.map(({ options }) => options))
})

test('two flows that are written otherwise share one state, which an earlier release kept apart: there it stays apart', async () => {
  const flows = (...predicates: readonly string[]) => {
    const from = head()
    return pipeline(
      'two',
      { checkpoint: lab.checkpoint },
      ...predicates.map((predicate, index) =>
        from.pipe(
          where(predicate as string),
          tumbling('1 hour'),
          groupBy('zone'),
          aggregate({ n: count() }),
          to(files(join(lab.root, `two-${index}`), { format: 'parquet' })),
        ),
      ),
    )
  }
  const rowsOf = (index: number) => lab.rows({ ...lab, output: join(lab.root, `two-${index}`) })
  await trips(0, 3)
  await run(flows('fare > 1', 'FARE>1'), { flush: false })
  expect(await channelsOf()).toHaveLength(1)

  // As a release before this one would have it: by the text.
  await rewritePlan(plan => ({
    ...plan,
    nodes: plan.nodes.flatMap(node =>
      node.op === 'source'
        ? [node]
        : [
            node,
            {
              ...node,
              id: `b${node.id.slice(1)}`,
              inputs: node.inputs.map(id => (id === plan.nodes[0]?.id ? id : `b${id.slice(1)}`)),
            },
          ],
    ),
    flows: {
      ...plan.flows,
      'flow-2': {
        ...plan.flows['flow-2'],
        from: `b${plan.flows['flow-2']?.from.slice(1)}`,
      } as StoredPlan['flows'][string],
    },
  }))
  await trips(3, 1)
  await run(flows('Fare > 1', 'fare > 1'), { takeover: true, flush: false })
  expect(await channelsOf()).toHaveLength(2)
  expect((await rowsOf(0)).length).toBeGreaterThan(0)
})
