import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withDuckDb } from './duckdb.ts'

/**
 * Made-up months in the shape of New York's green-taxi trips, with the oddities of the real ones. Every value is an
 * integer mixed from the row's number and divided at the end: no random(), no sin(), so the same settings give the
 * same bytes on any machine with the same DuckDB.
 */
export interface MadeMonths {
  readonly dir: string
  readonly months: number
  readonly rowsPerMonth: number
}

const firstMonth = { year: 2022, month: 1 } as const

/** Zones that are busier than the rest, with their share of 100 pick-ups; the remaining ones go to any zone. */
export const busyZones: readonly { readonly id: number; readonly name: string; readonly share: number }[] = [
  { id: 74, name: 'East Harlem North', share: 15 },
  { id: 75, name: 'East Harlem South', share: 13 },
  { id: 41, name: 'Central Harlem', share: 8 },
  { id: 166, name: 'Morningside Heights', share: 6 },
  { id: 42, name: 'Central Harlem North', share: 5 },
  { id: 95, name: 'Forest Hills', share: 5 },
  { id: 7, name: 'Astoria', share: 4 },
  { id: 244, name: 'Washington Heights South', share: 4 },
  { id: 97, name: 'Fort Greene', share: 3 },
  { id: 43, name: 'Central Park', share: 3 },
]

/** Of 100 pick-ups, those in each hour of the day. */
const hourShares = [2, 1, 1, 1, 1, 1, 2, 4, 5, 5, 5, 4, 5, 5, 6, 7, 8, 9, 9, 7, 4, 3, 3, 2]

/** Rows of each month with a time of another: two of 2008 and 2009, six of the month before, four of the next. */
const strayRows = 12

/**
 * How far, in rows, a row may stand from its place in time. Measured: with 33 about 47% of rows step back, as in the
 * real months.
 */
const shuffleRows = 33

function monthKey(index: number): string {
  const at = new Date(Date.UTC(firstMonth.year, firstMonth.month - 1 + index))
  return `green_tripdata_${at.toISOString().slice(0, 7)}.parquet`
}

/** Writes the months and, as the month after them, a file that no Parquet reader accepts. Returns the files' names. */
export async function makeMonths({ dir, months, rowsPerMonth }: MadeMonths): Promise<readonly string[]> {
  await mkdir(dir, { recursive: true })
  await withDuckDb(async db => {
    for (const sql of macros) await db.run(sql)
    for (let index = 0; index < months; index++) {
      // The row of 2098 stands in the third month: later months follow it, and it must not stop them.
      const futureRow = index === Math.min(2, months - 1)
      const file = join(dir, monthKey(index)).replaceAll("'", "''")
      await db.run(`COPY (${monthSql(index, rowsPerMonth, futureRow)}) TO '${file}' (FORMAT parquet, COMPRESSION zstd)`)
    }
  })
  await writeFile(join(dir, monthKey(months)), accessDenied)
  return Array.from({ length: months + 1 }, (_, index) => monthKey(index))
}

/** MurmurHash3's finaliser over 32 bits (Appleby, 2011), once for DuckDB, where UBIGINT holds each product. */
const macros = [
  'CREATE MACRO mix_1(x) AS (xor(x, x >> 16) * 2246822507::UBIGINT) & 4294967295::UBIGINT',
  'CREATE MACRO mix_2(x) AS (xor(x, x >> 13) * 3266489909::UBIGINT) & 4294967295::UBIGINT',
  'CREATE MACRO mix_3(x) AS xor(x, x >> 16)',
  'CREATE MACRO mix(x) AS mix_3(mix_2(mix_1(x)))',
]

/** The same, for constants. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 2246822507)
  x = Math.imul(x ^ (x >>> 13), 3266489909)
  return (x ^ (x >>> 16)) >>> 0
}

function monthSql(index: number, rows: number, futureRow: boolean): string {
  const start = Date.UTC(firstMonth.year, firstMonth.month - 1 + index)
  const days = (Date.UTC(firstMonth.year, firstMonth.month + index) - start) / 86_400_000
  const startText = new Date(start).toISOString().slice(0, 10)
  // A whole number from 0 to n - 1: another for each row, month and use.
  const pick = (n: number, use: number) =>
    `(mix(xor(seed, ${mix((index + 1) * 64 + use)}::UBIGINT)) % ${n}::UBIGINT)::BIGINT`
  // Values are drawn from a list in which each stands as often as its share says.
  const hours = hourShares.flatMap((share, hour) => Array<number>(share).fill(hour))
  const zones = busyZones.flatMap(({ id, share }) => Array<number>(share).fill(id))
  const zone = (use: number) =>
    `CASE WHEN ${pick(100, use)} < ${zones.length} THEN [${zones.join()}][${pick(zones.length, use + 1)} + 1]
      ELSE 1 + ${pick(263, use + 2)} END`
  return `
    WITH numbered AS (
      SELECT i, mix(i::UBIGINT + 1) AS seed FROM range(${rows}) AS r(i)
    ), drawn AS (
      SELECT i, seed,
        ${pick(days, 1)} * 86400 + [${hours.join()}][${pick(hours.length, 2)} + 1] * 3600 + ${pick(3600, 3)} AS second,
        20 + ${pick(300, 4)} + ${pick(300, 5)} * ${pick(5, 6)} AS distance,
        ${pick(100, 7)} AS tipper, ${pick(20, 8)} AS tip_percent, ${pick(400, 9)} AS refund, ${pick(100, 10)} AS party
      FROM numbered
    ), timed AS (
      SELECT *, row_number() OVER (ORDER BY second, i) + ${pick(shuffleRows, 11)} AS place,
        CASE
          ${futureRow ? `WHEN i = ${strayRows} THEN TIMESTAMP '2098-09-10 14:32:11'` : ''}
          WHEN i = 0 THEN TIMESTAMP '2008-12-31 23:02:22' + ${index} * INTERVAL 1 MINUTE
          WHEN i = 1 THEN TIMESTAMP '2009-01-01 00:34:01' + ${index} * INTERVAL 1 MINUTE
          WHEN i < 8 THEN TIMESTAMP '${startText}' - (1800 + ${pick(20 * 86_400, 12)}) * INTERVAL 1 SECOND
          WHEN i < ${strayRows}
            THEN TIMESTAMP '${startText}' + INTERVAL ${days} DAY + ${pick(6 * 3600, 12)} * INTERVAL 1 SECOND
          ELSE TIMESTAMP '${startText}' + second * INTERVAL 1 SECOND
        END AS picked_up
      FROM drawn
    ), priced AS (
      SELECT *, CASE WHEN refund = 0 AND i > ${strayRows} THEN -1 ELSE 1 END AS sign,
        300 + distance * 2 // 50 * 50 AS fare,
        CASE WHEN tipper < 45 THEN fare * (10 + tip_percent) // 100 ELSE 0 END AS tip
      FROM timed
    )
    SELECT picked_up AS lpep_pickup_datetime,
      picked_up + (180 + distance * 2 + ${pick(400, 13)}) * INTERVAL 1 SECOND AS lpep_dropoff_datetime,
      (${zone(14)})::BIGINT AS "PULocationID",
      (${zone(17)})::BIGINT AS "DOLocationID",
      CASE WHEN party < 4 THEN NULL WHEN party < 85 THEN 1 ELSE 1 + party % 6 END::DOUBLE AS passenger_count,
      distance::DOUBLE / 100 AS trip_distance,
      (sign * fare)::DOUBLE / 100 AS fare_amount,
      (sign * tip)::DOUBLE / 100 AS tip_amount,
      (sign * (fare + tip + 130))::DOUBLE / 100 AS total_amount
    FROM priced
    -- Strays stand anywhere in the file.
    ORDER BY CASE WHEN i <= ${strayRows} THEN ${pick(rows, 20)} ELSE place END, i`
}

/** What a download without permission leaves under a Parquet name. */
const accessDenied = `<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>M1LLRACEDEM0</RequestId></Error>
`
