/** A join of rows in the same window: what one query over the accepted rows of both sides gives (S25). */
import { join as path } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  aggregate,
  calendar,
  count,
  cumulative,
  files,
  groupBy,
  hopping,
  inspect,
  join,
  late as lateOf,
  type JoinKind,
  parquet,
  type Pipeline,
  pipeline,
  rename,
  select,
  source,
  to,
  topN,
  tumbling,
  verify,
  where,
} from '../../src/index.ts'
import { explain } from '../../src/engine/explain.ts'
import { query } from '../../src/engine/inspect/query.ts'
import { type Lab, openLab, type Place, quoted, run } from './harness.ts'

let lab: Lab
beforeEach(async () => {
  lab = await openLab()
})
afterEach(() => lab[Symbol.asyncDispose]())

const events = () =>
  source('events', {
    objects: lab.input,
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', what: 'VARCHAR', trip: 'DOUBLE', amount: 'BIGINT' },
    time: 'at',
    watermark: { delay: '1 hour' },
  })
const all = () => `read_parquet(${quoted(path(lab.input, '*.parquet'))})`

/** Trips, and what was paid for them; some trips have no number, 0.0 is -0.0, and NaN is a number like others. */
async function writeEvents(files: number, rows: number): Promise<void> {
  for (let file = 0; file < files; file++)
    await lab.parquet(
      `events_${file}.parquet`,
      `SELECT TIMESTAMP '1969-12-31 20:00:00' + to_seconds(${file} * 7200 + i * 7919 % 7200) AS at,
        CASE WHEN i % 3 = 0 THEN 'paid' ELSE 'trip' END AS what,
        CASE i % 17 WHEN 0 THEN NULL WHEN 1 THEN 0.0::DOUBLE WHEN 2 THEN -0.0::DOUBLE WHEN 3 THEN 'NaN'::DOUBLE
          ELSE (i * 31 + ${file}) % 23 END AS trip, i + 1000 * ${file} AS amount FROM range(${rows}) AS r(i)`,
    )
}

const windows = {
  tumbling: tumbling('20 minutes', { offset: '5 minutes' }),
  hopping: hopping('25 minutes', '10 minutes'),
  cumulative: cumulative('1 hour', '20 minutes'),
  calendar: calendar('hour', { timeZone: 'Asia/Kathmandu' }),
} as const

/** From the definition of each: the starts and ends of the windows that hold a time. */
const windowsSql: Readonly<Record<keyof typeof windows, string>> = {
  tumbling: windowRows(1200, 1200, 300),
  hopping: windowRows(1500, 600, 0),
  cumulative:
    `(SELECT s AS ws, s + l * INTERVAL 20 MINUTE AS we FROM ` +
    `range(TIMESTAMP '1969-12-31', TIMESTAMP '1970-01-03', INTERVAL 1 HOUR) AS r(s), range(1, 4) AS n(l))`,
  calendar: windowRows(3600, 3600, 1800),
}

function windowRows(size: number, every: number, offset: number): string {
  return (
    `(SELECT s AS ws, s + INTERVAL ${size} SECOND AS we FROM range(TIMESTAMP '1969-12-31' + INTERVAL ${offset} SECOND, ` +
    `TIMESTAMP '1970-01-03', INTERVAL ${every} SECOND) AS r(s))`
  )
}

/** Each row once for each of its windows. */
const placed = (rows: string, name: keyof typeof windows) =>
  `(SELECT e.*, w.ws, w.we FROM ${rows} AS e JOIN ${windowsSql[name]} AS w ON e.at >= w.ws AND e.at < w.we)`

const noZero = (value: string) => `CASE WHEN ${value} = 0 THEN 0.0::DOUBLE ELSE ${value} END AS trip`

function expectedSql(kind: JoinKind, name: keyof typeof windows): string {
  const side = (what: string) => placed(`(FROM ${all()} WHERE what = '${what}')`, name)
  const on = 't.trip = p.trip AND t.ws = p.ws AND t.we = p.we'
  if (kind === 'semi' || kind === 'anti')
    return (
      `SELECT t.ws AS window_start, t.we AS window_end, ${noZero('t.trip')}, t.amount ` +
      `FROM ${side('trip')} AS t ${kind} JOIN ${side('paid')} AS p ON ${on} ORDER BY ALL`
    )
  return (
    `SELECT coalesce(t.ws, p.ws) AS window_start, coalesce(t.we, p.we) AS window_end, ` +
    `${noZero('coalesce(t.trip, p.trip)')}, t.amount, p.amount AS paid ` +
    `FROM ${side('trip')} AS t ${kind} JOIN ${side('paid')} AS p ON ${on} ORDER BY ALL`
  )
}

const kinds = ['inner', 'left', 'right', 'full', 'semi', 'anti'] as const
const cases = [
  ...kinds.map(kind => [kind, 'tumbling'] as const),
  ...(['hopping', 'cumulative', 'calendar'] as const).map(name => ['full', name] as const),
  ['semi', 'hopping'] as const,
]
const folder = (at: Place, kind: JoinKind, name: keyof typeof windows) => path(at.output, `${kind}-${name}`)

/** All of them at once. */
function flowsOf(at: Place): Pipeline {
  const from = events()
  const flows = cases.map(([kind, name]) => {
    // Of one type for the compiler, which knows no window of a flow that is put together at run time.
    const window = windows[name] as typeof windows.tumbling
    const paid = from.pipe(
      where("what = 'paid'"),
      select('trip', 'amount'),
      rename({ amount: 'paid' }),
      window as never,
    )
    const trips = from.pipe(where("what = 'trip'"), select('trip', 'amount'), window as never)
    const joined = (join as unknown as Untyped)(paid, { on: ['trip'], window: true, kind })
    return trips.pipe(joined as never, to(files(folder(at, kind, name), { format: 'parquet' })) as never)
  })
  return pipeline('paid', { checkpoint: at.checkpoint }, ...(flows as never as [never]))
}
type Untyped = (other: unknown, options: unknown) => unknown

describe('a join of rows in one window is one query of the accepted rows (S25)', () => {
  test.each([1, 4])(
    'in every kind, and in every window that can be shared: %i objects an epoch',
    async objectsPerEpoch => {
      await writeEvents(4, 240)
      const at = lab.place('all')
      const { totals } = await run(flowsOf(at), { objectsPerEpoch })
      expect(totals.late).toBe(0)
      for (const [kind, name] of cases) {
        const expected = await lab.sql(expectedSql(kind, name))
        expect(expected.length).toBeGreaterThan(20)
        const given = await lab.sql(
          `SELECT window_start, window_end, ${noZero('trip')}, * EXCLUDE (window_start, window_end, trip) ` +
            `FROM read_parquet(${quoted(path(folder(at, kind, name), '*.parquet'))}) ORDER BY ALL`,
        )
        expect(given, `${kind} in ${name}`).toEqual(expected)
      }
      if (objectsPerEpoch === 1) expect((await verify(flowsOf(at))).differences).toEqual([])
    },
  )
})

test('sides have their own state and late rows, by window; topN and another window may follow', async () => {
  await writeEvents(3, 120)
  await lab.parquet(
    'events_9.parquet',
    `SELECT TIMESTAMP '1969-12-31 20:30:00' AS at, CASE WHEN i < 2 THEN 'trip' ELSE 'paid' END AS what, ` +
      '5.0::DOUBLE AS trip, i AS amount FROM range(5) AS r(i)',
  )
  const at = lab.place('sides')
  const from = events()
  const paid = from.pipe(
    where("what = 'paid'"),
    select('trip', 'amount'),
    rename({ amount: 'paid' }),
    hopping('1 hour', '30 minutes'),
  )
  const joined = from.pipe(
    where("what = 'trip'"),
    select('trip', 'amount'),
    hopping('1 hour', '30 minutes'),
    join(paid, { on: ['trip'], window: true, kind: 'left' }),
  )
  const flow = pipeline(
    'sides',
    { checkpoint: at.checkpoint },
    joined.pipe(topN(2, { by: [['amount', 'desc'], 'paid'] }), to(files(`${at.output}/top`, { format: 'parquet' }))),
    joined.pipe(
      tumbling('30 minutes'),
      groupBy('trip'),
      aggregate({ pairs: count() }),
      to(files(`${at.output}/again`, { format: 'parquet' })),
    ),
    lateOf(joined, 'right').pipe(to(files(`${at.output}/late`, { format: 'parquet' }))),
  )
  const [explained] = (await explain(flow)).flows
  expect(explained?.stages.map(({ stage }) => stage)).toEqual([
    'partial left',
    'merge left',
    'partial right',
    'merge right',
    'late left',
    'late right',
    'output',
  ])
  await run(flow, { objectsPerEpoch: 1, flush: false })
  const { states, channels } = await inspect(at.checkpoint)
  const step = states.find(({ name }) => name.endsWith('-left'))?.name.replace('-left', '') ?? ''
  const sides = states.filter(({ name }) => name.startsWith(`${step}-`))
  expect(sides.map(({ name }) => name.slice(step.length))).toEqual(['-left', '-right'])
  for (const { rows, bytes } of sides) expect(Math.min(rows, bytes)).toBeGreaterThan(0)
  // The row of 20:30 is late for the windows of 20:00 and of 20:30.
  const late = channels.filter(({ name }) => name.startsWith(`late-${step}`))
  expect(late.map(({ name, rows }) => [name.replace(step, 'join'), rows])).toEqual([
    ['late-join-left', 4],
    ['late-join-right', 6],
  ])
  const byWindow = await query(
    at.checkpoint,
    `SELECT count(*)::INTEGER AS n, count(DISTINCT _window_end)::INTEGER AS ends FROM late_${step}_right`,
  )
  expect(byWindow.rows).toEqual([{ n: 6, ends: 2 }])
  const asFlow = `FROM read_parquet(${quoted(path(at.output, 'late', '*.parquet'))})`
  expect(await lab.sql(`SELECT late_window_end AS closed, count(*) AS n ${asFlow} GROUP BY ALL ORDER BY ALL`)).toEqual([
    { closed: '1969-12-31 21:00:00', n: '3' },
    { closed: '1969-12-31 21:30:00', n: '3' },
  ])
  const ranks = await lab.sql(
    `SELECT max(rank)::INTEGER AS most, count(*) = count(DISTINCT (window_end, rank)) AS once FROM read_parquet(${quoted(path(at.output, 'top', '*.parquet'))})`,
  )
  expect(ranks).toEqual([{ most: '2', once: 'true' }])
  // Each row once for each of its windows, and once more for each further partner there.
  await run(flow)
  const early = `(FROM ${all()} WHERE amount >= 5 OR "at" <> TIMESTAMP '1969-12-31 20:30:00')`
  const side = (what: string) =>
    `(SELECT e.*, w.we FROM (FROM ${early} WHERE what = '${what}') AS e ` +
    `JOIN ${windowRows(3600, 1800, 0)} AS w ON e.at >= w.ws AND e.at < w.we)`
  const pairs = `SELECT count(*) AS n FROM ${side('trip')} AS t LEFT JOIN ${side('paid')} AS p ON t.trip = p.trip AND t.we = p.we`
  const counted = `SELECT sum(pairs)::BIGINT AS n FROM read_parquet(${quoted(path(at.output, 'again', '*.parquet'))})`
  expect(await lab.sql(counted)).toEqual(await lab.sql(pairs))
})
