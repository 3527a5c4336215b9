import { aggregate, count, files, groupBy, pipeline, sum, to, tumbling, where } from 'millrace'
import { trips } from './months.ts'

export default pipeline(
  'parted-days',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    where('total_amount > 0'),
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    to(files('./output/', { format: 'parquet', partitionBy: { month: 'window_start', day: 'window_start' } })),
  ),
)
