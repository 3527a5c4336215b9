import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { components } from '../../src/engine/components.ts'
import { explain } from '../../src/engine/explain.ts'
import { followWith } from '../../src/engine/follow.ts'
import {
  aggregate,
  avg,
  count,
  countDistinct,
  dedupe,
  files,
  groupBy,
  inspect,
  json,
  parquet,
  pipeline,
  session,
  source,
  sum,
  to,
  tumbling,
  verify,
} from '../../src/index.ts'
import { delays, ledgers } from '../oracle/generate.ts'
import type { OracleObject } from '../oracle/oracle.ts'
import { type OracleSession, sessionOracle } from '../oracle/sessions.ts'
import { failure, type Lab, openLab, type Place, quoted, run, runs, type TextRow, windowed } from './harness.ts'
import { cents, inKeyOrder, isPositive, keyOf, writeObject } from './ledger-files.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

// ---- Row by row against the oracle -------------------------------------------------------------------------------

const minute = 60_000_000n
const gaps = fc.constantFrom(1n, 10n * minute, 60n * minute, 1440n * minute)

let places = 0
async function fresh(): Promise<Place> {
  await rm(lab.input, { recursive: true })
  return lab.place(`draw-${places++}`)
}

const durationOf = (us: bigint) => (us % 1_000_000n === 0n ? `${us / 1_000_000n}s` : undefined)

function lineOf({ start, end, key: [k = null], rows }: OracleSession): string {
  const values = (column: number) => rows.flatMap(({ values }) => values[column] ?? [])
  const total = (column: number) => values(column).reduce<bigint | null>((a, b) => (a ?? 0n) + b, null)
  const [v, d] = [total(0), total(1)]
  const distinct = new Set(values(1)).size
  return JSON.stringify([
    iso(start),
    iso(end),
    k,
    `${rows.length}`,
    v?.toString() ?? null,
    d === null ? null : cents(d),
    `${distinct}`,
  ])
}

/** As DuckDB writes a TIMESTAMP. */
function iso(us: bigint): string {
  const seconds = us / 1_000_000n - (us % 1_000_000n < 0n ? 1n : 0n)
  const rest = us - seconds * 1_000_000n
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19).replace('T', ' ')
  return rest === 0n ? text : `${text}.${String(rest).padStart(6, '0').replace(/0+$/, '')}`
}

describe('sessions of random ledgers (S2, S6, S8, S10, I11)', () => {
  test('rows, late rows, open sessions and watermark are those of the oracle, whatever the cut; a replay finds no difference', async () => {
    const gap = gaps.filter(us => durationOf(us) !== undefined)
    const drawn = fc.tuple(gap, delays(), fc.boolean(), fc.boolean()).chain(([gapUs, delayUs, flush, isFiltered]) =>
      ledgers({ sizeUs: gapUs, everyUs: gapUs }, { keys: 1, values: 2, objectsMax: 7 }).map(found => {
        const ledger = inKeyOrder(found as readonly OracleObject[])
        return { ledger, gapUs, delayUs, flush, ...(isFiltered ? { where: isPositive } : {}) }
      }),
    )
    await fc.assert(
      fc.asyncProperty(drawn, fc.constantFrom(1, 2, 3, 100), async (input, objectsPerEpoch) => {
        const at = await fresh()
        const objects = input.ledger as readonly OracleObject[]
        for (const [index, object] of objects.entries()) await writeObject(lab, object, index, 'parquet')
        const flow = windowed(lab, at, {
          columns: { t: 'TIMESTAMP', k: 'VARCHAR', v: 'BIGINT', d: 'DECIMAL(18,2)' },
          delay: `${input.delayUs / 1_000_000n}s`,
          ...(input.where ? { where: 'v > 0' } : {}),
          gap: durationOf(input.gapUs) as string,
          keys: ['k'],
          aggregates: { n: count(), v: sum('v'), d: sum('d'), distinct: countDistinct('d') },
        })
        const summary = await run(flow, { objectsPerEpoch, flush: input.flush })
        const output = sessionOracle(input)
        const rows = (await lab.rows(at)).map(row =>
          JSON.stringify([row.window_start, row.window_end, row.k, row.n, row.v, row.d, row.distinct]),
        )
        expect(rows.toSorted()).toEqual(output.final.map(lineOf).toSorted())
        const keys = objects.map((object, index) => keyOf(object, index, 'parquet'))
        const late = (await lab.channels('late-', at)).map(
          row => `${row._object} ${row._row} ${row._window_start} ${row._window_end}`,
        )
        expect(late.toSorted()).toEqual(
          output.late.map(({ object, row, t }) => `${keys[object]} ${row} ${t} ${t + input.gapUs}`).toSorted(),
        )
        expect(summary.openWindows).toBe(new Set(output.open.map(({ start, end }) => `${start} ${end}`)).size)
        const { states } = await inspect(at.checkpoint)
        expect(states[0]).toMatchObject({ rows: output.open.length, openWindows: summary.openWindows })
        if (input.flush) expect((await verify(flow)).differences).toEqual([])
      }),
      runs(12),
    )
  }, 120_000)
})

// ---- In a flow ----------------------------------------------------------------------------------------------------

/** Nine files of twelve hours; each reader comes now and then, some rows come hours late. */
async function makeVisits(): Promise<void> {
  for (let file = 0; file < 9; file++)
    await lab.parquet(
      `visits_${file}.parquet`,
      `SELECT TIMESTAMP '2024-01-01' + INTERVAL (${file} * 12) HOUR + to_microseconds((i * 7919 % 43200 - i % 3 * 7200) * 1000000) AS at,
        ${file} * 400 + i AS id, (i * 31 + ${file}) % 40 AS reader, (i % 50) / 7 AS seconds FROM range(400) AS r(i)`,
    )
}

const visits = () =>
  source('visits', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', id: 'BIGINT', reader: 'BIGINT', seconds: 'DOUBLE' },
    time: 'at',
    watermark: { delay: '5 hours' },
  })
const all = () => `(SELECT * FROM read_parquet(${quoted(join(lab.input, '*.parquet'))}))`

/** Sessions by the batch: rows numbered by how many gaps lie before them. */
const batch = (gap: string) =>
  `(SELECT min("at") AS window_start, max("at") + INTERVAL '${gap}' AS window_end, reader, count(*) AS visits, round(avg(seconds), 9) AS seconds FROM (
     SELECT *, sum(begins) OVER (PARTITION BY reader ORDER BY "at" RANGE UNBOUNDED PRECEDING) AS session FROM (
       SELECT *, CASE WHEN "at" - max("at") OVER (PARTITION BY reader ORDER BY "at" RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL '1 microsecond' PRECEDING) < INTERVAL '${gap}' THEN 0 ELSE 1 END AS begins
       FROM ${all()})) GROUP BY reader, session)`

const sessions = (name: string, gap: '30 minutes' | '2 hours' = '30 minutes') => {
  const at = lab.place(name)
  return pipeline(
    'sessions',
    { checkpoint: at.checkpoint },
    visits().pipe(
      session(gap),
      groupBy('reader'),
      aggregate({ visits: count(), seconds: avg('seconds') }),
      to(files(at.output, { format: 'parquet' })),
    ),
  )
}

const plain = (rows: readonly TextRow[]) =>
  rows
    .map(row =>
      JSON.stringify([row.window_start, row.window_end, row.reader, row.visits, Number(row.seconds).toFixed(6)]),
    )
    .toSorted()

describe('sessions in a flow', () => {
  beforeEach(makeVisits)

  test.each(['30 minutes', '2 hours'] as const)(
    'with a gap of %s equal one query over the rows, whatever the cut; a replay agrees',
    async gap => {
      const expected = plain(await lab.sql(`SELECT * FROM ${batch(gap)}`))
      expect(expected.length).toBeGreaterThan(300)
      for (const objectsPerEpoch of [1, 2, 9]) {
        const name = `cut-${objectsPerEpoch}`
        const { totals } = await run(sessions(name, gap), { objectsPerEpoch })
        expect(totals.late).toBe(0)
        expect(plain(await lab.rows(lab.place(name)))).toEqual(expected)
      }
      expect((await verify(sessions('cut-2', gap))).differences).toEqual([])
      const again = lab.place('replayed')
      await run(sessions('cut-1', gap), { ledger: lab.place('cut-1').checkpoint, ...again, objectsPerEpoch: 4 })
      expect(plain(await lab.rows(again))).toEqual(expected)
    },
  )

  test('go on after a stop at each file, and in a live run, from what the checkpoint holds', async () => {
    await run(sessions('straight'))
    const straight = plain(await lab.rows(lab.place('straight')))
    for (let to = 1; to <= 9; to++)
      await run(sessions('stepwise'), { input: join(lab.input, `visits_[0-${to - 1}].parquet`), flush: to === 9 })
    expect(plain(await lab.rows(lab.place('stepwise')))).toEqual(straight)

    await followWith(components, sessions('live'), { untilIdle: true, threads: 2, memory: '500MB' })
    const open = await inspect(lab.place('live').checkpoint)
    expect(open.states[0]?.openWindows).toBeGreaterThan(0)
    await run(sessions('live'), { final: true })
    expect(plain(await lab.rows(lab.place('live')))).toEqual(straight)
    expect((await inspect(lab.place('live').checkpoint)).states[0]).toMatchObject({ rows: 0, openWindows: 0 })
  })

  test('explain shows the queries of pieces and of sessions', async () => {
    const [flow] = (await explain(sessions('told'))).flows
    expect(flow?.stages.map(({ stage }) => stage)).toEqual([
      'partial',
      'merge',
      'partial 2',
      'merge 2',
      'late',
      'output',
    ])
    expect(flow?.columns).toMatchObject({ window_start: 'TIMESTAMP NOT NULL', window_end: 'TIMESTAMP NOT NULL' })
  })

  test('stand in a chain: counted once, by sessions, and these by the day on which they end (S13)', async () => {
    const chained = (name: string) => {
      const at = lab.place(name)
      return pipeline(
        'chained',
        { checkpoint: at.checkpoint },
        visits().pipe(
          dedupe('id', '1 day'),
          session('30 minutes'),
          groupBy('reader'),
          aggregate({ visits: count() }),
          tumbling('1 day'),
          groupBy('reader'),
          aggregate({ sessions: count(), visits: sum('visits') }),
          to(files(at.output, { format: 'json' })),
        ),
      )
    }
    const expected = await lab.sql(
      `SELECT date_trunc('day', window_end - INTERVAL '1 microsecond')::TIMESTAMP AS window_start, reader, count(*) AS sessions, sum(visits)::DECIMAL(38,0) AS visits
       FROM ${batch('30 minutes')} GROUP BY ALL`,
    )
    const lines = (rows: readonly TextRow[]) =>
      rows.map(row => JSON.stringify([row.window_start, row.reader, row.sessions, row.visits].map(String))).toSorted()
    for (const objectsPerEpoch of [1, 4]) {
      const { totals } = await run(chained(`chain-${objectsPerEpoch}`), { objectsPerEpoch })
      expect(totals.late).toBe(0)
      expect(lines(await lab.rows(lab.place(`chain-${objectsPerEpoch}`)))).toEqual(lines(expected))
    }
    expect((await verify(chained('chain-1'))).differences).toEqual([])
  })
})

test('a gap of part of a day is refused where the event time is a DATE', async () => {
  const flow = windowed(lab, lab, { columns: { t: 'DATE' }, gap: '12 hours' })
  expect((await failure(run(flow))).message).toContain('whole days, as the event time is a DATE')
})

test('of days: a session ends a gap of days after its last day', async () => {
  await lab.lines('days.jsonl', ['{"t":"2024-01-01"}', '{"t":"2024-01-02"}', '{"t":"2024-01-05"}'])
  const days = source('days', { objects: lab.input, format: json(), columns: { t: 'DATE NOT NULL' }, time: 't' })
  const flow = pipeline(
    'days',
    { checkpoint: lab.checkpoint },
    days.pipe(session('2 days'), aggregate({ n: count() }), to(files(lab.output, { format: 'json' }))),
  )
  await run(flow)
  expect(await lab.rows()).toEqual([
    { window_start: '2024-01-01', window_end: '2024-01-04', n: '2' },
    { window_start: '2024-01-05', window_end: '2024-01-07', n: '1' },
  ])
})

test('values of one session are counted once where only rows without a value make it one (S10)', async () => {
  await lab.lines('a.jsonl', ['{"t":"2024-01-01 00:20:00","k":"a"}'])
  await lab.lines('b.jsonl', [
    '{"t":"2024-01-01 00:00:00","k":"a","v":5}',
    '{"t":"2024-01-01 00:40:00","k":"a","v":5}',
    '{"t":"2024-01-01 09:00:00","k":"b"}',
  ])
  const flow = windowed(lab, lab, {
    columns: { t: 'TIMESTAMP NOT NULL', k: 'VARCHAR', v: 'BIGINT' },
    format: 'json',
    output: 'json',
    delay: '0s',
    gap: '25 minutes',
    keys: ['k'],
    aggregates: { n: count(), values: countDistinct('v') },
  })
  await run(flow, { objectsPerEpoch: 1 })
  expect(await lab.rows()).toMatchObject([
    { window_start: '2024-01-01 00:00:00', window_end: '2024-01-01 01:05:00', k: 'a', n: '3', values: '1' },
    { window_start: '2024-01-01 09:00:00', k: 'b', n: '1', values: '0' },
  ])
})

test('a key may be named as what the engine keeps beside it', async () => {
  await lab.lines('a.jsonl', ['{"t":"2024-01-01 00:20:00","epoch":7}', '{"t":"2024-01-01 00:30:00","epoch":7}'])
  const columns = { t: 'TIMESTAMP NOT NULL', epoch: 'BIGINT' }
  await run(windowed(lab, lab, { columns, format: 'json', output: 'json', keys: ['epoch'], gap: '1 hour' }))
  expect(await lab.rows()).toMatchObject([{ window_start: '2024-01-01 00:20:00', epoch: '7', n: '2' }])
})
