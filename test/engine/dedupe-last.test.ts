import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  count,
  dedupe,
  files,
  groupBy,
  inspect,
  parquet,
  type Pipeline,
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
  // Seven files of twelve hours each, with rows of up to two hours before. Times are whole quarters of an hour, so several
  // rows of a house have one; some houses are NULL.
  for (let file = 0; file < 7; file++)
    await lab.parquet(
      `readings_${file}.parquet`,
      `SELECT TIMESTAMP '2023-12-31 20:00:00' + INTERVAL (${file} * 12) HOUR + INTERVAL ((i * 7919 % 48 - i % 3 * 4) * 15) MINUTE AS at,
        CASE WHEN i % 17 <> 0 THEN (i * 31 + ${file}) % 11 END AS house, ${file} * 1000 + i AS used FROM range(120) AS r(i)`,
    )
})
afterEach(() => lab[Symbol.asyncDispose]())

const readings = () =>
  source('readings', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', house: 'BIGINT', used: 'BIGINT' },
    time: 'at',
    watermark: { delay: '3 hours' },
  })

/** Rows in the order of the ledger, and of them the last ones. */
const kept = (minutes: number) => `SELECT "at", house, used FROM
  (SELECT *, lead("at") OVER (PARTITION BY house ORDER BY "at", filename, file_row_number) AS next
   FROM read_parquet(${quoted(join(lab.input, '*.parquet'))}, filename=true, file_row_number=true))
  WHERE next IS NULL OR next > "at" + INTERVAL ${minutes} MINUTE`

const found = (name: string) =>
  lab.sql(`SELECT * FROM read_parquet(${quoted(join(lab.place(name).output, '*.parquet'))}) ORDER BY ALL`)

describe('dedupe that keeps the last (S11)', () => {
  const flow = (name: string, minutes: number): Pipeline => {
    const at = lab.place(name)
    return pipeline(
      'last',
      { checkpoint: at.checkpoint },
      readings().pipe(
        dedupe('house', `${minutes} minutes`, { keep: 'last' }),
        to(files(at.output, { format: 'parquet' })),
      ),
    )
  }

  test.each([15, 45, 240])(
    'gives what one query with lead gives, whatever the cut, within %i minutes; in runs that stop and go on; in a replay',
    async minutes => {
      const expected = await lab.sql(`${kept(minutes)} ORDER BY ALL`)
      expect(expected.length).toBeGreaterThan(10)
      expect(expected.length).toBeLessThan(700)
      for (const objectsPerEpoch of [1, 3, 7]) {
        const name = `cut-${objectsPerEpoch}`
        const { totals } = await run(flow(name, minutes), { objectsPerEpoch })
        expect(totals.late).toBe(0)
        expect(await found(name)).toEqual(expected)
        expect((await verify(flow(name, minutes))).differences).toEqual([])
      }
      for (let to = 1; to <= 7; to++)
        await run(flow('stepwise', minutes), {
          input: join(lab.input, `readings_[0-${to - 1}].parquet`),
          flush: to === 7,
        })
      expect(await found('stepwise')).toEqual(expected)
    },
  )

  test('keeps rows for the horizon behind the watermark, and no longer', async () => {
    const at = lab.place('state')
    await run(flow('state', 60), { objectsPerEpoch: 1, flush: false })
    const [state] = (await inspect(at.checkpoint)).states
    // The watermark is three hours behind the last row: four hours of 84, of 840 rows.
    expect(state?.rows).toBeGreaterThan(0)
    expect(state?.rows).toBeLessThan(120)
  })

  test('a window behind it waits for the horizon, so nothing of it is late there (S13)', async () => {
    const at = lab.place('hours')
    const hours = pipeline(
      'hours',
      { checkpoint: at.checkpoint },
      readings().pipe(
        dedupe('house', '45 minutes', { keep: 'last' }),
        tumbling('1 hour'),
        groupBy('house'),
        aggregate({ n: count() }),
        to(files(at.output, { format: 'parquet' })),
      ),
    )
    const { totals } = await run(hours, { objectsPerEpoch: 1 })
    expect(totals.late).toBe(0)
    const expected = await lab.sql(
      `SELECT time_bucket(INTERVAL 1 HOUR, "at") AS window_start, time_bucket(INTERVAL 1 HOUR, "at") + INTERVAL 1 HOUR AS window_end, house, count(*) AS n
       FROM (${kept(45)}) GROUP BY ALL ORDER BY ALL`,
    )
    expect(await found('hours')).toEqual(expected)
  })

  test('a row below the watermark is late, with the reason', async () => {
    const at = lab.place('late')
    await lab.parquet(
      'readings_7.parquet',
      `SELECT TIMESTAMP '2024-01-01 00:00:00' AS at, 1::BIGINT AS house, 1::BIGINT AS used`,
    )
    const { totals } = await run(flow('late', 60), { objectsPerEpoch: 1 })
    expect(totals.late).toBe(1)
    expect((await lab.channels('late-', at)).map(({ at: time, _reason }) => ({ time, _reason }))).toEqual([
      {
        time: '2024-01-01 00:00:00',
        _reason: 'too late for dedupe: the time of the row is below the watermark before the object',
      },
    ])
  })
})
