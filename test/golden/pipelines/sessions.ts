import { aggregate, avg, count, countDistinct, derive, files, groupBy, max, pipeline, session, to } from 'millrace'
import { trips } from './months.ts'

/** Sessions that lie in several epochs and grow together; their averages and distinct values have state of a finer grain. */
export default pipeline(
  'sessions',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    derive({ amount: ['DOUBLE', 'total_amount * 1.1'] }),
    session('7 hours'),
    groupBy('PULocationID'),
    aggregate({
      trips: count(),
      paid: avg('amount'),
      counts: countDistinct('passenger_count'),
      last: max('lpep_pickup_datetime'),
    }),
    to(files('./output/', { format: 'json' })),
  ),
)
