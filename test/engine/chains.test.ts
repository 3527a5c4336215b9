import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  argMax,
  count,
  dedupe,
  files,
  groupBy,
  hopping,
  inspect,
  parquet,
  pipeline,
  select,
  source,
  sum,
  to,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { explain } from '../../src/engine/explain.ts'
import { type Lab, openLab, quoted, run, type TextRow } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  // Nine files of twelve hours each, with rows of up to four hours before; every fifth trip is recorded twice.
  for (let file = 0; file < 9; file++)
    await lab.parquet(
      `trips_${file}.parquet`,
      `SELECT TIMESTAMP '2024-01-01' + INTERVAL (${file} * 12) HOUR + to_microseconds((i * 7919 % 43200 - i % 3 * 7200) * 1000000) AS at,
        ${file} * 400 + i - CASE WHEN i % 5 = 4 THEN 1 ELSE 0 END AS id, (i * 31 + ${file}) % 6 AS zone, i % 50 AS fare FROM range(400) AS r(i)`,
    )
})
afterEach(() => lab[Symbol.asyncDispose]())

const trips = () =>
  source('trips', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', id: 'BIGINT', zone: 'BIGINT', fare: 'BIGINT' },
    time: 'at',
    watermark: { delay: '3 hours' },
  })
const all = () => `(SELECT * FROM read_parquet(${quoted(join(lab.input, '*.parquet'))}))`
/** The columns of a row that the other one has too. */
const pick = (row: TextRow, like: TextRow | undefined): TextRow =>
  Object.fromEntries(Object.keys(like ?? {}).map(name => [name, row[name] ?? null]))
/** Places that the test compares: the same pipeline under cuts of its own. */
const cuts = [1, 2, 9]

const daily = (name: string) => {
  const at = lab.place(name)
  return pipeline(
    'daily',
    { checkpoint: at.checkpoint },
    trips().pipe(
      tumbling('1 hour'),
      groupBy('zone'),
      aggregate({ trips: count(), fares: sum('fare') }),
      where('trips > 1'),
      tumbling('1 day'),
      groupBy('zone'),
      aggregate({ hours: count(), trips: sum('trips'), fares: sum('fares'), busiest: argMax('window_start', 'trips') }),
      to(files(at.output, { format: 'parquet' })),
    ),
  )
}

describe('hours into days (S13)', () => {
  test('equal one query over the rows that were on time, whatever the cut; a replay agrees', async () => {
    const expected = await lab.sql(
      `WITH hourly AS (SELECT time_bucket(INTERVAL 1 HOUR, "at") AS hour, zone, count(*) AS trips, sum(fare) AS fares FROM ${all()} GROUP BY ALL HAVING count(*) > 1)
       SELECT date_trunc('day', hour)::TIMESTAMP AS window_start, zone, count(*) AS hours, sum(trips)::DECIMAL(38,0) AS trips, sum(fares)::DECIMAL(38,0) AS fares
       FROM hourly GROUP BY ALL ORDER BY window_start, zone`,
    )
    for (const objectsPerEpoch of cuts) {
      const at = lab.place(`cut-${objectsPerEpoch}`)
      const { totals } = await run(daily(`cut-${objectsPerEpoch}`), { objectsPerEpoch })
      expect(totals.late).toBe(0)
      const rows = await lab.rows(at)
      expect(rows.map(row => pick(row, expected[0]))).toEqual(expected)
      expect((await verify(daily(`cut-${objectsPerEpoch}`))).differences).toEqual([])
    }
  })

  test('a run that stops after each file and goes on gives the same, its clocks and windows from the checkpoint', async () => {
    await run(daily('straight'))
    for (let to = 1; to <= 9; to++)
      await run(daily('stepwise'), { input: join(lab.input, `trips_[0-${to - 1}].parquet`), flush: to === 9 })
    expect(await lab.rows(lab.place('stepwise'))).toEqual(await lab.rows(lab.place('straight')))
  })

  test('what comes after a flush is late for the day that it closed, and the late ledger names the step', async () => {
    const at = lab.place('flushed')
    await run(daily('flushed'), { input: join(lab.input, 'trips_[0-2].parquet') })
    const { totals } = await run(daily('flushed'))
    expect(totals.late).toBeGreaterThan(0)
    const rows = await lab.channels('late-', at)
    expect(rows).toHaveLength(totals.late)
    // Hours of the second day that end after the flush: the day is closed for them, and no object is theirs.
    expect(rows.filter(row => row._object === null && row._window_end !== null).length).toBeGreaterThan(0)
    expect((await verify(daily('flushed'))).differences).toEqual([])
  })

  test('explain tells the steps apart; inspect shows the state of each', async () => {
    const [flow] = (await explain(daily('told'))).flows
    expect(flow?.stages.map(({ stage }) => stage)).toEqual([
      'aggregate 1: partial',
      'aggregate 1: merge',
      'aggregate 1: late',
      'aggregate 1: gives rows_1 for',
      'aggregate 2: partial',
      'aggregate 2: merge',
      'aggregate 2: late',
      'output',
    ])
    await run(daily('told'), { flush: false })
    const { states } = await inspect(lab.place('told').checkpoint)
    expect(states).toHaveLength(2)
    for (const { openWindows } of states) expect(openWindows).toBeGreaterThan(0)
  })

  test('columns may have the names that the engine would like for itself', async () => {
    const at = lab.place('named')
    await run(
      pipeline(
        'named',
        { checkpoint: at.checkpoint },
        trips().pipe(
          tumbling('1 hour'),
          aggregate({ at: sum('fare'), seq: count(), after: count(), k: count() }),
          tumbling('1 day'),
          groupBy('seq'),
          aggregate({ at: sum('at'), n: count() }),
          to(files(at.output, { format: 'parquet' })),
        ),
      ),
    )
    const expected = await lab.sql(
      `WITH hourly AS (SELECT time_bucket(INTERVAL 1 HOUR, "at") AS hour, count(*) AS seq, sum(fare) AS fares FROM ${all()} GROUP BY ALL)
       SELECT date_trunc('day', hour)::TIMESTAMP AS window_start, seq, sum(fares)::DECIMAL(38,0) AS at, count(*) AS n FROM hourly GROUP BY ALL ORDER BY window_start, seq`,
    )
    expect((await lab.rows(at)).map(row => pick(row, expected[0]))).toEqual(expected)
  })

  test('three deep, hopping in the middle, from a select that drops the event time', async () => {
    const flow = (name: string) => {
      const at = lab.place(name)
      return pipeline(
        'deep',
        { checkpoint: at.checkpoint },
        trips().pipe(
          select('zone', 'fare'),
          tumbling('1 hour'),
          groupBy('zone'),
          aggregate({ fares: sum('fare') }),
          hopping('6 hours', '2 hours'),
          groupBy('zone'),
          aggregate({ fares: sum('fares') }),
          tumbling('1 day'),
          groupBy('zone'),
          aggregate({ windows: count(), fares: sum('fares') }),
          to(files(at.output, { format: 'json' })),
        ),
      )
    }
    // A window of six hours belongs to the day of its last microsecond.
    const expected = await lab.sql(
      `WITH hourly AS (SELECT time_bucket(INTERVAL 1 HOUR, "at") AS hour, zone, sum(fare) AS fares FROM ${all()} GROUP BY ALL),
         hops AS (SELECT unnest(range(time_bucket(INTERVAL 2 HOUR, hour) - INTERVAL 4 HOUR, hour + INTERVAL 1 MICROSECOND, INTERVAL 2 HOUR)) AS start, zone, fares FROM hourly),
         six AS (SELECT start + INTERVAL 6 HOUR AS finish, zone, sum(fares) AS fares FROM hops GROUP BY ALL)
       SELECT date_trunc('day', finish - INTERVAL 1 MICROSECOND)::TIMESTAMP AS window_start, zone, count(*) AS windows, sum(fares)::DECIMAL(38,0) AS fares
       FROM six GROUP BY ALL ORDER BY window_start, zone`,
    )
    for (const objectsPerEpoch of cuts) {
      await run(flow(`deep-${objectsPerEpoch}`), { objectsPerEpoch })
      const rows = await lab.rows(lab.place(`deep-${objectsPerEpoch}`))
      expect(rows.map(row => pick(row, expected[0]))).toEqual(expected)
    }
  })
})

describe('dedupe (S11)', () => {
  test('before a window, and as the end of a flow that shares its state: each trip once, whatever the cut', async () => {
    const flow = (name: string) => {
      const [hours, kept] = [lab.place(name), lab.place(`${name}-kept`)]
      const unique = trips().pipe(dedupe('id', '1 day'))
      return pipeline(
        'unique',
        { checkpoint: hours.checkpoint },
        unique.pipe(
          tumbling('1 hour'),
          groupBy('zone'),
          aggregate({ trips: count() }),
          to(files(hours.output, { format: 'json' })),
        ),
        unique.pipe(select('id'), to(files(kept.output, { format: 'json' }))),
      )
    }
    const [ids] = await lab.sql(`SELECT count(DISTINCT id) AS n FROM ${all()}`)
    for (const objectsPerEpoch of cuts) {
      const { totals } = await run(flow(`unique-${objectsPerEpoch}`), { objectsPerEpoch })
      expect(totals.late).toBe(0)
      const kept = await lab.rows(lab.place(`unique-${objectsPerEpoch}-kept`))
      expect(new Set(kept.map(({ id }) => id)).size).toBe(Number(ids?.n))
      expect(kept).toHaveLength(Number(ids?.n))
      const hours = await lab.rows(lab.place(`unique-${objectsPerEpoch}`))
      expect(hours.reduce((sum, row) => sum + Number(row.trips), 0)).toBe(Number(ids?.n))
      expect((await verify(flow(`unique-${objectsPerEpoch}`))).differences).toEqual([])
    }
  })

  test('keeps times of keys for two horizons, and no longer', async () => {
    const at = lab.place('short')
    const flow = pipeline(
      'short',
      { checkpoint: at.checkpoint },
      trips().pipe(dedupe(['zone', 'id'], '1 hour'), to(files(at.output, { format: 'json' }))),
    )
    await run(flow, { objectsPerEpoch: 1 })
    const [state] = (await inspect(at.checkpoint)).states
    // The watermark is three hours behind the last row: five hours of twelve, at most.
    expect(state?.rows).toBeGreaterThan(0)
    expect(state?.rows).toBeLessThan(400)
  })
})
