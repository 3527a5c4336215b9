import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  avg,
  count,
  deltas,
  derive,
  files,
  first,
  global,
  groupBy,
  mapRows,
  parquet,
  pipeline,
  select,
  source,
  to,
  topN,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { type Lab, openLab, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
  // Seven files of twelve hours each, with rows of up to two hours before; some zones are NULL, and fares NaN, NULL and -0.0.
  for (let file = 0; file < 7; file++)
    await lab.parquet(
      `trips_${file}.parquet`,
      `SELECT TIMESTAMP '2023-12-31 20:00:00' + INTERVAL (${file} * 12) HOUR + INTERVAL (i * 7919 % 720 - i % 3 * 60) MINUTE AS at,
        CASE WHEN i % 19 <> 0 THEN (i * i + ${file}) % 13 END AS zone, i % 2 AS kind,
        CASE i % 23 WHEN 0 THEN 'NaN'::DOUBLE WHEN 1 THEN NULL WHEN 2 THEN -0.0 WHEN 3 THEN 0.0 ELSE (i * 31 % 17) / 4 END AS fare FROM range(240) AS r(i)`,
    )
})
afterEach(() => lab[Symbol.asyncDispose]())

const trips = () =>
  source('trips', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', kind: 'BIGINT', fare: 'DOUBLE' },
    time: 'at',
    watermark: { delay: '3 hours' },
  })

const all = () => `read_parquet(${quoted(join(lab.input, '*.parquet'))})`
const output = (name: string) =>
  `read_parquet(${quoted(join(lab.place(name).output, '*.parquet'))}, filename=true, file_row_number=true)`
/** In the order in which rows were written. */
const written = (name: string) =>
  lab.sql(`SELECT * EXCLUDE (filename, file_row_number) FROM ${output(name)} ORDER BY filename, file_row_number`)
const sorted = (name: string) =>
  lab.sql(`SELECT * EXCLUDE (filename, file_row_number) FROM ${output(name)} ORDER BY ALL`)

const hourlySql = () =>
  `SELECT time_bucket(INTERVAL 1 HOUR, "at") AS window_start, time_bucket(INTERVAL 1 HOUR, "at") + INTERVAL 1 HOUR AS window_end,
    zone, kind, count(*) AS n, avg(fare) + 0.0 AS fare FROM ${all()} GROUP BY ALL`
/** The ties that `by` leaves are told apart by the keys of groupBy. */
const hourlyTop = (n: number, per: string, by: string) =>
  `SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY window_start${per} ORDER BY ${by}, zone NULLS LAST, kind NULLS LAST) AS rank FROM (${hourlySql()})) WHERE rank <= ${n}`

describe('topN (S14)', () => {
  test('is one query over the windows, whatever the cut, in the order of ranks; in a replay too', async () => {
    const flow = (name: string) => {
      const at = lab.place(name)
      const parts = lab.place(`${name}-per`)
      const hours = trips().pipe(
        tumbling('1 hour'),
        groupBy('zone', 'kind'),
        aggregate({ n: count(), fare: avg('fare') }),
      )
      return pipeline(
        'top',
        { checkpoint: at.checkpoint },
        hours.pipe(topN(3, { by: [['n', 'desc']] }), to(files(at.output, { format: 'parquet' }))),
        hours.pipe(
          where('n < 4'),
          topN(2, {
            by: [
              ['fare', 'desc'],
              ['zone', 'asc'],
            ],
            per: ['kind'],
          }),
          where('rank <> 1'),
          to(files(parts.output, { format: 'parquet' })),
        ),
      )
    }
    const expected = await lab.sql(`${hourlyTop(3, '', 'n DESC')} ORDER BY window_start, rank`)
    const expectedPer = await lab.sql(
      `SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY window_start, kind ORDER BY fare DESC NULLS LAST, zone NULLS LAST) AS rank
       FROM (${hourlySql()}) WHERE n < 4) WHERE rank = 2 ORDER BY ALL`,
    )
    expect(expected.length).toBeGreaterThan(100)
    expect(expectedPer.length).toBeGreaterThan(40)
    for (const objectsPerEpoch of [1, 3, 7]) {
      const name = `cut-${objectsPerEpoch}`
      await run(flow(name), { objectsPerEpoch })
      expect(await written(name)).toEqual(expected)
      expect(await sorted(`${name}-per`)).toEqual(expectedPer)
      expect((await verify(flow(name))).differences).toEqual([])
    }
  })

  test('of what deltas and functions give, before another window', async () => {
    const at = lab.place('chain')
    const flow = pipeline(
      'chain',
      { checkpoint: at.checkpoint },
      trips().pipe(
        tumbling('1 hour'),
        groupBy('zone'),
        aggregate({ n: count() }),
        deltas({ of: ['n'], expireAfter: '1 hour' }),
        mapRows(row => (row.zone === null ? null : { zone: row.zone, grown: row.n_delta }), {
          zone: 'BIGINT',
          grown: 'DECIMAL(38,0)',
        }),
        topN(1, { by: [['grown', 'desc'], 'zone'] }),
        tumbling('1 day'),
        groupBy('zone'),
        aggregate({ hours: count(), ranks: first('rank') }),
        topN(2, { by: [['hours', 'desc'], 'zone'] }),
        derive({ place: ['BIGINT', 'rank'] }),
        select('window_start', 'zone', 'hours', 'ranks', 'place'),
        to(files(at.output, { format: 'parquet' })),
      ),
    )
    await run(flow, { objectsPerEpoch: 2 })
    const expected = await lab.sql(
      `WITH hourly AS (SELECT time_bucket(INTERVAL 1 HOUR, "at") AS hour, zone, count(*) AS n FROM ${all()} GROUP BY ALL),
       grown AS (SELECT hour, zone, CASE WHEN lag(hour) OVER w >= hour - INTERVAL 1 HOUR THEN n - lag(n) OVER w END AS grown FROM hourly WINDOW w AS (PARTITION BY zone ORDER BY hour)),
       most AS (SELECT * FROM grown WHERE zone IS NOT NULL QUALIFY row_number() OVER (PARTITION BY hour ORDER BY grown DESC NULLS LAST, zone) = 1),
       days AS (SELECT time_bucket(INTERVAL 1 DAY, hour) AS window_start, zone, count(*) AS hours, 1::BIGINT AS ranks FROM most GROUP BY ALL)
       SELECT *, row_number() OVER (PARTITION BY window_start ORDER BY hours DESC, zone) AS place FROM days QUALIFY place <= 2 ORDER BY ALL`,
    )
    expect(expected).toHaveLength(8)
    expect(await sorted('chain')).toEqual(expected)
    expect((await verify(flow)).differences).toEqual([])
  })

  test('of everything, when the stream is ended', async () => {
    const at = lab.place('all')
    const flow = pipeline(
      'all',
      { checkpoint: at.checkpoint },
      trips().pipe(
        global({ unbounded: true }),
        groupBy('zone'),
        aggregate({ n: count() }),
        topN(5, {
          by: [
            ['n', 'desc'],
            ['zone', 'desc'],
          ],
        }),
        to(files(at.output, { format: 'parquet' })),
      ),
    )
    await run(flow, { objectsPerEpoch: 2, final: true })
    const expected = await lab.sql(
      `SELECT zone, count(*) AS n, row_number() OVER (ORDER BY count(*) DESC, zone DESC NULLS LAST) AS rank FROM ${all()} GROUP BY zone QUALIFY rank <= 5 ORDER BY rank`,
    )
    expect(await written('all')).toEqual(expected)
  })

  test.each([
    { name: 'tumbling', window: tumbling('1 day'), bucket: `time_bucket(INTERVAL 1 DAY, "at")` },
    { name: 'global', window: global({ unbounded: true }), bucket: '0' },
  ])(
    'as results that change it tells at every commit what is among the first, and what no longer is: $name (S15)',
    async ({ window, bucket, name }) => {
      const isTimed = name !== 'global'
      const at = lab.place('changing')
      const flow = (trips() as never as { pipe(...steps: unknown[]): never }).pipe(
        window,
        groupBy('zone' as never),
        aggregate({ n: count() }),
        where('n < 60' as never),
        topN(3, { by: [['n', 'desc']] } as never),
        where('rank <> 2' as never),
        to(files(at.output, { format: 'parquet' }), { emit: 'update' }),
      )
      const made = pipeline('changing', { checkpoint: at.checkpoint }, flow)
      await run(made, { objectsPerEpoch: 1 })
      const columns = isTimed ? 'window_start, zone, n, rank' : 'zone, n, rank'
      for (let epoch = 1; epoch <= 7; epoch++) {
        const latest = await lab.sql(
          `SELECT ${columns} FROM (SELECT * FROM ${output('changing')} WHERE _epoch <= ${epoch}
           QUALIFY row_number() OVER (PARTITION BY ${isTimed ? 'window_start, ' : ''}zone ORDER BY _epoch DESC) = 1) WHERE _op = 'upsert' ORDER BY ALL`,
        )
        const accepted = `SELECT ${bucket} AS window_start, zone, count(*) AS n FROM read_parquet(${quoted(join(lab.input, `trips_[0-${epoch - 1}].parquet`))}) GROUP BY ALL`
        const expected = await lab.sql(
          `SELECT ${columns} FROM (SELECT *, row_number() OVER (PARTITION BY window_start ORDER BY n DESC, zone) AS rank FROM (${accepted}) WHERE n < 60)
           WHERE rank <= 3 AND rank <> 2 ORDER BY ALL`,
        )
        expect(latest, `epoch ${epoch}`).toEqual(expected)
      }
      // Each change is told once, and some are of zones that had no row in their epoch.
      const [counts] = await lab.sql(
        `SELECT count(*) FILTER (_op = 'delete') AS deletes, count(DISTINCT (${isTimed ? 'window_start, ' : ''}zone, _epoch)) = count(*) AS once FROM ${output('changing')}`,
      )
      expect(Number(counts?.deletes)).toBeGreaterThan(0)
      expect(counts?.once).toBe('true')
      expect((await verify(made)).differences).toEqual([])
    },
  )
})
