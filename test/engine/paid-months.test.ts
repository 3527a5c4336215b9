/**
 * Trips and payments within an interval over twelve months, with rows that are late and early on each side, beside one query of
 * DuckDB over those that are on time (S4, S12). The long form: MILLRACE_ROWS=1000000 of each a month.
 */
import { mkdir, rename } from 'node:fs/promises'
import { join as path } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { files, join, parquet, type Pipeline, pipeline, source, to } from '../../src/index.ts'
import { type Lab, openLab, quoted, run } from './harness.ts'

const asked = process.env.MILLRACE_ROWS
const rowsPerMonth = Number(asked ?? 400)
const timeoutMs = asked === undefined ? 300_000 : 0
const months = 12
const sides = ['payments', 'trips'] as const
type Side = (typeof sides)[number]
const delayMs: Readonly<Record<Side, number>> = { payments: 2 * 3_600_000, trips: 24 * 3_600_000 }
const timeOf: Readonly<Record<Side, string>> = { payments: 'paid_at', trips: '"at"' }

let lab: Lab
beforeAll(async () => {
  lab = await openLab()
  for (const side of sides) await mkdir(path(lab.root, side))
  for (let month = 0; month < months; month++) await writeMonth(month)
}, timeoutMs)
afterAll(() => lab[Symbol.asyncDispose]())

const monthMs = (month: number) => Date.UTC(2023, month)
const stamp = (ms: number) => `TIMESTAMP '${new Date(ms).toISOString().slice(0, 19).replace('T', ' ')}'`
const nameOf = (side: Side, month: number) => `${side}_2023-${String(month + 1).padStart(2, '0')}.parquet`
const fileOf = (side: Side, month: number) => path(lab.root, side, nameOf(side, month))

/**
 * Every fiftieth trip lies up to three days before its file's month, every seventieth just after it. A payment comes ten minutes
 * before its trip at the earliest and three hours after it at the latest, which is too long, and every sixtieth a month too late;
 * one in nine is for no trip, and every eleventh trip is paid twice.
 */
async function writeMonth(month: number): Promise<void> {
  const [from, to_] = [stamp(monthMs(month)), stamp(monthMs(month + 1))]
  const spanS = (monthMs(month + 1) - monthMs(month)) / 1000
  const first = month * rowsPerMonth
  const trip = (i: string) => `${from} + to_seconds(CAST(hash(${i}) % ${spanS} AS BIGINT))`
  const written = async (side: Side, query: string) =>
    rename(await lab.parquet(nameOf(side, month), query), fileOf(side, month))
  await written(
    'trips',
    `SELECT CASE WHEN i % 50 = 7 THEN ${from} - to_seconds(CAST(hash(i + 1) % 259200 AS BIGINT))
        WHEN i % 70 = 9 THEN ${to_} + to_seconds(CAST(hash(i + 1) % 3600 AS BIGINT)) ELSE ${trip('i')} END AS at,
      i AS trip, i % 97 AS fare FROM range(${first}, ${first + rowsPerMonth}) AS r(i)`,
  )
  const paid = (salt: number) =>
    `SELECT ${trip('i')} - INTERVAL 10 MINUTE + to_seconds(CAST(hash(i + ${salt}) % 11400 AS BIGINT))
        - CASE WHEN i % 60 = 13 THEN INTERVAL 30 DAY ELSE INTERVAL 0 DAY END AS paid_at,
      CASE WHEN i % 9 = 0 THEN -i ELSE i END AS trip, i % 89 AS cents FROM range(${first}, ${first + rowsPerMonth}) AS r(i)`
  await written('payments', `${paid(3)} UNION ALL (FROM (${paid(5)}) WHERE trip % 11 = 0)`)
}

const kinds = ['full', 'anti'] as const
const within = ['-10 minutes', '2 hours'] as const

function paid(name: string): Pipeline {
  const trips = source('trips', {
    objects: path(lab.root, 'trips'),
    format: parquet(),
    columns: { at: 'TIMESTAMP NOT NULL', trip: 'BIGINT', fare: 'BIGINT' },
    time: 'at',
    watermark: { delay: '1 day', bounds: 'trips_{yyyy}-{MM}' },
  })
  const payments = source('payments', {
    objects: path(lab.root, 'payments'),
    format: parquet(),
    columns: { paid_at: 'TIMESTAMP NOT NULL', trip: 'BIGINT', cents: 'BIGINT' },
    time: 'paid_at',
    watermark: { delay: '2 hours', bounds: 'payments_{yyyy}-{MM}' },
  })
  const into = (kind: string) => to(files(lab.place(`${name}-${kind}`).output, { format: 'parquet' }))
  return pipeline(
    'paid',
    { checkpoint: lab.place(name).checkpoint },
    trips.pipe(join(payments, { on: ['trip'], within, kind: 'full' }), into('full')),
    trips.pipe(join(payments, { on: ['trip'], within, kind: 'anti' }), into('anti')),
  )
}

/** Watermarks after each object, by side: the highest time inside the file's own month, less the delay. */
async function marksOf(side: Side): Promise<readonly number[]> {
  const marks: number[] = []
  for (let month = 0; month < months; month++) {
    const [row] = await lab.sql(
      `SELECT max(epoch_us(${timeOf[side]})) AS us FROM read_parquet(${quoted(fileOf(side, month))})
       WHERE ${timeOf[side]} >= ${stamp(monthMs(month))} AND ${timeOf[side]} < ${stamp(monthMs(month + 1))}`,
    )
    marks.push(Math.max(marks.at(-1) ?? Number.NEGATIVE_INFINITY, Number(row?.us) - delayMs[side] * 1000))
  }
  return marks
}

/** The rows that are on time by the lower watermark of both sides. Of a month the payments come first. */
async function accepted(side: Side): Promise<string> {
  const [payments, trips] = [await marksOf('payments'), await marksOf('trips')]
  const parts = Array.from({ length: months }, (_, month) => {
    const before = { payments: payments[side === 'payments' ? month - 1 : month], trips: trips[month - 1] }
    const rows = `SELECT * FROM read_parquet(${quoted(fileOf(side, month))})`
    if (before.payments === undefined || before.trips === undefined) return rows
    return `${rows} WHERE epoch_us(${timeOf[side]}) >= ${Math.min(before.payments, before.trips)}`
  })
  return `(${parts.join(' UNION ALL ')})`
}

async function expectedSql(kind: (typeof kinds)[number]): Promise<string> {
  const [t, p] = [await accepted('trips'), await accepted('payments')]
  // Each comparison has one side on its left and the other on its right, which lets DuckDB hash the keys of an outer join.
  const on = `t.trip = p.trip AND p.paid_at >= t."at" - INTERVAL 10 MINUTE AND p.paid_at <= t."at" + INTERVAL 2 HOUR`
  if (kind === 'anti') return `SELECT t."at", t.trip, t.fare FROM ${t} AS t ANTI JOIN ${p} AS p ON ${on}`
  return `SELECT t."at", coalesce(t.trip, p.trip) AS trip, t.fare, p.paid_at, p.cents FROM ${t} AS t FULL JOIN ${p} AS p ON ${on}`
}

describe('trips and payments of twelve months', () => {
  test('some rows of each side are late', async () => {
    for (const side of sides) {
      const all = `read_parquet(${quoted(path(lab.root, side, '*.parquet'))})`
      const [row] = await lab.sql(
        `SELECT (SELECT count(*) FROM ${all}) - (SELECT count(*) FROM ${await accepted(side)}) AS n`,
      )
      expect(Number(row?.n), side).toBeGreaterThan(months)
    }
  })

  test.each(asked === undefined ? [1, 100] : [2])(
    'are what one query over those that are on time gives, with %i objects an epoch',
    async objectsPerEpoch => {
      const name = `cut-${objectsPerEpoch}`
      // Those early in the last file lie above its month: nothing else closes them.
      const summary = await run(paid(name), { objectsPerEpoch, final: true })
      expect(summary.totals).toMatchObject({ objects: 2 * months })
      for (const kind of kinds) {
        const found = `read_parquet(${quoted(path(lab.place(`${name}-${kind}`).output, '*.parquet'))})`
        const expected = `(${await expectedSql(kind)})`
        const [counted] = await lab.sql(`SELECT count(*) AS n FROM ${expected}`)
        expect(Number(counted?.n)).toBeGreaterThan(rowsPerMonth)
        const only = (side: string, one: string, other: string) =>
          `(SELECT '${side}' AS side, COLUMNS(*)::VARCHAR FROM (FROM ${one} EXCEPT ALL FROM ${other}) LIMIT 5)`
        const columns = kind === 'anti' ? '"at", trip, fare' : '"at", trip, fare, paid_at, cents'
        const ours = `(SELECT ${columns} FROM ${found})`
        expect(
          await lab.sql(`${only('found', ours, expected)} UNION ALL ${only('expected', expected, ours)}`),
          kind,
        ).toEqual([])
      }
    },
    timeoutMs,
  )
})
