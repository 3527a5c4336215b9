import { afterEach, beforeEach, expect, test } from 'vitest'
import { count, derive, max } from '../../src/index.ts'
import { failure, type Lab, openLab, run, windowed, type WindowedFlow } from './harness.ts'

// DuckDB 1.5 reads texts in the zone that an earlier text of their vector named (S24).

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
