import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { concatMap, from } from 'rxjs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  count,
  dedupe,
  derive,
  files,
  groupBy,
  hopping,
  join as joined,
  json,
  late,
  mapRows,
  parquet,
  type Pipeline,
  pipeline,
  quarantine,
  rename,
  retry,
  rows,
  select,
  source,
  sum,
  to,
  tumbling,
  union,
  verify,
  where,
} from '../../src/index.ts'
import { query } from '../../src/engine/inspect/query.ts'
import { failure, followUntil, type Lab, openLab, type Place, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

/** The rows that a flow has written to its folder. */
const written = (at: Place, folder: string) =>
  lab.sql(`FROM read_parquet(${quoted(join(at.output, folder, '**/*.parquet'))}) ORDER BY ALL`)
const sink = (at: Place, folder: string) => to(files(join(at.output, folder), { format: 'parquet' }))

describe('late rows', () => {
  const objects = 6
  beforeEach(async () => {
    // Every other object goes back in time.
    for (let file = 0; file < objects; file++)
      await lab.parquet(
        `rides_${file}.parquet`,
        `SELECT TIMESTAMP '2024-01-01 00:00:00' + to_seconds(${file} * 7200 - ${(file % 2) * 14_400} + i * 7919 % 14400) AS at,
          (i * 31 + ${file}) % 5 AS zone, i % 9 AS fare FROM range(60) AS r(i)`,
      )
  })

  const rides = () =>
    source('rides', {
      objects: lab.input,
      format: parquet(),
      columns: { at: 'TIMESTAMP NOT NULL', zone: 'BIGINT', fare: 'BIGINT' },
      time: 'at',
      watermark: { delay: '30 minutes' },
    })

  /** By the rules: each row with the watermark before its object, the largest time of those before less the delay. */
  const judged = `SELECT r.*, w.watermark FROM (SELECT "at", zone, fare, parse_filename(filename) AS object, file_row_number AS row
      FROM read_parquet(${'$all'}, filename = true, file_row_number = true)) AS r
    JOIN (SELECT object, max(high) OVER (ORDER BY object ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - INTERVAL 30 MINUTE AS watermark
      FROM (SELECT parse_filename(filename) AS object, max("at") AS high FROM read_parquet(${'$all'}, filename = true) GROUP BY ALL)) AS w
    USING (object)`
  const judgedSql = () => judged.replaceAll('$all', quoted(join(lab.input, '*.parquet')))
  /** Hopping windows of an hour, every half of one. */
  const lateHopping = () => `SELECT "at", zone, fare, s AS late_window_start, s + INTERVAL 1 HOUR AS late_window_end,
      watermark AS late_watermark, object AS late_object, row AS late_row
    FROM (${judgedSql()}) AS j, (SELECT unnest([0, 1]) AS n) AS windows,
      LATERAL (SELECT time_bucket(INTERVAL 30 MINUTE, "at") - to_minutes(30 * n) AS s) AS w
    WHERE s + INTERVAL 1 HOUR <= watermark`

  test('of windows: once for each window that had closed, whatever the cut; beside the results; in a replay', async () => {
    const expected = await lab.sql(`FROM (${lateHopping()}) ORDER BY ALL`)
    expect(expected.length).toBeGreaterThan(60)
    for (const objectsPerEpoch of [1, 2, 4, objects]) {
      const at = lab.place(`cut-${objectsPerEpoch}`)
      const hourly = rides().pipe(hopping('1 hour', '30 minutes'), groupBy('zone'), aggregate({ n: count() }))
      const flow = pipeline(
        'late',
        { checkpoint: at.checkpoint },
        hourly.pipe(sink(at, 'hours')),
        late(hourly).pipe(sink(at, 'late')),
        late(hourly).pipe(
          where('fare > 3'),
          mapRows(({ zone, late_row }) => [{ zone, late_row }], {
            zone: 'BIGINT',
            late_row: 'BIGINT',
          }),
          sink(at, 'mapped'),
        ),
      )
      const { totals } = await run(flow, { objectsPerEpoch })
      expect(totals.late).toBe(expected.length)
      expect(await written(at, 'late')).toEqual(expected)
      const mapped = `SELECT zone, late_row FROM (${lateHopping()}) WHERE fare > 3 ORDER BY ALL`
      expect(await written(at, 'mapped')).toEqual(await lab.sql(mapped))
      const counted = await lab.sql(
        `SELECT sum(n) AS n FROM read_parquet(${quoted(join(at.output, 'hours/*.parquet'))})`,
      )
      expect(Number(counted[0]?.n)).toBe(2 * 60 * objects - expected.length)
      expect((await verify(flow)).differences).toEqual([])
    }
  })

  test('without the results: nobody else needs the step', async () => {
    const at = lab.place('alone')
    const hourly = rides().pipe(hopping('1 hour', '30 minutes'), groupBy('zone'), aggregate({ n: count() }))
    const flow = pipeline('late', { checkpoint: at.checkpoint }, late(hourly).pipe(sink(at, 'late')))
    await run(flow, { objectsPerEpoch: 2 })
    expect(await written(at, 'late')).toEqual(await lab.sql(`FROM (${lateHopping()}) ORDER BY ALL`))
  })

  test('of a join by side, and of dedupe, in one flow', async () => {
    const isLate = `SELECT zone, fare, watermark, object, row FROM (${judgedSql()}) WHERE "at" < watermark`
    const kept = `SELECT zone, fare, watermark, object, row FROM (${judgedSql()}) WHERE "at" + INTERVAL 20 MINUTE <= watermark`
    const expected = await lab.sql(
      `SELECT 'left' AS of, zone, fare, watermark AS late_watermark, object AS late_object, row AS late_row FROM (${isLate}) WHERE fare < 5
       UNION ALL SELECT 'right', zone, NULL, watermark, object, row FROM (${isLate}) WHERE fare > 6
       UNION ALL SELECT 'dedupe', zone, fare, watermark, object, row FROM (${kept}) ORDER BY ALL`,
    )
    for (const objectsPerEpoch of [1, 3, objects]) {
      const at = lab.place(`sides-${objectsPerEpoch}`)
      const all = rides()
      const left = all.pipe(where('fare < 5'), select('zone', 'fare'))
      const right = all.pipe(where('fare > 6'), select('zone'), rename({ zone: 'place' }))
      const pairs = left.pipe(joined(right, { on: { zone: 'place' }, within: ['-1 hour', '1 hour'], kind: 'left' }))
      const once = all.pipe(dedupe('zone', '20 minutes'))
      const flow = pipeline(
        'sides',
        { checkpoint: at.checkpoint },
        pairs.pipe(sink(at, 'pairs')),
        union(
          late(pairs, 'left').pipe(derive({ of: ['VARCHAR', "'left'"] })),
          late(pairs, 'right').pipe(rename({ place: 'zone' }), derive({ of: ['VARCHAR', "'right'"] })),
          late(once).pipe(
            derive({ of: ['VARCHAR', "'dedupe'"] }),
            select('of', 'zone', 'fare', 'late_watermark', 'late_object', 'late_row'),
          ),
        ).pipe(select('of', 'zone', 'fare', 'late_watermark', 'late_object', 'late_row'), sink(at, 'late')),
      )
      await run(flow, { objectsPerEpoch })
      expect(await written(at, 'late')).toEqual(expected)
      expect((await verify(flow)).differences).toEqual([])
    }
  })

  test('of a step behind another one: what windows gave, which no object has', async () => {
    for (const key of ['rides_4.parquet', 'rides_5.parquet']) await rm(join(lab.input, key))
    for (const objectsPerEpoch of [1, 6]) {
      await rm(join(lab.input, 'rides_9.parquet'), { force: true })
      const at = lab.place(`chain-${objectsPerEpoch}`)
      const hourly = rides().pipe(tumbling('1 hour'), groupBy('zone'), aggregate({ n: count() }))
      const daily = hourly.pipe(tumbling('6 hours'), aggregate({ n: sum('n') }))
      const flow = pipeline(
        'chain',
        { checkpoint: at.checkpoint },
        daily.pipe(sink(at, 'days')),
        late(daily).pipe(sink(at, 'late')),
        union(
          late(daily).pipe(select('n', 'late_row')),
          late(hourly).pipe(derive({ n: ['BIGINT NOT NULL', '1'] }), select('n', 'late_row')),
        ).pipe(sink(at, 'both')),
      )
      // The flush of the first run closes hours up to 8:00 and six hours up to 12:00. An hour that comes then is late.
      await run(flow, { objectsPerEpoch })
      await lab.parquet('rides_9.parquet', `SELECT TIMESTAMP '2024-01-01 11:30:00' AS at, 7 AS zone, 1 AS fare`)
      await run(flow, { objectsPerEpoch })
      const [step] = (await query(at.checkpoint, 'SELECT DISTINCT step FROM late WHERE n IS NOT NULL')).rows
      const view = `SELECT "window_start", "window_end", zone, n, _window_start, _window_end, _watermark FROM late_${String(step?.step)}`
      const { rows: known } = await query(at.checkpoint, `${view} ORDER BY ALL`)
      const found = await written(at, 'late')
      expect(found).toEqual([
        {
          window_start: '2024-01-01 11:00:00',
          window_end: '2024-01-01 12:00:00',
          zone: '7',
          n: '1',
          late_window_start: '2024-01-01 06:00:00',
          late_window_end: '2024-01-01 12:00:00',
          late_watermark: '2024-01-01 12:00:00',
          late_object: null,
          late_row: null,
        },
      ])
      expect(known).toHaveLength(1)
      const { rows: ofObjects } = await query(at.checkpoint, 'SELECT count(*) AS n FROM late WHERE n IS NULL')
      expect(await written(at, 'both')).toHaveLength(1 + Number(ofObjects[0]?.n))
      expect((await verify(flow)).differences).toEqual([])
    }
  })
})

describe('what a source sets aside', () => {
  const columns = { at: 'TIMESTAMP NOT NULL', n: 'INTEGER' } as const
  const policies = { onBadRow: 'quarantine', onBadObject: 'quarantine' } as const
  const lines = () =>
    source('lines', { objects: join(lab.input, 'a'), format: json(), columns, time: 'at', ...policies })
  const tables = () =>
    source('tables', { objects: join(lab.input, 'b'), format: parquet(), columns: { n: 'INTEGER' }, ...policies })

  async function inputs(): Promise<void> {
    await lab.lines('a/1.jsonl', ['{"at":"2024-01-01 10:00:00","n":1}', '{"at":"soon","n":2.5}', '{"at":', '{"n":4}'])
    await lab.lines('a/2.jsonl', ['{"at":"2024-01-01 11:00:00","n":"x"}'])
    await lab.parquet('b/1.parquet', 'SELECT i AS n FROM range(2147483646, 2147483649) AS r(i)')
    await lab.lines('b/2.parquet', ['no Parquet'])
  }

  /** As it was written, without what differs from machine to machine. */
  const found = async (at: Place): Promise<readonly Readonly<Record<string, unknown>>[]> =>
    (
      await lab.sql(
        `SELECT * EXCLUDE (e_tag) FROM read_parquet(${quoted(join(at.output, 'bad/*.parquet'))}) ORDER BY ALL`,
      )
    ).map(({ reason, ...row }) => ({
      ...row,
      reason: reason && /No magic bytes|too small/.test(reason),
    }))

  const faults = [
    {
      source: 'lines',
      object: '1.jsonl',
      row_number: '1',
      column_name: 'at',
      expected: 'TIMESTAMP NOT NULL',
      found: 'soon',
    },
    { source: 'lines', object: '1.jsonl', row_number: '1', column_name: 'n', expected: 'INTEGER', found: '2.5' },
    {
      source: 'lines',
      object: '1.jsonl',
      row_number: '2',
      column_name: null,
      expected: 'a JSON object (RFC 8259)',
      found: '{"at":',
    },
    {
      source: 'lines',
      object: '1.jsonl',
      row_number: '3',
      column_name: 'at',
      expected: 'TIMESTAMP NOT NULL',
      found: null,
    },
    { source: 'lines', object: '2.jsonl', row_number: '0', column_name: 'n', expected: 'INTEGER', found: 'x' },
    {
      source: 'tables',
      object: '1.parquet',
      row_number: '2',
      column_name: 'n',
      expected: 'INTEGER',
      found: '2147483648',
    },
    { source: 'tables', object: '2.parquet', row_number: null, column_name: null, expected: null, found: null },
  ]

  test('of two sources in one place: a row for each value that did not fit, and one for each object', async () => {
    await inputs()
    for (const objectsPerEpoch of [1, 2, 4]) {
      const at = lab.place(`cut-${objectsPerEpoch}`)
      const [one, other] = [lines(), tables()]
      const flow = pipeline(
        'bad',
        { checkpoint: at.checkpoint },
        one.pipe(sink(at, 'lines')),
        other.pipe(sink(at, 'tables')),
        union(quarantine(one), quarantine(other)).pipe(sink(at, 'bad')),
      )
      await run(flow, { objectsPerEpoch })
      const rowsOf = (await found(at)).map(row => ({ ...row, seq: null }))
      expect(rowsOf).toEqual(faults.map(row => ({ ...row, seq: null, reason: row.row_number === null ? true : null })))
      const numbers = await lab.sql(
        `SELECT DISTINCT object, seq FROM read_parquet(${quoted(join(at.output, 'bad/*.parquet'))})`,
      )
      const ledger = await query(
        at.checkpoint,
        'SELECT key, seq FROM ledger WHERE quarantined_rows > 0 OR reason IS NOT NULL',
      )
      const told = (object: unknown, seq: unknown) => `${String(object)} ${String(seq)}`
      expect(numbers.map(row => told(row.object, row.seq)).toSorted()).toEqual(
        ledger.rows.map(row => told(row.key, row.seq)).toSorted(),
      )
      expect((await verify(flow)).differences).toEqual([])
    }
  })

  test('an object that is read again gives what it has then; what was told of it stays', async () => {
    await inputs()
    const at = lab.place('again')
    const all = tables()
    const flow = pipeline('again', { checkpoint: at.checkpoint }, quarantine(all).pipe(sink(at, 'bad')))
    await run(flow)
    const before = await found(at)
    expect(before).toHaveLength(2)
    await retry(at.checkpoint)
    await run(flow)
    const after = await found(at)
    // It is as bad as it was: it has one more entry in the ledger, and one more row.
    expect(after).toHaveLength(3)
    expect(after.slice(1).map(({ object, seq }) => `${String(object)} ${String(seq)}`)).toEqual([
      '2.parquet 2',
      '2.parquet 3',
    ])
    expect((await verify(flow)).differences).toEqual([])
  })

  test('rows are handed over, also of a run that follows its source, once for each epoch', async () => {
    await inputs()
    const at = lab.place('rows')
    const seen: string[] = []
    const all = lines()
    const hourly = all.pipe(tumbling('1 hour'), aggregate({ n: count() }))
    const flow = (): Pipeline =>
      pipeline(
        'rows',
        { checkpoint: at.checkpoint },
        quarantine(all).pipe(
          where('row_number > 0'),
          rows(),
          concatMap(async row => {
            seen.push(`${row.object} ${row.row_number} ${row.column_name}`)
          }),
        ),
        late(hourly).pipe(
          rows(),
          concatMap(row => from([seen.push(`late ${row.late_object} ${row.late_row}`)])),
        ),
      )
    await run(flow(), { objectsPerEpoch: 1 })
    expect(seen).toEqual(['1.jsonl 1 at', '1.jsonl 1 n', '1.jsonl 2 null', '1.jsonl 3 at'])
    seen.length = 0
    await lab.lines('a/3.jsonl', ['{"at":"2024-01-01 09:00:00","n":1}', '{"at":"2024-01-01 09:00:00","n":"y"}'])
    await followUntil(flow(), 'delivered')
    await run(flow())
    expect(seen.toSorted()).toEqual(['3.jsonl 1 n', 'late 3.jsonl 0'])
  })

  test('an expression that fails names the object; a flow more is another plan', async () => {
    await inputs()
    const at = lab.place('plan')
    const all = lines()
    const failing = quarantine(all).pipe(derive({ n: ['INTEGER', 'CAST(found AS INTEGER)'] }), sink(at, 'bad'))
    const broken = await failure(run(pipeline('plan', { checkpoint: at.checkpoint }, failing)))
    expect(broken.message).toContain("object '1.jsonl'")
    const other = lab.place('other')
    const plain = all.pipe(sink(other, 'lines'))
    await run(pipeline('plan', { checkpoint: other.checkpoint }, plain))
    const more = await failure(
      run(pipeline('plan', { checkpoint: other.checkpoint }, plain, quarantine(all).pipe(sink(other, 'bad')))),
    )
    expect(more.message).toContain('flow-2 is new')
  })
})
