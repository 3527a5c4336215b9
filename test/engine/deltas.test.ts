import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  collect,
  count,
  deltas,
  files,
  groupBy,
  parquet,
  pipeline,
  source,
  sum,
  to,
  tumbling,
  verify,
} from '../../src/index.ts'
import { type Lab, openLab, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  // Seven files of twelve hours each, with rows of up to two hours before; some readings are NULL.
  for (let file = 0; file < 7; file++)
    await lab.parquet(
      `readings_${file}.parquet`,
      `SELECT TIMESTAMP '2023-12-31 20:00:00' + INTERVAL (${file} * 12) HOUR + to_microseconds((i * 7919 % 43200 - i % 3 * 3600) * 1000000) AS at,
        (i * 31 + ${file}) % 5 AS house, CASE WHEN i % 11 <> 0 THEN CAST((i * 6151 + ${file}) % 2000 - 1000 AS DECIMAL(18,3)) / 8 END AS used,
        CAST(i % 13 AS DOUBLE) / 8 AS volts FROM range(120) AS r(i)`,
    )
})
afterEach(() => lab[Symbol.asyncDispose]())

const readings = () =>
  source('readings', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', house: 'BIGINT', used: 'DECIMAL(18,3)', volts: 'DOUBLE' },
    time: 'at',
    watermark: { delay: '3 hours' },
  })
const all = () => `read_parquet(${quoted(join(lab.input, '*.parquet'))})`

describe('deltas (S25)', () => {
  test('of rows as they are read: one query with lag, whatever the cut; runs that stop and go on; a replay', async () => {
    const flow = (name: string) => {
      const at = lab.place(name)
      return pipeline(
        'rows',
        { checkpoint: at.checkpoint },
        readings().pipe(
          deltas({ of: ['used', 'volts'], per: ['house'], expireAfter: '20 minutes' }),
          to(files(at.output, { format: 'parquet' })),
        ),
      )
    }
    // No two readings of a house have one time, so the ledger's order decides nothing here; the trials have ties.
    const near = (column: string) =>
      `CASE WHEN lag("at") OVER w >= "at" - INTERVAL 20 MINUTE THEN ${column} - lag(${column}) OVER w END`
    const expected = await lab.sql(
      `SELECT "at", house, used, volts, CAST(${near('CAST(used AS DECIMAL(38,3))')} AS DECIMAL(38,3)) AS used_delta, ${near('volts')} AS volts_delta
       FROM (SELECT "at", house, CAST(used AS DECIMAL(18,3)) AS used, volts FROM ${all()}) WINDOW w AS (PARTITION BY house ORDER BY "at") ORDER BY ALL`,
    )
    const sorted = (name: string) =>
      lab.sql(`SELECT * FROM read_parquet(${quoted(join(lab.place(name).output, '*.parquet'))}) ORDER BY ALL`)
    for (const objectsPerEpoch of [1, 3, 7]) {
      const name = `cut-${objectsPerEpoch}`
      const { totals } = await run(flow(name), { objectsPerEpoch })
      expect(totals.late).toBe(0)
      expect(await sorted(name)).toEqual(expected)
      expect((await verify(flow(name))).differences).toEqual([])
    }
    expect(expected.filter(row => row.used_delta !== null).length).toBeGreaterThan(100)
    expect(expected.filter(row => row.used_delta === null).length).toBeGreaterThan(50)
    for (let to = 1; to <= 7; to++)
      await run(flow('stepwise'), { input: join(lab.input, `readings_[0-${to - 1}].parquet`), flush: to === 7 })
    expect(await sorted('stepwise')).toEqual(expected)
  })

  test('behind windows, with lists that ride along in state', async () => {
    const at = lab.place('windows')
    const flow = pipeline(
      'windows',
      { checkpoint: at.checkpoint },
      readings().pipe(
        tumbling('1 hour'),
        groupBy('house'),
        aggregate({ n: count(), used: sum('used'), seen: collect('volts', { max: 3 }) }),
        deltas({ of: ['n', 'used'], expireAfter: '2 hours' }),
        to(files(at.output, { format: 'parquet' })),
      ),
    )
    await run(flow, { objectsPerEpoch: 1 })
    const near = (column: string) =>
      `CASE WHEN lag(hour) OVER w >= hour - INTERVAL 2 HOUR THEN ${column} - lag(${column}) OVER w END`
    const expected = await lab.sql(
      `WITH hourly AS (SELECT time_bucket(INTERVAL 1 HOUR, "at") AS hour, house, count(*) AS n, CAST(sum(used) AS DECIMAL(38,3)) AS used FROM ${all()} GROUP BY ALL)
       SELECT hour AS window_start, house, n, used, CAST(${near('n')} AS DECIMAL(38,0)) AS n_delta, CAST(${near('used')} AS DECIMAL(38,3)) AS used_delta
       FROM hourly WINDOW w AS (PARTITION BY house ORDER BY hour) ORDER BY ALL`,
    )
    const found = await lab.sql(
      `SELECT window_start, house, n, used, n_delta, used_delta FROM read_parquet(${quoted(join(at.output, '*.parquet'))}) ORDER BY ALL`,
    )
    expect(found).toEqual(expected)
    const [lists] = await lab.sql(
      `SELECT count(*) AS n FROM read_parquet(${quoted(join(at.output, '*.parquet'))}) WHERE len(seen) BETWEEN 1 AND 3`,
    )
    expect(Number(lists?.n)).toBe(expected.length)
    expect((await verify(flow)).differences).toEqual([])
  })
})
