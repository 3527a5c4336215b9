import { aggregate, avg, count, files, groupBy, max, parquet, pipeline, source, sum, to, tumbling } from 'millrace'

const trips = source('trips', {
  objects: './input',
  format: parquet(),
  columns: {
    tpep_pickup_datetime: 'TIMESTAMP NOT NULL',
    PULocationID: 'BIGINT',
    total_amount: 'DOUBLE',
    tip_amount: 'DOUBLE',
    trip_distance: 'DOUBLE',
  },
  time: 'tpep_pickup_datetime',
  watermark: { delay: '1 day', bounds: 'yellow_tripdata_{yyyy}-{MM}' },
})

export default pipeline(
  'bench',
  { checkpoint: './checkpoint' },
  trips.pipe(
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount'), tip: avg('tip_amount'), farthest: max('trip_distance') }),
    to(files('./output', { format: 'parquet' })),
  ),
)
