/** What the live tests follow: places and the kind of notifications come from the environment. */
import {
  aggregate,
  count,
  files,
  groupBy,
  kafka,
  max,
  parquet,
  pipeline,
  source,
  sqs,
  sum,
  to,
  tumbling,
} from '../../../src/index.ts'

const {
  TRIPS_OBJECTS = '',
  TRIPS_CHECKPOINT = '',
  TRIPS_OUTPUT = '',
  TRIPS_QUEUE,
  TRIPS_SQS,
  TRIPS_TOPIC,
  TRIPS_KAFKA,
} = process.env
const {
  TRIPS_EVERY = '200ms',
  TRIPS_RECONCILE = '5s',
  TRIPS_OBJECTS_MAX = '20',
  TRIPS_VISIBILITY = '10 seconds',
  TRIPS_KEYS = 'encoded',
} = process.env

const notifications = TRIPS_QUEUE
  ? sqs({
      queueUrl: TRIPS_QUEUE,
      endpoint: TRIPS_SQS as string,
      region: 'us-east-1',
      visibilityTimeout: TRIPS_VISIBILITY as '10s',
    })
  : TRIPS_TOPIC
    ? kafka({ brokers: (TRIPS_KAFKA as string).split(','), topic: TRIPS_TOPIC, keys: TRIPS_KEYS as 'raw' })
    : undefined

const trips = source('trips', {
  objects: TRIPS_OBJECTS,
  ...(notifications ? { notifications } : {}),
  format: parquet(),
  columns: {
    lpep_pickup_datetime: 'TIMESTAMP NOT NULL',
    PULocationID: 'BIGINT',
    total_amount: 'DECIMAL(18,2)',
    trip_distance: 'DOUBLE',
  },
  time: 'lpep_pickup_datetime',
  watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
  miniBatch: { every: TRIPS_EVERY as '1s', objectsMax: Number(TRIPS_OBJECTS_MAX) },
  reconcile: TRIPS_RECONCILE === 'false' ? false : (TRIPS_RECONCILE as '5s'),
})

export default pipeline(
  'live-trips',
  { checkpoint: TRIPS_CHECKPOINT },
  trips.pipe(
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({
      trips: count(),
      revenue: sum('total_amount'),
      miles: sum('trip_distance'),
      farthest: max('trip_distance'),
    }),
    to(files(TRIPS_OUTPUT, { format: 'parquet' })),
  ),
)
