import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Calendar, calendarWindows } from '../../operators/calendar-borders.ts'
import { rowHidden } from '../../src/plan/relation.ts'
import { root } from '../cli/child.ts'
import { openTestDuckdb, type TestDuckdb } from '../plan/duckdb.ts'

let db: TestDuckdb
beforeAll(async () => {
  db = await openTestDuckdb()
})
afterAll(async () => await db[Symbol.asyncDispose]())

const relation = (sql: string) => ({ sql, columns: {}, hidden: rowHidden })

/** Rows of these times, given as SQL over microseconds, and their windows. */
async function windowsOf(times: string, calendar: Partial<Calendar>) {
  const { table, join } = calendarWindows({ unit: 'day', timeZone: 'UTC', weekStartsOn: 'monday', ...calendar })
  const rows = relation(`SELECT t AS _time FROM (${times}) AS r(t)`)
  return `SELECT _time, _start, _end FROM (${join(rows, `(${table(rows)})`)})`
}

// ---- Against the zone files of a system: test/operators/calendar-borders.py ---------------------------------------

interface Case {
  readonly zone: string
  readonly unit: Calendar['unit']
  readonly week?: 'sunday'
  /** Seconds. */
  readonly first: number
  readonly last: number
  readonly windows: number
  readonly sha256: string
}

const { cases } = JSON.parse(await readFile(`${root}/test/operators/calendar-borders.json`, 'utf8')) as {
  readonly cases: readonly Case[]
}
/** A row in every window at least. */
const everySeconds = { hour: 900, day: 43_200, week: 400_000, month: 400_000, quarter: 400_000, year: 400_000 }

test.each(cases)(
  'each $unit of $zone begins and ends as its zone file says',
  async ({ zone, unit, week, first, last, windows, sha256 }) => {
    const times = `SELECT s * 1000000 FROM range(${first}, ${last}, ${everySeconds[unit]}) AS g(s)`
    const rows = await db.rows(
      `SELECT DISTINCT _start // 1000000 AS s, _end // 1000000 AS e FROM (${await windowsOf(times, {
        unit,
        timeZone: zone,
        weekStartsOn: week ?? 'monday',
      })}) ORDER BY s`,
    )
    expect(rows).toHaveLength(windows)
    const lines = rows.map(({ s, e }) => `${String(s)} ${String(e)}\n`).join('')
    expect(createHash('sha256').update(lines).digest('hex')).toBe(sha256)
  },
)

// ---- By name, with what everybody can check ------------------------------------------------------------------------

const utc = (text: string) => BigInt(Date.parse(`${text}Z`)) * 1000n

describe.each<{ name: string; calendar: Partial<Calendar>; at: string; start: string; end: string }>([
  {
    name: 'a day of 23 hours',
    calendar: { timeZone: 'Europe/Berlin' },
    at: '2024-03-31T12:00:00',
    start: '2024-03-30T23:00:00',
    end: '2024-03-31T22:00:00',
  },
  {
    name: 'a day of 25 hours',
    calendar: { timeZone: 'Europe/Berlin' },
    at: '2024-10-27T22:59:59',
    start: '2024-10-26T22:00:00',
    end: '2024-10-27T23:00:00',
  },
  {
    name: 'a midnight that comes twice: the day begins with the earlier one',
    calendar: { timeZone: 'America/Havana' },
    // 1:00 became 0:00 at 5:00 UTC.
    at: '2024-11-03T04:30:00',
    start: '2024-11-03T04:00:00',
    end: '2024-11-04T05:00:00',
  },
  {
    name: 'a midnight that clocks skip: the day begins at 1:00',
    calendar: { timeZone: 'America/Havana' },
    at: '2024-03-10T05:00:00',
    start: '2024-03-10T05:00:00',
    end: '2024-03-11T04:00:00',
  },
  {
    name: 'clocks that go back from 0:01 to 23:01: what they show as the day before is of the new one',
    calendar: { timeZone: 'America/St_Johns' },
    at: '2010-11-07T03:00:00',
    start: '2010-11-07T02:30:00',
    end: '2010-11-08T03:30:00',
  },
  {
    name: 'clocks that skip midnight from 23:30 on: the day begins where they skip it',
    calendar: { timeZone: 'America/Toronto' },
    at: '1919-03-31T12:00:00',
    start: '1919-03-31T04:30:00',
    end: '1919-04-01T04:00:00',
  },
  {
    name: 'a day that never was',
    calendar: { timeZone: 'Pacific/Apia' },
    at: '2011-12-30T09:59:59',
    start: '2011-12-29T10:00:00',
    end: '2011-12-30T10:00:00',
  },
  {
    name: 'the day after it',
    calendar: { timeZone: 'Pacific/Apia' },
    at: '2011-12-30T10:00:00',
    start: '2011-12-30T10:00:00',
    end: '2011-12-31T10:00:00',
  },
  {
    name: 'hours of a zone that is three quarters of one off',
    calendar: { unit: 'hour', timeZone: 'Asia/Kathmandu' },
    at: '2024-05-05T10:14:59',
    start: '2024-05-05T09:15:00',
    end: '2024-05-05T10:15:00',
  },
  {
    name: 'an hour of 90 minutes, as clocks go back by half of one',
    calendar: { unit: 'hour', timeZone: 'Australia/Lord_Howe' },
    // 2:00 became 1:30 at 15:00 UTC.
    at: '2024-04-06T15:10:00',
    start: '2024-04-06T14:00:00',
    end: '2024-04-06T15:30:00',
  },
  {
    name: 'a border within a quarter of an hour: 44 minutes 30 seconds behind UTC',
    calendar: { timeZone: 'Africa/Monrovia' },
    at: '1971-06-01T00:44:30',
    start: '1971-06-01T00:44:30',
    end: '1971-06-02T00:44:30',
  },
  {
    name: 'the second before it',
    calendar: { timeZone: 'Africa/Monrovia' },
    at: '1971-06-01T00:44:29',
    start: '1971-05-31T00:44:30',
    end: '1971-06-01T00:44:30',
  },
  {
    name: 'a month of Ramadan, when Morocco sets its clocks back',
    calendar: { unit: 'month', timeZone: 'Africa/Casablanca' },
    at: '2024-03-15T00:00:00',
    start: '2024-02-29T23:00:00',
    end: '2024-04-01T00:00:00',
  },
  {
    name: 'a week from Monday on',
    calendar: { unit: 'week', timeZone: 'America/New_York' },
    at: '2024-03-10T12:00:00',
    start: '2024-03-04T05:00:00',
    end: '2024-03-11T04:00:00',
  },
  {
    name: 'a week from Sunday on',
    calendar: { unit: 'week', timeZone: 'America/New_York', weekStartsOn: 'sunday' },
    at: '2024-03-10T12:00:00',
    start: '2024-03-10T05:00:00',
    end: '2024-03-17T04:00:00',
  },
  {
    name: 'a quarter, before 1970',
    calendar: { unit: 'quarter', timeZone: 'Europe/London' },
    at: '1969-10-15T00:00:00',
    start: '1969-09-30T23:00:00',
    end: '1969-12-31T23:00:00',
  },
  {
    name: 'a leap year in UTC, before 1900',
    calendar: { unit: 'year' },
    at: '1896-02-29T12:00:00',
    start: '1896-01-01T00:00:00',
    end: '1897-01-01T00:00:00',
  },
])('$name', ({ calendar, at, start, end }) => {
  const windows = async (us: bigint) => {
    const [row] = await db.rows(await windowsOf(`SELECT CAST(${us} AS BIGINT)`, calendar))
    return { start: row?._start, end: row?._end }
  }
  test('holds the row, its first and its last microsecond, and not those beside it', async () => {
    const window = { start: utc(start), end: utc(end) }
    expect(await windows(utc(at))).toEqual(window)
    expect(await windows(window.start)).toEqual(window)
    expect(await windows(window.end - 1n)).toEqual(window)
    expect((await windows(window.start - 1n)).end).toBe(window.start)
    expect((await windows(window.end)).start).toBe(window.end)
  })
})

test('every row has one window that holds it, as far as times reach', async () => {
  const limit = 2n ** 62n
  const times = [limit, -limit, 0n, -1n, 253_402_300_800_000_000n, -62_135_596_800_000_000n]
  const values = `VALUES ${times.map(us => `(CAST(${us} AS BIGINT))`).join(', ')}`
  for (const unit of ['hour', 'day', 'week', 'month', 'quarter', 'year'] as const)
    for (const timeZone of ['UTC', 'Europe/Berlin', 'Pacific/Apia']) {
      const found = await db.rows(await windowsOf(values, { unit, timeZone }))
      expect(found.map(({ _time }) => _time as bigint).toSorted((a, b) => (a < b ? -1 : 1))).toEqual(
        times.toSorted((a, b) => (a < b ? -1 : 1)),
      )
      for (const row of found) {
        expect((row._start as bigint) <= (row._time as bigint)).toBe(true)
        expect((row._time as bigint) < (row._end as bigint)).toBe(true)
      }
    }
})
