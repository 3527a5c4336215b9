import { join as path } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  count,
  files,
  groupBy,
  inspect,
  join,
  type JoinKind,
  parquet,
  pipeline,
  rename,
  select,
  source,
  sum,
  to,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { query } from '../../src/engine/inspect/query.ts'
import { type Lab, openLab, type Place, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const events = () =>
  source('events', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', what: 'VARCHAR', trip: 'DOUBLE', amount: 'BIGINT' },
    time: 'at',
    watermark: { delay: '1 hour' },
  })
const all = () => `read_parquet(${quoted(path(lab.input, '*.parquet'))})`
const found = (at: Place) => lab.sql(`FROM read_parquet(${quoted(path(at.output, '*.parquet'))}) ORDER BY ALL`)

/** Trips, and what was paid for them; some trips have no number, 0.0 is -0.0, and NaN is a number like others. */
async function writeEvents(files: number, rows: number): Promise<void> {
  for (let file = 0; file < files; file++)
    await lab.parquet(
      `events_${file}.parquet`,
      `SELECT TIMESTAMP '2024-01-01 00:00:00' + to_seconds(${file} * 7200 + i * 7919 % 7200) AS at,
        CASE WHEN i % 3 = 0 THEN 'paid' ELSE 'trip' END AS what,
        CASE i % 17 WHEN 0 THEN NULL WHEN 1 THEN 0.0::DOUBLE WHEN 2 THEN -0.0::DOUBLE WHEN 3 THEN 'NaN'::DOUBLE
          ELSE (i * 31 + ${file}) % 23 END AS trip, i + 1000 * ${file} AS amount FROM range(${rows}) AS r(i)`,
    )
}

const paid = (from: ReturnType<typeof events>) =>
  from.pipe(where("what = 'paid'"), select('trip', 'amount'), rename({ amount: 'paid' }))

describe('a join is one query of the accepted rows (S12)', () => {
  const matches = `p.trip = t.trip AND p.at BETWEEN t.at - INTERVAL 5 MINUTE AND t.at + INTERVAL 20 MINUTE`
  const sql: Readonly<Record<JoinKind, string>> = {
    inner: 'FROM t JOIN p ON',
    left: 'FROM t LEFT JOIN p ON',
    right: 'FROM t RIGHT JOIN p ON',
    full: 'FROM t FULL JOIN p ON',
    semi: 'FROM t SEMI JOIN p ON',
    anti: 'FROM t ANTI JOIN p ON',
  }

  test.each(Object.keys(sql) as JoinKind[])('%s, whatever the cut; a replay', async kind => {
    await writeEvents(4, 240)
    const isOfLeft = kind === 'semi' || kind === 'anti'
    const trip = `CASE WHEN coalesce(${isOfLeft ? 't.trip' : 't.trip, p.trip'}) = 0 THEN 0.0::DOUBLE ELSE coalesce(${isOfLeft ? 't.trip' : 't.trip, p.trip'}) END`
    const expected = await lab.sql(
      `WITH t AS (FROM ${all()} WHERE what = 'trip'), p AS (FROM ${all()} WHERE what = 'paid')
       SELECT ${trip} AS trip, t.amount${isOfLeft ? '' : ', p.amount AS paid'} ${sql[kind]} ${matches} ORDER BY ALL`,
    )
    expect(expected.length).toBeGreaterThan(20)
    for (const objectsPerEpoch of [1, 4]) {
      const at = lab.place(`${kind}-${objectsPerEpoch}`)
      const from = events()
      const rows = from
        .pipe(
          where("what = 'trip'"),
          select('trip', 'amount'),
          join(paid(from), { on: ['trip'], within: ['-5 minutes', '20 minutes'], kind }),
        )
        .pipe(to(files(at.output, { format: 'parquet' })))
      const flow = pipeline('paid', { checkpoint: at.checkpoint }, rows)
      const { totals } = await run(flow, { objectsPerEpoch })
      expect(totals.late).toBe(0)
      const given = await lab.sql(
        `SELECT CASE WHEN trip = 0 THEN 0.0::DOUBLE ELSE trip END AS trip, * EXCLUDE (trip) FROM read_parquet(${quoted(path(at.output, '*.parquet'))}) ORDER BY ALL`,
      )
      expect(given).toEqual(expected)
      expect((await verify(flow)).differences).toEqual([])
    }
  })
})

test('the state of each side stands for itself, late rows of each side too, and a window may follow', async () => {
  await writeEvents(3, 120)
  await lab.parquet(
    'events_9.parquet',
    `SELECT TIMESTAMP '2024-01-01 00:30:00' AS at, CASE WHEN i < 2 THEN 'trip' ELSE 'paid' END AS what, 5.0::DOUBLE AS trip, i AS amount FROM range(5) AS r(i)`,
  )
  const at = lab.place('sides')
  const from = events()
  const flow = pipeline(
    'sides',
    { checkpoint: at.checkpoint },
    from.pipe(
      where("what = 'trip'"),
      select('trip', 'amount'),
      join(paid(from), { on: ['trip'], within: ['0 seconds', '1 hour'], kind: 'left' }),
      tumbling('1 hour'),
      groupBy('trip'),
      aggregate({ n: count(), paid: sum('paid') }),
      to(files(at.output, { format: 'parquet' })),
    ),
  )
  await run(flow, { objectsPerEpoch: 1, flush: false })
  const { states, channels } = await inspect(at.checkpoint)
  const [step = ''] = states.map(({ name }) => name.split('-')[0])
  const join1 = states.filter(({ name }) => name.startsWith(step))
  expect(join1.map(({ name }) => name.slice(step.length))).toEqual(['-left', '-right', '-matched'])
  for (const { rows, bytes } of join1) expect(Math.min(rows, bytes)).toBeGreaterThan(0)
  const late = channels.filter(({ name }) => name.startsWith('late-'))
  expect(late.map(({ name, rows }) => [name.replace(step, 'join'), rows])).toEqual([
    ['late-join-left', 2],
    ['late-join-right', 3],
  ])
  const objects = await lab.channels('late-', at)
  expect(new Set(objects.map(({ _object }) => _object))).toEqual(new Set(['events_9.parquet']))
  const sides = await query(
    at.checkpoint,
    `SELECT count(*)::INTEGER AS n FROM late_${step}_right WHERE flow = 'flow-1'`,
  )
  expect(sides.rows).toEqual([{ n: 3 }])
  const all = await query(at.checkpoint, 'SELECT DISTINCT flow, step FROM late')
  expect(all.rows).toEqual([{ flow: 'flow-1', step }])
})

test('a key with many rows on both sides costs what its pairs cost', { timeout: 240_000 }, async () => {
  const rows = 200_000
  await lab.parquet(
    'events_0.parquet',
    `SELECT TIMESTAMP '2024-01-01 00:00:00' + to_milliseconds(i * 10) AS at, CASE WHEN i % 2 = 0 THEN 'paid' ELSE 'trip' END AS what, 1.0::DOUBLE AS trip, i AS amount FROM range(${2 * rows}) AS r(i)`,
  )
  const at = lab.place('skewed')
  const from = events()
  const flow = pipeline(
    'skewed',
    { checkpoint: at.checkpoint },
    from.pipe(
      where("what = 'trip'"),
      select('trip', 'amount'),
      join(paid(from), { on: ['trip'], within: ['0ms', '30ms'] }),
      to(files(at.output, { format: 'parquet' })),
    ),
  )
  await run(flow, { memory: '512MB' })
  const [first] = await found(at)
  expect(first).toEqual({ trip: '1.0', amount: '1', paid: '2' })
  const [sums] = await lab.sql(
    `SELECT count(*) AS n, count(*) FILTER (paid - amount IN (1, 3)) AS near FROM read_parquet(${quoted(path(at.output, '*.parquet'))})`,
  )
  // Each but the last two has the next two payments, 10 and 30 milliseconds later.
  expect(sums).toEqual({ n: String(2 * rows - 3), near: String(2 * rows - 3) })
})
