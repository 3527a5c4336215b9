/** Two sources that are told of in ways of their own, and meet in a join and in a union. */
import {
  aggregate,
  count,
  files,
  groupBy,
  join,
  json,
  kafka,
  pipeline,
  select,
  source,
  sqs,
  to,
  tumbling,
  union,
} from '../../../src/index.ts'

const { TRIPS_OBJECTS = '', TRIPS_CHECKPOINT = '', TRIPS_OUTPUT = '' } = process.env

/** What tells of a source's objects: by its name, a queue or a topic. */
function told(name: string) {
  const {
    [`${name}_QUEUE`]: queueUrl,
    [`${name}_SQS`]: endpoint,
    [`${name}_TOPIC`]: topic,
    [`${name}_KAFKA`]: brokers,
  } = process.env
  if (queueUrl)
    return sqs({ queueUrl, endpoint: endpoint as string, region: 'us-east-1', visibilityTimeout: '5 seconds' })
  return kafka({ brokers: (brokers as string).split(','), topic: topic as string })
}

const inside = (address: string, name: string) => address.replace('/?', `/${name}/?`)
const shared = { format: json(), miniBatch: { every: '100ms', objectsMax: 3 }, reconcile: false } as const

const trips = source('trips', {
  ...shared,
  objects: inside(TRIPS_OBJECTS, 'trips'),
  notifications: told('TRIPS'),
  columns: { at: 'TIMESTAMP NOT NULL', trip: 'BIGINT', fare: 'BIGINT' },
  time: 'at',
  watermark: { delay: '3 hours' },
})
const payments = source('payments', {
  ...shared,
  objects: inside(TRIPS_OBJECTS, 'payments'),
  notifications: told('PAYMENTS'),
  columns: { paid_at: 'TIMESTAMP NOT NULL', trip: 'BIGINT', cents: 'BIGINT' },
  time: 'paid_at',
  watermark: { delay: '3 hours' },
})

export default pipeline(
  'live-paid',
  { checkpoint: TRIPS_CHECKPOINT },
  trips.pipe(
    join(payments, { on: ['trip'], within: ['0 seconds', '2 hours'] }),
    to(files(inside(TRIPS_OUTPUT, 'paid'), { format: 'parquet' })),
  ),
  union(trips.pipe(select('trip')), payments.pipe(select('trip'))).pipe(
    tumbling('1 hour'),
    groupBy(),
    aggregate({ events: count() }),
    to(files(inside(TRIPS_OUTPUT, 'hours'), { format: 'parquet' })),
  ),
)
