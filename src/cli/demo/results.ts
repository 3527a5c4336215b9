import { addressToPath } from '../shown-path.ts'
import { withDuckDb } from './duckdb.ts'
import { busyZones } from './make-months.ts'

/** The zones with most revenue in the demo's output, as cells of a table. */
export async function topZones(outputFiles: readonly string[], rows: number): Promise<readonly (readonly string[])[]> {
  if (outputFiles.length === 0) return []
  const files = outputFiles.map(file => `'${addressToPath(file).replaceAll("'", "''")}'`)
  const names = busyZones.map(({ id, name }) => `(${id}, '${name}')`)
  return withDuckDb(db =>
    db.texts(`
      WITH results AS (
        SELECT "PULocationID" AS id, window_start, trips, revenue
        FROM read_parquet([${files.join()}], hive_partitioning = false)
      ), zones AS (
        SELECT id, sum(trips)::BIGINT AS trips, sum(revenue)::DECIMAL(38,2) AS revenue FROM results GROUP BY id
      ), hours AS (
        SELECT id, hour(window_start) AS hour, sum(trips) AS trips FROM results GROUP BY id, hour
      ), busiest AS (
        SELECT id, hour FROM hours QUALIFY row_number() OVER (PARTITION BY id ORDER BY trips DESC, hour) = 1
      )
      SELECT id::VARCHAR, coalesce(names.name, ''), format('{:,}', zones.trips),
        format('{:,.2f}', zones.revenue::DOUBLE), printf('%02d:00', hour)
      FROM zones JOIN busiest USING (id) LEFT JOIN (VALUES ${names.join()}) AS names(id, name) USING (id)
      ORDER BY zones.revenue DESC, id LIMIT ${rows}`),
  )
}
