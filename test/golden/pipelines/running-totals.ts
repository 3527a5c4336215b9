import { aggregate, count, files, groupBy, hopping, pipeline, sum, to, where } from 'millrace'
import { trips } from './months.ts'

/** Results that change with each month, some of which come, go and come again; now and then all of them in one file. */
export default pipeline(
  'running-totals',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    hopping('90 days', '30 days'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    where('trips % 3 <> 0'),
    to(files('./output/', { format: 'parquet', snapshot: { every: 2 } }), { emit: 'update' }),
  ),
)
