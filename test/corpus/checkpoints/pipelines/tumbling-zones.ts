import { aggregate, count, files, groupBy, max, min, pipeline, sum, to, tumbling, where } from 'millrace'
import { trips } from './months.ts'

export default pipeline(
  'tumbling-zones',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    where('total_amount > 0'),
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({
      trips: count(),
      revenue: sum('total_amount'),
      least: min('total_amount'),
      most: max('total_amount'),
      passengers: sum('passenger_count'),
    }),
    to(files('./output/', { format: 'parquet' })),
  ),
)
