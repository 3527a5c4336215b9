import { aggregate, count, files, groupBy, hopping, pipeline, sum, to } from 'millrace'
import { trips } from './months.ts'

/** Windows that do not lie on each other's borders, and late rows that are late for some of their windows only. */
export default pipeline(
  'hopping-zones',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    hopping('60 hours', '25 hours'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    to(files('./output/', { format: 'json' })),
  ),
)
