import {
  aggregate,
  count,
  derive,
  files,
  groupBy,
  max,
  type MiniBatch,
  parquet,
  pipeline,
  source,
  type Stream,
  sum,
  to,
  type TookRows,
  tumbling,
  where,
} from 'millrace'
import type { Observable } from 'rxjs'
import { is } from './is.ts'

// A pipeline of the whole release, as users write it.

const trips = source('trips', {
  objects: 'data/input',
  format: parquet(),
  columns: {
    lpep_pickup_datetime: 'TIMESTAMP NOT NULL',
    PULocationID: 'BIGINT',
    total_amount: 'DECIMAL(18,2)',
    tip_amount: 'DOUBLE',
    trip_distance: 'DOUBLE',
  },
  time: 'lpep_pickup_datetime',
  watermark: { delay: '1 day', bounds: 'green_tripdata_{yyyy}-{MM}' },
})

const rides = trips.pipe(where('total_amount > 0'), derive({ tip_share: ['DOUBLE', 'tip_amount / total_amount'] }))
const revenue = rides.pipe(
  tumbling('1 hour'),
  groupBy('PULocationID'),
  aggregate({
    trips: count(),
    revenue: sum('total_amount'),
    best_tip: max('tip_share'),
    farthest: max('trip_distance'),
  }),
)

type RideColumns = typeof rides extends Observable<MiniBatch<infer C, unknown>> ? C : never

is<
  typeof revenue,
  Stream<
    MiniBatch<
      {
        window_start: 'TIMESTAMP NOT NULL'
        window_end: 'TIMESTAMP NOT NULL'
        PULocationID: 'BIGINT'
        trips: 'BIGINT NOT NULL'
        revenue: 'DECIMAL(38,2)'
        best_tip: 'DOUBLE'
        farthest: 'DOUBLE'
      },
      'TIMESTAMP NOT NULL',
      TookRows<RideColumns, 'windows'>
    >
  >
>(true)

export const revenueByZone = pipeline(
  'revenue-by-zone',
  { checkpoint: 'data/checkpoint' },
  revenue.pipe(to(files('data/output', { format: 'parquet' }))),
)
