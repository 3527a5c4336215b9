import { aggregate, argMax, count, dedupe, files, groupBy, pipeline, sum, to, tumbling, where } from 'millrace'
import { trips } from './months.ts'

/** Three stateful steps in a row: trips that were recorded twice are dropped, hours are counted, days are made of hours. */
export default pipeline(
  'busiest-hours',
  { checkpoint: './checkpoint/' },
  trips.pipe(
    dedupe(['PULocationID', 'total_amount'], '2 hours'),
    tumbling('1 hour'),
    groupBy('PULocationID'),
    aggregate({ trips: count(), revenue: sum('total_amount') }),
    where('revenue > 0'),
    tumbling('1 day'),
    groupBy('PULocationID'),
    aggregate({
      hours: count(),
      trips: sum('trips'),
      busiest: argMax('window_start', 'trips'),
      revenue: sum('revenue'),
    }),
    to(files('./output/', { format: 'parquet' })),
  ),
)
