import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'

/** Months of yellow-taxi-like rows as Parquet, from a fixed mixing of integers: the same files at every run. */
export async function makeMonths(folder: string, months: number, rowsPerMonth: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  for (let month = 0; month < months; month++) {
    const start = new Date(Date.UTC(2022, month)).toISOString().slice(0, 10)
    const file = join(folder, `yellow_tripdata_${start.slice(0, 7)}.parquet`)
    await connection.run(
      `COPY (SELECT TIMESTAMP '${start}' + INTERVAL (hash(i) % 2419200) SECOND AS tpep_pickup_datetime,
         CAST(hash(i + 7) % 265 AS BIGINT) AS PULocationID, CAST((hash(i + 3) % 10000) / 100 AS DOUBLE) AS total_amount,
         CAST((hash(i + 5) % 1000) / 100 AS DOUBLE) AS tip_amount, CAST((hash(i + 9) % 3000) / 100 AS DOUBLE) AS trip_distance,
         CAST(hash(i + 11) % 6 AS BIGINT) AS passenger_count, 'N' AS store_and_fwd_flag
       FROM range(${month * rowsPerMonth}, ${(month + 1) * rowsPerMonth}) AS t(i)) TO '${file}' (FORMAT parquet, COMPRESSION zstd)`,
    )
  }
  connection.closeSync()
  instance.closeSync()
}
