import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  avg,
  count,
  countDistinct,
  files,
  global,
  groupBy,
  inspect,
  max,
  parquet,
  pipeline,
  source,
  to,
  tumbling,
  verify,
} from '../../src/index.ts'
import { type Lab, openLab, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  // Eight files of a day each, in no order of time: rows of the first come last, and none of them is late.
  for (let file = 0; file < 8; file++)
    await lab.parquet(
      `trips_${file}.parquet`,
      `SELECT TIMESTAMP '2024-03-01' - INTERVAL (${file}) DAY + to_microseconds(i * 7919 % 86400 * 1000000) AS at,
        (i * 31 + ${file}) % 7 AS zone, CAST((i * 6151 + ${file}) % 1000 AS DOUBLE) / 7 AS fare FROM range(300) AS r(i)`,
    )
})
afterEach(() => lab[Symbol.asyncDispose]())

const trips = () =>
  source('trips', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', fare: 'DOUBLE' },
    time: 'at',
    watermark: { delay: '1 hour' },
  })

/** Totals, and hours beside them whose rows are late by then. */
const totals = (name: string) => {
  const at = lab.place(name)
  const rows = trips()
  return pipeline(
    'totals',
    { checkpoint: at.checkpoint },
    rows.pipe(
      global({ unbounded: true }),
      groupBy('zone'),
      aggregate({ trips: count(), hours: countDistinct('at'), fare: avg('fare'), last: max('at') }),
      to(files(join(at.output, 'zones'), { format: 'parquet' })),
    ),
    rows.pipe(
      global({ unbounded: true }),
      aggregate({ trips: count() }),
      to(files(join(at.output, 'all'), { format: 'parquet' })),
    ),
    rows.pipe(
      tumbling('1 hour'),
      aggregate({ trips: count() }),
      to(files(join(at.output, 'hours'), { format: 'parquet' })),
    ),
  )
}

const found = (name: string, flow: string) =>
  lab.sql(`SELECT * FROM read_parquet(${quoted(join(lab.place(name).output, flow, '*.parquet'))}) ORDER BY ALL`)

describe('totals over everything', () => {
  test('equal one query over all rows, whatever the cut, the order of times and the number of runs; a replay agrees', async () => {
    const all = `read_parquet(${quoted(join(lab.input, '*.parquet'))})`
    const zones = await lab.sql(
      `SELECT zone, count(*) AS trips, count(DISTINCT "at") AS hours, avg(fare) AS fare, max("at") AS last FROM ${all} GROUP BY zone ORDER BY zone`,
    )
    for (const objectsPerEpoch of [1, 3, 8]) {
      const name = `cut-${objectsPerEpoch}`
      const summary = await run(totals(name), { objectsPerEpoch, final: true })
      expect(summary.untilTheEnd).toEqual([])
      const rows = await found(name, 'zones')
      expect(rows.map(({ fare, ...row }) => ({ ...row, fare: Number(fare).toFixed(9) }))).toEqual(
        zones.map(({ fare, ...row }) => ({ ...row, fare: Number(fare).toFixed(9) })),
      )
      expect(await found(name, 'all')).toEqual([{ trips: '2400' }])
      expect((await verify(totals(name))).differences).toEqual([])
    }
    await run(totals('stepwise'), { input: join(lab.input, 'trips_[0-4].parquet'), objectsPerEpoch: 2 })
    await run(totals('stepwise'), { objectsPerEpoch: 1 })
    await run(totals('stepwise'), { final: true })
    expect(await found('stepwise', 'zones')).toEqual(await found('cut-1', 'zones'))
    expect(await found('stepwise', 'all')).toEqual([{ trips: '2400' }])
  })

  test('without --final nothing of them is given, though the hours are: the summary tells what is held', async () => {
    const summary = await run(totals('held'))
    expect(summary.untilTheEnd).toEqual([
      { flow: 'flow-1', groups: 7 },
      { flow: 'flow-2', groups: 1 },
    ])
    expect(summary.outputFiles.every(file => file.includes('hours'))).toBe(true)
    expect(summary.outputFiles.length).toBeGreaterThan(0)
    const { states } = await inspect(lab.place('held').checkpoint)
    expect(states.map(({ openWindows }) => openWindows)).toContain(undefined)
  })
})
