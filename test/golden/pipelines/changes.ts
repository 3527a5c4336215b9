import { aggregate, count, deltas, files, groupBy, pipeline, sum, to, tumbling } from 'millrace'
import { trips } from './months.ts'

/** Each day beside the zone's last one, over the borders of epochs; some zones have days without trips. */
export default pipeline(
  'changes',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    tumbling('1 day'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), paid: sum('total_amount') }),
    deltas({ of: ['trips', 'paid'], expireAfter: '4 days' }),
    to(files('./output/', { format: 'json' })),
  ),
)
