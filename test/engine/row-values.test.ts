import { afterEach, beforeEach, expect, test } from 'vitest'
import { count, derive, max, min, where } from '../../src/index.ts'
import { failure, type Lab, openLab, run, windowed, type WindowedFlow } from './harness.ts'

// What DuckDB 1.5 answers a row by other rows (S24).

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const tokyo = '2024-07-01 12:00:00 Asia/Tokyo'
const noon = '2024-07-01 12:00:00'
const flow: WindowedFlow = { columns: { t: 'TIMESTAMP NOT NULL' }, onBadRow: 'quarantine' }

test('a time with a named zone among 6,000 is set aside, and moves none after it', async () => {
  const lines = Array.from({ length: 6_000 }, (_, row) => JSON.stringify({ t: row === 100 ? tokyo : noon }))
  await lab.lines('a.jsonl', lines)
  await run(windowed(lab, lab, { ...flow, format: 'json' }))
  expect(await lab.rows()).toMatchObject([{ window_start: noon, n: '5999' }])
  expect(await lab.channels('quarantine')).toMatchObject([{ _row: '100', column: 't', found: tokyo }])
})

test('mark and rows of a Parquet object with times as text agree, so that its window is emitted', async () => {
  await lab.parquet('a.parquet', `SELECT unnest(['${tokyo}', '${noon}']) AS t`)
  const { openWindows } = await run(windowed(lab, lab, { ...flow, delay: '0s' }))
  expect(await lab.rows()).toMatchObject([{ window_start: noon, n: '1' }])
  expect(openWindows).toBe(0)
})

const derived = (sql: string): WindowedFlow => ({
  ...flow,
  format: 'json',
  columns: { t: 'TIMESTAMP NOT NULL', x: 'VARCHAR' },
  steps: head => head.pipe(derive({ u: ['TIMESTAMPTZ', sql as 't'] })) as unknown as typeof head,
  aggregates: { n: count(), u: max('u') },
})

test.each(['TRY_CAST(x AS TIMESTAMPTZ)', "CASE WHEN x NOT LIKE '% %/%' THEN x END"])(
  'derive: %s has the value of its own text',
  async sql => {
    await lab.lines(
      'a.jsonl',
      [tokyo, noon, '2024-07-01T11:00:00Z'].map(x => JSON.stringify({ t: noon, x })),
    )
    await run(windowed(lab, lab, derived(sql)))
    expect(await lab.rows()).toMatchObject([{ n: '3', u: '2024-07-01 12:00:00+00' }])
  },
)

test.each(['CAST(x AS TIMESTAMPTZ)', 'x'])(
  'derive: %s stops the run at a named zone, and names the object',
  async sql => {
    await lab.lines(
      'a.jsonl',
      [noon, tokyo].map(x => JSON.stringify({ t: noon, x })),
    )
    const error = await failure(run(windowed(lab, lab, derived(sql))))
    expect(error.message).toContain(`object 'a.jsonl'`)
    expect(error.message).toContain(`'${tokyo}' (the name of a zone is read by strptime(`)
  },
)

// DuckDB computes some functions for the least and the greatest value of a column too, while it plans.

const [least, most] = ['290309-12-22 (BC) 00:00:00', '294247-01-10 04:00:54.775806']

test.each([
  ['TIMESTAMP', "date_trunc('month', u)", '2024-07-01 00:00:00', least],
  ['BIGINT', 'epoch_ns(u)', '1719835200000000000', least],
  ['BIGINT', 'epoch_ns(u)', '1719835200000000000', most],
  ['VARCHAR', 'u::TIMETZ::VARCHAR', '12:00:00+00', '-infinity'],
])('derive: %s from %s is %s beside %s, which where takes out', async (type, sql, value, bound) => {
  await lab.parquet(
    'a.parquet',
    `SELECT TIMESTAMP '${noon}' AS t, u::TIMESTAMP AS u, k FROM (VALUES ('${noon}', 1), ('${bound}', 2)) AS v(u, k)`,
  )
  const steps: WindowedFlow['steps'] = head =>
    head.pipe(where('k = 1' as 't'), derive({ v: [type as 'BIGINT', sql as 't'] })) as unknown as typeof head
  const columns = { ...flow.columns, u: 'TIMESTAMP', k: 'INTEGER' }
  await run(windowed(lab, lab, { columns, steps, aggregates: { n: count(), v: max('v') } }))
  expect(await lab.rows()).toMatchObject([{ window_start: noon, n: '1', v: value }])
})

test("hours between times that are 480,000 years apart do not end DuckDB's session", async () => {
  await lab.lines(
    'a.jsonl',
    ['2024-07-01T15:00:00Z', '9999-01-01T00:00:00Z'].map(u => JSON.stringify({ t: noon, u })),
  )
  const hours = "date_diff('hour', CAST(t AS TIMESTAMPTZ) - INTERVAL 200000 YEARS, u + INTERVAL 280000 YEARS)"
  const steps: WindowedFlow['steps'] = head =>
    head.pipe(derive({ v: ['BIGINT', hours as 't'] })) as unknown as typeof head
  const aggregates = { n: count(), least: min('v'), most: max('v') }
  const columns = { ...flow.columns, u: 'TIMESTAMPTZ' }
  await run(windowed(lab, lab, { format: 'json', columns, steps, aggregates }))
  expect(await lab.rows()).toMatchObject([{ n: '2', least: '4207593603', most: '4277496636' }])
})
