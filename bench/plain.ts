/** The other side of the comparison: the one plain query, through the same binding, in a process of its own. */
import { DuckDBInstance } from '@duckdb/node-api'

const [input, output] = process.argv.slice(2)
const instance = await DuckDBInstance.create(':memory:')
const connection = await instance.connect()
await connection.run(
  `COPY (SELECT date_trunc('hour', tpep_pickup_datetime) AS window_start, PULocationID, count(*) AS trips,
     sum(total_amount) AS revenue, avg(tip_amount) AS tip, max(trip_distance) AS farthest
   FROM read_parquet('${input}/*.parquet') GROUP BY ALL ORDER BY ALL) TO '${output}' (FORMAT parquet, COMPRESSION zstd)`,
)
