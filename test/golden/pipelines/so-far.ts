import { aggregate, avg, count, cumulative, derive, files, groupBy, pipeline, to } from 'millrace'
import { trips } from './months.ts'

/** Windows that grow over several epochs, with state of a finer grain; rows are late for the shorter ones only. */
export default pipeline(
  'so-far',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    derive({ amount: ['DOUBLE', 'total_amount * 1.1'] }),
    cumulative('10 days', '40 hours', { offset: '7 hours' }),
    groupBy('PULocationID'),
    aggregate({ trips: count(), paid: avg('amount') }),
    to(files('./output/', { format: 'json' })),
  ),
)
