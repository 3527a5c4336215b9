import { inputColumn, type Relation, timeColumn } from '../src/plan/relation.ts'
import { text } from '../src/plan/sql.ts'
import type { Beside } from '../src/plan/beside.ts'
import { floorTo } from '../src/plan/window.ts'

export const calendarUnits = ['hour', 'day', 'week', 'month', 'quarter', 'year'] as const
export type CalendarUnit = (typeof calendarUnits)[number]

/** From Monday on, as weeks begin in ISO 8601. */
export const weekDays = ['monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday'] as const
export type WeekDay = (typeof weekDays)[number]

export interface Calendar {
  readonly unit: CalendarUnit
  readonly timeZone: string
  readonly weekStartsOn: WeekDay
}

const secondUs = 1_000_000n
const bucketUs = 900n * secondUs
/**
 * No zone was ever further from UTC than this, and none changed its offset twice within twice as long: Manila had 15:56
 * until 1844, and Freetown two changes within four days in 1939 (tzdb 2025b).
 */
const offsetUsMax = 16n * 3600n * secondUs

/**
 * The windows of rows in a calendar, as a table by quarter of an hour: `_bucket`, its start in UTC, and the windows
 * that reach into it, mostly one. ICU, which knows the zones, is asked about each quarter and each border, not about
 * each row.
 *
 * A window begins at the first instant at which a clock of the zone shows its border or more, and ends where the next
 * one begins (S23). So a border that clocks skip lies where they skip it, and one that comes twice where it comes
 * first.
 */
export function calendarWindows(calendar: Calendar): Beside {
  const bucket = floorTo(inputColumn(timeColumn), bucketUs)
  const time = inputColumn(timeColumn)
  return {
    table: rows => windowsTable(rows, calendar, bucket),
    join: (rows, table) =>
      `SELECT _in.*, w._start, w._end FROM (${rows.sql}) AS _in JOIN ${table} AS w ` +
      `ON w._bucket = ${bucket} AND ${time} >= w._start AND ${time} < w._end`,
  }
}

function windowsTable({ sql }: Relation, { unit, timeZone, weekStartsOn }: Calendar, bucket: string): string {
  /** What clocks are ahead of UTC. */
  const ahead = (us: string) => `(epoch_us(timezone(${text(timeZone)}, make_timestamptz(${us}))) - (${us}))`
  const one = unit === 'quarter' ? 'INTERVAL 3 MONTH' : `INTERVAL 1 ${unit}`
  const days = `INTERVAL ${weekDays.indexOf(weekStartsOn)} DAY`
  const truncated = (shown: string) => `CAST(date_trunc('${unit}', ${shown}) AS TIMESTAMP)`
  /** The border at or below a time, both as clocks show them. */
  const border = (us: string) =>
    unit === 'week' ? `(${truncated(`make_timestamp(${us}) - ${days}`)} + ${days})` : truncated(`make_timestamp(${us})`)
  const ctes = [
    `buckets AS MATERIALIZED (SELECT DISTINCT ${bucket} AS q FROM (${sql}) AS _in)`,
    // Clocks may have gone back a day before a bucket, and may change within it.
    `offsets AS (SELECT q, ${ahead(`q - ${2n * offsetUsMax}`)} AS a, ` +
      `${ahead('q')} AS b, ${ahead(`q + ${bucketUs}`)} AS c FROM buckets)`,
    `near AS MATERIALIZED (SELECT q, unnest(generate_series(${border('q + least(a, b, c)')}, ` +
      `${border(`q + ${bucketUs - 1n} + greatest(a, b, c)`)}, ${one})) AS border FROM offsets)`,
    'borders AS (SELECT border, epoch_us(border) AS us ' +
      `FROM (SELECT border FROM near UNION SELECT border + ${one} FROM near))`,
    `around AS MATERIALIZED (SELECT border, us, ${ahead(`us - ${offsetUsMax}`)} AS a, ` +
      `${ahead(`us + ${offsetUsMax}`)} AS b FROM borders)`,
    // Where the offset changes near a border, the second in which it does, by halves.
    'changes(border, us, a, b, lo, hi) AS (SELECT border, us, a, b, ' +
      `us - ${offsetUsMax}, us + ${offsetUsMax} FROM around WHERE a <> b ` +
      'UNION ALL SELECT border, us, a, b, CASE WHEN is_after ' +
      'THEN lo ELSE mid END, CASE WHEN is_after THEN mid ELSE hi END ' +
      `FROM (SELECT *, ${ahead('mid')} = b AS is_after FROM ` +
      `(SELECT *, lo + (hi - lo) // ${2n * secondUs} * ${secondUs} AS mid FROM changes WHERE hi - lo > ${secondUs})))`,
    `firsts AS MATERIALIZED (SELECT border, us - a AS at FROM around WHERE a = b UNION ALL ` +
      'SELECT border, CASE WHEN us - a < hi THEN us - a ELSE greatest(hi, us - b) END ' +
      `FROM changes WHERE hi - lo <= ${secondUs})`,
  ]
  return (
    `WITH RECURSIVE ${ctes.join(', ')} SELECT n.q AS _bucket, s.at AS _start, e.at AS _end FROM near AS n ` +
    `JOIN firsts AS s ON s.border = n.border JOIN firsts AS e ON e.border = n.border + ${one} ` +
    `WHERE s.at < n.q + ${bucketUs} AND e.at > n.q AND s.at < e.at`
  )
}
