import {
  aggregate,
  count,
  files,
  groupBy,
  kafka,
  parquet,
  pipeline,
  source,
  sqs,
  sum,
  to,
  tumbling,
  where,
} from 'millrace'

const { KAFKA_BROKERS = '', QUEUE_URL } = process.env

const trips = source('trips', {
  objects: 's3://taxi/landing/',
  notifications: QUEUE_URL
    ? sqs({ queueUrl: QUEUE_URL })
    : kafka({ brokers: KAFKA_BROKERS.split(','), topic: 'landed' }),
  format: parquet(),
  columns: {
    lpep_pickup_datetime: 'TIMESTAMP NOT NULL',
    PULocationID: 'BIGINT',
    total_amount: 'DECIMAL(18,2)',
  },
  time: 'lpep_pickup_datetime',
  watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
})

/** Trips and revenue by hour and zone of pick-up: a month's windows come out when the next month has landed. */
export default pipeline(
  'revenue-by-zone',
  { checkpoint: 's3://taxi/checkpoint/' },
  trips.pipe(
    where('total_amount > 0'),
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    to(files('s3://taxi/zones/', { format: 'parquet' })),
  ),
)
