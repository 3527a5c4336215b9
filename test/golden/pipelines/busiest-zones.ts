import { aggregate, count, dedupe, files, groupBy, pipeline, sum, to, topN, tumbling } from 'millrace'
import { trips } from './months.ts'

/** Of trips that follow one another in a zone the last; of each day the three zones with the most of these. */
export default pipeline(
  'busiest-zones',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    dedupe('PULocationID', '30 minutes', { keep: 'last' }),
    tumbling('1 day'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), paid: sum('total_amount') }),
    topN(3, {
      by: [
        ['trips', 'desc'],
        ['paid', 'desc'],
      ],
    }),
    to(files('./output/', { format: 'json' })),
  ),
)
