import { parquet, source } from 'millrace'

/** The demo's made-up months; the folder is given by --input. */
export const trips = source('trips', {
  objects: './input/',
  format: parquet(),
  columns: {
    lpep_pickup_datetime: 'TIMESTAMP NOT NULL',
    PULocationID: 'BIGINT',
    passenger_count: 'BIGINT',
    total_amount: 'DECIMAL(18,2)',
  },
  time: 'lpep_pickup_datetime',
  watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
})
