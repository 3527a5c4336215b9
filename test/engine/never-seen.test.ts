import { afterEach, beforeEach, expect, test } from 'vitest'
import { count, sum } from '../../src/index.ts'
import { logRecords } from '../../src/status/log-records.ts'
import { followUntil, type Lab, openLab, type Place, run, type WindowedFlow, windowed } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const flow: WindowedFlow = {
  format: 'json',
  columns: { t: 'TIMESTAMP NOT NULL', seldom: 'VARCHAR', v: 'BIGINT', mispelt: 'DOUBLE', 'also.not': 'JSON' },
  delay: '1 hour',
  aggregates: { n: count(), total: sum('v') },
}
const line = (second: number, fields: object = {}) =>
  JSON.stringify({ t: `2022-01-01T00:00:${String(second % 60).padStart(2, '0')}Z`, misspelt: 1, ...fields })

async function write(): Promise<void> {
  // Small objects of one group, one that is read alone, and one with a value that comes late.
  await lab.lines('a.jsonl', [line(1), line(2, { v: null })])
  await lab.lines('b.jsonl', [line(3, { v: 7, mispelt: null })])
  await lab.lines(
    'c.jsonl',
    Array.from({ length: 2_000 }, (_, i) => line(i)),
  )
  await lab.lines('d.jsonl', [line(4, { seldom: 'x', also: { not: 1 } })])
}
const found = ['mispelt', 'also.not']

test.each([1, 100])(
  'columns of JSON without a value in any row are told, %i objects an epoch',
  async objectsPerEpoch => {
    await write()
    const summary = await run(windowed(lab, lab, flow), { objectsPerEpoch })
    expect(summary.run.nullColumns).toEqual(found.map(column => ({ source: 'in', column })))
    // A run that reads nothing tells nothing.
    expect((await run(windowed(lab, lab, flow))).run.nullColumns).toEqual([])
  },
)

test('a value that does not fit is one, and so is another of its row', async () => {
  await lab.lines('a.jsonl', [line(1), line(2, { v: 'x', seldom: 'y' }), '{"v": 1, "mispelt": 1', '[{"mispelt": 1}]'])
  const columns = { t: 'TIMESTAMP NOT NULL', v: 'BIGINT', seldom: 'VARCHAR', mispelt: 'DOUBLE' }
  const summary = await run(windowed(lab, lab, { ...flow, columns, onBadRow: 'quarantine' }))
  expect(summary.run.nullColumns.map(({ column }) => column)).toEqual(['mispelt'])
})

test('a value of a row without an event time is one', async () => {
  await lab.lines('a.jsonl', [line(1, { v: 1 }), '{"t": null, "seldom": "y"}'])
  const columns = { t: 'TIMESTAMP', v: 'BIGINT', seldom: 'VARCHAR', mispelt: 'DOUBLE' }
  const summary = await run(windowed(lab, lab, { ...flow, columns, onBadRow: 'quarantine' }))
  expect(summary.totals.quarantinedRows).toBe(1)
  expect(summary.run.nullColumns.map(({ column }) => column)).toEqual(['mispelt'])
})

test('a column of Parquet that holds NULL only is there, and nothing is told', async () => {
  await lab.parquet('a.parquet', `SELECT TIMESTAMP '2022-01-01' AS t, NULL::BIGINT AS v`)
  const columns = { t: 'TIMESTAMP NOT NULL', v: 'BIGINT' }
  const summary = await run(windowed(lab, lab, { ...flow, format: 'parquet', columns }))
  expect(summary.run.nullColumns).toEqual([])
})

test('a run that follows tells once, when enough rows were read or at its end', async () => {
  const follow = async (at: Place) =>
    (await followUntil(windowed(lab, at, flow), 'epoch')).filter(({ is }) => is === 'null-columns')
  await lab.lines('a.jsonl', [line(1, { v: 1, seldom: '' })])
  const atEnd = await follow(lab.place('few'))
  expect(atEnd).toEqual([{ is: 'null-columns', source: 'in', columns: found, rows: 1 }])
  expect(atEnd.flatMap(logRecords)).toMatchObject([
    {
      level: 'warn',
      event: 'null-columns',
      message: expect.stringContaining("columns 'mispelt', 'also.not' of source in"),
    },
  ])
  await write()
  expect(await follow(lab.place('many'))).toEqual([{ is: 'null-columns', source: 'in', columns: found, rows: 2_004 }])
})
