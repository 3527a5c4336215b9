import { aggregate, count, files, groupBy, parquet, pipeline, source, sum, to, tumbling, where } from 'millrace'

/** Green-taxi trips as New York's TLC publishes them, one Parquet file a month. */
const trips = source('trips', {
  objects: './data/tlc/',
  format: parquet(),
  columns: {
    lpep_pickup_datetime: 'TIMESTAMP NOT NULL',
    PULocationID: 'BIGINT',
    // Dollars and cents; the files hold DOUBLE, and every amount survives the way there and back.
    total_amount: 'DECIMAL(18,2)',
  },
  time: 'lpep_pickup_datetime',
  // Each month holds a few rows of other months, one of 2009 among them: only rows of the file's own month move the
  // watermark, and a row of the last day of a month may still come in the next file.
  watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
})

/** Trips and revenue by hour and zone of pick-up. Refunds have a negative total and are left out. */
export default pipeline(
  'hourly-zones',
  { checkpoint: './hourly-zones/checkpoint/' },
  trips.pipe(
    where('total_amount > 0'),
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    to(files('./hourly-zones/output/', { format: 'parquet' })),
  ),
)
